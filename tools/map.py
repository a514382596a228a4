"""Write nbs/map.md: what depends on what, from the chapters' words and the modules' imports.

python tools/map.py
"""

import ast
import re
from html import escape
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"
LIBRARY = ROOT / "malaria_nb"
# a layer's modules may import those of its own layer and of the layers before it
LAYERS = {
    "settings": ("settings", "files", "reading", "process", "terminal", "figures"),
    "data": (
        *(
            "digests",
            "fetch",
            "archive",
            "png",
            "pictures",
            "audit",
            "gallery",
            "splits",
            "columns",
            "dealing",
            "tables",
            "dataset",
            "sample",
            "cells",
            "arrays",
        ),
        *("images", "synthetic"),
    ),
    "models": (
        *(
            "batches",
            "augment",
            "shapes",
            "cnn",
            "weights",
            "transfer",
            "features",
            "probe",
            "training",
            "compiled",
            "fitting",
            "diagrams",
            "workflow",
        ),
        *("compact", "lite0", "looks", "pretrained", "export", "predict"),
    ),
    "evaluation": (
        *(
            "proportions",
            "screening",
            "intervals",
            "stats",
            "coverage",
            "evaluation",
            "charts",
            "leakage",
            "pulls",
            "repairs",
            "calibration",
            "labels",
        ),
        *(
            "brier",
            "temperature",
            "logistic",
            "thresholds",
            "decisions",
            "conformal",
            "corrections",
            "disputed",
            "article",
        ),
        *("pixels", "shortcuts", "dissect", "attribution", "maps", "explain"),
        *("smear", "finder", "quality", "counting", "parasitaemia", "patients", "spread"),
        *("shifts", "doses", "stains", "annotations", "laboratories", "recalibration", "external"),
    ),
    "experiments": (
        *(
            "kinds",
            "recipes",
            "device",
            "plan",
            "run",
            "golden",
            "signed",
            "records",
            "report",
            "widgets",
            "claims",
            "consistency",
            "outputs",
            "check",
        ),
        "grid",
    ),
    "course": (
        *("course", "practice", "cards", "notebooks", "workbench", "bundle", "progress", "checks"),
        *("handover", "apart", "answers", "verdict", "exercises", "board", "doctor", "cli"),
    ),
}
ROW, LEFT, WIDTH = 46, 170, 400  # pixels
PAGE = """\
# What depends on what

## What to read before a chapter

![{alt}](images/map.svg)

Reading goes down the page: no chapter asks for a later one. A reader of Part I can go straight \
from 00 to 06. In Part II, take what you need.

| | chapter | read before | its module |
|---|---|---|---|
{chapters}

## The library, layer by layer

A module imports only from its own layer and from those above it. Each is exported from one \
notebook: a lesson exports what it teaches, the notebooks from 70 on hold the machinery.

| layer | module | what it is for | notebook | imports |
|---|---|---|---|---|
{modules}

Made from the chapters and the library by `make map`.
"""


def modules() -> list[str]:  # "dataset", "checks.evaluation"
    "List every module below malaria_nb, in whatever folder it is."
    paths = (p.relative_to(LIBRARY).with_suffix("") for p in LIBRARY.rglob("*.py"))
    names = {".".join(p.parts).removesuffix(".__init__") for p in paths}
    return sorted(names - {"__init__", "_modidx"})


def layer_of(
    module: str,
) -> str:  # name of the layer; "" for a module that no layer has
    "Find a module's layer; a package's modules are where the package is."
    top = module.split(".")[0]
    return next((layer for layer, names in LAYERS.items() if top in names), "")


def source(module: str) -> str:
    "Read a module's code."
    path = LIBRARY.joinpath(*module.split("."))
    whole = path.with_suffix(".py")
    return (whole if whole.exists() else path / "__init__.py").read_text("utf-8")


def imports(module: str) -> set[str]:
    "Return which of our modules a module imports, at its top or inside a function."
    known, found = set(modules()), set()
    package = ["malaria_nb", *module.split(".")]
    if not LIBRARY.joinpath(*module.split("."), "__init__.py").exists():
        package.pop()
    for node in ast.walk(ast.parse(source(module))):
        if not isinstance(node, ast.ImportFrom):
            continue
        above = package[: len(package) - node.level + 1] if node.level else []
        path = [*above, *(node.module.split(".") if node.module else [])]
        if path[:1] != ["malaria_nb"]:
            continue
        candidates = [".".join(path[1:]), *(".".join([*path[1:], a.name]) for a in node.names)]
        found |= known & set(candidates)
    return found - {module}


