"""Renew what the chapters show of the records, and nothing else: after a new record, in a minute.

    python tools/claims.py [--check] [CHAPTER …]
    python tools/claims.py --tighten

A cell that begins with `#| records` needs nothing but the records, so those of a chapter run by
themselves, in order, behind the chapter's imports: no cells, no training. All other stored outputs
stay as they are. With `--check` nothing is written, and what is stored and isn't what the records
give now is named: text, tables, pictures. `--tighten` writes how much of each chapter is claimed
into nbs/claims/coverage.csv, where that is more than it was.
"""

import ast
import base64
import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

import cv2
import nbformat
import numpy as np
from threadpoolctl import threadpool_limits

from malaria_nb.claims import COVERAGE, check_coverage, count_claims
from malaria_nb.notebooks import find_chapters, store_outputs

ROOT = Path(__file__).resolve().parents[1]
# a picture is drawn with a few pixels otherwise on another processor, more by another Matplotlib
FEW, MORE = 5, 24


def of_records(nb) -> list:
    "Return the cells of a notebook that show records."
    return [c for c in nb.cells if c.cell_type == "code" and re.match(r"#\|\s*records\b", c.source)]


def imports(nb) -> str:
    "Return all that a chapter imports, its own module included."
    sources = [c.source for c in nb.cells if c.cell_type == "code"]
    own = re.search(r"^#\|\s*default_exp ([\w.]+)", "\n".join(sources), re.M)
    found = [f"from malaria_nb.{own[1]} import *"] if own else []
    for source in sources:
        try:
            statements = ast.parse(source).body
        except SyntaxError:
            continue
        found += [ast.unparse(s) for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))]
    return "\n".join(dict.fromkeys(found))


def in_words(shown: str) -> str:
    "Return a text without its line breaks, and without the address that a bare object shows."
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(shown.split()))


def text(cell) -> list[str]:
    "Return what a cell shows in words, of a figure its alt text."
    found = []
    for output in cell.outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
        shown = alt or data.get("text/plain", "")
        found.append(in_words(shown))
    return found


def same_picture(
    a: str,  # a PNG in base64
    b: str,
) -> bool:
    "Tell whether two figures are the same, drawn by one Matplotlib or, less strictly, by two."
    raw = [base64.b64decode(s) for s in (a, b)]
    made = [re.search(rb"Matplotlib version[\d.]+", r) for r in raw]
    one, two = (cv2.imdecode(np.frombuffer(r, "uint8"), cv2.IMREAD_COLOR).astype(int) for r in raw)
    if all(made) and made[0][0] == made[1][0]:
        return one.shape == two.shape and int((abs(one - two).max(-1) > MORE).sum()) <= FEW
    if np.abs(np.subtract(one.shape, two.shape)).max() > 0.05 * max(one.shape):
        return False
    small = [
        cv2.resize(x.astype("uint8"), (32, 16), interpolation=cv2.INTER_AREA) for x in (one, two)
    ]
    return int(abs(small[0].astype(int) - small[1]).max()) <= MORE


def same(a, b) -> bool:
    "Tell whether two outputs show the same."
    if a.output_type != b.output_type or a.get("text") != b.get("text"):
        return False
    if a.get("metadata", {}) != b.get("metadata", {}):
        return False
    one, two = (dict(output.get("data", {})) for output in (a, b))
    pictures = one.pop("image/png", None), two.pop("image/png", None)
    # pandas aligns a plain table otherwise outside of a kernel
    words = [in_words(data.pop("text/plain", "")) for data in (one, two)]
    one, two = one | {"words": words[0]}, two | {"words": words[1]}
    return one == two and (pictures[0] == pictures[1] or all(pictures) and same_picture(*pictures))


