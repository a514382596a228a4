"""The book, opened from disk, offline, page by page.

`make browser` has built it into _docs/html.
"""

import functools
import html
import os
import re
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("MALARIA_NB_BOOK", ROOT / "_docs" / "html"))
SLIDES = HTML.parent / "slides"
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
REPOSITORY = settings["DEFAULT"]["git_url"].removeprefix("https://github.com/")
ALL = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)


def name(path):
    return path.relative_to(HTML).as_posix()


def is_made_alike(path):
    "Tell the pages of which one looks like the other: reference, library, exercises, solutions."
    alike = "reference/", "exercises/", "solutions/"
    return name(path).startswith(alike) or name(path)[0] in "789"


# of those one in thirty, which takes five minutes less; EVERY_PAGE=1 looks at all, once a week
REST = [p for p in ALL if is_made_alike(p)]
SKIPPED = set() if os.environ.get("EVERY_PAGE") else set(REST) - set(REST[::30])
PAGES = [p for p in ALL if p not in SKIPPED]


def test_there_is_a_book():
    assert (HTML / "index.html").exists(), "make docs builds it"


# Contrast takes nine tenths of axe-core's time, so it is measured once where code looks alike: a
# block whose kinds of tokens a block above it has, too, is left out, and so are the contents.
ALIKE = """() => { const seen = new Set();
for (const block of document.querySelectorAll('article div.highlight')) {
  const kinds = [...block.querySelectorAll('span[class]')].map(s => s.className);
  block.classList.toggle('alike', kinds.length > 0 && kinds.every(k => seen.has(k)));
  kinds.forEach(k => seen.add(k)); } }"""
CONTRAST = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
THE_REST = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": False}}}
SCROLLS = {"resultTypes": ["violations"], "runOnly": ["scrollable-region-focusable"]}


def serious(page, context, options):
    "What axe-core calls serious or critical: rule, how often, and one place."
    found = Axe().run(page, context, options).response["violations"]
    return [
        (v["id"], len(v["nodes"]), v["nodes"][0]["html"][:150])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def pale(page, whole):
    "Text of too little contrast; the contents, which every page has, only if asked for."
    page.evaluate(ALIKE)
    hidden = [[".alike"]] if whole else [[".alike"], [".bd-sidebar-primary"]]
    return serious(page, {"exclude": hidden}, CONTRAST)


def settled(page, check, *args):
    "What a check still finds when the theme has set its colours and tab stops, which it does late."
    for _ in range(5):
        if not (found := check(page, *args)):
            break
        page.wait_for_timeout(500)
    return found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_page(page, path):
    page.goto(path.as_uri())
    assert page.problems == [] and page.away == []
    images = page.evaluate(
        "[...document.images].map(i => [i.src.slice(-60), i.alt, i.naturalWidth])"
    )
    assert [i for i in images if not (i[1] and i[2])] == [], (
        "pictures that are not shown, or have no alt text"
    )
    levels = page.evaluate(
        "[...document.querySelectorAll('article :is(h1, h2, h3, h4)')].map(h => +h.tagName[1])"
    )
    assert (
        path.name == "search.html"
        or levels[:1] == [1]
        and levels.count(1) == 1
        and all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    ), levels
    page.evaluate("document.querySelectorAll('article details').forEach(d => d.open = true)")
    assert serious(page, None, THE_REST) == [], "axe-core"
    assert settled(page, pale, path.name == "index.html") == [], "axe-core"
    page.set_viewport_size({"width": 375, "height": 700})
    wide = page.evaluate("""[...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > 376
                         && e.closest('article')).map(e => e.outerHTML.slice(0, 80)).slice(0, 3)""")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375, wide
    assert settled(page, serious, None, SCROLLS) == [], "what scrolls is out of the keys' reach"


@functools.cache
def links(path):
    "The addresses that a page's links lead to, read from its file: a browser takes minutes."
    found = re.findall(r'<a\b[^>]*?\shref="([^"]*)"', path.read_text("utf-8"))
    return {urljoin(path.as_uri(), html.unescape(href)) for href in found}


@functools.cache
def places(path):
    "The names inside a page that a link can lead to."
    return set(re.findall(r'\sid="([^"]*)"', path.read_text("utf-8")))


def dead_links(path):
    dead = []
    for href in links(path):
        url = urlsplit(href)
        if url.scheme != "file":
            continue
        target = Path(url2pathname(url.path))
        if not target.is_file() or url.fragment and unquote(url.fragment) not in places(target):
            dead.append((path.name, href))
    return dead


def test_links_inside_the_book_lead_somewhere():
    assert sum(len(links(path)) for path in ALL) > 50 * len(ALL)
    assert [dead for path in ALL for dead in dead_links(path)] == []


def test_a_dead_link_is_named(tmp_path):
    (tmp_path / "there.html").write_text('<p id="recap">')
    (tmp_path / "here.html").write_text(
        '<a class="x" href="there.html#recap"> <a href="there.html#gone"> <a href="gone.html">'
    )
    dead = {Path(href).name for _, href in dead_links(tmp_path / "here.html")}
    assert dead == {"there.html#gone", "gone.html"}


def test_search_finds_sensitivity(page):
    page.goto((HTML / "search.html").as_uri() + "?q=sensitivity")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert "06_evaluation.html" in page.content() and page.away == []


def test_keyboard_reaches_search_contents_and_next_page(page):
    page.goto((HTML / "03_cnn.html").as_uri())
    seen = set()
    for _ in range(500):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "(e => e.getAttribute('href') || e.getAttribute('aria-label') || e.localName)"
                "(document.activeElement)"
            )
        )
    assert {"04_training.html", "#recap", "Search", "summary"} <= seen
    page.keyboard.press("Control+k")
    page.keyboard.type("sensitivity")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a", timeout=20_000)


