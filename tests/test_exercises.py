"""Exercises: made from solutions, each check seen to pass and to fail; what a grader survives."""

import ast
import json
import runpy
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from malaria_nb.exercises import exercises, framed, grade, learners, prove

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = sorted((ROOT / "nbs" / "solutions").glob("*.ipynb"))
CHAPTERS = sorted(p for p in (ROOT / "nbs").glob("[0-6]*.ipynb"))


def source(notebook):
    return ["".join(c["source"]) for c in notebook["cells"]]


def test_every_chapter_of_the_parts_has_exercises_and_links_them():
    chapters, solved = {p.name for p in CHAPTERS}, {p.name for p in SOLUTIONS}
    assert not chapters - solved, "write their exercises: nbs/solutions/ lacks these"
    assert not solved - chapters, "nbs/solutions/ has these of no chapter"
    for path in CHAPTERS:
        text = "\n".join(source(nbformat.read(path, 4)))
        for folder in "exercises", "solutions":
            assert f"]({folder}/{path.name})" in text, f"{path.stem} does not link its {folder}"


def test_exercises_are_what_the_solutions_leave():
    made = runpy.run_path(str(ROOT / "tools" / "exercises.py"))["made"]()
    there = {p.name: p.read_text("utf-8") for p in (ROOT / "nbs" / "exercises").glob("*.ipynb")}
    differ = sorted(n for n in {*there, *made} if there.get(n) != made.get(n))
    assert not differ, "run make exercises (and delete what no solution makes)"
    assert not any(
        mark in text
        for text in there.values()
        for mark in ("# solution", "BEGIN SOLUTION", "#| wrong")
    )


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_what_learners_get_is_python(path):
    "A marked line in the middle of an expression would leave half of it."
    for cell in learners(nbformat.read(path, 4))["cells"]:
        if cell["cell_type"] == "code":
            ast.parse(cell["source"])


STATED = {
    "01_dataset": lambda space: space["auc"]["by cell"] > 0.6 and space["auc"]["by patient"] == 0.5,
    "07_slides": lambda space: (
        space["found"]["basic_cnn"] > 5 * space["found"]["purple_threshold"] > 5
        and space["found"].iloc[2] > 0.5
    ),
}


@pytest.mark.parametrize("name", STATED)
def test_results_that_a_solution_states(name, monkeypatch):
    monkeypatch.chdir(ROOT / "nbs" / "solutions")
    space = {"display": print}
    for cell in nbformat.read(ROOT / "nbs" / "solutions" / f"{name}.ipynb", 4)["cells"]:
        if cell["cell_type"] == "code" and not cell["source"].startswith(("#|", "check_")):
            exec(cell["source"], space)
            if "auc" in space or "found" in space:
                break
    assert STATED[name](space)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_wrong_answers_are_framed_and_folded(path):
    there = nbformat.read(path, 4)
    assert framed(there) == there, "run make exercises"


