"""Draw what depends on what, from the chapters' own words and the modules' imports, into nbs/map.md and nbs/images/map.svg.

python tools/map.py
"""

import ast
import re
from html import escape
from pathlib import Path

import nbformat

from malaria_nb.notebooks import find_chapters

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"
ROW, LEFT, WIDTH, RIGHT = 46, 170, 400, 250  # pixels
PAGE = """\
# What depends on what

Each box is a chapter and the module that it exports. On the left, what to have read before a chapter; on the right, what its module imports.

![{alt}](images/map.svg)

Reading goes down the page: no chapter of Part I asks for a later one (92 asks for 93). A reader of Part I can go straight from 00 to 06; the workshop, from 90 on, is for those who want to know how the course is made. Every chapter also uses the module of chapter 93, which imports nothing of ours and is left out of the arrows.

| | chapter | read before | module | imports |
|---|---|---|---|---|
{rows}

Made from the chapters and the library by `make map`.
"""


def imports(module: str) -> set[str]:
    "Return which of our modules a module imports: nbdev writes `from .dataset import …` at its top, a function `from malaria_nb.dataset import …`."
    used = [
        n
        for n in ast.walk(ast.parse((ROOT / "malaria_nb" / f"{module}.py").read_text("utf-8")))
        if isinstance(n, ast.ImportFrom)
    ]
    whole = {
        n.module.split(".")[-1]
        for n in used
        if n.module and (n.level == 1 or n.module.startswith("malaria_nb."))
    }
    return whole | {
        a.name
        for n in used
        if n.module == "malaria_nb" or n.level == 1 and not n.module
        for a in n.names
    }


def chapters() -> list[dict]:
    "Return of each chapter its file, number, title, module, the numbers to read before, and the modules it imports."
    found = []
    for path in find_chapters(NBS):
        nb = nbformat.read(path, 4)
        first, text = nb.cells[0].source, "\n".join(c.source for c in nb.cells)
        module = re.search(r"^#\| default_exp (\w+)", text, re.M)
        if not module:
            continue
        before = re.search(r"^\*\*Before this\*\*(.*)$", first, re.M)
        found.append(
            {
                "file": path.name,
                "number": path.stem[:2],
                "title": re.match(r"# (.+)", first)[1],
                "module": module[1],
                "before": sorted(set(re.findall(r"\b\d\d\b", before[1]))) if before else [],
            }
        )
    names = {c["module"]: c["number"] for c in found}
    for c in found:
        c["imports"] = sorted(imports(c["module"]) & names.keys() - {"course"}, key=names.get)
    return found


def arrow(start: int, end: int, x: int, side: int, style: str) -> str:
    "Return an arc from one row to another, on the left (-1) or on the right (1), wider the further it goes."
    y, to = (ROW * i + ROW // 2 for i in (start, end))
    bow = x + side * (20 + 14 * abs(end - start))
    return f'<path d="M {x} {y} C {bow} {y} {bow} {to} {x + 3 * side} {to}" {style}/>'


def drawing(found: list[dict]) -> str:  # SVG
    row = {c["number"]: i for i, c in enumerate(found)}
    module = {c["module"]: i for i, c in enumerate(found)}
    boxes, arcs = [], []
    for i, c in enumerate(found):
        boxes.append(
            f'<rect x="{LEFT}" y="{ROW * i + 5}" width="{WIDTH}" height="{ROW - 10}" rx="6" fill="#f4f4f4" stroke="#777"/>'
            f'<text x="{LEFT + 12}" y="{ROW * i + 28}">{c["number"]} {escape(c["title"])}</text>'
            f'<text x="{LEFT + WIDTH - 12}" y="{ROW * i + 28}" text-anchor="end" font-family="monospace">{c["module"]}</text>'
        )
        arcs += [
            arrow(row[b], i, LEFT, -1, 'stroke="#0072B2" marker-end="url(#a)"')
            for b in c["before"]
            if b in row
        ]
        arcs += [
            arrow(
                module[m],
                i,
                LEFT + WIDTH,
                1,
                'stroke="#D55E00" stroke-dasharray="6 3" marker-end="url(#b)"',
            )
            for m in c["imports"]
        ]
    tip = lambda name, color: (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{color}" stroke="none"/></marker>'
    )
    width, height = LEFT + WIDTH + RIGHT, ROW * len(found) + 34
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="15">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f"<defs>{tip('a', '#0072B2')}{tip('b', '#D55E00')}</defs>",
            *boxes,
            f'<g fill="none" stroke-width="1.6">{"".join(arcs)}</g>',
            f'<text x="{LEFT}" y="{height - 10}" fill="#0072B2">solid, left: read before</text>',
            f'<text x="{LEFT + WIDTH}" y="{height - 10}" fill="#A63F00" text-anchor="end">dashed, right: imports</text>',
            "</svg>",
            "",
        ]
    )


def made() -> dict[str, str]:  # path below nbs -> content
    found = chapters()
    after = [f"{c['number']} after {' and '.join(c['before'])}" for c in found if c["before"]]
    alt = (
        "A column of boxes, one a chapter, with arrows from each to those that build on it: "
        + ", ".join(after)
        + "."
    )
    rows = "\n".join(
        f"| {c['number']} | [{c['title']}]({c['file']}) | {', '.join(c['before']) or '–'} | `{c['module']}` | "
        f"{', '.join(f'`{m}`' for m in c['imports']) or '–'} |"
        for c in found
    )
    return {"map.md": PAGE.format(alt=alt, rows=rows), "images/map.svg": drawing(found)}


if __name__ == "__main__":
    for path, text in made().items():
        (NBS / path).write_text(text, encoding="utf-8")
