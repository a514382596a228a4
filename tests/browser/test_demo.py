"""The page that reads cells in the browser, from disk and served, against the library in Python.

`make browser` has built it.
"""

import base64
import csv
import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from malaria_nb.counting import check_count, crop_cells
from malaria_nb.finder import find_cells
from malaria_nb.images import decode_cell
from malaria_nb.parasitaemia import parasitaemia
from malaria_nb.pictures import read_picture
from malaria_nb.predict import CompactModel
from malaria_nb.quality import check_field, measure_field
from malaria_nb.settings import default_home
from malaria_nb.synthetic import draw_cell, draw_field

ROOT = Path(__file__).resolve().parents[2]
DEMO = Path(os.environ.get("MALARIA_NB_BOOK", ROOT / "_docs" / "html")) / "demo"
REAL = default_home() / "nih" / "cell_images"
CLOSE = 1e-3  # of a score
pytestmark = pytest.mark.skipif(
    not (DEMO / "parts.js").exists(),
    reason="the page was not built: make demo builds it, or says what is missing",
)


@pytest.fixture(scope="module")
def python():
    "The library's model: RGB cells to scores and evidence."
    model = CompactModel()

    def run(cells):
        scores, maps = zip(*(model.evidence([cell]) for cell in cells))
        return np.concatenate(scores), np.concatenate(maps).reshape(len(cells), -1)

    run.size = model.size
    return run


@pytest.fixture(params=["disk", "served"])
def demo(page, request):
    "The page, ready, from disk and from a server; it notes what it asks for."
    page.asked = []
    page.on("request", lambda r: page.asked.append(r.url))
    server = None
    if request.param == "served":
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=DEMO.parent))
        Thread(target=server.serve_forever, daemon=True).start()
    page.folder = f"http://127.0.0.1:{server.server_port}/demo/" if server else f"{DEMO.as_uri()}/"
    page.goto(f"{page.folder}index.html")
    ready(page)
    yield page
    if server:
        server.shutdown()
    assert page.problems == [] and page.away == []
    assert [
        u
        for u in page.asked
        if not u.startswith(
            (page.folder, "data:", f"blob:{page.folder.split('demo')[0]}", "blob:null", "blob:file")
        )
    ] == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


from_disk = pytest.mark.parametrize(
    "demo", ["disk"], indirect=True
)  # where the way in makes no difference


def ready(page):
    "The model has started; the page's own field is being read, and makes room for any other."
    page.wait_for_selector("#own:enabled", timeout=60_000)


def read(page, *files):
    page.set_input_files("#files", list(map(str, files)))
    done(page)


def done(page):
    page.wait_for_function(
        "document.getElementById('status').textContent.startsWith('Done')", timeout=120_000
    )


