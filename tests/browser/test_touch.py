"""Pictures to touch, in the book and alone: their numbers are Python's, at 1280 and 390 pixels.

`make browser` has built the book into _docs/html.
"""

import json
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from malaria_nb.calibration import calibration_error, reliability, temper
from malaria_nb.evaluation import confusion, metrics
from malaria_nb.records import load
from malaria_nb.screening import expected_false_parasites, ppv
from malaria_nb.temperature import fit_temperature
from malaria_nb.widgets import PARASITAEMIA, THRESHOLDS, bootstrap_draws, unpacked_scores

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("MALARIA_NB_BOOK", ROOT / "_docs" / "html"))
PLACES = {  # chapter: kinds of pictures, in order
    "00_motivation": ["threshold"],
    "06_evaluation": ["roc", "bootstrap"],
    "07_slides": ["threshold"],
    "11_calibration": ["reliability"],
}
EACH = [
    ("07_slides", "threshold", 0),
    ("06_evaluation", "roc", 0),
    ("06_evaluation", "bootstrap", 1),
    ("11_calibration", "reliability", 0),
]


def stored(chapter):
    "The HTML that a chapter stores of its pictures."
    nb = nbformat.read(ROOT / "nbs" / f"{chapter}.ipynb", 4)
    outputs = (o for cell in nb.cells for o in cell.get("outputs", []))
    found = (o.get("data", {}).get("text/html", "") for o in outputs)
    return [page for page in found if page.startswith('<div class="mnb">')]


def data_of(chapter, i):
    "What a stored picture got from Python."
    end = re.search(r"\(document\.currentScript, (.+)\);</script>", stored(chapter)[i])
    return json.loads(end[1])


def in_book(page, chapter, i):
    page.goto((HTML / f"{chapter}.html").as_uri())
    return page.locator(".mnb").nth(i)


def slide(picture, number, value):
    "Move a slider as a person does, in one step."
    picture.locator("input[type=range]").nth(number).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def numbers(picture):
    return json.loads(picture.get_attribute("data-numbers"))


def scored(name):
    rows = load(name).predictions
    return rows[rows["split"] == "test"]


# -- numbers


@pytest.mark.parametrize("chapter", PLACES)
def test_each_chapter_has_its_pictures(page, chapter):
    assert len(stored(chapter)) == len(PLACES[chapter])
    page.goto((HTML / f"{chapter}.html").as_uri())
    live = page.locator(".mnb .mnb-live")
    assert live.count() == len(PLACES[chapter])
    assert page.locator(".mnb-static >> visible=true").count() == 0
    assert page.problems == [] and page.away == []


def test_threshold_and_parasitaemia(page):
    picture, test = in_book(page, "07_slides", 0), scored("basic_cnn")
    started = numbers(picture)
    assert (started["threshold"], started["parasitaemia"]) == (0.5, 0.001)
    for i, j in ((0, 0), (9, 8), (17, 14), (29, 3), (34, 8)):
        slide(picture, 0, i)
        slide(picture, 1, j)
        shown, t, p = numbers(picture), THRESHOLDS[i], PARASITAEMIA[j]
        tn, fp, fn, tp = counts = confusion(test["label"], test["score"], t)
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        wrong = expected_false_parasites(specificity, 5000, p)
        expected = {
            **{"threshold": t, "parasitaemia": p, "ppv": ppv(sensitivity, specificity, p)},
            **{"wrong": wrong, "healthy": expected_false_parasites(specificity, 5000)},
            **{"found": 5000 * p * sensitivity, "missed": 5000 * p * (1 - sensitivity)},
            **{"sensitivity": sensitivity, "specificity": specificity, **counts},
        }
        for key, value in expected.items():
            assert shown[key] == pytest.approx(value, rel=1e-12, abs=1e-9), (key, t, p)
        said = picture.locator(".mnb-said").inner_text()
        tiles = picture.locator(".mnb-tiles strong").all_inner_texts()
        assert tiles[0] == f"{expected['ppv']:.2f}"
        words = f"{wrong:,.0f}" if wrong >= 10 else f"{wrong:.1f}"
        assert tiles[1] == words and f"adds {words} false parasites" in said
        dots = picture.locator("svg").first.locator("circle.mnb-hit").count()
        assert dots - 1 == round(100 * expected["ppv"])  # one more in the legend


