"""A reader's ticks in the book: kept in the browser, shown on their page, sent nowhere.

`make browser` has built the book.
"""

import html
import json
import os
import re
from configparser import ConfigParser
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("MALARIA_NB_BOOK", ROOT / "_docs" / "html"))
CHAPTERS = sorted(p.stem for p in HTML.glob("[0-6][0-9]_*.html"))
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
GIT_URL = settings["DEFAULT"]["git_url"]
KEY = "malaria_nb.done"
TODAY = f"{date.today():%-d %B %Y}"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def book(page):
    "The page, which opens the book's pages from disk, and at the end has asked for nothing else."
    page.asked = []
    page.on("request", lambda r: page.asked.append(r.url))
    page.at = HTML.as_uri()
    page.open = lambda name: page.goto(f"{page.at}/{name}.html")
    yield page
    assert page.problems == [] and page.away == []
    assert [u for u in page.asked if not u.startswith((page.at, "data:"))] == []


SOON = 300  # ms: a page on disk may be opened in another process, which knows it a moment later


def again(page):
    page.wait_for_timeout(SOON)
    page.reload()


def tick_all(page, chapters):
    done = {chapter: "2026-11-29" for chapter in chapters}
    page.evaluate(f"done => localStorage.setItem('{KEY}', JSON.stringify(done))", done)
    for _ in range(10):  # on a busy machine that process may know it later still
        again(page)
        if page.evaluate(f"localStorage.getItem('{KEY}')"):
            break


def ticked(page):
    "Tick chapter 01 at its end, by keys, and follow the link; whether its page knows of it."
    page.open("01_dataset")
    button = page.locator(".chapter-end button")
    assert button.get_attribute("aria-pressed") == "false"
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true" and "done" in button.inner_text()
    assert f"Since {TODAY}" in page.inner_text(".progress-said")
    assert page.locator(".bd-sidebar-primary .ticked").count() == 1
    page.wait_for_timeout(SOON)
    with page.expect_navigation():
        page.click(".chapter-end a[href='progress.html']")
    return page.is_checked("#box-01_dataset")


@pytest.mark.parametrize("way", ["disk", "served"])
def test_a_tick_at_a_chapters_end_is_on_the_page_and_can_be_taken_back(book, served, way):
    book.at = served if way == "served" else book.at
    # Chromium gives each page on disk a process, and on a busy machine one in forty starts too soon
    assert any(ticked(book) for _ in range(3 if way == "disk" else 1))
    assert book.locator("input:checked").count() == 1
    assert book.locator("li[data-chapter='01_dataset'] .day").inner_text() == TODAY
    said = book.inner_text("#progress-next")
    assert said.startswith(f"1 of {len(CHAPTERS)} chapters done. Next: 00 ")
    assert f"{len(CHAPTERS) - 1} hours of reading" in said
    book.uncheck("#box-01_dataset")
    assert book.evaluate(f"localStorage.getItem('{KEY}')") == "{}"
    assert book.locator(".ticked, .day:not(:empty)").count() == 0


def test_another_tabs_tick_is_not_lost(book):
    book.open("progress")
    other = book.context.new_page()
    other.goto(f"{book.at}/02_images.html")
    other.click(".chapter-end button")
    # a tab in the background draws no frames, by which Playwright would look
    book.wait_for_function("document.getElementById('box-02_images').checked", polling=100)
    book.check("#box-03_cnn")
    other.reload()
    assert other.get_attribute(".chapter-end button", "aria-pressed") == "true"


def test_a_part_that_is_done_has_a_sheet_that_prints_on_one_page(book):
    book.open("progress")
    tick_all(book, CHAPTERS[:6])
    assert book.locator(".sheet:visible").count() == 0
    book.check(f"#box-{CHAPTERS[6]}")
    assert book.locator(".sheet:visible").count() == 1
    text = book.inner_text(".sheet:visible")
    assert "no certificate" in text and "not a medical device" in text
    assert text.count("29 November 2026") >= 6 and "06 Evaluation" in text
    book.fill(".sheet:visible input", "Anna")
    book.evaluate("print = () => { self.printed = document.body.className; }")
    book.click(".sheet:visible .print")
    assert "one-sheet" in book.evaluate("printed") and not book.locator(".one-sheet").count()
    book.evaluate(
        "document.body.classList.add('one-sheet'),"
        "document.querySelector('.sheet:not([hidden])').classList.add('chosen')"
    )
    book.emulate_media(media="print")
    assert not book.is_visible("h1") and not book.is_visible(".chapters")
    assert book.is_visible(".sheet.chosen") and not book.is_visible(".sheet .print")
    assert len(re.findall(rb"/Type\s*/Page\b", book.pdf(format="A4"))) == 1


