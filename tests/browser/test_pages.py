"""How the book's pages read: at 1280 and 390 px, in light and dark, with the keyboard.

`make browser` has built the book into _docs/html; `test_book.py` opens every page of it.
"""

import html
import io
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from test_book import ALL, HTML, ROOT, name

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LESSONS = [p for p in ALL if re.fullmatch(r"[0-6]\d_\w+\.html", name(p))]
TYPES = [  # of page, in light and dark, at 1280 and 390 px
    ("07_slides", WIDE, "dark"),
    ("07_slides", PHONE, "light"),
    ("solutions/10_leakage", PHONE, "dark"),
    ("reference/evaluation", WIDE, "dark"),
    ("71_figures", WIDE, "light"),
    ("search.html?q=sensitivity", WIDE, "light"),
    ("search.html?q=sensitivity", PHONE, "dark"),
]


@pytest.fixture
def show(page):
    "Open a page of the book at a size, in light or dark."

    def opened(path, size=WIDE, theme="light"):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        file, _, query = path.partition("?")
        file = file if file.endswith(".html") else f"{file}.html"
        page.goto((HTML / file).as_uri() + (f"?{query}" if query else ""))
        if query:
            page.wait_for_selector(".search-summary:has-text('found')", timeout=20_000)
        return page

    return opened


@pytest.mark.parametrize("path, size, theme", TYPES)
def test_axe_and_nothing_too_wide(show, path, size, theme):
    page = show(path, size, theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.problems == [] and page.away == []
    # test_book.py measures the contrast of code and of all contents, which takes long
    page.evaluate(
        "document.querySelectorAll('article details').forEach(d => d.open = true);"
        "document.querySelectorAll('div.highlight, details.part > ul')"
        ".forEach(d => d.classList.add('left-out'))"
    )
    page.wait_for_timeout(600)  # colours and tab stops are set late
    options = {"resultTypes": ["violations"]}
    found = Axe().run(page, {"exclude": [[".left-out"]]}, options).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:150]) for v in serious] == []


# -- numbers of chapters, and the sidebar


def test_chapters_have_the_numbers_of_their_files(show):
    for path in LESSONS:
        assert re.search(
            rf'<h1><span class="number">{path.name[:2]}</span> ', path.read_text("utf-8")
        )
    links = show("03_cnn").locator("details.part a.reference.internal")
    entries = links.evaluate_all("all => all.map(a => [a.pathname, a.textContent])")
    assert len(entries) > 100
    for path, text in entries:
        number = re.match(r"(\d\d)_", path.rpartition("/")[2])
        assert text.startswith(f"{number[1]} ") if number else not text[0].isdigit(), (path, text)


def test_the_sidebar_folds(show):
    page = show("03_cnn")
    opened = (
        "all => Object.fromEntries(all.map(d => [d.querySelector('summary').textContent, d.open]))"
    )
    parts = page.locator("details.part").evaluate_all(opened)
    closed = {part for part, is_open in parts.items() if not is_open}
    assert closed == {"The library's notebooks", "Exercises", "Solutions", "The library"}
    assert len(parts) > len(closed)
    summary = page.locator("details.part > summary", has_text="Solutions")
    there = page.locator("details.part a[href='solutions/10_leakage.html']")
    assert not there.is_visible()
    summary.press("Enter")
    assert there.is_visible()
    parts = show("solutions/10_leakage").locator("details.part").evaluate_all(opened)
    assert parts["Solutions"] and not parts["Exercises"], "the part of the page is open"


# -- what is too wide


CODE = re.compile(r'highlight-i?python\d?[\w ]*"><div class="highlight"><pre>(.*?)</pre>', re.S)


def test_code_fits_its_box_at_1280(show):
    page = show("06_evaluation")
    fits = page.evaluate("""() => {
        const box = document.querySelector('article .cell_input pre');
        const style = getComputedStyle(box);
        const letter = document.createRange();
        letter.setStart(box.querySelector('span:not(:empty)').firstChild, 0);
        letter.setEnd(box.querySelector('span:not(:empty)').firstChild, 1);
        return (box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight))
            / letter.getBoundingClientRect().width; }""")
    widest = {}
    for path in (p for p in ALL if re.match(r"((exercises|solutions)/)?\d\d_", name(p))):
        for box in CODE.findall(path.read_text("utf-8")):
            lines = html.unescape(re.sub(r"<[^>]+>", "", box)).splitlines()
            widest[path.stem] = max([widest.get(path.stem, 0), *map(len, lines)])
    assert len(widest) > 80 and max(widest.values()) > 90
    assert {page: n for page, n in widest.items() if n > fits} == {}, fits
    # the same by the browser's own measure, for a lesson and a notebook of the library
    for path in ("03_cnn", "80_stats"):
        page = show(path)
        page.evaluate("document.querySelectorAll('article details').forEach(d => d.open = true)")
        boxes = page.locator("article .cell_input pre")
        assert boxes.evaluate_all("all => all.filter(p => p.scrollWidth > p.clientWidth)") == []


