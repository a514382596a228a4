"""Make the book as a PDF: the chapters and the glossary, with contents, page numbers and bookmarks.

python tools/paper.py [OUT]      # default: _docs; the file is OUT/malaria_nb.pdf

Sphinx makes one long page of it, and Debian's Chromium prints the page, twice: the first time to
find out on which page each chapter begins.
"""

import html
import os
import re
import shutil
import sys
from pathlib import Path

from book import NBS, ROOT, lay_out, settings, sphinx

CONF = ROOT / "docs" / "paper"
# what of the book is no reading for paper
WEB = ("reference", "demo", "progress.md", "use.md", "troubleshooting.md")
TEXTS = ("glossary.md", "model_card.md", "data_sheet.md")
FRONT = """\
<div class="front">
<p class="title">{title}</p>
<p class="about">{about}</p>
<p class="about">Version {version}, {copyright}</p>
<p class="warning">This is a teaching tool, not a medical device.
Nothing here may be used to decide about a patient.</p>
<p class="about">Text and figures: CC-BY-4.0. Code: Apache-2.0.
The cell images are courtesy of the U.S. National Library of Medicine.</p>
<p class="about">Exercises, solutions and the library's reference: {git_url}</p>
</div>
"""


class CantPrint(Exception):
    "This machine lacks what makes a PDF."


def browser() -> str:
    "Find Chromium; raise `CantPrint` where there is none."
    names = ("chromium", "chromium-browser", "google-chrome")
    if found := next(filter(None, map(shutil.which, names)), None):
        return found
    raise CantPrint("a PDF needs Chromium: apt-get install chromium")


def is_wanted(path: Path) -> bool:
    "Tell whether a page of the book is printed."
    return path.name in TEXTS or (path.parent == NBS and bool(re.match("[0-6][0-9]_", path.name)))


def source(out: Path):
    "Write the source of the long page."
    lay_out(out, is_wanted)
    for name in WEB:
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    names = sorted(p.stem for p in out.glob("*.ipynb"))
    parts = {
        "Part I: the article, rebuilt": [n for n in names if n < "07"],
        "Part II: where the article stops": [n for n in names if n >= "07"],
        "At the end": [Path(name).stem for name in TEXTS if (out / name).exists()],
    }
    trees = [
        "\n".join(["```{toctree}", f":caption: {caption}", "", *entries, "```"])
        for caption, entries in parts.items()
        if entries
    ]
    default = settings["DEFAULT"]
    words = {k: html.escape(default[k]) for k in ("version", "copyright", "git_url")}
    front = FRONT.format(
        title=html.escape(default["title"]),
        about=html.escape(default["description"]),
        **words,
    )
    (out / "index.md").write_text("\n\n".join([front, *trees]) + "\n", encoding="utf-8")


FOOT = (
    '<div style="font: 8px sans-serif; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)


def objects(pdf: bytes) -> dict[int, bytes]:
    "Read the objects of a PDF that Chromium wrote; only their dictionaries are plain."
    return {int(n): body for n, body in re.findall(rb"(\d+) 0 obj\s*(.*?)endobj", pdf, re.S)}


def _kids(found: dict[int, bytes], number: int) -> list[int]:
    "List the pages below a node, in order."
    body = found[number].partition(b"stream")[0]
    if b"/Kids" not in body:
        return [number]
    kids = re.search(rb"/Kids\s*\[(.*?)\]", body, re.S)[1]
    return [page for kid in re.findall(rb"(\d+) 0 R", kids) for page in _kids(found, int(kid))]


def _text(raw: bytes) -> str:
    "Decode a string of a PDF."
    if raw.startswith(b"<"):
        data = bytes.fromhex(raw[1:-1].decode())
    else:
        data = re.sub(rb"\\([()\\])", rb"\1", raw[1:-1])
        data = re.sub(rb"\\(\d{3})", lambda m: bytes([int(m[1], 8)]), data)
    return data.decode("utf-16" if data[:2] in (b"\xfe\xff", b"\xff\xfe") else "latin-1")


def bookmarks(pdf: bytes) -> list[tuple[str, int]]:  # title, page from 1
    "Read a PDF's bookmarks, in the order of their pages."
    found = objects(pdf)
    catalog = next(b for b in found.values() if re.search(rb"/Type\s*/Catalog", b))
    pages = _kids(found, int(re.search(rb"/Pages\s+(\d+) 0 R", catalog)[1]))
    place = {number: i for i, number in enumerate(pages, 1)}
    marks = []
    for body in found.values():
        title = re.search(rb"/Title\s*(\((?:\\.|[^\\)])*\)|<[0-9A-Fa-f]*>)", body, re.S)
        there = re.search(rb"/Dest\s*\[\s*(\d+) 0 R", body)
        if title and there:
            marks.append((_text(title[1]), place[int(there[1])]))
    return sorted(marks, key=lambda mark: mark[1])


def print_page(page: Path, pdf: Path, parts: dict[str, str]) -> int:  # pages
    "Print the long page with its contents; raise `CantPrint` without a browser."
    from playwright.sync_api import sync_playwright

    paper = {
        "prefer_css_page_size": True,
        "print_background": True,
        "display_header_footer": True,
        "header_template": "<span></span>",
        "footer_template": FOOT,
        "outline": True,
        "tagged": True,
    }
    with sync_playwright() as p:
        opened = p.chromium.launch(
            executable_path=browser(), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = opened.new_page(color_scheme="light")
        tab.route(re.compile("^https?:"), lambda route: route.abort())
        tab.goto(page.as_uri())
        tab.emulate_media(media="print")
        titles = tab.evaluate((CONF / "contents.js").read_text("utf-8"), parts)
        begins = {}
        for title, number in bookmarks(tab.pdf(**paper)):
            begins.setdefault(" ".join(title.split()), number)
        numbers = [begins[" ".join(title.split())] for title in titles]
        tab.evaluate(
            "n => document.querySelectorAll('nav .page').forEach((e, i) => e.textContent = n[i])",
            numbers,
        )
        data = tab.pdf(**paper)
        opened.close()
    now = {" ".join(title.split()): number for title, number in reversed(bookmarks(data))}
    moved = [t for t, n in zip(titles, numbers) if now[" ".join(t.split())] != n]
    assert not moved, f"the contents moved what they list: {moved[:3]}"
    part = pdf.with_suffix(".part")
    part.write_bytes(data)
    os.replace(part, pdf)
    return max(now.values())


def main(out: Path):
    try:
        browser()
    except CantPrint as e:
        sys.exit(str(e))
    source(out / "paper-source")
    if status := sphinx("singlehtml", out / "paper-source", out / "paper", conf=CONF):
        sys.exit(status)
    parts = {"00": "Part I: the article, rebuilt", "07": "Part II: where the article stops"}
    pdf = out / "malaria_nb.pdf"
    print_page(out / "paper" / "index.html", pdf, parts)
    print(f"{pdf}: {pdf.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_docs"))
