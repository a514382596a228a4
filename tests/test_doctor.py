"""The doctor survives his patient: a line for everything, whatever is broken."""

import json
import os
from pathlib import Path

import pytest

from malaria_nb import doctor as module
from malaria_nb.cli import main
from malaria_nb.doctor import Check, doctor
from malaria_nb.doctor import _check_accelerator as check_accelerator
from malaria_nb.doctor import _check_imports as check_imports
from malaria_nb.settings import Settings
from malaria_nb.synthetic import synthetic_cells


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    "Work in a folder of one's own, with no settings from outside, and without starting Keras."
    monkeypatch.chdir(tmp_path)
    for name in ("CELLS", "SCALE", "WEIGHTS", "RESULTS"):
        monkeypatch.delenv(f"MALARIA_NB_{name}", raising=False)
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("accelerator", "imports"):
        check = Check(name, "OK", "not asked")
        monkeypatch.setattr(module, f"_check_{name}", lambda check=check: check)


@pytest.fixture
def few(tmp_path):
    return synthetic_cells(tmp_path / "few", n=120)


def line(name, **settings):
    made = Settings(**{"home": Path("home"), **settings})
    return next(c for c in doctor(made) if c.name == name)


def test_doctor_has_a_line_for_everything(capsys):
    main(["doctor"])
    out = capsys.readouterr().out.splitlines()
    for name in (
        "Python",
        "numpy",
        "tensorflow",
        "keras",
        "nbclient",
        "imports",
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
    real = module.metadata.version

    def version(name):
        if name == "nbclient":
            raise module.metadata.PackageNotFoundError(name)
        return "2.0" if name == "keras" else real(name)

    monkeypatch.setattr(module.metadata, "version", version)
    assert (line("nbclient").status, line("nbclient").mend) == (
        "FAIL",
        'pip install "malaria_nb[course]"',
    )
    assert (
        line("keras").status == "FAIL"
        and "2.0" in line("keras").found
        and "malaria_nb[course]" in line("keras").mend
    )
    assert main(["doctor"]) == 1


def test_an_extra_that_nobody_installed_is_one_line_and_a_warning(monkeypatch):
    real, core = module.metadata.version, {"numpy", "pandas", "scipy", "opencv-python", "tqdm"}
    lines = [f"{name}>=1" for name in sorted(core)]
    lines += ['keras>=3; extra == "train"', 'keras>=3; extra == "course"']
    lines += ['nbdev>=2; extra == "course"', 'nbclient>=0.10; extra == "course"']

    def version(name):
        if name in core:
            return real(name)
        raise module.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(module.metadata, "version", version)
    train, course = line("extra train"), line("extra course")
    assert (train.status, train.found) == ("WARN", "not installed: keras")
    assert (course.status, course.found) == ("WARN", "not installed: nbdev, nbclient")
    assert train.mend == 'pip install "malaria_nb[train]"'
    assert course.mend == 'pip install "malaria_nb[course]"'
    core |= {"nbdev"}  # in part: the course is broken
    assert line("nbclient").status == "FAIL"


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken():
        raise RuntimeError("no\nidea")

    monkeypatch.setattr(module, "_check_disk", lambda settings: broken())
    assert (line("disk").status, line("disk").found) == ("FAIL", "RuntimeError: no idea")
    assert line("memory").status == "OK"


@pytest.mark.parametrize(
    "memory, status", [(1e9, "FAIL"), (3e9, "WARN"), (8e9, "OK"), (None, "WARN")]
)
def test_memory(memory, status, monkeypatch):
    monkeypatch.setattr(module, "_memory", lambda: memory)
    assert line("memory").status == status


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o755)
    disk = line("disk", home=tmp_path / "file" / "home")
    assert disk.status == "FAIL" and "MALARIA_NB_HOME" in disk.mend