def test_threshold_in_matrix_and_curve(page):
    picture, test = in_book(page, "06_evaluation", 0), scored("basic_cnn")
    for i in (0, 6, 17, 25, 34):
        slide(picture, 0, i)
        shown, expected = numbers(picture), metrics(test["label"], test["score"], THRESHOLDS[i])
        for key in ("sensitivity", "specificity", "auc"):
            assert shown[key] == pytest.approx(expected[key], abs=1e-12), key
        matrix = [int(n.replace(",", "")) for n in picture.locator("td strong").all_inner_texts()]
        counts = confusion(test["label"], test["score"], THRESHOLDS[i])
        assert matrix == counts.to_list()
        said = picture.locator(".mnb-said").inner_text()
        assert said.startswith(f"At threshold {THRESHOLDS[i]}") or "0.50" in said or "0.0" in said
        assert f"raises {counts['fp']:,} false alarm" in said
    # the point lies on the curve, where Python puts it
    slide(picture, 0, 17)
    curve, dot = picture.locator("path.mnb-curve"), picture.locator("svg circle.mnb-dot")
    box = curve.evaluate("e => { const b = e.getBBox(); return [b.x, b.y, b.width, b.height]; }")
    at = [float(dot.get_attribute(key)) for key in ("cx", "cy")]
    m = metrics(test["label"], test["score"])
    assert at[0] == pytest.approx(box[0] + box[2] * (1 - m["specificity"]), abs=0.2)
    assert at[1] == pytest.approx(box[1] + box[3] * (1 - m["sensitivity"]), abs=0.2)


def test_bootstrap_draws_as_python_draws(page):
    picture, data = in_book(page, "06_evaluation", 1), data_of("06_evaluation", 1)
    for seed in (42, 43):
        made = bootstrap_draws(data["sizes"], data["mistakes"], 250, seed)
        for draws in (1, 20, 250):
            slide(picture, 0, draws - 1)
            shown, so_far = numbers(picture), made.iloc[:draws]
            assert (shown["seed"], shown["draws"]) == (seed, draws)
            assert shown["latest"] == so_far.iloc[-1].to_list()
            for key, column in (("cell", "by cell"), ("patient", "by patient")):
                ends = np.quantile(so_far[column], [0.025, 0.975])
                assert shown[key] == pytest.approx(ends.tolist(), abs=1e-12)
            assert sum(shown["times"]) == 60
        said = picture.locator(".mnb-said").inner_text()
        low, high = np.quantile(made["by patient"], [0.025, 0.975])
        assert f"from {low:.3f} to {high:.3f} by patient" in said
        picture.get_by_role("button", name="Other random draws").click()


def test_bootstrap_buttons(page):
    picture = in_book(page, "06_evaluation", 1)
    assert numbers(picture)["draws"] == 1 and "at least 20" in picture.inner_text()
    picture.get_by_role("button", name="One more draw").click()
    assert numbers(picture)["draws"] == 2
    picture.get_by_role("button", name="Watch it grow").click()
    assert numbers(picture)["draws"] == 1000, "reduced motion: at once"
    page.emulate_media(reduced_motion="no-preference")
    picture.get_by_role("button", name="Watch it grow").click()
    page.wait_for_function(
        "() => JSON.parse(document.querySelectorAll('.mnb')[1].dataset.numbers).draws > 3"
    )
    picture.get_by_role("button", name="Stop").click()
    stopped = numbers(picture)["draws"]
    assert stopped < 1000
    page.wait_for_timeout(200)
    assert numbers(picture)["draws"] == stopped


