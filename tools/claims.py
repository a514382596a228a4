"""Renew what the chapters show of the records, and nothing else: after a new record, in a minute.

    python tools/claims.py [--check] [CHAPTER …]

A cell that begins with `#| records` needs nothing but the records, so those of a chapter run by
themselves, in order, in a kernel of their own, behind the chapter's imports: no cells, no training.
All other stored outputs stay as they are. With `--check` nothing is written, and what differs from
the stored text is named.
"""

import ast
import re
import sys
import tempfile
from pathlib import Path

import nbformat

from malaria_nb.notebooks import find_chapters, run_chapter, store_outputs

ROOT = Path(__file__).resolve().parents[1]


def of_records(nb) -> list:
    "Return the cells of a notebook that show records."
    return [c for c in nb.cells if c.cell_type == "code" and re.match(r"#\|\s*records\b", c.source)]


def imports(nb):
    "Return a cell with all that a chapter imports, its own module included."
    sources = [c.source for c in nb.cells if c.cell_type == "code"]
    own = re.search(r"^#\|\s*default_exp ([\w.]+)", "\n".join(sources), re.M)
    found = [f"from malaria_nb.{own[1]} import *"] if own else []
    for source in sources:
        try:
            statements = ast.parse(source).body
        except SyntaxError:
            continue
        found += [ast.unparse(s) for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))]
    return nbformat.v4.new_code_cell("\n".join(dict.fromkeys(found)))


def text(cell) -> list[str]:
    "Return what a cell shows in words, of a figure its alt text: pixels differ between machines."
    found = []
    for output in cell.outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
        shown = alt or data.get("text/plain", "")
        found.append(" ".join(shown.split()))
    return found


def run(chapter: Path, folder: Path) -> list:
    "Run the cells of a chapter that show records; raise `ValueError` when one fails."
    nb = nbformat.read(chapter, as_version=4)
    if not of_records(nb):
        return []
    alone, out = folder / chapter.name, folder / "out"
    out.mkdir(exist_ok=True)
    cells = [imports(nb), *of_records(nb)]
    nbformat.write(nbformat.from_dict({**nb, "cells": cells}), alone)
    done = run_chapter(alone, out)
    if not done.passed:
        raise ValueError(f"{chapter.stem}: {done.reason} in\n{done.source}")
    return nbformat.read(out / chapter.name, as_version=4).cells[1:]


def renew(chapter: Path):
    "Run a chapter's cells of records and store what they show."
    nb = nbformat.read(chapter, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        cells = run(chapter, Path(folder))
        if not cells:
            return
        for cell, done in zip(of_records(nb), cells):
            cell.outputs = done.outputs
        renewed = Path(folder) / chapter.name
        nbformat.write(nb, renewed)
        store_outputs(renewed, chapter)


def differing(chapter: Path) -> list[str]:
    "Name the cells whose stored text, if any, is not what the records give now."
    nb = nbformat.read(chapter, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        cells = run(chapter, Path(folder))
    return [
        f"{chapter.stem}, cell {cell.id}: stored {text(cell)}, now {text(done)}"
        for cell, done in zip(of_records(nb), cells)
        if cell.outputs and text(cell) != text(done)
    ]


def main(arguments: list[str]) -> int:
    "Renew or check the chapters that are named, or all."
    check = "--check" in arguments
    found = []
    for chapter in find_chapters(ROOT / "nbs", [a for a in arguments if a != "--check"] or None):
        print(chapter.stem)
        if check:
            found += differing(chapter)
        else:
            renew(chapter)
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