@pytest.mark.parametrize("free, status", [(0.5e9, "FAIL"), (2e9, "WARN"), (9e9, "OK")])
def test_disk(free, status, monkeypatch):
    monkeypatch.setattr(
        module.shutil, "disk_usage", lambda folder: type("usage", (), {"free": free})
    )
    assert line("disk").status == status


def test_cells(tmp_path, few):
    assert line("cells").status == "OK"
    assert line("cells", cells="few").found == "120 in few"
    (tmp_path / "empty").mkdir()
    assert line("cells", cells="empty").status == "FAIL"
    real = line("cells", cells="nih")
    assert real.status == "WARN" and "malaria-nb data" in real.mend


def test_what_macos_leaves_beside_cells_is_not_counted(few):
    (few / "Uninfected" / "._C1P1thinF_IMG_20150604_104722_cell_1.png").write_bytes(b"x")
    assert line("cells", cells="few").found == "120 in few"


def test_settings_that_mean_nothing_are_a_finding(monkeypatch, capsys):
    monkeypatch.setenv("MALARIA_NB_CELLS", "nhi")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("[FAIL] settings") and "'synthetic'" in out[0]
    assert any(o.startswith("[OK]   cells") for o in out), "and the other lines are there"


def test_weights(tmp_path):
    name = "VGG-19 weights"
    assert line(name, weights="imagenet").status == "WARN"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "vgg19.h5").write_bytes(b"<html>not found</html>")
    found = line(name, weights="imagenet")
    assert found.status == "FAIL" and "delete" in found.mend
    (tmp_path / "home" / "vgg19.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert line(name, weights="imagenet").status == "OK"
    assert line(name, weights="none.h5").status == "FAIL"
    assert line(name, weights="random").status == "OK"
    assert "random" in line(name, weights="random").found


def test_a_package_that_is_there_and_does_not_start(monkeypatch):
    assert check_imports().status == "OK"
    broken = "import sys\nsys.modules['cv2'] = None\n" + module._IMPORTS
    monkeypatch.setattr(module, "_IMPORTS", broken)
    check = check_imports()
    assert check.status == "FAIL" and "cv2" in check.found and "libgl1" in check.mend


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
    answer = json.dumps(json.dumps(printed))
    monkeypatch.setattr(module, "_DEVICES", f"print('noise'); print({answer})")
    monkeypatch.setattr(module, "_driver", lambda: driver)
    check = check_accelerator()
    assert check.status == status and says in str(check)


def test_a_framework_that_does_not_start_fails(monkeypatch):
    monkeypatch.setattr(module, "_DEVICES", "raise ImportError('libdevice.so is missing')")
    assert (
        check_accelerator().status == "FAIL"
        and "libdevice.so is missing" in check_accelerator().found
    )


def test_the_driver_is_asked_by_its_own_program(monkeypatch, tmp_path):
    assert isinstance(module._driver(), list)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho A GPU\necho Another\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert module._driver() == ["A GPU", "Another"]


def test_doctor_sees_a_processor_without_avx(monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module, "_processor_flags", lambda: {"sse2"})
    assert module._check_processor().status == "FAIL" and "AVX" in module._check_processor().found
    monkeypatch.setattr(module, "_processor_flags", lambda: {"avx", "sse2"})
    assert module._check_processor().status == "OK"
    monkeypatch.setattr(module.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(module, "_processor_flags", lambda: set())
    assert module._check_processor().status == "OK"


def test_doctor_sees_a_wrong_back_end(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert str(module._check_backend()).split()[-1] == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    assert (
        module._check_backend().status == "FAIL"
        and "keras.json names 'theano'" in module._check_backend().found
    )
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name == "keras" or None)
    assert "torch, which is not installed" in module._check_backend().found


def test_doctor_sees_a_port_in_use():
    import socket

    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", 8888))
        except OSError:
            pass  # somebody else has it, which will do
        else:
            s.listen()
        assert module._check_port().status == "WARN"