def test_reliability_under_a_temperature(page):
    picture, data = in_book(page, "11_calibration", 0), data_of("11_calibration", 0)
    rows, low = load("vgg19_frozen").predictions, data["range"][0]
    valid = rows[rows["split"] == "valid"]
    label, score = unpacked_scores(data["logits"], data["uninfected"])
    for strategy in ("width", "count"):
        picture.locator(f"input[value={strategy}]").check()
        for t, bins in ((1, 10), (0.5, 15), (1.55, 7), (3, 30)):
            slide(picture, 0, round(100 * t) - low)
            slide(picture, 1, bins - 2)
            shown, tempered = numbers(picture), temper(score, t)
            table = reliability(label, tempered, bins=bins, strategy=strategy)
            assert shown["bins"] == bins and shown["strategy"] == strategy
            assert [row["cells"] for row in shown["rows"]] == table["cells"].to_list()
            for key in ("score", "share", "start", "end"):
                ours = [row[key] for row in shown["rows"]]
                assert ours == pytest.approx(table[key].to_list(), abs=1e-9)
            error = calibration_error(label, tempered, bins, strategy)
            assert shown["error"] == pytest.approx(error, abs=1e-9)
            entropy = -np.log(np.where(label == 1, tempered, 1 - tempered)).mean()
            assert shown["entropy"] == pytest.approx(entropy, abs=1e-6)
            # the recorded scores, which are finer, give nearly the same
            test = rows[rows["split"] == "test"]
            recorded = calibration_error(test["label"], temper(test["score"], t), bins, strategy)
            assert error == pytest.approx(recorded, abs=0.0015)
            assert shown["accuracy"] == pytest.approx(
                metrics(test["label"], test["score"])["accuracy"], abs=2e-4
            )
    picture.get_by_role("button", name="fitted on validation cells").click()
    fitted = fit_temperature(valid["label"], valid["score"])
    assert numbers(picture)["temperature"] == round(fitted, 2)
    picture.get_by_role("button", name="as recorded").click()
    assert numbers(picture)["temperature"] == 1


# -- how they look, and who can use them

CLIPPED = """root => [...root.querySelectorAll('svg text')].filter(t => {
  const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
  const wide = a.left < b.left - 1 || a.right > b.right + 1;
  return wide || a.top < b.top - 2 || a.bottom > b.bottom + 2;
}).map(t => t.textContent)"""
OVERLAP = """root => { const found = [];
for (const svg of root.querySelectorAll('svg')) {
  const texts = [...svg.querySelectorAll('text')];
  const all = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
  all.forEach(([a, p], i) => all.slice(i + 1).forEach(([b, q]) => {
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const tall = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && tall > 4) found.push([a, b]); })); }
return found; }"""
SMALL = """root => [...root.querySelectorAll('svg text, p, label, dt, dd, td, figcaption, small')]
  .filter(e => e.textContent && parseFloat(getComputedStyle(e).fontSize) < 11)
  .map(e => e.textContent)"""


