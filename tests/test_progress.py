"""A learner's progress: noted once, whole, by nobody but a learner's notebook, and added up."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from malaria_nb.cli import main
from malaria_nb.progress import (
    Progress,
    note_passed,
    passed_in_report,
    progress_file,
    progress_page,
    read_lessons,
    read_passed,
)

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.usefixtures("home")
ALL = read_lessons(ROOT / "nbs")
EVERY = sum(len(lesson.exercises) for lesson in ALL)


def checks(*chapters):
    return [c for le in ALL if le.name[:2] in chapters for e in le.exercises for c in e.checks]


def test_every_exercise_has_a_time_and_checks_that_are_there():
    import importlib

    assert len(ALL) >= 20 and EVERY >= 86
    for lesson in ALL:
        text = (ROOT / "nbs" / f"{lesson.name}.ipynb").read_text("utf-8")
        evenings = [e for e in lesson.exercises if e.minutes is None]
        why = f"{lesson.name}: give each exercise an item with its minutes below ## Exercises"
        assert len(evenings) == text.count("(an evening)"), why
        if lesson.name < "07":
            assert lesson.exercises[-1] in evenings, f"{lesson.name}: the evening comes last"
        for exercise in lesson.exercises:
            assert exercise.checks, exercise
            for check in exercise.checks:
                module, _, name = check.partition(".")
                assert callable(
                    getattr(importlib.import_module(f"malaria_nb.checks.{module}"), name)
                )


def test_notebooks_that_note_at_once_lose_nothing():
    file, names = progress_file(), [f"cnn.check_{i}" for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda name: note_passed(name, file), names))
    assert sorted(read_passed(file)) == sorted(names) and sum(first) == 1
    assert [p.name for p in file.parent.iterdir() if p.suffix == ".part"] == []


def test_a_damaged_file_is_named_and_left_as_it_is(capsys):
    file = progress_file()
    file.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"passed": {"a.check_b": "yesterday"}}', '{"passed": [1]}'):
        file.write_text(text)
        with pytest.raises(ValueError, match="move it away"):
            note_passed("a.check_b", file)
        assert main(["progress"]) == 1 and "progress.json" in capsys.readouterr().err
        assert file.read_text() == text


SAYS = """
import os, sys
from malaria_nb.checks import check_double
from malaria_nb.progress import progress_file, read_passed
double = lambda x: 2 * x
seen = lambda: list(read_passed(progress_file()))
"""


def in_a_kernel(cells, tmp_path):
    "Run cells as a learner does, in a notebook's kernel; return what each prints."
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    nb = new_notebook(cells=[new_code_cell(cell) for cell in (SAYS, *cells)])
    NotebookClient(nb, resources={"metadata": {"path": str(tmp_path)}}).execute()
    return ["".join(o.get("text", "") for o in c.outputs) for c in nb.cells[1:]]


def test_a_learners_notebook_notes_and_says_so_once(tmp_path):
    (tmp_path / "solutions").mkdir()
    quiet = "os.environ['MALARIA_NB_PROGRESS'] = 'off'; check_double(double); print(seen())"
    inside = (
        "del os.environ['MALARIA_NB_PROGRESS']; os.chdir('solutions'); "
        "check_double(double); print(seen()); os.chdir('..')"
    )
    wrong = "try:\n    check_double(abs)\nexcept AssertionError:\n    print(seen())"
    right = "check_double(double); print(seen())"
    broken = "progress_file().write_text('{'); check_double(double)"
    said = in_a_kernel([quiet, inside, wrong, right, right, broken], tmp_path)
    assert said[:3] == ["Right.\n[]\n", "Right.\n[]\n", "[]\n"]
    noted = "['malaria_nb.checks.check_double']\n"
    assert said[3] == (
        "Right.\nNoted on this computer, and nowhere else: malaria-nb progress shows it.\n" + noted
    )
    assert said[4] == "Right.\n" + noted and said[5] == "Right.\n"


def test_nothing_else_notes():
    "The grader, a test, a script, nbdev's runner of notebooks, which has IPython and no kernel."
    shell = "import ipykernel, IPython\nIPython.InteractiveShell.instance()\n"
    code = shell + SAYS + "check_double(double)\nprint(seen())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[:2] == ["Right.", "[]"], done.stderr
    assert not progress_file().exists()


def test_the_command_says_what_is_passed_what_is_next_and_what_is_left(capsys, tmp_path):
    for check in checks("00", "01")[:-1]:
        note_passed(check, progress_file())
    assert main(["progress", "--chapters", str(ROOT / "nbs")]) == 0
    out = capsys.readouterr().out
    assert re.match(rf"8 of \d+ exercises passed; all of them in 1 of {len(ALL)} chapters\n", out)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert f"[x] 00 Can a program read a blood smear? 4 of 4 {date.today()}" in lines
    assert "[ ] 01 The data set 4 of 5" in lines
    last = ALL[1].exercises[-1].heading.split(maxsplit=1)[1]
    assert f"Next: chapter 01, exercise 5, {last} (an evening)" in out
    assert "nbs/exercises/01_dataset.ipynb" in out and "progress.json" in out
    left = Progress(ALL, read_passed(progress_file())).left("Part I: the article, rebuilt")
    assert (left.evenings, left.reading) == (6, 5)
    assert f"left: {left}" in out
    assert main(["progress", "--forget"]) == 0 and not progress_file().exists()


def test_an_exercise_with_two_checks_needs_both():
    two = next(e for le in ALL for e in le.exercises if len(e.checks) > 1)
    assert not two.day({two.checks[0]: "2026-01-01"})
    assert two.day(dict.fromkeys(two.checks, "2026-01-01")) == "2026-01-01"


def test_an_exercise_without_a_check_and_a_chapter_without_exercises_are_not_done():
    unchecked = replace(ALL[0].exercises[0], checks=())
    assert unchecked.day({}) == ""
    lessons = [replace(ALL[0], exercises=(unchecked,)), replace(ALL[1], exercises=())]
    found = Progress(lessons, {})
    assert "0 of 1" in str(found) and "0 of 0" in str(found) and "[x]" not in str(found)
    assert progress_page(found)


def test_a_graders_report_counts_too(capsys, tmp_path):
    heading = ALL[0].exercises[0].heading
    report = [{"notebook": "a/00_motivation.ipynb", "exercises": {heading: {"passed": True}}}]
    report += [{"notebook": "b/x.ipynb", "error": "no chapter"}]
    (tmp_path / "r.json").write_text(json.dumps(report))
    assert list(passed_in_report(report, ALL)) == list(ALL[0].exercises[0].checks)
    assert main(["progress", "--report", str(tmp_path / "r.json")]) == 0
    assert capsys.readouterr().out.startswith(f"1 of {EVERY}")
    (tmp_path / "r.json").write_text("[3]")
    assert main(["progress", "--report", str(tmp_path / "r.json")]) == 1


def test_the_page_has_a_sheet_for_each_part_that_is_done(tmp_path):
    part_one = dict.fromkeys(checks("00", "01", "02", "03", "04", "05", "06"), "2026-11-30")
    page = progress_page(Progress(ALL, part_one), "Anna & <b>")
    assert page.count('class="sheet"') == 1 and "Anna &amp; &lt;b&gt;" in page
    assert "it is no certificate" in page and "not a medical device" in page
    first = sum(len(lesson.exercises) for lesson in ALL if lesson.name < "07")
    assert page.count("<tr><td>") == len(ALL)
    assert f"all {first} exercises of these 7 chapters" in page
    part_one.popitem()
    assert 'class="sheet"' not in progress_page(Progress(ALL, part_one))
    for check in checks(*[f"{n:02}" for n in range(len(ALL))]):
        note_passed(check, progress_file())
    assert main(["progress", "--html", str(tmp_path / "me.html"), "--name", "Anna"]) == 0
    page = (tmp_path / "me.html").read_text("utf-8")
    assert page.count('class="sheet"') == 2 and "All exercises are passed" in page
    assert page.count("Left: nothing.") == 2