@pytest.mark.parametrize(
    "path, box",
    [("06_evaluation", ".cell_input pre"), ("16_compact", "table"), ("03_cnn", ".picture")],
)
def test_what_scrolls_on_a_phone_fades_where_it_goes_on(show, path, box):
    page = show(path, PHONE)
    boxes = f"[...document.querySelectorAll('article {box}')]"
    wide = f"{boxes}.filter(b => b.checkVisibility() && b.scrollWidth > b.clientWidth + 2)"
    page.wait_for_function(
        f"{wide}.length && {wide}.every(b => b.classList.contains('more-right'))"
    )
    assert "gradient" in page.evaluate(f"getComputedStyle({wide}[0]).maskImage")
    page.evaluate(f"{wide}[0].scrollLeft = 10_000")
    page.wait_for_function(f"!{wide}[0].classList.contains('more-right')")
    assert page.evaluate(f"{wide}[0].classList.contains('more-left')"), "now it goes on to the left"


@pytest.mark.parametrize("path", ["reference/evaluation", "reference/parasitaemia"])
def test_a_long_name_breaks_between_words(show, path):
    page = show(path, PHONE)
    lines = page.evaluate("""() => {
        const title = document.querySelector('article h1');
        const texts = document.createTreeWalker(title, NodeFilter.SHOW_TEXT);
        const found = [];
        for (let t; (t = texts.nextNode());) {
            const range = document.createRange();
            range.selectNodeContents(t);
            if (t.data.trim()) found.push([t.data, range.getClientRects().length]);
        }
        return found; }""")
    assert [text for text, _ in lines][:3] == ["malaria_", "nb.", path.rpartition("/")[2]]
    assert all(n <= 1 for _, n in lines), lines  # the link to the heading is not shown


# -- tables and figures


def test_numbers_stand_under_each_other(show):
    page = show("11_calibration")
    cells = page.locator(".cell_output td", has_text="8,268")
    style = "c => [getComputedStyle(c).textAlign, getComputedStyle(c).fontVariantNumeric]"
    align, digits = cells.first.evaluate(style)
    assert align == "right" and "tabular-nums" in digits
    raw = page.locator("article td.num").evaluate_all(
        "all => all.map(c => c.textContent).filter(t => /^\\d{4,}$/.test(t))"
    )
    assert raw == []


def test_tables_on_a_phone_cut_no_number_to_pieces(show):
    page = show("06_evaluation", PHONE)
    interval = re.compile(r"^0\.\d+ \(0\.\d+–0\.\d+\)$")
    cells = page.locator("article .cell_output td", has_text=interval)
    lines = cells.evaluate_all("""all => all.filter(c => c.checkVisibility()).map(c => {
        const r = document.createRange();
        r.selectNodeContents(c);
        return new Set([...r.getClientRects()].map(b => Math.round(b.top))).size; })""")
    assert len(lines) > 20 and set(lines) == {1}


def test_nothing_invisible_takes_a_line_of_a_heading(show):
    page = show("11_calibration", PHONE)
    rest = page.locator("article h1").evaluate(
        """h => { const r = document.createRange(); r.selectNodeContents(h);
        const text = [...h.childNodes].filter(n => !n.matches?.('.headerlink')).pop();
        r.selectNodeContents(text);
        return h.getBoundingClientRect().bottom - r.getBoundingClientRect().bottom; }"""
    )
    assert rest < 12


def test_an_output_stands_close_to_its_code(show):
    gaps = show("07_slides").evaluate("""() => [...document.querySelectorAll('article div.cell')]
        .filter(c => !c.querySelector('details'))
        .map(c => [c.querySelector('.cell_input pre'), c.querySelector('.cell_output pre')])
        .filter(([a, b]) => a && b && b.checkVisibility())
        .map(([a, b]) => b.getBoundingClientRect().top - a.getBoundingClientRect().bottom)""")
    assert len(gaps) > 3 and max(gaps) < 20, gaps