@contextlib.contextmanager
def settled(folder: Path):
    "Work in a chapter's folder, with the options that a kernel has, and put all back."
    import matplotlib
    import pandas as pd
    from matplotlib import pyplot as plt

    # a figure that was left open before would be shown by the chapter's first cell
    plt.close("all")
    before, options = Path.cwd(), ("display.max_columns", 20, "display.width", 80)
    os.chdir(folder)
    try:
        with matplotlib.rc_context(), pd.option_context(*options), threadpool_limits(1):
            yield
    finally:
        os.chdir(before)


def run(chapter: Path) -> list:
    "Run the cells of a chapter that show records; raise `ValueError` when one fails."
    nb = nbformat.read(chapter, as_version=4)
    cells = of_records(nb)
    if not cells:
        return []
    from execnb.shell import CaptureShell

    with settled(chapter.parent):
        shell, done = CaptureShell(mpl_format="png"), []
        for source in (imports(nb), *(cell.source for cell in cells)):
            outputs = shell.run(source)
            if shell.exc:
                why = f"{type(shell.exc).__name__}: {shell.exc}"
                raise ValueError(f"{chapter.stem}: {why} in\n{source}")
            done.append([plain(output) for output in outputs if output.get("name") != "stderr"])
    return [nbformat.v4.new_code_cell(c.source, outputs=o) for c, o in zip(cells, done[1:])]


def plain(output):
    "Return an output as nbformat reads it from a file: each text whole."

    def whole(value):
        return "".join(value) if isinstance(value, list) else value

    output = {k: whole(v) for k, v in output.items()}
    if "data" in output:
        output["data"] = {k: whole(v) for k, v in output["data"].items()}
        output.setdefault("metadata", {})
    return nbformat.from_dict(output)


def renew(chapter: Path):
    "Run a chapter's cells of records and store what they show, where that is something else."
    nb = nbformat.read(chapter, as_version=4)
    done = run(chapter)
    if all(_unchanged(cell, now) for cell, now in zip(of_records(nb), done)):
        return
    for cell, now in zip(of_records(nb), done):
        cell.outputs = now.outputs
    with tempfile.TemporaryDirectory() as folder:
        renewed = Path(folder) / chapter.name
        nbformat.write(nb, renewed)
        store_outputs(renewed, chapter)


def _unchanged(cell, now):
    return len(cell.outputs) == len(now.outputs) and all(map(same, cell.outputs, now.outputs))


def differing(chapter: Path) -> list[str]:
    "Name the cells that show, as stored, what the records don't give now."
    nb = nbformat.read(chapter, as_version=4)
    found = []
    for cell, now in zip(of_records(nb), run(chapter)):
        if not _unchanged(cell, now):
            words = text(cell), text(now)
            told = "other tables or pictures" if words[0] == words[1] else ""
            told = told or f"stored {words[0]}, now {words[1]}"
            found.append(f"{chapter.stem}, cell {cell.id}: {told}")
    return found


def tighten(nbs: Path) -> list[str]:
    "Write how much of each chapter is claimed, where no chapter claims less; else say which do."
    less = check_coverage(nbs) if (nbs / COVERAGE).exists() else []
    if less := [fault for fault in less if "--tighten" not in fault.mend]:
        return [f"{fault.what}: {fault.why}. {fault.mend}" for fault in less]
    table = count_claims(nbs)[["claims", "unclaimed"]]
    table.to_csv(nbs / COVERAGE, lineterminator="\n")
    return []


def main(arguments: list[str]) -> int:
    "Renew or check the chapters that are named, or all that show records."
    check = "--check" in arguments
    found = tighten(ROOT / "nbs") if "--tighten" in arguments else []
    names = [a for a in arguments if not a.startswith("--")]
    chapters = [] if "--tighten" in arguments else find_chapters(ROOT / "nbs", names or None)
    index = ROOT / "nbs" / "index.ipynb"
    if chapters and not names and index not in chapters:
        chapters = [*chapters, index]
    for chapter in chapters:
        if of_records(nbformat.read(chapter, as_version=4)):
            print(chapter.stem)
            found += differing(chapter) if check else renew(chapter) or []
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
