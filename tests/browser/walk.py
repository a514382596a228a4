"""Take the whole course in JupyterLab: run every chapter, answer every exercise, wrong and right.

`make walk` runs this, in about half an hour; `make browser` leaves it out and does the same with
one chapter and one exercise.
"""

import re
import time

import nbformat
import pytest
from test_lab import NBS, idle, open_notebook, outputs, run_all, through
from test_lab import lab as lab  # a fixture

CHAPTERS = [p.name for p in sorted(NBS.glob("*.ipynb"))]
SETS = [p.name for p in sorted((NBS / "solutions").glob("*.ipynb"))]
WIDGET = "jupyterapp.shell.currentWidget.content"


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter(page, lab, name):
    began = time.monotonic()
    open_notebook(page, lab + name)
    run_all(page, seconds=900)  # a chapter trains, maybe beside other work
    seen, shown = [], set()
    for _ in through(page):
        seen += outputs(page, "application/vnd.jupyter.error") + outputs(
            page, "application/vnd.jupyter.stderr"
        )
        shown |= set(
            page.evaluate(
                "[...document.querySelectorAll('.jp-OutputArea img')]"
                ".filter(i => i.naturalWidth).map(i => i.src.slice(-80))"
            )
        )
    stored = sum(
        "image/png" in o.get("data", {})
        for c in nbformat.read(NBS / name, 4).cells
        for o in c.get("outputs", [])
    )
    print(
        f"{name}: {(time.monotonic() - began) / 60:.1f} minutes, "
        f"{len(shown)} pictures, {stored} stored"
    )
    assert [s for s in seen if s.strip()] == [] and bool(shown) == bool(stored)


def put(page, i, source):
    "Type into cell `i`, as a person would, run it, and return what stands under it."
    page.evaluate(
        f"i => {{const n = {WIDGET}; n.activeCellIndex = i; n.deselectAll(); "
        "return n.scrollToItem(i, 'smart')}",
        i,
    )
    cell = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{i}']")
    if source is not None:
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
    else:
        page.evaluate(f"{WIDGET}.activate()")
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
    idle(page)
    return cell.locator(".jp-OutputArea").all_inner_texts()


@pytest.mark.parametrize("name", SETS)
def test_exercises(page, lab, name):
    began, right, wrong = time.monotonic(), 0, 0
    cells = nbformat.read(NBS / "solutions" / name, 4).cells
    tempting, kept = {}, []  # wrong answers, by the number of the cell they stand before
    for c in cells:
        if c.source.startswith("#| wrong:"):
            tempting.setdefault(len(kept), []).append(c.source)
        else:
            kept.append(c)
    learners = nbformat.read(NBS / "exercises" / name, 4).cells
    assert len(learners) == len(kept)
    open_notebook(page, lab + f"exercises/{name}")
    for i, c in enumerate(kept):
        if c.cell_type != "code":
            continue
        solved = c.source != learners[i].source
        check = next((j for j in range(i, len(kept)) if kept[j].source.startswith("check_")), None)
        for answer in tempting.get(i, [])[:1]:
            put(page, i, answer)
            assert "Not yet: " in "".join(put(page, check, None)), f"{name}, cell {i}: {answer}"
            wrong += 1
        said = "".join(put(page, i, c.source if solved else None))
        assert "Not yet" not in said and not re.search(r"\w+Error: ", said), (
            f"{name}, cell {i}: {said[-500:]}"
        )
        right += c.source.startswith("check_") and "Right." in said
    print(
        f"{name}: {(time.monotonic() - began) / 60:.1f} minutes, "
        f"{wrong} wrong answers noticed, {right} checks say Right."
    )
    assert right == sum(c.source.startswith("check_") for c in kept)
