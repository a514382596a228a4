"""The course in a folder of the reader's: whole, and never over what the reader has changed."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from malaria_nb import workbench
from malaria_nb.bundle import PYTHONS
from malaria_nb.cli import main
from malaria_nb.progress import note_passed, progress_file, read_lessons
from malaria_nb.workbench import Placed, brought_course, place_course


@pytest.fixture
def course(tmp_path):
    "A course of two chapters and a record."
    for name in ("nbs/00_motivation.ipynb", "nbs/01_dataset.ipynb", "nbs/records/cells.csv.gz"):
        file = tmp_path / "course" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{name}, version 1")
    return tmp_path / "course"


def renew(course, version="2"):
    for file in course.rglob("*.ipynb"):
        file.write_text(f"{file.relative_to(course).as_posix()}, version {version}")


def texts(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.*")}


def test_everything_is_put_there_and_the_second_time_nothing(course, tmp_path):
    mine = tmp_path / "with a space" / "Übung"
    assert len(place_course(mine, course, "1").new) == 3
    assert all((mine / p.relative_to(course)).exists() for p in course.rglob("*"))
    assert place_course(mine, course, "1") == Placed()
    assert str(Placed()) == "nothing new"


def test_what_the_reader_left_alone_is_renewed(course, tmp_path):
    mine = tmp_path / "mine"
    place_course(mine, course, "1")
    renew(course)
    assert len(place_course(mine, course, "2").renewed) == 2
    assert (mine / "nbs/00_motivation.ipynb").read_text().endswith("version 2")


def test_what_the_reader_changed_stays_and_the_newer_one_comes_beside_it(course, tmp_path):
    mine = tmp_path / "mine"
    place_course(mine, course, "1")
    (mine / "nbs/00_motivation.ipynb").write_text("my notes")
    assert place_course(mine, course, "1").kept == ["nbs/00_motivation.ipynb"]
    renew(course)
    placed = place_course(mine, course, "2")
    assert "the course's is 00_motivation (2).ipynb" in str(placed)
    assert (mine / "nbs/00_motivation.ipynb").read_text() == "my notes"
    assert (mine / "nbs/00_motivation (2).ipynb").read_text().endswith("version 2")
    assert not place_course(mine, course, "2").beside, "told once"


def test_a_folder_that_was_there_before_loses_nothing(course, tmp_path):
    mine = tmp_path / "mine"
    (mine / "nbs").mkdir(parents=True)
    (mine / "nbs/00_motivation.ipynb").write_text("somebody's own")
    (mine / "thesis.txt").write_text("years")
    place_course(mine, course, "1")
    assert (mine / "nbs/00_motivation.ipynb").read_text() == "somebody's own"
    assert (mine / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize("harm", ["", "{}", "[]", '{"files": 3}'])
def test_a_harmed_list_costs_no_file(course, tmp_path, harm):
    mine = tmp_path / "mine"
    place_course(mine, course, "1")
    (mine / "nbs/01_dataset.ipynb").write_text("my notes")
    (mine / workbench._LIST).write_text(harm)
    before = texts(mine / "nbs")
    place_course(mine, course, "1")
    assert texts(mine / "nbs").items() >= before.items()
    assert json.loads((mine / workbench._LIST).read_text())["version"] == "1"


def test_a_file_that_the_reader_deleted_comes_back(course, tmp_path):
    mine = tmp_path / "mine"
    place_course(mine, course, "1")
    (mine / "nbs/01_dataset.ipynb").unlink()
    assert place_course(mine, course, "1").new == ["nbs/01_dataset.ipynb"]


def test_a_library_without_chapters_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(workbench.malaria_nb, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(FileNotFoundError, match="install it again with pip install"):
        brought_course()


def test_lab_puts_the_course_where_it_is_asked_to(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workbench, "brought_course", lambda: course)
    assert main(["lab", str(tmp_path / "mine"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "3 new" in said and "00_motivation.ipynb" in said.splitlines()[-1]
    assert (tmp_path / "mine/nbs/01_dataset.ipynb").exists()


def test_lab_in_a_clone_opens_the_clone(capsys):
    assert main(["lab", "--dry-run"]) == 0
    assert "nbs" in capsys.readouterr().out.splitlines()[-1]


@pytest.fixture
def home(tmp_path):
    return ["--home", str(tmp_path / "home")]


def opens(capsys):
    "Return the notebook that JupyterLab would be started on."
    last = capsys.readouterr().out.splitlines()[-1]
    return next(Path(word).as_posix() for word in shlex.split(last) if word.endswith(".ipynb"))


@pytest.mark.parametrize("chapter", ["3", "03", "03_cnn"])
def test_exercise_opens_those_of_a_chapter(chapter, home, capsys):
    assert main(["exercise", chapter, "--dry-run", *home]) == 0
    assert opens(capsys).endswith("nbs/exercises/03_cnn.ipynb")


def test_exercise_opens_the_first_that_is_not_passed(home, capsys):
    lessons = read_lessons(ROOT / "nbs")
    assert main(["exercise", "--dry-run", *home]) == 0
    assert opens(capsys).endswith("exercises/00_motivation.ipynb")
    for check in [c for e in lessons[0].exercises for c in e.checks]:
        note_passed(check, progress_file(home[1]))
    assert main(["exercise", "--dry-run", *home]) == 0
    assert opens(capsys).endswith("exercises/01_dataset.ipynb")


def test_exercise_works_in_a_folder_of_the_readers(tmp_path, monkeypatch, home, capsys):
    for name in ("nbs/19_patients.ipynb", "nbs/exercises/19_patients.ipynb"):
        file = tmp_path / "course" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(workbench, "brought_course", lambda: tmp_path / "course")
    assert main(["exercise", "19", "--folder", str(tmp_path / "mine"), "--dry-run", *home]) == 0
    file = tmp_path / "mine/nbs/exercises/19_patients.ipynb"
    assert Path(opens(capsys)) == file and file.exists()


def test_exercise_names_the_chapters_that_have_some(home, capsys):
    assert main(["exercise", "20", "--dry-run", *home]) == 2
    assert "no exercises of '20': use one of 00, 01, 02" in capsys.readouterr().err


# ---- other systems, by imitation

ROOT = Path(__file__).resolve().parents[1]


def test_binder_gets_the_system_libraries_that_ci_installs():
    wanted = set(re.findall(r"missing\+=\((lib[\w.-]+)\)", (ROOT / ".ci/run").read_text("utf-8")))
    lines = (ROOT / ".binder/apt.txt").read_text("utf-8").splitlines()
    assert wanted and wanted == {line for line in lines if line and line[0] != "#"}


def test_every_python_that_is_allowed_is_resolved_for(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import platforms

    assert platforms.pythons() == list(PYTHONS)  # which settings.ini and a stick allow
    assert {"x86_64-pc-windows-msvc", "aarch64-apple-darwin"} <= set(platforms.SYSTEMS.values())


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_lab_speaks_to_a_terminal_without_utf8(course, tmp_path, encoding):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from malaria_nb import workbench\n"
        "from malaria_nb.cli import main\n"
        "workbench.brought_course = lambda: Path(sys.argv[1])\n"
        "sys.exit(main(['lab', sys.argv[2], '--dry-run']))\n"
    )
    told = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", code, course, tmp_path / "Übung \u0431"]
    done = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode("ascii", "replace")[-2000:]
