"""Measure the lessons: is each one sitting, and does it use the words of the field?

    python tools/lessons.py [CHAPTER …]       # a table: words, code cells, lines, minutes, claims
    python tools/lessons.py --check [CHAPTER …]  # name what is over a limit, or says an odd word

The limits and the words are those of CONTRIBUTING.md, *Lessons*.
"""

import argparse
import ast
import json
import re
import sys
from pathlib import Path

import pandas as pd

from malaria_nb.claims import count_claims
from malaria_nb.course import measured

NBS = Path(__file__).resolve().parents[1] / "nbs"
WORDS, CELLS, LINES, WIDTH, CELL = 2500, 45, 250, 90, 12
INDEX = 1200
# how the names of all chapters begin
KEPT = tuple("0123456")
# what else is read beside them
TEXTS = ("glossary.md", "teaching.md")
# functions that a reader sees whole, however long: the models and a block
WHOLE = (
    "basic_cnn",
    "vgg19_frozen",
    "vgg19_finetuned",
    "lite0",
    "inverted_residual",
    "compact_cnn",
)
# a table with more rows and more columns is a wall
ROWS, COLUMNS = 8, 6
# predictions that a chapter asks for
FEWEST, MOST = 3, 5
# what not to say, and what to say: expressions that have no other meaning in a lesson
_CELLS = r"(?:the |all |its |these |test |red |infected |uninfected |parasitized )*cells?"
ODD = {
    r"bends?\b|\bbent\b": "nonlinearity; of a curve: turns, flattens",
    r"(?:how many|number of) windows\b|windows fit": "receptive field, positions",
    r"(?:filter|layer|kernel|unit)(?:'s|s'?)? answers\b": "activations",
    r"mend(?:s|ed|ing)?\b": "fix, correct",
    r"(?:the|a|its|steepest|loss's) slopes?\b": "gradient",
    r"downhill\b": "gradient descent",
    r"learning pace|pace of learning": "learning rate",
    r"hang(?:s|ing)? on\b|hung on\b": "depends on",
    r"by lot\b": "at random",
    r"global chance\b|NumPy's chance\b": "random state, seed",
    r"[Tt]old from\b": "distinguished from",
    r"(?:hold|holds|holding|leave|leaves|leaving) zero\b": "includes zero, excludes zero",
    r"(?:difference|effect|finding|gap|lead|verdict|claim)s? (?:\w+ ){0,2}surviv(?:e|es|ed)\b": (
        "includes zero, excludes zero; holds up"
    ),
    r"surviv(?:e|es|ed) (?:the|a|this) (?:interval|correction|comparison|pairing)": (
        "includes zero, excludes zero; holds up"
    ),
    r"not shown to (?:be|bring|change|cost|differ|have|help|improve|matter|raise|work)\b": (
        "no detectable difference"
    ),
    r"that can be shown\b": "detectable",
    r"(?:called|calls|classif\w+) rightly\b": "classified correctly",
    rf"call(?:s|ed)? [^.:;\n]{{0,40}}?{_CELLS} (?:right|wrong)\b": "classified correctly",
    rf"of {_CELLS} (?:right|wrong)\b": "classified correctly",
    r"left in peace": "correctly identified as uninfected (specificity)",
    rf"orders {_CELLS}|ordering of {_CELLS}": "ranks the cells (AUC)",
    r"[Tt]empting": "what the wrong choice gets wrong",
    r"[Ww]hoever": "name the person: you, we, a reader",
    r"(?<=[.!?)] )Who (?!is\b|are\b|was\b|were\b)[a-z]+s\b[^.?!:\n]*\.": (
        "name the person: you, we, a reader"
    ),
    r"the way of (?:the|a|an|Keras|TensorFlow|NumPy|Sarkar)\b": "as … does",
    r"[Ss]hares? of\b|(?:the|a|its|their|small|smaller|large|larger) share\b": "proportion, rate",
    rf"prevalence of {_CELLS}|3\.3 % prevalence|prevalence of 3\.3": (
        "parasitaemia (prevalence is for patients)"
    ),
    r"may be said of\b": "how they compare; what one can conclude about",
}
DIGITS = re.compile(r"(?<![\w.,:/%-])\d{5,}(?![\w.,/%-]*\w)")
# sections that need no figure and no table
TAIL = ("Recap", "Exercises", "Further reading")


