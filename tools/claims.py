"""Renew what the chapters' claims show, and nothing else, after a new record.

    python tools/claims.py [CHAPTER …]

It takes a minute, without cells or training. A cell that begins with `#| claim` needs nothing but
the records, so those of a chapter run by themselves, in order, in a kernel of their own. All other
stored outputs stay as they are.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat

from malaria_nb.notebooks import find_chapters, run_chapter, store_outputs

ROOT = Path(__file__).resolve().parents[1]


def claims(nb) -> list:
    "Return the cells of a notebook that replay records."
    return [c for c in nb.cells if c.cell_type == "code" and re.match(r"#\|\s*claim\b", c.source)]


def renew(chapter: Path):
    "Run a chapter's claims and store what they show; raise `ValueError` when one fails."
    nb = nbformat.read(chapter, as_version=4)
    if not claims(nb):
        return
    with tempfile.TemporaryDirectory() as folder:
        alone, out = Path(folder) / chapter.name, Path(folder) / "out"
        out.mkdir()
        nbformat.write(nbformat.from_dict({**nb, "cells": claims(nb)}), alone)
        run = run_chapter(alone, out)
        if not run.passed:
            raise ValueError(f"{chapter.stem}: {run.reason} in\n{run.source}")
        for cell, done in zip(claims(nb), nbformat.read(out / chapter.name, as_version=4).cells):
            cell.outputs = done.outputs
        nbformat.write(nb, alone)
        store_outputs(alone, chapter)


if __name__ == "__main__":
    os.environ["MALARIA_NB_RECORDS"] = str(ROOT / "nbs" / "records")
    for chapter in find_chapters(ROOT / "nbs", sys.argv[1:] or None):
        print(chapter.stem)
        renew(chapter)
