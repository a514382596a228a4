"""The command's manners: help, exit status, one line on stderr, and a doctor who survives his patient."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from malaria_nb import cli
from malaria_nb.cli import Check, doctor, main
from malaria_nb.cli import _check_accelerator as check_accelerator
from malaria_nb.notebooks import find_chapters
from malaria_nb.synthetic import synthetic_cells


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    "Work in a folder of one's own, with no settings from outside, and without starting Keras."
    monkeypatch.chdir(tmp_path)
    for name in ("CELLS", "SCALE", "WEIGHTS", "RESULTS"):
        monkeypatch.delenv(f"MALARIA_NB_{name}", raising=False)
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(cli, "_check_accelerator", lambda: Check("accelerator", "OK", "not asked"))


def python(code, **kw):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **kw
    )


def one_line(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def line(name):
    return next(c for c in doctor() if c.name == name)


# ---- the command line


def test_alone_it_prints_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("data", "course", "doctor", "Exit status"))


def test_version(capsys):
    from malaria_nb import __version__

    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("command", ["data", "course", "doctor"])
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
        ("course --cells nhi", "'nhi'"),
        ("data --cells nhi", "'nhi'"),
        ("course --weights none.h5", "none.h5"),
        ("course --timeout 0", "seconds"),
        ("course --timeout soon", "seconds"),
        ("course --chapters .", "--chapters"),
        ("data --cells synthetic --source a.zip", "--source"),
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
    monkeypatch.setattr(cli, "doctor", lambda: 1 / 0)
    assert main(["doctor"]) == 1
    assert "ZeroDivisionError" in (said := one_line(capsys)) and "--traceback" in said
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "--traceback"])


def test_options_hold_only_while_the_command_runs(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(cli, "doctor", lambda: seen.update(os.environ) or [])
    (tmp_path / "mine").mkdir()
    before = dict(os.environ)
    assert main(["doctor", "--cells", "mine", "--weights", "random", "--home", "new"]) == 0
    assert dict(os.environ) == before
    assert seen["MALARIA_NB_CELLS"] == str(tmp_path / "mine"), (
        "a chapter runs in another folder: the path must be absolute"
    )
    assert (
        seen["MALARIA_NB_HOME"] == str(tmp_path / "new") and seen["MALARIA_NB_WEIGHTS"] == "random"
    )


def test_without_the_extra_the_course_says_what_to_install():
    done = python(
        "import sys; sys.modules['nbclient'] = None\nfrom malaria_nb.cli import main\nsys.exit(main(['course']))"
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
    code = "import sys; from malaria_nb import cli; cli.doctor = lambda: [cli.Check('x', 'OK', 'x'*100)]*9999; sys.exit(cli.main(['doctor']))"
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running.stdout.readline()
    running.stdout.close()  # as `head` does
    assert running.stderr.read() == "" and running.wait(60) == 1


def test_commands_do_not_import_what_is_slow():
    done = python(
        "from malaria_nb.cli import main; import sys\nmain(['course', '--help']); main(['data', '--cells', 'nowhere'])\n"
        "print(*[m for m in ('tensorflow', 'keras', 'matplotlib', 'sklearn', 'nbconvert') if m in sys.modules])"
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


# ---- doctor


def test_doctor_has_a_line_for_everything(capsys):
    main(["doctor"])
    out = capsys.readouterr().out.splitlines()
    for name in (
        "Python",
        "numpy",
        "tensorflow",
        "keras",
        "nbclient",
        "cores",
        "memory",
        "disk",
        "accelerator",
        "cells",
        "VGG-19 weights",
    ):
        assert [
            o for o in out if o[7:].startswith(name) and o.startswith(("[OK]", "[WARN]", "[FAIL]"))
        ], name


def test_doctor_in_json(capsys):
    status = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is (status == 0) and {"name", "status", "found", "mend"} == set(
        report["checks"][0]
    )


def test_a_missing_or_old_package_fails_and_names_the_command(monkeypatch):
    real = cli.metadata.version

    def version(name):
        if name == "nbclient":
            raise cli.metadata.PackageNotFoundError(name)
        return "2.0" if name == "keras" else real(name)

    monkeypatch.setattr(cli.metadata, "version", version)
    assert (line("nbclient").status, line("nbclient").mend) == (
        "FAIL",
        'pip install "malaria_nb[course]"',
    )
    assert (
        line("keras").status == "FAIL"
        and "2.0" in line("keras").found
        and ">=3.11.3" in line("keras").mend
    )
    assert main(["doctor"]) == 1


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken():
        raise RuntimeError("no\nidea")

    broken.__name__ = "_check_disk"
    monkeypatch.setattr(cli, "_check_disk", broken)
    assert (line("disk").status, line("disk").found) == ("FAIL", "RuntimeError: no idea")
    assert line("memory").status == "OK"


@pytest.mark.parametrize(
    "memory, status", [(1e9, "FAIL"), (3e9, "WARN"), (8e9, "OK"), (None, "WARN")]
)
def test_memory(memory, status, monkeypatch):
    monkeypatch.setattr(cli, "_memory", lambda: memory)
    assert line("memory").status == status


def test_a_home_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o755)
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "file" / "home"))
    assert line("disk").status == "FAIL" and "MALARIA_NB_HOME" in line("disk").mend


@pytest.mark.parametrize("free, status", [(0.5e9, "FAIL"), (2e9, "WARN"), (9e9, "OK")])
def test_disk(free, status, monkeypatch):
    monkeypatch.setattr(cli.shutil, "disk_usage", lambda folder: type("usage", (), {"free": free}))
    assert line("disk").status == status


def test_cells(monkeypatch, tmp_path, few):
    assert line("cells").status == "OK"
    monkeypatch.setenv("MALARIA_NB_CELLS", "few")
    assert line("cells").found == "120 in few"
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MALARIA_NB_CELLS", "empty")
    assert line("cells").status == "FAIL"
    monkeypatch.setenv("MALARIA_NB_CELLS", "nih")
    assert line("cells").status == "WARN" and "malaria-nb data" in line("cells").mend
    monkeypatch.setenv("MALARIA_NB_CELLS", "nhi")
    assert line("cells").status == "FAIL" and "synthetic" in line("cells").found


def test_weights(monkeypatch, tmp_path):
    name = "VGG-19 weights"
    assert line(name).status == "WARN"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "vgg19.h5").write_bytes(b"<html>not found</html>")
    assert line(name).status == "FAIL" and "delete" in line(name).mend
    (tmp_path / "home" / "vgg19.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert line(name).status == "OK"
    monkeypatch.setenv("MALARIA_NB_WEIGHTS", "none.h5")
    assert line(name).status == "FAIL"
    monkeypatch.setenv("MALARIA_NB_WEIGHTS", "random")
    assert line(name).status == "OK" and "random" in line(name).found


@pytest.mark.parametrize(
    "printed, driver, status, says",
    [
        (["tensorflow", ["A GPU"]], [], "OK", "A GPU"),
        (["tensorflow", []], [], "OK", "none"),
        (["tensorflow", []], ["A GPU"], "WARN", "tensorflow[and-cuda]"),
        (["jax", []], ["A GPU"], "WARN", "jax"),
    ],
)
def test_accelerator(printed, driver, status, says, monkeypatch):
    monkeypatch.setattr(
        cli, "_DEVICES", f"print('noise'); print({json.dumps(json.dumps(printed))})"
    )
    monkeypatch.setattr(cli, "_driver", lambda: driver)
    check = check_accelerator()
    assert check.status == status and says in str(check)


def test_a_framework_that_does_not_start_fails(monkeypatch):
    monkeypatch.setattr(cli, "_DEVICES", "raise ImportError('libdevice.so is missing')")
    assert (
        check_accelerator().status == "FAIL"
        and "libdevice.so is missing" in check_accelerator().found
    )


def test_the_driver_is_asked_by_its_own_program(monkeypatch, tmp_path):
    assert isinstance(cli._driver(), list)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho A GPU\necho Another\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert cli._driver() == ["A GPU", "Another"]


def test_doctor_sees_a_processor_without_avx(monkeypatch):
    monkeypatch.setattr(cli.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(cli, "_processor_flags", lambda: {"sse2"})
    assert cli._check_processor().status == "FAIL" and "AVX" in cli._check_processor().found
    monkeypatch.setattr(cli, "_processor_flags", lambda: {"avx", "sse2"})
    assert cli._check_processor().status == "OK"
    monkeypatch.setattr(cli.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(cli, "_processor_flags", lambda: set())
    assert cli._check_processor().status == "OK"


def test_doctor_sees_a_wrong_back_end(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert str(cli._check_backend()).split()[-1] == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    assert (
        cli._check_backend().status == "FAIL"
        and "keras.json names 'theano'" in cli._check_backend().found
    )
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert "torch, which is not installed" in cli._check_backend().found


def test_doctor_sees_a_port_in_use():
    import socket

    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", 8888))
        except OSError:
            pass  # somebody else has it, which will do
        else:
            s.listen()
        assert cli._check_port().status == "WARN"