def test_dark_mode(page):
    page.goto((HTML / "index.html").as_uri())
    seen = {}
    for mode in ("dark", "light"):
        page.click(".theme-switch-button >> visible=true")
        page.click(f".theme-change-button[data-mode={mode}] >> visible=true")
        seen[mode] = page.evaluate(
            "[document.documentElement.dataset.theme, "
            "getComputedStyle(document.body).backgroundColor]"
        )
    assert (
        seen["dark"][0] == "dark"
        and seen["light"][0] == "light"
        and seen["dark"][1] != seen["light"][1]
    )


def test_an_answer_waits_for_the_reader(page):
    page.goto((HTML / "03_cnn.html").as_uri())
    page.set_default_timeout(5_000)
    choices = page.locator("article details:not(.hide, .own)")
    assert not choices.first.locator("p").first.is_visible()
    choices.first.locator("summary").press("Enter")
    assert choices.first.locator("p").first.is_visible()
    answer = page.locator("article details.hide img, article details.hide pre").first
    assert not answer.is_visible()
    page.locator("article details.hide > summary").first.press("Enter")
    assert answer.is_visible()


def test_print_view_is_the_whole_page_and_nothing_else(page):
    page.goto((HTML / "03_cnn.html").as_uri())
    page.emulate_media(media="print")
    page.evaluate(
        "document.documentElement.dataset.theme = 'dark'; "
        "window.dispatchEvent(new Event('beforeprint'))"
    )
    assert (
        page.evaluate(
            "[...document.querySelectorAll('article details')].every(d => d.open) "
            "&& document.documentElement.dataset.theme"
        )
        == "light"
    )
    assert not any(
        page.locator(part).first.is_visible()
        for part in (".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer")
    )
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert (
        page.evaluate(
            "[...document.querySelectorAll('article details')].some(d => !d.open) "
            "&& document.documentElement.dataset.theme"
        )
        == "dark"
    )
    assert (
        page.locator(
            "button[title*='Print'], button[aria-label*='Print'], "
            "button[data-bs-original-title*='Print']"
        ).count()
        == 1
    )


def test_launch_links_open_the_notebook_of_their_page():
    launches = re.compile(r"https://(colab\.research\.google\.com/github|mybinder\.org/v2/gh)/\S+")
    found = 0
    for path in ALL:
        for href in filter(launches.match, links(path)):
            found += 1
            inside = re.search(r"nbs/[\w/]+\.ipynb$", unquote(href))
            assert inside and (ROOT / inside[0]).exists(), href
            assert inside[0] == f"nbs/{name(path).removesuffix('.html')}.ipynb", href
            assert f"/{REPOSITORY}/" in href
    assert found > 50


# -- the slides

DECKS = sorted(p for p in SLIDES.glob("*.html") if p.stem != "index")


def test_there_are_slides_of_every_chapter_of_the_parts():
    assert [p.stem for p in DECKS] == sorted(p.stem for p in (ROOT / "nbs").glob("[0-6]*.ipynb")), (
        "make slides"
    )


@pytest.mark.parametrize("deck", DECKS, ids=[deck.stem for deck in DECKS])
def test_slides(page, deck):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(deck.as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    assert page.problems == [] and page.away == []
    n = page.evaluate("Reveal.getTotalSlides()")
    assert 6 <= n <= 20
    for i in range(n):
        slide = page.evaluate("""() => {const s = Reveal.getCurrentSlide(); return {
            over: Math.max(0, s.scrollHeight - 700), text: s.innerText.length,
            pictures: [...s.querySelectorAll('img')].map(i => [i.alt, i.naturalWidth]),
            title: s.querySelector('h1, h2')?.innerText}}""")
        assert slide["over"] == 0, (
            f"slide {i + 1}, {slide['title']!r}, is {slide['over']} pixels too high"
        )
        assert all(alt and width for alt, width in slide["pictures"]) and slide["title"], slide
        assert slide["pictures"] or slide["text"] > len(slide["title"]) + 10, (
            f"slide {i + 1} is empty"
        )
        page.keyboard.press("Space")
