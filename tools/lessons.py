"""Measure the lessons: is each one sitting, and does it use the words of the field?

    python tools/lessons.py [CHAPTER …]       # a table: words, code cells, lines, minutes, claims
    python tools/lessons.py --check [CHAPTER …]  # name what is over a limit, or says an odd word

The limits and the words are those of CONTRIBUTING.md, *Lessons*.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import pandas as pd

from malaria_nb.claims import count_claims
from malaria_nb.course import COSTS

NBS = Path(__file__).resolve().parents[1] / "nbs"
WORDS, CELLS, LINES, WIDTH, CELL = 2500, 45, 250, 90, 12
# chapters that keep to the limits; the others do once they are written anew
KEPT = "0"
# functions that a reader sees whole, however long: the three models
WHOLE = ("basic_cnn", "vgg19_frozen", "vgg19_finetuned")
# what not to say, and what to say
ODD = {
    r"bends?\b|\bbent\b": "nonlinearity",
    r"mend(s|ed|ing)?\b": "fix, correct",
    r"(the|a|its|steepest|loss's) slopes?\b": "gradient",
    r"downhill\b": "gradient descent",
    r"hangs? on\b": "depends on",
    r"by lot\b": "at random",
    r"holds? zero|leaves? zero out|holding zero": "includes zero, excludes zero",
    r"called rightly|calls rightly": "classified correctly",
    r"left in peace": "correctly identified as uninfected (specificity)",
    r"orders? the cells": "ranks the cells",
    r"[Tt]empting": "what the wrong choice gets wrong",
    r"whoever|Whoever": "name the person: you, we, a reader",
    r"the share of|a share of|shares? of (the )?(test |red |infected )?cells": "proportion, rate",
    r"prevalence of 3\.3|3\.3 % prevalence": "parasitaemia (prevalence is for patients)",
}


def read(path: Path) -> list[dict]:
    "Return a notebook's cells, each with its source whole."
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def lessons(names: list[str] = ()) -> list[Path]:
    "Return the chapters that are named, or all of Part I, and the index."
    found = [p for p in sorted(NBS.glob("*.ipynb")) if p.stem[0] in KEPT or p.stem == "index"]
    return [p for p in found if not names or p.stem in names or p.stem[:2] in names]


def prose(cells: list[dict]) -> str:
    return "\n\n".join(c["source"] for c in cells if c["cell_type"] == "markdown")


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


def over(path: Path) -> list[str]:
    "Name the limits that a chapter breaks."
    sizes = measure(path)
    limits = {"words": WORDS, "code cells": CELLS, "shown lines": LINES, "widest": WIDTH}
    found = [
        f"{path.stem}: {kind} {sizes[kind]}, {limit} at most"
        for kind, limit in limits.items()
        if sizes[kind] > limit
    ]
    return found + long_cells(path)


def odd_words(path: Path) -> list[str]:
    "Name the words of a notebook that the field has another word for."
    found = []
    for cell in read(path):
        if cell["cell_type"] != "markdown":
            continue
        text = re.sub(r"```(?:.|\n)*?```|`[^`]*`|https?://\S+", "", cell["source"])
        for pattern, instead in ODD.items():
            for match in re.finditer(rf"\b(?:{pattern})", text):
                found.append(f"{path.stem}, cell {cell.get('id')}: {match[0]!r}: {instead}")
    return found


def table(paths: list[Path]) -> pd.DataFrame:
    "Return a row a chapter: what a reader reads, how long it runs, how much of it is claimed."
    claims = count_claims(NBS)
    rows = {}
    for path in paths:
        minutes = COSTS.get(path.stem, (float("nan"),))[0]
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
    parser.add_argument("names", nargs="*", metavar="CHAPTER", help="default: all of Part I")
    given = parser.parse_args(arguments)
    paths = lessons(given.names)
    if not given.check:
        print(table(paths).to_string())
        return 0
    exercises = [
        NBS / kind / p.name
        for kind in ("exercises", "solutions")
        for p in paths
        if (NBS / kind / p.name).exists()
    ]
    found = [line for path in paths for line in over(path)]
    found += [line for path in [*paths, *exercises] for line in odd_words(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
