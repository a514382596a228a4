"""The book as a PDF: tools/paper.py, tried on a small page of the same form, and its source.

The whole takes minutes: `make pdf`.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import paper  # noqa: E402

CHAPTER = """<span id="document-{name}"></span><section><h1>{title}</h1>
<p><a href="#document-09_last">on to the last</a></p>
<details class="hide"><summary>Show</summary><p>folded words</p></details>
<p style="height: {height}mm">text</p><h2>A section, (so) called</h2><p>more</p></section>"""
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>malaria_nb</title>
<link rel="stylesheet" href="{css}"></head><body><div class="front"><p class="title">t</p></div>
{chapters}</body></html>"""
CHAPTERS = [("00_first", "First", 300), ("07_middle", "Où (ça)?", 20), ("09_last", "Last", 20)]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    css = (ROOT / "docs" / "paper" / "_static" / "paper.css").as_uri()
    chapters = "".join(CHAPTER.format(name=n, title=t, height=h) for n, t, h in CHAPTERS)
    page = folder / "index.html"
    page.write_text(PAGE.format(css=css, chapters=chapters), encoding="utf-8")
    parts = {"00": "Part one", "07": "Part two"}
    # a thread of its own: two of Playwright's loops don't go together in one
    with ThreadPoolExecutor(1) as pool:
        pool.submit(paper.print_page, page, folder / "book.pdf", parts).result()
    return (folder / "book.pdf").read_bytes()


def test_chapters_are_numbered_and_marked_on_their_pages(printed):
    marks = paper.bookmarks(printed)
    chapters = [mark for mark in marks if re.match(r"\d\d ", mark[0])]
    assert chapters == [("00 First", 3), ("07 Où (ça)?", 5), ("09 Last", 6)]
    assert ("Contents", 2) in marks
    assert [n for title, n in marks if title == "A section, (so) called"] == [4, 5, 6]
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 6


def test_the_contents_that_a_reader_sees_name_these_pages(printed, tmp_path):
    import shutil
    import subprocess

    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext: apt-get install poppler-utils")
    (tmp_path / "a.pdf").write_bytes(printed)
    done = subprocess.run(["pdftotext", "-layout", "a.pdf", "-"], cwd=tmp_path, capture_output=True)
    pages = done.stdout.decode().split("\f")
    lines = [" ".join(line.split()) for line in pages[1].splitlines() if line.strip()]
    assert lines[:6] == [
        "Contents",
        "Part one",
        "00 First 3",
        "Part two",
        "07 Où (ça)? 5",
        "09 Last 6",
    ]
    assert "folded words" in pages[2], "what was folded is not on paper"
    assert [page.split()[-1] for page in pages[:6]] == list("123456")


def test_without_a_browser_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(paper.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        paper.main(Path("nowhere"))
    assert not Path("nowhere").exists()


def test_the_source_has_the_chapters_and_no_page_that_is_for_the_web(tmp_path, monkeypatch):
    wanted = paper.is_wanted
    chapters = sorted(p for p in (ROOT / "nbs").glob("*.ipynb") if wanted(p))
    assert chapters == sorted((ROOT / "nbs").glob("[0-6]*.ipynb"))
    web = ("nbs/exercises/00_motivation.ipynb", "nbs/map.md", "malaria_nb/files.py")
    assert not any(wanted(ROOT / name) for name in web)
    few = ("05_transfer.ipynb", "19_patients.ipynb", *paper.TEXTS)
    monkeypatch.setattr(paper, "is_wanted", lambda path: wanted(path) and path.name in few)
    paper.source(tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert "05_transfer.ipynb" in names and "19_patients.ipynb" in names
    assert not names & {"reference", "demo", "exercises", "progress.md", "95_progress.ipynb"}
    index = (tmp_path / "index.md").read_text("utf-8")
    assert index.count("```{toctree}") == 3 and "not a medical device" in index
    pictures = {p.name for p in (tmp_path / "images").iterdir()}
    for path in tmp_path.glob("*.ipynb"):
        assert set(re.findall(r"\]\(/images/([^)]+)\)", path.read_text("utf-8"))) <= pictures