def brightness(locator) -> tuple[float, float]:
    "Return the brightness of a picture's border and its mean colourfulness, as they are shown."
    pixels = np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(float)
    middle = pixels[len(pixels) // 4 : -len(pixels) // 4]
    return float(np.median(pixels)), float((middle.max(2) - middle.min(2)).mean())


@pytest.mark.parametrize(
    "path, figure, turns", [("06_evaluation", 2, True), ("06_evaluation", 4, False)]
)
def test_charts_follow_dark_mode_and_cells_stay(show, path, figure, turns):
    seen = {}
    for theme in ("light", "dark"):
        picture = show(path, WIDE, theme).locator(f"article img[src*='{path}-{figure}.png']")
        picture.scroll_into_view_if_needed()
        seen[theme] = brightness(picture)
    if turns:
        assert seen["light"][0] > 240 and seen["dark"][0] < 40
    else:
        assert seen["light"][0] > 240 and seen["dark"][0] > 240
        assert abs(seen["light"][1] - seen["dark"][1]) < 6, "the cells' colours changed"


# -- buttons, folds, and where to go


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_every_button_has_a_word(show, size):
    buttons = show("03_cnn", size).locator(".bd-header-article :is(button, a) >> visible=true")
    words = [text.strip() for text in buttons.all_inner_texts()]
    assert all(re.fullmatch(r"\w[\w ]+", text) for text in words), words
    assert {"Chapters", "Run", "Source", "Theme"} <= set(words)
    assert ("Print" in words) == (size is WIDE)


@pytest.mark.parametrize("path", ["05_transfer", "exercises/10_leakage"])
def test_a_chapter_says_where_it_runs(show, path):
    box = show(path).locator("article .run-page")
    assert "Run this page" in box.inner_text()
    hosts = box.locator("a.place").evaluate_all("all => all.map(a => [a.textContent, a.href])")
    assert [host for host, _ in hosts] == ["Colab", "Binder"]
    assert all(href.endswith(f"nbs/{path}.ipynb") for _, href in hosts)
    command = box.locator("pre")
    assert not command.is_visible()
    box.locator("summary").press("Enter")
    assert command.is_visible() and "malaria-nb lab" in command.inner_text()
    assert f"{path}.ipynb" in box.inner_text() and (ROOT / "nbs" / f"{path}.ipynb").exists()


def test_folds_say_what_is_inside():
    labels = {}
    for path in ALL:
        for label in re.findall(
            r'<p class="collapsed admonition-title">([^<]*)</p>', path.read_text("utf-8")
        ):
            labels.setdefault(label, []).append(name(path))
    assert set(labels) <= {
        "Show the answer",
        "Show the code",
        "Show the code of this figure",
        "Show the code of this table",
        "Show the code and its figure",
        "Show the code and its output",
        "Show the code and its table",
        "Show the figure",
        "Show the output",
        "Show the table",
    }
    assert len(labels["Show the answer"]) > 80


def test_the_next_page_says_why():
    text = (HTML / "03_cnn.html").read_text("utf-8")
    foot = text[text.index("prev-next-area") :]
    assert '<span class="number">04</span> Training' in foot
    assert '<span class="why">What a mistake costs, how long a step should be' in foot
    whys = {p.stem: p.read_text("utf-8").count('<span class="why">') for p in LESSONS}
    assert whys.pop("00_motivation") == 1  # before it comes the front page
    assert [stem for stem, number in whys.items() if number != 2] == []


# -- search


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_search_shows_prose(show, size):
    page = show("search.html?q=bootstrap%20patients", size)
    results = page.locator("#search-results li")
    assert results.count() > 10
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    first = results.first.locator("a").get_attribute("href")
    assert re.match(r"[0-6]\d_|glossary", first), "chapters come before what maintainers read"
    snippets = page.locator("#search-results p.context").all_inner_texts()
    code = re.compile(r"\bimport \w+|\bdef \w+\(|\w\(\w+=|</|\{#|Show the|Hide the|```")
    assert len(snippets) > 10 and [s for s in snippets if code.search(s) or len(s) > 260] == []
    assert page.locator("#search-results mark").count() > 5