def read(path: Path) -> list[dict]:
    "Return a notebook's cells, each with its source whole; a text's lines as if they were cells."
    if path.suffix == ".md":
        lines = path.read_text("utf-8").splitlines()
        return [
            {"cell_type": "markdown", "id": f"line {number}", "source": line}
            for number, line in enumerate(lines, 1)
        ]
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def lessons(names: list[str] = ()) -> list[Path]:
    "Return the chapters that are named, or all of them, and the index."
    found = [p for p in sorted(NBS.glob("*.ipynb")) if p.stem.startswith(KEPT) or p.stem == "index"]
    return [p for p in found if not names or p.stem in names or p.stem[:2] in names]


def prose(cells: list[dict]) -> str:
    "Return what an author wrote: all text but the line on costs, which tools/costs.py writes."
    text = "\n\n".join(c["source"] for c in cells if c["cell_type"] == "markdown")
    return re.sub(r"^\*\*Cost\*\*.*$", "", text, flags=re.M)


def is_shown(cell: dict) -> bool:
    "Tell whether a reader sees the source of a code cell."
    hides = re.search(r"^#\|\s*(hide|echo:\s*false|default_exp)\b", cell["source"], re.M)
    return cell["cell_type"] == "code" and not hides


def lines_of(source: str) -> list[str]:
    "Return the lines of a cell that hold something, without nbdev's directives."
    return [line for line in source.splitlines() if line.strip() and not line.startswith("#|")]


def measure(path: Path) -> dict:
    "Count what a reader has to read."
    cells = read(path)
    code = [c for c in cells if c["cell_type"] == "code"]
    shown = [lines_of(c["source"]) for c in code if is_shown(c)]
    exported = [lines_of(c["source"]) for c in code if "#| export" in c["source"]]
    return {
        "words": len(re.findall(r"\S*\w\S*", prose(cells))),
        "code cells": len(code),
        "shown lines": sum(map(len, shown)),
        "exported lines": sum(map(len, exported)),
        "widest": max((len(line) for lines in shown for line in lines), default=0),
    }


def long_cells(path: Path) -> list[str]:
    """Name the cells that show more code than one reads at a glance.

    What says how to call a function (its signature, its docstring) isn't counted."""
    found = []
    for cell in read(path):
        if not is_shown(cell) or any(f"def {name}(" in cell["source"] for name in WHOLE):
            continue
        source = re.sub(r'^( *)("""|")(?:.|\n)*?\2$', "", cell["source"], flags=re.M)
        source = re.sub(r"^(class|def) \w+\((?:.|\n)*?^\).*:.*$", "def", source, flags=re.M)
        if (n := len(lines_of(source))) > CELL:
            found.append(f"{path.stem}, cell {cell.get('id')}: {n} lines, {CELL} at most")
    return found


def tables(cell: dict) -> list[tuple[int, int]]:  # rows and columns of each
    "Measure the tables that a cell holds or has stored, without their heads."
    found, texts = [], [cell["source"]] if cell["cell_type"] == "markdown" else []
    for output in cell.get("outputs", []):
        data = {k: "".join(v) for k, v in output.get("data", {}).items() if "text/" in k}
        texts.append(data.get("text/markdown", ""))
        for made in re.findall(r"<table\b(?:.|\n)*?</table>", data.get("text/html", "")):
            rows = re.split(r"<tr\b", made.partition("<tbody")[2] or made)[1:]
            widths = [len(re.findall(r"<t[hd]\b", row)) for row in rows]
            found.append((len(rows), max(widths, default=0)))
    for text in texts:
        for block in re.findall(r"(?:^\|.*\n?)+", text, re.M):
            lines = block.strip().splitlines()
            found.append((len(lines) - 2, len(re.findall(r"(?<!\\)\|", lines[0])) - 1))
    return found


def walls(path: Path) -> list[str]:
    "Name the cells whose table is too long and too wide at once."
    return [
        f"{path.stem}, cell {cell.get('id')}: a table of {rows} rows and {columns} columns, "
        f"{ROWS} rows or {COLUMNS} columns at most"
        for cell in read(path)
        for rows, columns in tables(cell)
        if rows > ROWS and columns > COLUMNS
    ]