def test_all_done_and_then_forgotten(book):
    book.open("progress")
    tick_all(book, CHAPTERS)
    assert f"All {len(CHAPTERS)} chapters are done" in book.inner_text("#progress-next")
    assert book.locator(".sheet:visible").count() == 2
    answers = iter(["dismiss", "accept"])
    book.on("dialog", lambda d: getattr(d, next(answers))())
    book.click("#forget")
    assert book.locator("input:checked").count() == 20
    book.click("#forget")
    assert book.locator("input:checked").count() == 0
    assert book.evaluate("localStorage.length") == 0 or not book.evaluate(
        f"localStorage.getItem('{KEY}')"
    )
    assert not book.is_visible("#forget") and "Nothing is ticked" in book.inner_text("#ticks-next")


@pytest.mark.parametrize("kept", ["{", "null", "[1]", '{"00_motivation": "<b>"}', '"x"'])
def test_what_is_damaged_counts_as_nothing(book, kept):
    book.open("progress")
    book.evaluate(f"kept => localStorage.setItem('{KEY}', kept)", kept)
    again(book)
    assert book.locator("input:checked").count() == 0
    book.check("#box-00_motivation")
    kept = json.loads(book.evaluate(f"localStorage.getItem('{KEY}')"))
    assert kept == {"00_motivation": date.today().isoformat()}


def test_a_browser_that_keeps_nothing_says_so(book):
    book.add_init_script(
        "Object.defineProperty(self, 'localStorage', {get() { throw new Error('closed'); }})"
    )
    for name, place in (("progress", "#progress-next"), ("00_motivation", ".progress-said")):
        book.open(name)
        assert "keeps nothing" in book.inner_text(place)
        assert book.locator(":is(.chapters input, .chapter-end button):enabled").count() == 0
    assert all("progress.js" not in problem for problem in book.problems)
    book.problems.clear()  # the theme's


def test_without_a_program_the_page_is_a_list_for_a_pen(page):
    context = page.context.browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(f"{HTML.as_uri()}/progress.html")
    assert still.locator(".chapters input:visible").count() == 20
    assert "print the page" in still.inner_text("article noscript")
    assert still.locator(":is(.sheet, #forget):visible").count() == 0
    context.close()


def test_each_chapter_ends_with_a_place_to_talk_that_knows_its_title(page):
    for name in CHAPTERS:
        text = (HTML / f"{name}.html").read_text("utf-8")
        end = text[text.index('class="chapter-end"') :]
        title = html.unescape(re.search(r"<title>(.*?)</title>", text)[1])
        links = re.findall(r'<a[^>]*href="(https:[^"]*)"[^>]*>(Discuss|Report)', end)
        links = {word: urlsplit(html.unescape(url)) for url, word in links}
        talk, report = (links[word] for word in ("Discuss", "Report"))
        assert f"{talk.scheme}://{talk.netloc}{talk.path}" == f"{GIT_URL}/discussions/new"
        asked = parse_qs(talk.query, strict_parsing=True)
        assert asked["title"][0].startswith(name[:2]) and asked["category"] == ["q-a"]
        assert asked["title"][0][3:].rstrip(": ") in title
        asked = parse_qs(report.query, strict_parsing=True)
        form = (ROOT / ".github" / "ISSUE_TEMPLATE" / asked["template"][0]).read_text("utf-8")
        assert report.path.endswith("/issues/new") and "id: where" in form
        assert asked["where"] == [f"chapter {name[:2]}, "]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_use_it(book, scheme):
    book.emulate_media(color_scheme=scheme)
    book.open("progress")
    tick_all(book, CHAPTERS[:8])
    for name, where in (("progress", "article"), ("00_motivation", ".chapter-end")):
        book.open(name)
        book.wait_for_timeout(300)  # the theme sets its colours late
        # preload: it would ask for style sheets, which a page on disk may not
        options = {"resultTypes": ["violations"], "preload": False}
        found = Axe().run(book, where, options).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
        small = book.evaluate(
            "[...document.querySelectorAll('.chapter-end button, .chapters input')]"
            ".map(e => e.getBoundingClientRect()).filter(r => r.width < 20 || r.height < 20).length"
        )
        assert small == 0
    book.set_viewport_size({"width": 390, "height": 844})
    book.open("progress")
    assert book.evaluate("document.documentElement.scrollWidth") <= 390