def serious(page, where):
    found = Axe().run(page, {"include": [[where]]}, {"resultTypes": ["violations"]})
    return [
        (v["id"], v["nodes"][0]["html"][:150], v["nodes"][0].get("failureSummary", "")[:200])
        for v in found.response["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width, theme", [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("chapter, kind, i", EACH, ids=[kind for _, kind, _ in EACH])
def test_looks(page, chapter, kind, i, width, theme):
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=theme)
    picture = in_book(page, chapter, i)
    picture.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # the theme sets its colours late
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    paper = picture.evaluate("e => getComputedStyle(e).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) > 380) == (theme == "light")
    card = picture.locator("xpath=..").evaluate("e => getComputedStyle(e).backgroundColor")
    assert card == "rgba(0, 0, 0, 0)", "the theme's card behind the picture"
    if kind == "bootstrap":
        slide(picture, 0, 300)
    page.evaluate("i => document.querySelectorAll('.mnb')[i].id = 'looked-at'", i)
    assert serious(page, "#looked-at") == []
    assert picture.evaluate("e => e.getBoundingClientRect().right") <= width
    assert picture.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    for check in (CLIPPED, OVERLAP, SMALL):
        assert picture.evaluate(check) == []
    unnamed = "e => [...e.querySelectorAll('svg')].filter(s => !(s.ariaLabel || '').trim()).length"
    assert picture.evaluate(unnamed) == 0


@pytest.mark.parametrize(
    "chapter, i, most", [(c, i, 844 if k == "threshold" else 1100) for c, k, i in EACH]
)
def test_a_phone_shows_a_picture_in_little_more_than_a_screen(page, chapter, i, most):
    page.set_viewport_size({"width": 390, "height": 844})
    picture = in_book(page, chapter, i)
    page.wait_for_timeout(200)
    assert picture.bounding_box()["height"] <= most
    # a slider, its name and its value in one line, where there are two
    rows = picture.locator(".mnb-slider").evaluate_all("all => all.map(s => s.clientHeight)")
    assert len(rows) == 1 or max(rows) < 36, rows
    hidden = picture.locator(".mnb-slider label").first.inner_text()
    assert ":" in picture.locator(".mnb-slider label").first.text_content() and hidden


def test_wide_pages_show_two_panels_beside_each_other(page):
    page.set_viewport_size({"width": 1600, "height": 900})
    page.set_content("<!doctype html><html lang=en><title>notebook</title><body></body>")
    page.evaluate(AS_LAB, stored("07_slides")[0])
    panels = page.locator(".mnb-panel")
    right = panels.evaluate_all("all => Math.max(...all.map(p => p.getBoundingClientRect().right))")
    tiles = page.locator(".mnb-tiles").bounding_box()
    assert right == pytest.approx(tiles["x"] + tiles["width"], abs=2)


def test_the_theme_s_switch_takes_the_pictures_along(page):
    picture = in_book(page, "07_slides", 0)
    seen = set()
    for mode in ("dark", "light"):
        page.evaluate("m => { document.documentElement.dataset.theme = m; }", mode)
        seen.add(picture.evaluate("e => getComputedStyle(e).color"))
    assert len(seen) == 2


def test_print_shows_pictures_and_no_sliders(page):
    picture = in_book(page, "06_evaluation", 0)
    page.emulate_media(media="print")
    assert picture.locator("input >> visible=true").count() == 0
    assert picture.locator("svg").first.is_visible() and picture.locator(".mnb-said").is_visible()


# -- the output alone, as JupyterLab shows it

# JupyterLab sets an output's HTML, and then runs its scripts one by one
AS_LAB = """html => { document.body.innerHTML = '<main></main>';
const host = document.querySelector('main');
host.innerHTML = html;
for (const old of host.querySelectorAll('script')) {
  const made = document.createElement('script');
  made.textContent = old.textContent;
  old.replaceWith(made);
} }"""


@pytest.mark.parametrize("chapter, kind, i", EACH, ids=[kind for _, kind, _ in EACH])
def test_output_alone_as_jupyterlab_shows_it(page, chapter, kind, i):
    page.set_content("<!doctype html><html lang=en><title>notebook</title><body></body>")
    page.evaluate(AS_LAB, stored(chapter)[i])
    picture = page.locator(".mnb")
    colors = set()
    for light in ("true", "false"):
        page.evaluate("v => { document.body.dataset.jpThemeLight = v; }", light)
        colors.add(picture.evaluate("e => getComputedStyle(e).backgroundColor"))
    assert len(colors) == 2
    # or the arrow keys would move from cell to cell
    assert picture.locator(":is(input, button):not([data-lm-suppress-shortcuts])").count() == 0
    # keys move it, and a screen reader hears what it shows
    slider = picture.get_by_role("slider").first
    assert len(slider.evaluate("e => e.labels[0].textContent")) > 10
    live, shown = picture.locator("[aria-live=polite]"), picture.locator(".mnb-said")
    assert live.text_content() == "", "nothing is said before it is touched"
    before = numbers(picture), slider.get_attribute("aria-valuetext"), shown.inner_text()
    slider.press("ArrowRight")
    after = numbers(picture), slider.get_attribute("aria-valuetext"), shown.inner_text()
    assert all(a != b for a, b in zip(before, after))
    assert slider.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
    page.wait_for_timeout(700)
    assert live.text_content() == shown.text_content() != ""
    assert page.problems == [] and page.away == []


def test_without_scripts_the_book_shows_sentence_and_table(chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((HTML / "06_evaluation.html").as_uri())
    shown = page.locator(".mnb-static")
    assert shown.count() == 2 and "need scripts" in shown.first.inner_text()
    assert shown.first.locator("table >> visible=true").count() == 1
    context.close()
