"""The command's manners: help, exit status, one line on stderr, and settings made once."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from malaria_nb import cli
from malaria_nb.cli import main
from malaria_nb.notebooks import find_chapters
from malaria_nb.settings import SCALES
from malaria_nb.synthetic import synthetic_cells

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    "Work in a folder of one's own, with no settings from outside."
    monkeypatch.chdir(tmp_path)
    for name in ("CELLS", "SCALE", "WEIGHTS", "RESULTS", "RECORDS"):
        monkeypatch.delenv(f"MALARIA_NB_{name}", raising=False)
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))


def python(code, **kw):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **kw
    )


def one_line(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# ---- the command line


def test_alone_it_prints_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("data", "course", "doctor", "Exit status"))


def test_version(capsys):
    from malaria_nb import __version__

    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("command", ["data", "course", "lab", "doctor"])
def test_help_explains_every_option_in_readable_lines(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--home" in out and "default" in out and max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(
    "words, says",
    [
        ("frobnicate", "invalid choice"),
        ("data --cel nih", "--cel"),
        ("course --scale big", "'quick', 'full'"),
        ("course --cells nhi", "nhi"),
        ("data --cells nhi", "nhi"),
        ("course --weights none.h5", "none.h5"),
        ("course --timeout 0", "seconds"),
        ("course --timeout soon", "seconds"),
        ("course --chapters .", "--chapters"),
        ("data --cells synthetic --source a.zip", "--source"),
        ("data fetch", "fetch"),
        ("experiment run basic_cnn --epochs 0", "--epochs"),
        ("experiment run basic_cnn --epochs soon", "at least 1"),
        ("lab --cells no-such-folder", "no-such-folder"),
        ("experiment run basic_cnn --cells sample", "MALARIA_NB_RECORDS"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(words, says, capsys):
    assert main(words.split()) == 2
    assert says in (line := one_line(capsys)) and "--help" in line


def test_only_names_the_chapters_there_are(tmp_path, capsys):
    for name in ("index", "00_a", "01_b", "10_c"):
        (tmp_path / f"{name}.ipynb").write_text("{}")
    assert [p.stem for p in find_chapters(tmp_path)] == ["index", "00_a", "01_b", "10_c"]
    assert [p.stem for p in find_chapters(tmp_path, ["10", "00_a.ipynb"])] == ["00_a", "10_c"]
    assert main(["course", "--chapters", ".", "--only", "02_d"]) == 2
    assert "00_a, 01_b, 10_c" in one_line(capsys)


def test_a_failure_is_one_line_and_status_1(capsys):
    assert main(["data", "--source", "missing.zip"]) == 1
    assert "missing.zip" in one_line(capsys)


def test_a_bug_is_one_line_unless_the_traceback_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(cli, "doctor", lambda settings: 1 / 0)
    assert main(["doctor"]) == 1
    assert "ZeroDivisionError" in (said := one_line(capsys)) and "--traceback" in said
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "--traceback"])


def test_options_become_settings_and_no_variable(monkeypatch, tmp_path):
    seen = []

    def doctor(settings):
        seen.append((settings, dict(os.environ)))
        return []

    monkeypatch.setattr(cli, "doctor", doctor)
    monkeypatch.setenv("MALARIA_NB_SCALE", "full")
    (tmp_path / "mine").mkdir()
    before = dict(os.environ)
    assert main(["doctor", "--cells", "mine", "--weights", "random", "--home", "new"]) == 0
    (settings, environ), *_ = seen
    assert environ == before == dict(os.environ), "an option must not be written where it is read"
    assert (settings.cells, settings.weights) == (str(tmp_path / "mine"), "random")
    assert (settings.home, settings.scale) == (tmp_path / "new", SCALES["full"])


def test_without_the_extra_the_course_says_what_to_install():
    done = python(
        "import sys; sys.modules['nbclient'] = None\n"
        "from malaria_nb.cli import main\nsys.exit(main(['course']))"
    )
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and 'pip install "malaria_nb[course]"' in done.stderr


def test_no_permission_is_told_before_any_chapter_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "nbs").mkdir()
    (tmp_path / "nbs" / "00_a.ipynb").write_text("{}")
    (tmp_path / "file").write_text("")
    assert main(["course", "--home", "file/home"]) == 1
    assert "--home" in one_line(capsys)
    monkeypatch.setattr(cli.os, "access", lambda *a: False)
    assert main(["course"]) == 1
    assert "no permission to write to _course" in one_line(capsys)


def test_a_reader_who_leaves_is_no_error():
    code = (
        "import sys; from malaria_nb import cli\n"
        "cli.doctor = lambda settings: [cli.Check('x', 'OK', 'x'*100)]*9999\n"
        "sys.exit(cli.main(['doctor']))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running.stdout.readline()
    running.stdout.close()  # as `head` does
    assert running.stderr.read() == "" and running.wait(60) == 1


def test_commands_do_not_import_what_is_slow():
    done = python(
        "from malaria_nb.cli import main; import sys\n"
        "main(['course', '--help']); main(['data', '--cells', 'nowhere'])\n"
        "slow = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'nbconvert'}\n"
        "print(*slow & sys.modules.keys())"
    )
    assert done.stdout.splitlines()[-1] == ""


# ---- data


@pytest.fixture
def few(tmp_path):
    return synthetic_cells(tmp_path / "few", n=120)


def test_data_summarises_sound_cells(few, capsys):
    assert main(["data", "--cells", "few"]) == 0
    out = capsys.readouterr().out
    assert (
        "parasitized" in out
        and "120" in out
        and str(Path.home()) not in out
        and str(few) not in out
    )


def test_data_names_every_problem_and_fails(few, capsys):
    a, b = sorted((few / "Uninfected").iterdir())[:2]
    a.write_bytes(a.read_bytes()[:-30])
    b.write_bytes(b"no picture")
    (few / "Parasitized" / "holiday.png").write_bytes(a.read_bytes())
    assert main(["data", "--cells", "few"]) == 1
    out = capsys.readouterr().out
    assert all(name in out for name in (a.name, b.name, "holiday.png", "3 problems"))


def test_data_finds_the_cells_of_a_variable(few, monkeypatch, capsys):
    monkeypatch.setenv("MALARIA_NB_CELLS", "few")
    assert main(["data"]) == 0 and "120" in capsys.readouterr().out


# ---- the settings that others get


@pytest.fixture
def clone(tmp_path, few):
    "A folder like a clone's, with cells in its root and a chapter."
    (tmp_path / "settings.ini").touch()
    (tmp_path / "nbs").mkdir()
    (tmp_path / "nbs" / "00_a.ipynb").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("folder", [".", "nbs"])
def test_a_relative_path_means_the_same_in_the_root_and_in_nbs(clone, folder, monkeypatch):
    from malaria_nb.course import start

    monkeypatch.setenv("MALARIA_NB_CELLS", "few")
    monkeypatch.setenv("MALARIA_NB_HOME", "mine")
    monkeypatch.chdir(clone / folder)
    seen = []
    monkeypatch.setattr(cli, "doctor", lambda settings: seen.append(settings) or [])
    assert main(["doctor"]) == 0
    seen.append(start("93_course"))
    for settings in seen:
        assert (settings.cells, settings.home) == (str(clone / "few"), clone / "mine")


@pytest.mark.parametrize("cells, name", [(".", "few's"), ("../few", "few's")])
def test_a_start_names_the_folder_and_counts_what_it_holds(few, cells, name, monkeypatch, capsys):
    from malaria_nb.course import start

    monkeypatch.chdir(few)
    (few / "Parasitized" / "._a.png").write_bytes(b"what macOS leaves")
    monkeypatch.setenv("MALARIA_NB_CELLS", cells)
    start("02_images")
    assert capsys.readouterr().out.startswith(f"120 {name} cells · quick")


def test_jupyterlab_gets_the_settings(clone, monkeypatch):
    called = []
    monkeypatch.setenv("PATH", "elsewhere")
    monkeypatch.setattr(cli, "_needs", lambda *packages: None)
    monkeypatch.setattr(
        cli.subprocess, "call", lambda command, env: called.append((command, env)) or 0
    )
    assert main(["lab", "--cells", "few", "--scale", "full"]) == 0
    (command, env), *_ = called
    assert command[1:4] == ["-m", "jupyterlab", "nbs"]
    assert env["MALARIA_NB_CELLS"] == str(clone / "few") and env["MALARIA_NB_SCALE"] == "full"
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, "elsewhere"])
    assert env["PATH"] == path, "%tensorboard starts a program by its name"


def test_make_lab_is_the_command():
    shown = subprocess.run(
        ["make", "-n", "lab", "CELLS=no-such-folder"], cwd=ROOT, capture_output=True, text=True
    )
    line = next(o for o in shown.stdout.splitlines() if "malaria-nb lab" in o)
    assert main(shlex.split(line)[1:]) == 2


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "malaria_nb.cli", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("malaria-nb ")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_a_terminal_without_an_arrow_gets_another(encoding):
    code = (
        "import sys; from malaria_nb import cli\n"
        "cli.doctor = lambda settings: [cli.Check('x', 'FAIL', 'a − b', 'do')]\n"
        "sys.exit(cli.main(['doctor']))"
    )
    done = python(code, env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.endswith("a - b -> do\n")


# ---- what the prose quotes


def prose():
    "The texts that readers see, by name."
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "nbs").glob("*.md")]
    found = {p.relative_to(ROOT).as_posix(): p.read_text("utf-8") for p in files}
    for folder in ("nbs", "nbs/checks", "nbs/solutions"):
        for path in (ROOT / folder).glob("*.ipynb"):
            cells = json.loads(path.read_text("utf-8"))["cells"]
            texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
            found[path.relative_to(ROOT).as_posix()] = "\n".join(texts)
    return found


def quoted():
    "Every `malaria-nb …` in backticks or at the start of a line of code: where, and its words."
    for name, text in prose().items():
        blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S))
        lines = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?malaria-nb\b(.*)$", blocks, re.M)
        lines += re.findall(r"`(?:\.venv/bin/)?malaria-nb\b([^`]*)`", text)
        for line in lines:
            words = shlex.split(line.split(" #")[0].replace(" …", "").replace(" ...", ""))
            yield name, [w for w in words if w != "COMMAND"]


QUOTED = sorted({(name, " ".join(words)) for name, words in quoted()})


def parses(words):
    "Say whether a command line makes sense; the bare name of a command does."
    top = cli.parser()
    try:
        top.parse_args(words)
    except SystemExit as e:
        if not e.code:
            return True
        level = top
        for word in words:
            below = [a for a in level._actions if isinstance(a, argparse._SubParsersAction)]
            if not below or word not in below[0].choices:
                return False
            level = below[0].choices[word]
    return True


@pytest.mark.parametrize("name, line", QUOTED, ids=lambda text: text[:60])
def test_commands_that_the_prose_quotes_make_sense(name, line, capsys):
    assert parses(shlex.split(line)), f"{name}: malaria-nb {line}\n{capsys.readouterr().err}"


def test_a_wrong_command_in_the_prose_would_be_noticed(capsys):
    assert len(QUOTED) > 20
    assert parses(["data"]) and parses(["experiment", "run"]) and not parses(["data", "fetch"])
    assert not parses(["course", "--cell", "nih"]) and not parses(["frobnicate"])