def notebooks() -> list[dict]:  # file, number, title, subtitle, module, before
    "Read of each notebook below nbs what it says of itself."
    found = []
    for path in sorted(NBS.glob("*.ipynb")) + sorted(NBS.glob("checks/*.ipynb")):
        cells = nbformat.read(path, 4).cells
        first = cells[0].source
        module = re.search(r"^#\| default_exp ([\w.]+)", "\n".join(c.source for c in cells), re.M)
        if not module and path.stem > "70":  # a lesson may export nothing
            continue
        before = re.search(r"^\*\*Before this\*\*(.*)$", first, re.M)
        found.append(
            {
                "file": path.relative_to(NBS).as_posix(),
                "number": path.stem[:2],
                "title": re.match(r"# (.+)", first)[1],
                "subtitle": (re.search(r"^> (.+)", first, re.M) or ["", ""])[1],
                "module": module[1].removesuffix(".__init__") if module else "",
                "before": sorted(set(re.findall(r"\[(\d\d)\]\(", before[1]))) if before else [],
            }
        )
    return found


def lessons(found: list[dict]) -> list[dict]:
    "Leave out the library's own notebooks, and the checks, which have their chapters' numbers."
    return [n for n in found if n["number"] < "70" and "/" not in n["file"]]


def arc(start: int, end: int) -> str:
    "Draw an arrow from one row to another, the wider the further it goes."
    y, to = (ROW * i + ROW // 2 for i in (start, end))
    bow = LEFT - (20 + 14 * abs(end - start))
    style = 'stroke="#0072B2" marker-end="url(#a)"'
    return f'<path d="M {LEFT} {y} C {bow} {y} {bow} {to} {LEFT - 3} {to}" {style}/>'


def box(i: int, chapter: dict) -> str:
    "Draw a chapter's box, with its module at the right."
    y = ROW * i
    title = f"{chapter['number']} {escape(chapter['title'])}"
    return (
        f'<rect x="{LEFT}" y="{y + 5}" width="{WIDTH}" height="{ROW - 10}" rx="6" '
        'fill="#f4f4f4" stroke="#777"/>'
        f'<text x="{LEFT + 12}" y="{y + 28}">{title}</text>'
        f'<text x="{LEFT + WIDTH - 12}" y="{y + 28}" text-anchor="end" '
        f'font-family="monospace">{chapter["module"]}</text>'
    )


def drawing(chapters: list[dict]) -> str:  # SVG
    "Draw the chapters in reading order, with an arrow from each to those that build on it."
    row = {c["number"]: i for i, c in enumerate(chapters)}
    arcs = [
        arc(row[before], row[c["number"]])
        for c in chapters
        for before in c["before"]
        if before in row
    ]
    width, height = LEFT + WIDTH + 20, ROW * len(chapters) + 10
    tip = (
        '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#0072B2" stroke="none"/></marker>'
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="15">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f"<defs>{tip}</defs>",
        *(box(i, c) for i, c in enumerate(chapters)),
        f'<g fill="none" stroke-width="1.6">{"".join(arcs)}</g>',
        "</svg>",
        "",
    ]
    return "\n".join(lines)


def chapter_row(chapter: dict) -> str:
    before = ", ".join(chapter["before"]) or "–"
    link = f"[{chapter['title']}]({chapter['file']})"
    module = f"`{chapter['module']}`" if chapter["module"] else "–"
    return f"| {chapter['number']} | {link} | {before} | {module} |"


def module_row(module: str, layer: str, by_module: dict[str, dict]) -> str:
    notebook = by_module[module]
    used = sorted(m for m in imports(module) if "." not in m) or ["–"]
    names = ", ".join(used if used == ["–"] else (f"`{m}`" for m in used))
    link = f"[{Path(notebook['file']).stem}]({notebook['file']})"
    return f"| {layer} | `{module}` | {notebook['subtitle']} | {link} | {names} |"


def made() -> dict[str, str]:  # path below nbs -> content
    "Make the page and its picture."
    found = notebooks()
    chapters = lessons(found)
    numbers = {c["number"] for c in chapters}
    for c in chapters:
        c["before"] = [b for b in c["before"] if b in numbers]
    after = [f"{c['number']} after {' and '.join(c['before'])}" for c in chapters if c["before"]]
    by_module = {n["module"]: n for n in found}
    rows = [
        module_row(module, layer, by_module)
        for layer, names in LAYERS.items()
        for module in names
        if module in by_module
    ]
    page = PAGE.format(
        alt="A column of boxes, one a chapter, with arrows from each to those that build on it: "
        + ", ".join(after)
        + ".",
        chapters="\n".join(map(chapter_row, chapters)),
        modules="\n".join(rows),
    )
    return {"map.md": page, "images/map.svg": drawing(chapters)}


if __name__ == "__main__":
    for path, text in made().items():
        (NBS / path).write_text(text, encoding="utf-8")
