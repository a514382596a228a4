"""The book, opened from disk, offline, page by page. `make browser` has built it into _docs/html."""
import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

HTML = Path(os.environ.get("MALARIA_NB_BOOK", Path(__file__).resolve().parents[2]/"_docs"/"html"))
PAGES = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)
name = lambda p: p.relative_to(HTML).as_posix()


def test_there_is_a_book(): assert (HTML/"index.html").exists(), "make docs builds it"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_page(page, path):
    page.goto(path.as_uri())
    assert page.problems == [] and page.away == []
    images = page.evaluate("[...document.images].map(i => [i.src.slice(-60), i.alt, i.naturalWidth])")
    assert [i for i in images if not (i[1] and i[2])] == [], "pictures that are not shown, or have no alt text"
    levels = page.evaluate("[...document.querySelectorAll('article h1, article h2, article h3, article h4')].map(h => +h.tagName[1])")
    assert path.name == "search.html" or levels[:1] == [1] and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [(v["id"], len(v["nodes"]), v["nodes"][0]["html"][:150]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == [], "axe-core"
    page.set_viewport_size({"width": 375, "height": 700})
    wide = page.evaluate("""[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 376
                         && e.closest('article')).map(e => e.outerHTML.slice(0, 80)).slice(0, 3)""")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375, wide


def test_links_inside_the_book_lead_somewhere(page):
    dead = []
    for path in PAGES:
        page.goto(path.as_uri())
        for href in set(page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")):
            file, _, anchor = href.partition("#")
            if not file.startswith("file:"): continue
            target = Path(file.removeprefix("file://").split("?")[0])
            if not target.is_file() or anchor and f'id="{anchor}"' not in target.read_text("utf-8"): dead.append((name(path), href))
    assert dead == []


def test_search_finds_sensitivity(page):
    page.goto((HTML/"search.html").as_uri() + "?q=sensitivity")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert "06_evaluation.html" in page.content() and page.away == []


def test_keyboard_reaches_contents_and_next_page(page):
    page.goto((HTML/"03_cnn.html").as_uri())
    seen = set()
    for _ in range(250):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(e => e.getAttribute('href') || e.getAttribute('title') || e.className)(document.activeElement)"))
    assert {"04_training.html", "#recap"} <= seen


def test_dark_mode(page):
    page.goto((HTML/"index.html").as_uri())
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