def shows(cell: dict) -> bool:
    "Tell whether a cell has a figure or a table."
    if cell["cell_type"] == "markdown" and re.search(r"!\[|<svg\b|<img\b", cell["source"]):
        return True
    kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
    return bool(tables(cell) or kinds & {"image/png", "image/svg+xml", "text/html"})


def bare_sections(path: Path) -> list[str]:
    "Name the sections with neither figure nor table."
    title, found = "", {}
    for cell in read(path):
        heading = re.match(r"## +(.+)", cell["source"]) if cell["cell_type"] == "markdown" else None
        title = heading[1].strip() if heading else title
        found[title] = found.get(title, False) or shows(cell)
    return [
        f"{path.stem}: no figure and no table in {title!r}"
        for title, there in found.items()
        if title and title not in TAIL and not there
    ]


def over(path: Path) -> list[str]:
    "Name the limits that a chapter breaks."
    sizes, is_index = measure(path), path.stem == "index"
    limits = {"words": INDEX if is_index else WORDS, "code cells": CELLS, "shown lines": LINES}
    found = [
        f"{path.stem}: {kind} {sizes[kind]:,}, {limit:,} at most"
        for kind, limit in (limits | {"widest": WIDTH}).items()
        if sizes[kind] > limit
    ]
    found += long_cells(path) + walls(path)
    if is_index:
        return found
    asked = prose(read(path)).count("**Predict.**")
    if not FEWEST <= asked <= MOST:
        found.append(f"{path.stem}: {asked} predictions, {FEWEST} to {MOST} wanted")
    return found + bare_sections(path)


def said(cell: dict) -> list[str]:
    "Return what a cell says in words: its prose, or comments, figure titles and alt texts."
    source = cell["source"]
    if cell["cell_type"] == "markdown":
        return [re.sub(r"```(?:.|\n)*?```|`[^`]*`|https?://\S+|\]\([^)]*\)", "", source)]
    if not cell["cell_type"] == "code" or re.match(r"#\|\s*hide\b", source):
        return []
    found = re.findall(r"(?:^|\s)#(?! export)(.*)$", source, re.M)
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return found
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = (getattr(part, "value", "") for part in node.values)
            found.append("".join(part if isinstance(part, str) else "0" for part in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return [text for text in found if " " in text.strip()]


def odd_words(path: Path) -> list[str]:
    "Name the words of a notebook that the field has another word for."
    found, folder = [], "solutions/" if path.parent.name == "solutions" else ""
    for cell in read(path):
        where = f"{folder}{path.stem}, {'' if path.suffix == '.md' else 'cell '}{cell.get('id')}"
        for text in said(cell):
            for pattern, instead in ODD.items():
                for match in re.finditer(rf"\b(?:{pattern})", text):
                    found.append(f"{where}: {' '.join(match[0].split())!r}: {instead}")
            if cell["cell_type"] == "markdown":
                found += [f"{where}: {n}: thousands separated" for n in DIGITS.findall(text)]
    return list(dict.fromkeys(found))


def table(paths: list[Path]) -> pd.DataFrame:
    "Return a row a chapter: what a reader reads, how long it runs, how much of it is claimed."
    claims = count_claims(NBS)
    rows = {}
    for path in paths:
        minutes = (measured(path.stem) or (float("nan"),))[0]
        claimed = claims["claims"].get(path.stem, 0), claims["unclaimed"].get(path.stem, 0)
        rows[path.stem] = {
            **measure(path),
            "minutes": minutes,
            "claims": claimed[0],
            "unclaimed": claimed[1],
        }
    return pd.DataFrame(rows).T


def main(arguments: list[str]) -> int:
    "Print the table, or what is over a limit."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="name what is over a limit")
    parser.add_argument("names", nargs="*", metavar="CHAPTER", help="default: all")
    given = parser.parse_args(arguments)
    paths = lessons(given.names)
    if not given.check:
        print(table(paths).to_string())
        return 0
    exercises = [p for p in (NBS / "solutions" / p.name for p in paths) if p.exists()]
    found = [line for path in paths for line in over(path)]
    texts = [] if given.names else [NBS / name for name in TEXTS if (NBS / name).exists()]
    found += [line for path in [*paths, *exercises, *texts] for line in odd_words(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
