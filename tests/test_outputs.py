"""What the chapters show: an output, a figure or a front page that nobody's records give."""

import base64
import json
import re
import runpy
import shutil
from pathlib import Path

import nbformat
import pytest

from malaria_nb.check import check_shown
from malaria_nb.outputs import LIST, chapters_with_results

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"
TOOL = runpy.run_path(str(ROOT / "tools" / "claims.py"))
RENEW = runpy.run_path(str(ROOT / "tools" / "renew.py"))
OF_RECORDS = [
    path for path in chapters_with_results(NBS) if TOOL["of_records"](nbformat.read(path, 4))
]
# a record's `load`, not NumPy's
READS = re.compile(r"(?<![.\w])(load|read_table|read_records|of_model|standings)\(")


@pytest.mark.parametrize("chapter", OF_RECORDS, ids=lambda p: p.stem)
def test_what_a_chapter_shows_of_records_is_what_they_give_now(chapter):
    assert TOOL["differing"](chapter) == [], "look at it, then: make claims"


def test_a_figure_that_another_test_left_open_is_not_the_chapter_s():
    import matplotlib.pyplot as plt

    plt.figure()
    assert TOOL["differing"](NBS / "index.ipynb") == []


@pytest.mark.parametrize("chapter", chapters_with_results(NBS), ids=lambda p: p.stem)
def test_a_cell_that_shows_records_says_so(chapter):
    for cell in nbformat.read(chapter, as_version=4).cells:
        if cell.cell_type == "code" and cell.outputs and READS.search(cell.source):
            assert cell.source.startswith("#| records"), (
                f"{cell.id} shows records: begin it with #| records, so that it is compared"
            )


# -- planted faults ------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    "The chapters, their list of outputs and the README."
    (tmp_path / "nbs" / "claims").mkdir(parents=True)
    for path in chapters_with_results(NBS):
        shutil.copy(path, tmp_path / "nbs")
    shutil.copy(NBS / LIST, tmp_path / "nbs" / LIST)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def shown(root):
    return [str(p) for p in check_shown(root, NBS / "records")]


def change(root, chapter, kind, edit):
    "Change the first output of a kind that a chapter stores; return its cell."
    path = root / "nbs" / f"{chapter}.ipynb"
    nb = json.loads(path.read_text("utf-8"))
    for cell in nb["cells"]:
        for output in cell.get("outputs", []):
            where = output if kind in output else output.get("data", {})
            if kind in where:
                where[kind] = edit("".join(where[kind]))
                path.write_text(json.dumps(nb), encoding="utf-8")
                return cell["id"]
    raise AssertionError(f"{chapter} has no {kind}")


def test_what_the_chapters_store_is_listed(root):
    assert shown(root) == []


@pytest.mark.parametrize(
    "chapter, kind",
    [
        *(("06_evaluation", kind) for kind in ("text/html", "text/plain", "image/png")),
        *(("02_images", kind) for kind in ("text", "text/plain", "image/png")),
        ("index", "text/markdown"),
    ],
)
def test_an_output_edited_by_hand_is_named(root, chapter, kind):
    other = json.loads((NBS / "05_transfer.ipynb").read_text("utf-8"))["cells"]
    figures = [
        o["data"]["image/png"]
        for c in other
        for o in c.get("outputs", [])
        if "data" in o and "image/png" in o["data"]
    ]
    cell = change(root, chapter, kind, lambda t: figures[0] if "png" in kind else t + "1")
    assert any(f"{chapter}.ipynb, cell {cell}: an output is not what" in p for p in shown(root))


def test_an_output_that_is_gone_or_new_is_named(root):
    path = root / "nbs" / "02_images.ipynb"
    nb = json.loads(path.read_text("utf-8"))
    cell = next(c for c in nb["cells"] if c.get("outputs"))
    cell["outputs"] = []
    path.write_text(json.dumps(nb), encoding="utf-8")
    (gone,) = shown(root)
    assert "is gone" in gone
    text = (root / "nbs" / LIST).read_text("utf-8").splitlines(keepends=True)
    (root / "nbs" / LIST).write_text("".join(text[1:]), encoding="utf-8")
    assert any("is not listed" in p for p in shown(root))


def test_a_copied_cell_with_the_same_name_is_named(root):
    path = root / "nbs" / "02_images.ipynb"
    nb = json.loads(path.read_text("utf-8"))
    at = next(i for i, c in enumerate(nb["cells"]) if c.get("outputs"))
    other = {"output_type": "stream", "name": "stdout", "text": "accuracy 0.999"}
    nb["cells"].insert(at, {**nb["cells"][at], "outputs": [other]})
    path.write_text(json.dumps(nb), encoding="utf-8")
    assert shown(root)


@pytest.mark.parametrize("text", ["", "[]", '{"cells": null}', "<<<<<<< HEAD"])
def test_a_chapter_that_is_none_is_named(root, text):
    (root / "nbs" / "02_images.ipynb").write_text(text)
    (root / "README.md").write_bytes(b"\xe9")
    named = shown(root)
    assert "02_images.ipynb" in named[0] and any(p.startswith("README.md") for p in named)


def test_the_front_page_s_table_edited_in_index_and_readme_and_signed_again(root):
    for path in (root / "README.md", root / "nbs" / "index.ipynb"):
        text = path.read_text("utf-8")
        assert "0.944 (0.924" in text
        path.write_text(text.replace("0.944 (0.924", "0.964 (0.924"), encoding="utf-8")
    RENEW["renew_outputs"](root / "nbs", accept=True)
    first, second = shown(root)
    assert first.startswith("README.md: ") and second.startswith("index.ipynb: ")
    assert "the records give now: | basic CNN |" in first


def test_what_was_edited_is_signed_only_when_asked(root):
    change(root, "06_evaluation", "text/html", lambda t: t + "1")
    assert RENEW["renew_outputs"](root / "nbs")[1] and shown(root)
    assert RENEW["renew_outputs"](root / "nbs", accept=True)[1] == [] and not shown(root)


# -- figures -------------------------------------------------------------------------------------


def drawn(height, software="Matplotlib version3.11.2"):
    import io

    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(3, 2))
    ax.bar([1, 2], [1, height])
    kept = io.BytesIO()
    fig.savefig(kept, metadata={"Software": software})
    plt.close(fig)
    return base64.b64encode(kept.getvalue()).decode()


def test_a_bar_that_is_a_little_higher_is_another_figure():
    same = TOOL["same_picture"]
    assert same(drawn(0.5), drawn(0.5)) and not same(drawn(0.5), drawn(0.53))


def test_another_matplotlib_may_draw_a_little_otherwise_but_no_other_figure():
    same, newer = TOOL["same_picture"], "Matplotlib version9.0"
    assert same(drawn(0.5), drawn(0.501, newer)) and not same(drawn(0.5), drawn(0.1, newer))
