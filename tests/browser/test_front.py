"""The book's front page, as a newcomer meets it: wide and narrow, light and dark, offline.

`make browser` has built it into _docs/html.
"""

import re
import runpy
from html.parser import HTMLParser

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_book import ALL, HTML, ROOT, name, settings, settled

from malaria_nb.course import measured
from malaria_nb.records import load, read_table

INDEX = HTML / "index.html"
SITE = settings["DEFAULT"]["doc_host"] + settings["DEFAULT"]["doc_baseurl"]
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# names that mean something to the authors alone
INTERNAL = re.compile(r"\b[a-z0-9]+_(?!nb\b)[a-z0-9_]+\b|\bbfloat16\b|\bs4[2-9]\b|#\|")


@pytest.fixture
def front(page):
    "The front page at 1280 pixels, in light mode."
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    page.goto(INDEX.as_uri())
    return page


def broken(page, *rules):
    "What axe-core calls serious or critical in the page's own part."
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = Axe().run(page, {"include": [["article"]]}, options).response["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    return [(v["id"], v["nodes"][0]["html"][:150]) for v in bad]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_it_fits_and_can_be_read(page, size, mode):
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=mode)
    page.goto(INDEX.as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == mode
    assert page.problems == [] and page.away == []
    assert settled(page, broken) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    cut = page.evaluate("""[...document.querySelectorAll('.front *')].filter(e => {
        const style = getComputedStyle(e);
        return e.scrollWidth > e.clientWidth + 1 && e.clientWidth && style.display != 'inline'
            && !e.hasAttribute('tabindex') && !e.closest('svg'); })
        .map(e => e.outerHTML.slice(0, 80))""")
    assert cut == []


def test_the_first_screen_asks_shows_and_offers(front):
    for part in (".front-question", ".front-buttons a", ".front-frame img", ".front-verdict"):
        box = front.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= WIDE["height"], f"{part} is below the first screen"
    front.set_viewport_size(NARROW)
    for part in (".front-question", ".front-buttons a", ".front-frame img"):
        box = front.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= NARROW["height"], f"{part} is below the first screen"


def test_pictures_are_there_and_described(front):
    images = front.evaluate(
        "[...document.querySelectorAll('article img')].map(i => [i.alt, i.naturalWidth])"
    )
    assert len(images) == 3 and all(len(alt) > 40 and width for alt, width in images), images
    assert "MIT" in (HTML / "_static" / "front" / "LICENSE.txt").read_text("utf-8")


def test_three_doors_open(front):
    doors = front.locator(".front-door h2 a")
    assert doors.all_inner_texts() == ["Read", "Run", "Teach"]
    for i, place in enumerate(("00_motivation.html", "#run-it", "teaching.html")):
        front.goto(INDEX.as_uri())
        # the whole card is the link
        front.locator(".front-door").nth(i).click(position={"x": 40, "y": 40})
        assert front.url.endswith(place)
    commands = front.goto(INDEX.as_uri()) and front.locator(".front-door pre").inner_text()
    assert commands.split("\n")[-1].strip() == "malaria-nb lab"


def test_every_chapter_has_a_card_with_its_minutes(front):
    cards = front.locator(".front-map .front-card:not(.front-next)")
    chapters = sorted((ROOT / "nbs").glob("[0-6]*.ipynb"))
    assert cards.count() == len(chapters)
    for path, text in zip(chapters, cards.all_inner_texts()):
        runs = measured(path.stem)[0]
        takes = "< 1 min" if runs < 1 else f"{runs:.0f} min"
        assert text.startswith(path.stem[:2]) and f"{takes} to run" in text, text
        assert 15 <= int(re.search(r"(\d+) min to read", text)[1]) <= 60
    links = cards.locator("h3 a").evaluate_all("a => a.map(e => e.getAttribute('href'))")
    assert links == [f"{path.stem}.html" for path in chapters]


@pytest.mark.parametrize("width, columns", [(1280, 3), (800, 2), (390, 1)])
def test_the_last_row_of_cards_is_full(front, width, columns):
    front.set_viewport_size({"width": width, "height": 800})
    edges = """map => [...map.children].map(c => c.getBoundingClientRect())
        .map(b => [Math.round(b.left), Math.round(b.right)])"""
    for grid in front.locator(".front-map").all():
        cards = grid.evaluate(edges)
        assert len({left for left, _ in cards}) == columns
        assert cards[-1][1] == max(right for _, right in cards), "a gap at the end"
    links = front.locator(".front-next a").evaluate_all("a => a.map(e => e.getAttribute('href'))")
    assert len(links) == 2 and all((HTML / link).exists() for link in links)


def test_no_internal_name_is_shown(front):
    text = front.locator("article").inner_text()
    code = front.locator("article :is(pre, code)").all_inner_texts()
    for piece in code:
        text = text.replace(piece, "")
    assert INTERNAL.findall(text) == []
    assert INTERNAL.findall("article_vgg19_frozen 25, mixed_bfloat16")


def test_the_results_come_after_their_terms(front):
    order = front.evaluate("""[...document.querySelectorAll('article :is(p, li, td, th)')]
        .map(e => e.textContent)""")
    terms = next(i for i, text in enumerate(order) if "has four accuracies" in text)
    assert terms < next(i for i, text in enumerate(order) if "purple threshold" in text)


# -- the slider


def set_to(page, threshold):
    page.locator("#front-threshold").fill(str(threshold))
    shown = {n: page.locator(f"[data-front={n}]").inner_text() for n in ("called", "found")}
    return page.locator(".front-frame .called").count(), int(shown["called"]), int(shown["found"])


def test_the_slider_s_numbers_are_those_of_the_records(front):
    cells = read_table("15_external-chula").reset_index()
    logits = cells.loc[cells["file"] == "312.jpg", "compact cut"].to_numpy()
    test = load("compact", "patient").predictions.query("split == 'test' and label == 1")["score"]
    assert front.locator(".front-frame [data-score]").count() == len(logits)
    for threshold in (0.05, 0.33, 0.5, 0.62, 0.95):
        called = int((1 / (1 + 2.718281828459045**-logits) >= threshold).sum())
        found = round(100 * float((test >= threshold).mean()))
        assert set_to(front, threshold) == (called, called, found)


def test_the_slider_works_by_keyboard_and_the_page_without_it(front, chromium):
    slider = front.locator("#front-threshold")
    slider.focus()
    for _ in range(3):
        front.keyboard.press("ArrowRight")
    assert slider.input_value() == "0.53"
    assert front.locator("[data-front=threshold]").inner_text() == "0.53"
    plain = chromium.new_context(java_script_enabled=False).new_page()
    plain.goto(INDEX.as_uri())
    verdict = plain.locator(".front-verdict").inner_text()
    assert "12 of these 57" in verdict and not plain.locator("#front-threshold").is_visible()
    plain.context.close()


# -- what other pages and other sites see


class Head(HTMLParser):
    "What a page's head says."

    def __init__(self, path):
        super().__init__()
        self.meta, self.icon, self.title = {}, None, ""
        self.feed(path.read_text("utf-8").partition("</head>")[0])

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "meta" and (key := found.get("property") or found.get("name")):
            assert key not in self.meta or key == "viewport", f"{key} twice"
            self.meta[key] = found.get("content")
        if tag == "link" and "icon" in found.get("rel", ""):
            self.icon = found["href"]
        self.tag = tag

    def handle_data(self, text):
        if getattr(self, "tag", "") == "title" and not self.title:
            self.title = text


def test_every_page_has_title_description_preview_and_icon():
    seen = set()
    for path in ALL:
        head, is_demo = Head(path), path.parent.name == "demo"
        assert is_demo or "honestly" in head.title, name(path)
        missing = {
            "description",
            "og:title",
            "og:image",
            "og:url",
            "twitter:card",
        } - head.meta.keys()
        assert not missing, (name(path), missing)
        assert 15 <= len(head.meta["description"]) <= 200, (name(path), head.meta["description"])
        assert head.meta["og:image"] == f"{SITE}/_static/front/preview.jpg", name(path)
        assert head.icon.startswith("data:image") or (path.parent / head.icon).is_file()
        if path.parent == HTML and path.name[0] in "0123456":
            assert head.meta["description"] not in seen, (name(path), "has another's description")
            seen.add(head.meta["description"])


def test_the_front_page_is_called_by_words():
    head = Head(INDEX)
    assert head.meta["og:title"] == "Medical image classification, honestly"
    assert head.title.startswith(head.meta["og:title"])
    assert head.meta["description"].startswith("Can a program find malaria")
    assert (HTML / "_static" / "front" / "preview.jpg").stat().st_size < 300_000


def test_there_is_a_logo_for_each_mode(front):
    shown = {}
    for mode in ("light", "dark"):
        front.emulate_media(color_scheme=mode)
        front.reload()
        logos = front.locator(".navbar-brand img >> visible=true")
        shown[mode] = logos.first.get_attribute("src")
        assert logos.first.bounding_box()["height"] <= 60
    assert shown["light"] != shown["dark"]


# -- the pictures that GitHub shows


def test_the_readme_s_pictures_are_what_the_records_say():
    import cv2
    import numpy as np

    made = runpy.run_path(str(ROOT / "tools" / "front.py"))["pictures"]()
    assert (ROOT / "nbs/images/elsewhere.svg").read_bytes() == made["nbs/images/elsewhere.svg"]
    kept = (ROOT / "nbs/images/front.jpg").read_bytes()
    old, new = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
        for data in (kept, made["nbs/images/front.jpg"])
    )
    # another library may pack the same picture a little differently
    assert old.shape == new.shape and np.abs(old - new).mean() < 1, "run python tools/front.py"