def saved(page):
    "The table, as the reader downloads it."
    with page.expect_download() as download:
        page.click("#save")
    with open(download.value.path(), newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def write(path, rgb):
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return path


def same_scores(page, python, files):
    read(page, *files)
    score, evidence = python([decode_cell(f, python.size) for f in files])
    rows = saved(page)
    assert [r["file"] for r in rows] == [f.name for f in files]
    assert np.abs(np.array([float(r["score"]) for r in rows]) - score).max() < CLOSE
    assert [r["call"] for r in rows] == ["parasitized" if s >= 0.5 else "uninfected" for s in score]
    maps = np.array(page.evaluate("cells.map(c => c.evidence.values)"))
    assert np.abs(maps - evidence).max() < CLOSE * max(1, np.abs(evidence).max())


def test_synthetic_cells_score_as_in_python(demo, python, tmp_path):
    same_scores(
        demo,
        python,
        [write(tmp_path / f"cell{i}.png", draw_cell(i, bool(i % 2))[0]) for i in range(24)],
    )


@from_disk
@pytest.mark.skipif(not REAL.exists(), reason="no real cells here: malaria-nb data fetch gets them")
def test_real_cells_score_as_in_python(demo, python):
    same_scores(
        demo,
        python,
        [f for k in ("Parasitized", "Uninfected") for f in sorted((REAL / k).glob("*.png"))[::150]],
    )


@from_disk
def test_a_file_that_is_no_picture_is_named_and_skipped(demo, tmp_path):
    cell = draw_cell(0, True)[0]
    good, cut, clear, text = (
        write(tmp_path / "good.png", cell),
        tmp_path / "cut.png",
        tmp_path / "clear.png",
        tmp_path / "text.png",
    )
    cut.write_bytes(good.read_bytes()[:200])
    cv2.imwrite(str(clear), np.dstack([cell, np.full(cell.shape[:2], 128, np.uint8)]))
    text.write_text("no picture")
    read(demo, text, cut, good, clear)
    assert [r["file"] for r in saved(demo)] == ["good.png"]
    said = demo.inner_text("#problems")
    assert (
        "text.png: not a picture" in said
        and "cut.png: not a picture" in said
        and "clear.png: it has transparent pixels" in said
    )
    assert "1 picture read, 3 skipped" in demo.inner_text("#status")


FIELDS = {
    "plain": {},
    "crowded": dict(cells=140, parasitaemia=0.2, touching=0.5),
    "heaps": dict(cells=160, touching=0.9),
    "blurred": dict(blur=3),
    "overexposed": dict(exposure=1.8),
    "empty": dict(cells=0, platelets=0, white=0),
    "framed": {},
    "grey": {},
}
CHULA = ROOT / "nbs" / "sample" / "chula" / "fields"
REAL_FIELDS = ("100.jpg", "261.jpg")  # every cell of the first is called


@from_disk
@pytest.mark.parametrize("name", [*FIELDS, *REAL_FIELDS])
def test_a_field_is_counted_as_in_python(demo, python, tmp_path, name):
    field = read_picture(CHULA / name) if name in REAL_FIELDS else draw_field(3, **FIELDS[name])[0]
    if name == "framed":
        field[-60:] = 0
    if name == "grey":
        field = np.repeat(field[..., 1:2], 3, axis=-1)
    read(demo, write(tmp_path / "field.png", field))
    measured = demo.evaluate("Smear.measureField(fields[0].picture)")
    assert measured == pytest.approx(measure_field(field), rel=1e-4, abs=1e-9)
    if why := check_field(field):
        assert f"Not counted: it is {why}." in demo.inner_text("#fields")
        return
    found = find_cells(field)
    score, _ = python(crop_cells(field, found[found["kind"] == "red"], python.size))
    rows = saved(demo)
    key = ["x", "y", "w", "h"]
    mine = {(*(int(r[k]) for k in key), r["kind"]): r["score"] for r in rows}
    assert set(mine) == set(found[[*key, "kind"]].itertuples(index=False, name=None))
    assert demo.evaluate("fields[0].found.map(c => c.mask.reduce((a, b) => a + b))") == [
        int(c.mask.sum()) for c in found.itertuples()
    ]
    red = found.loc[found["kind"] == "red", [*key, "kind"]].itertuples(index=False, name=None)
    assert np.abs(np.array([float(mine[r]) for r in red]) - score).max() < CLOSE
    called, n = int((score >= 0.5).sum()), len(score)
    p = parasitaemia(called, n)
    doubt = check_count(called, n)
    said = demo.inner_text("#fields")
    assert (f"This count is {doubt}." in said) == bool(doubt)
    value, low, high = (f"{100 * v:.1f}\u00a0%" for v in (p.value, p.low, p.high))
    assert (
        f"{n} red cells, {called} called parasitized: "
        f"parasitaemia {value} (95\u00a0% interval {low} to {high})" in said
    )


@from_disk
def test_it_opens_with_a_field_that_python_has_read_and_the_browser_reads_alike(demo, page):
    "What is there before the program has started is what the program then says."
    demo.wait_for_function("document.getElementById('status').textContent.startsWith('Ready')")
    assert demo.query_selector("#opening") is None, "the still picture stayed beside the live one"
    live = demo.eval_on_selector_all("#fields h3, #fields p", "all => all.map(e => e.textContent)")
    picture = demo.get_attribute("#fields canvas", "aria-label")
    called = demo.evaluate(
        "cells.filter(c => call(c) === 'parasitized').map(c => String(c.number))"
    )
    context = page.context.browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(f"{demo.folder}index.html")
    assert still.locator("#opening h3, #opening p").all_text_contents() == live
    assert still.get_attribute("#opening svg", "aria-label") == picture
    assert still.locator("#opening svg text").all_text_contents() == called
    circles = still.locator("#opening circle").count()
    assert circles == 2 * demo.evaluate("fields[0].found.length") > 100
    assert still.locator("#opening image").bounding_box()["width"] > 300
    context.close()
    assert "nobody in this collection has malaria" in live[2]
    assert "Five in 87" in live[2] and live[1].startswith("87 red cells, 5 called")
    notice = (DEMO / "LICENSE-chula.txt").read_text("utf-8")
    assert "Chula PIC Lab" in notice and demo.query_selector("a[href='LICENSE-chula.txt']")


@from_disk
def test_ours_make_room_and_what_is_known_of_each_is_said(demo):
    for button, known in (
        ("sample-stain", "83 red cells, 0 called"),
        ("sample-field", "3 of the 42 red cells found here were drawn with parasites"),
    ):
        demo.click(f"#{button}")
        done(demo)
        assert demo.evaluate("fields.length") == 1 and known in demo.inner_text("#fields")
        assert demo.locator("#fields .truth").count() == 1
    with demo.expect_file_chooser() as chooser:
        demo.click("#own")
    png = base64.b64decode(demo.evaluate("SAMPLES['synthetic field.png']"))
    chooser.value.set_files({"name": "mine.png", "mimeType": "image/png", "buffer": png})
    done(demo)
    assert demo.locator("#fields h3").all_text_contents() == ["mine.png"]
    assert demo.locator("#fields .truth").count() == 0, "a reader's picture with a truth of ours"


@from_disk
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_warning_stays_in_sight_and_the_field_is_there_at_once(demo, size):
    demo.set_viewport_size(dict(zip(("width", "height"), size)))
    demo.wait_for_function("document.getElementById('status').textContent.startsWith('Ready')")
    assert demo.locator("#fields canvas").bounding_box()["y"] < 0.75 * size[1]
    demo.evaluate("scrollTo(0, document.body.scrollHeight)")
    box = demo.locator(".warning").bounding_box()
    assert demo.evaluate("scrollY") > 300 and box["y"] == 0 and box["height"] < 48, box
    assert "not a medical device" in demo.inner_text(".warning")
    assert not demo.is_visible("#warning p"), "the longer text is folded"
    assert demo.evaluate("document.documentElement.scrollWidth") <= size[0]


@from_disk
def test_a_doubtful_count_is_said_to_be_so_as_in_python(demo):
    counts = [(k, n) for n in (1, 5, 42, 200) for k in sorted({0, n // 5, n // 5 + 1, n})]
    mine = demo.evaluate("c => c.map(([k, n]) => Smear.checkCount(k, n))", counts)
    assert mine == [check_count(k, n) for k, n in counts]
    said = demo.evaluate("summary([{kind: 'red', score: 1}, {kind: 'red', score: 0}])")
    assert said.startswith("This count is doubtful: 1 of 2 cells")


@from_disk
def test_the_interval_is_the_librarys(demo):
    counts = [(k, n) for n in (1, 7, 42, 90, 1000) for k in sorted({0, 1, n // 3, n - 1, n})]
    mine = demo.evaluate("c => c.map(([k, n]) => Smear.parasitaemia(k, n))", counts)
    for (k, n), m in zip(counts, mine):
        assert m == pytest.approx(parasitaemia(k, n).to_dict(), abs=1e-12), (k, n)


@from_disk
def test_the_page_can_open_no_connection(demo):
    went = (
        """async url => { try { await fetch(url); return "out"; } catch { return "refused"; } }"""
    )
    assert demo.evaluate(went, "http://127.0.0.1:9/x") == "refused" and demo.asked[-1].startswith(
        demo.folder
    ), "the policy lets requests out"
    demo.problems.clear()  # the refusal


@from_disk
def test_threshold_and_kind_can_be_changed(demo, tmp_path):
    read(demo, *[write(tmp_path / f"cell{i}.png", draw_cell(i, bool(i % 2))[0]) for i in range(6)])
    demo.focus("#threshold")
    demo.keyboard.press("Home")
    assert "6 cell pictures: 6 called parasitized" in demo.inner_text("#counts") and {
        r["threshold"] for r in saved(demo)
    } == {"0"}
    demo.focus("#threshold")
    demo.keyboard.press("End")
    rows = saved(demo)
    called = [r["call"] for r in rows].count("parasitized")
    assert (
        demo.inner_text("#chosen") == "1.00"
        and called == sum(float(r["score"]) >= 1 for r in rows) < 6
    )
    assert f"6 cell pictures: {called} called parasitized" in demo.inner_text("#counts")
    demo.click("#yours summary")
    demo.check("[name=kind][value=field]")
    done(demo)
    assert "cell pictures" not in demo.inner_text("#counts"), (
        "as fields, cells are not cell pictures"
    )
    demo.check("[name=kind][value=size]")
    demo.wait_for_function("cells.length === 6")
    demo.click("#clear")
    assert (
        not demo.is_visible("#results")
        and demo.evaluate("files.length + cells.length + fields.length") == 0
    )


@from_disk
def test_what_is_removed_while_it_is_read_stays_removed(demo, tmp_path):
    field, cell = (
        write(tmp_path / "field.png", draw_field(5, cells=60, shape=(700, 900))[0]),
        write(tmp_path / "cell.png", draw_cell(0, True)[0]),
    )
    demo.set_input_files("#files", [str(field)] * 9)
    demo.wait_for_function(
        "0 < fields.length && fields.length < 9 && !document.getElementById('clear').disabled"
    )
    demo.click("#clear")
    assert demo.evaluate("queue.then(() => files.length + cells.length + fields.length)") == 0
    read(demo, cell)
    assert len(saved(demo)) == 1


@from_disk
def test_dropped_files_are_read(demo, tmp_path):
    demo.evaluate("""() => { const d = new DataTransfer(); const png = Object.entries(SAMPLES)[0];
        d.items.add(new File([Model.bytes(png[1])], png[0]));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: d, cancelable: true})); }""")
    done(demo)
    assert len(saved(demo)) == 1


@pytest.mark.parametrize("demo", ["served"], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_use_it(demo, scheme):
    "Keys alone bring a result; it reads well, has words for each picture, and fits a phone."
    demo.emulate_media(color_scheme=scheme)
    for button, there in (
        ("sample-cells", "cells.length === 8"),
        (
            "sample-field",
            "fields.length === 1 && document.querySelectorAll('#rows tr').length > 20",
        ),
    ):
        demo.focus("#own")
        for _ in range(9):
            if demo.evaluate("document.activeElement.id") == button:
                break
            demo.keyboard.press("Tab")
        assert demo.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        demo.keyboard.press("Enter")
        demo.wait_for_function(there)
        levels = demo.evaluate(
            "[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])"
        )
        assert (
            levels[0] == 1
            and levels.count(1) == 1
            and all(b - a <= 1 for a, b in zip(levels, levels[1:]))
        ), levels
    canvases = demo.evaluate(
        "[...document.querySelectorAll('canvas')]"
        ".map(c => [c.getAttribute('role'), c.getAttribute('aria-label')])"
    )
    assert len(canvases) > 40 and all(role == "img" and len(label) > 8 for role, label in canvases)
    assert all("synthetic" in label for _, label in canvases)
    found = Axe().run(demo, options={"resultTypes": ["violations"]}).response["violations"]
    assert [
        (v["id"], v["nodes"][0]["html"][:150])
        for v in found
        if v["impact"] in ("serious", "critical")
    ] == []
    demo.set_viewport_size({"width": 360, "height": 700})
    assert demo.evaluate("document.documentElement.scrollWidth") <= 360