# the solutions of these compute for half a minute or more here: most train networks, or find cells
LONG = ("00", "02", "03", "04", "05", "06", "08", "12", "14", "17")


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.weekly if p.stem[:2] in LONG else ()) for p in SOLUTIONS],
    ids=lambda p: p.stem,
)
def test_every_check_passes_the_solution_and_nothing_else(path, tmp_path, monkeypatch):
    chosen = {"HOME": tmp_path, "CELLS": "synthetic", "SCALE": "quick", "WEIGHTS": "random"}
    for name, value in chosen.items():
        monkeypatch.setenv(f"MALARIA_NB_{name}", str(value))
    monkeypatch.setenv("MALARIA_NB_RECORDS", str(ROOT / "nbs" / "records"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(path, 4)
    assert 3 <= len([h for h in exercises(notebook) if h]) <= 5, (
        "a chapter has three to five exercises, each under a heading such as '## 1 Twice the side'"
    )
    assert prove(notebook) == []


# -- what a proof must notice

SETUP = new_code_cell("from malaria_nb.checks import check_double")
GOOD = [
    new_markdown_cell("## 1 Double"),
    new_code_cell("#| wrong: squares\ndef double(x): return x**2"),
    new_code_cell("#| wrong: adds two\ndef double(x): return x + 2"),
    new_code_cell("def double(x):\n    return 2*x  # solution"),
    new_code_cell("check_double(double)"),
]


def notebook(*cells):
    fresh = []  # a cell used twice needs two ids
    for cell in (new_markdown_cell("# Solutions: twice"), SETUP, *cells):
        new = new_code_cell if cell.cell_type == "code" else new_markdown_cell
        fresh.append(new(cell.source))
    return new_notebook(cells=fresh)


@pytest.mark.parametrize(
    "cells, problem",
    [
        (GOOD[:2] + GOOD[3:], "has 1 wrong answers"),
        (GOOD[:-1], "has no check"),
        (
            [new_markdown_cell("A word first.\n\n## 1 Double"), *GOOD[1:]],
            "not the first line of its cell",
        ),
        (
            GOOD[:3] + [new_code_cell("def double(x): return 2*x")] + GOOD[4:],
            "no line marked as solution",
        ),
        (
            GOOD[:2]
            + [new_code_cell("#| wrong: not wrong\ndef double(x): return x + x")]
            + GOOD[3:],
            "passes on the wrong answer 'not wrong'",
        ),
        (
            GOOD[:-1] + [new_code_cell("check_double(lambda x: 2*x)")],
            "passes on the empty exercise",
        ),
        (
            GOOD[:3] + [new_code_cell("double = 1/0  # solution")] + GOOD[4:],
            "stops with ZeroDivisionError",
        ),
        ([GOOD[0], GOOD[3], *GOOD[1:3], GOOD[4]], "run from top to bottom it stops with Wrong"),
    ],
)
def test_proof_notices(cells, problem):
    assert prove(notebook(*GOOD)) == []
    assert any(problem in p for p in prove(notebook(*cells)))


@pytest.mark.parametrize("n, says", [(1, "A wrong answer**"), (3, "Three wrong answers**")])
def test_a_frame_says_how_many_wrong_answers_it_holds(n, says):
    whole = framed(notebook(GOOD[0], *[GOOD[1]] * n, *GOOD[3:]))["cells"]
    frames = [i for i, c in enumerate(whole) if c["source"].startswith("**")]
    assert len(frames) == 1 and whole[frames[0]]["source"].startswith(f"**{says}")
    assert [c["metadata"] for c in whole[frames[0] + 1 :][:n]] == [
        {"jupyter": {"source_hidden": True}}
    ] * n
    assert len({c["id"] for c in whole}) == len(whole)


def test_a_frame_follows_its_answers(tmp_path):
    before = framed(notebook(*GOOD))
    nbformat.write(nbformat.from_dict(before), tmp_path / "before.ipynb")
    again = nbformat.read(tmp_path / "before.ipynb", 4)
    again.cells = [c for c in again.cells if not c.source.startswith("#| wrong: adds")]
    assert "A wrong answer**" in framed(again)["cells"][3]["source"]
    again.cells = [c for c in again.cells if not c.source.startswith("#| wrong")]
    assert not any("wrong answer" in c["source"] for c in framed(again)["cells"])
    assert source(learners(nbformat.from_dict(before))) == source(learners(notebook(*GOOD)))
    assert prove(nbformat.from_dict(before)) == []


def test_the_book_folds_wrong_answers():
    from malaria_nb.notebooks import processed

    book = runpy.run_path(str(ROOT / "tools" / "book.py"))
    nb = processed(nbformat.from_dict(framed(notebook(*GOOD))))
    for cell in nb.cells:
        book["fold_wrong"](cell)
    folded = [c for c in nb.cells if c.source.startswith("<details><summary>Wrong: ")]
    assert len(folded) == 2 and all(c.cell_type == "markdown" for c in folded)
    assert not any(c.metadata.get("jupyter") for c in folded)


# -- grading

ANSWERS = {
    "right": ("def double(x): return x + x", ""),
    "wrong": ("def double(x): return x**2", "double(1) gives 1"),
    "empty": ("def double(x): return ...", "returns nothing yet"),
    "loops": ("while True: pass", "no end after 10 seconds"),
    "leaves": ("import os\nos._exit(0)", "ends the kernel"),
    "stops": ("exit()", "ends the kernel"),
    "leaves later": (
        "import os, threading\nthreading.Timer(.2, os._exit, [0]).start()",
        "ends the kernel",
    ),
    "writes": ("open('../../mine', 'w')\ndef double(x): return 2*x", "may not write outside"),
    "deletes": ("import shutil\nshutil.rmtree({victim!r})", "may not write outside"),
    "starts": (
        "import subprocess\nsubprocess.run(['rm', '-r', {victim!r}])",
        "may not start programs",
    ),
    "cheats": ("def check_double(x): pass\ndouble = None", "without brackets"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_grader_survives_and_goes_on_with_the_next_exercise(name, tmp_path):
    victim = tmp_path / "others"
    victim.mkdir()
    (victim / "work.ipynb").write_text("of somebody else")
    task = notebook(*GOOD, new_markdown_cell("## 2 Again"), *GOOD[1:])
    nbformat.write(learners(task), tmp_path / "official.ipynb")
    answer, says = ANSWERS[name]
    learner = notebook(
        GOOD[0],
        new_code_cell(answer.format(victim=str(victim))),
        GOOD[-1],
        new_markdown_cell("## 2 Again"),
        GOOD[3],
        GOOD[-1],
    )
    nbformat.write(learner, tmp_path / "learner.ipynb")
    report = grade(
        tmp_path / "learner.ipynb",
        tmp_path / "official.ipynb",
        timeout=10 if name == "loops" else 60,
    )
    assert says in report["exercises"]["1 Double"]["says"] and report["exercises"]["1 Double"][
        "passed"
    ] == (not says)
    assert report["exercises"]["2 Again"]["passed"] and report["of"] == 2
    assert (victim / "work.ipynb").read_text() == "of somebody else" and not (
        tmp_path / "mine"
    ).exists()


def test_grader_of_something_else(tmp_path):
    nbformat.write(notebook(*GOOD), tmp_path / "official.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    assert (
        "not a notebook" in grade(tmp_path / "broken.ipynb", tmp_path / "official.ipynb")["error"]
    )
    nbformat.write(notebook(), tmp_path / "nothing.ipynb")
    report = grade(tmp_path / "nothing.ipynb", tmp_path / "official.ipynb")
    assert (
        report["passed"] == 0
        and "returns" not in json.dumps(report)
        and report["exercises"]["1 Double"]["says"]
    )


def test_command_grades_a_folder(tmp_path, capsys):
    from malaria_nb.cli import main

    (tmp_path / "exercises").mkdir()
    nbformat.write(learners(notebook(*GOOD)), tmp_path / "exercises" / "03_cnn.ipynb")
    (tmp_path / "class" / "ben").mkdir(parents=True)
    nbformat.write(notebook(*GOOD), tmp_path / "class" / "03_cnn-anna.ipynb")
    nbformat.write(learners(notebook(*GOOD)), tmp_path / "class" / "ben" / "03_cnn.ipynb")
    how = ["--exercises", str(tmp_path / "exercises"), "--json", str(tmp_path / "report.json")]
    assert main(["grade", str(tmp_path / "class"), *how]) == 0
    out = capsys.readouterr().out
    assert "[1/1]" in out and "[0/1]" in out and "1 Double: double returns nothing yet" in out
    assert [r["passed"] for r in json.loads((tmp_path / "report.json").read_text("utf-8"))] == [
        1,
        0,
    ]
    (tmp_path / "class" / "holiday.ipynb").write_text("{}")
    assert main(["grade", str(tmp_path / "class" / "holiday.ipynb"), *how]) == 1
    assert "its name holds no chapter's: name it as 03_cnn-anna.ipynb" in capsys.readouterr().out
