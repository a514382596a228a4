"""The doctor survives his patient: a line for everything, whatever is broken."""

import errno
import io
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import h5py
import pytest

from malaria_nb import doctor as module
from malaria_nb.cli import main
from malaria_nb.doctor import Check, doctor
from malaria_nb.doctor import _check_accelerator as check_accelerator
from malaria_nb.doctor import _check_imports as check_imports
from malaria_nb.doctor import _elsewhere as in_another_process
from malaria_nb.doctor import _open_sample as open_sample
from malaria_nb.doctor import _score_nothing as score_nothing
from malaria_nb.settings import Settings
from malaria_nb.synthetic import synthetic_cells


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    "Work in a folder of one's own, with no settings from outside, and without other processes."
    monkeypatch.chdir(tmp_path)
    for name in ("CELLS", "SCALE", "WEIGHTS", "RESULTS"):
        monkeypatch.delenv(f"MALARIA_NB_{name}", raising=False)
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("accelerator", "imports"):
        check = Check(name, "OK", "not asked")
        monkeypatch.setattr(module, f"_check_{name}", lambda check=check: check)
    quick = {open_sample.__name__: "", score_nothing.__name__: 0.5}

    def here(function, *given):
        if function.__name__ in quick:
            return quick[function.__name__]
        return json.loads(json.dumps(function(*given)))

    monkeypatch.setattr(module, "_elsewhere", here)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return synthetic_cells(tmp_path_factory.mktemp("drawn") / "few", n=120)


@pytest.fixture
def few(drawn, tmp_path):
    return Path(shutil.copytree(drawn, tmp_path / "few"))


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


def test_places_are_named_in_full_wherever_the_doctor_is_called(tmp_path, monkeypatch):
    theirs = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    ours = tmp_path / "me" / ".cache" / "malaria_nb"
    mend = line("VGG-19 weights", home=ours).mend
    assert mend.endswith(f"offline, copy {theirs} to {ours}/vgg19.h5"), "not from this folder"
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    mend = line("VGG-19 weights", home=ours).mend
    assert mend.endswith(f"copy {theirs} to ~/.cache/malaria_nb/vgg19.h5")
    assert line("disk", home=ours).found.endswith("in ~/.cache/malaria_nb")
    assert line("cells", home=ours, cells="nih").found == "0 of 27,558 in ~/.cache/malaria_nb/nih"


def test_settings_that_mean_nothing_are_a_finding(monkeypatch, capsys):
    monkeypatch.setenv("MALARIA_NB_CELLS", "nhi")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("[FAIL] settings") and "'synthetic'" in out[0]
    assert any(o.startswith("[OK]   cells") for o in out), "and the other lines are there"


def spoil(few, name="Parasitized"):  # the first cell of a class
    return min((few / name).iterdir())


@pytest.mark.parametrize(
    "content, says",
    [(b"", "empty"), (b"x", "not a PNG"), (None, "cut short"), ("fifo", "not a file")],
)
def test_a_cell_that_cannot_be_used(few, content, says):
    cell = spoil(few)
    if content == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes with names here")
        cell.unlink()
        os.mkfifo(cell)
    else:
        cell.write_bytes(cell.read_bytes()[:-20] if content is None else content)
    found = line("cells", cells="few")
    assert found.status == "FAIL" and found.found.startswith("1 of 120 in few"), found
    assert cell.name in found.found and says in found.found
    assert "malaria-nb data --cells few" in found.mend


def test_an_empty_cell_is_found_wherever_it_is(tmp_path, few):
    cell = sorted((few / "Uninfected").iterdir())[1]
    for i in range(300):
        shutil.copy(cell, cell.with_name(f"C7P1thinF_IMG_20150604_104722_cell_{i}.png"))
    some = cell.with_name("C7P1thinF_IMG_20150604_104722_cell_33.png")
    some.write_bytes(b"")
    assert some.name in line("cells", cells="few").found


def test_a_name_that_says_no_patient(few):
    spoil(few).rename(few / "Parasitized" / "cell.png")
    assert "neither patient" in line("cells", cells="few").found


@pytest.mark.parametrize("name", ["Parasitized", "Uninfected"])
def test_one_class_is_not_enough(few, name):
    for cell in (few / name).iterdir():
        cell.unlink()
    empty = line("cells", cells="few")
    assert empty.status == "FAIL" and f"no PNG in {name}/" in empty.found
    (few / name).rmdir()
    missing = line("cells", cells="few")
    assert missing.status == "FAIL" and name in str(missing)


def test_an_archive_that_is_there_in_part_is_in_the_way(tmp_path, few):
    assert line("cells", cells="nih").status == "WARN"
    shutil.copytree(few, tmp_path / "home" / "nih" / "cell_images")
    found = line("cells", cells="nih")
    # `malaria-nb data` refuses it, too
    assert found.status == "FAIL" and "120 of 27,558" in found.found and "away" in found.mend
    spoil(tmp_path / "home" / "nih" / "cell_images").write_bytes(b"")
    assert "empty" in line("cells", cells="nih").found


def test_the_sample_is_opened(tmp_path, few, monkeypatch):
    assert open_sample() == ""
    assert line("cells").found.startswith("the course's sample")
    shutil.copytree(few, tmp_path / "home" / "sample" / "cell_images")
    spoil(tmp_path / "home" / "sample" / "cell_images").write_bytes(b"")
    found = line("cells")
    assert found.status == "FAIL" and "empty" in found.found and "home/sample" in found.mend
    bad = tmp_path / "malaria_cells.zip"
    bad.write_bytes(b"PK")
    monkeypatch.setattr("malaria_nb.sample.sample_file", lambda: bad)
    assert "expected 2f94d17433b1" in open_sample()


def vgg19(file, *, without=0):  # kernels of a VGG-19, all zero, which packs well
    with h5py.File(file, "w") as f:
        shapes = sorted(module._KERNELS.elements())
        for i, shape in enumerate(shapes[without:]):
            f.create_dataset(f"layer{i}/kernel", shape, "f2", compression="gzip", chunks=shape)
    return file


def test_weights(tmp_path, monkeypatch):
    from malaria_nb import weights

    name, file = "VGG-19 weights", tmp_path / "home" / "vgg19.h5"
    assert line(name, weights="imagenet").status == "WARN"
    file.parent.mkdir()
    for content in (b"<html>not found</html>", b"\x89HDF\r\n\x1a\n"):
        file.write_bytes(content)
        found = line(name, weights="imagenet")
        assert found.status == "FAIL" and "delete" in found.mend
        assert weights.OFFICIAL_MD5 in found.found, "the official hash is named"
    file.write_bytes(vgg19(file).read_bytes()[:-1000])
    assert line(name).status == "FAIL" and "HDF5" in line(name).found
    assert line(name, home=Path("home")) == line(name, home=file.parent), "relative or not"
    vgg19(file)
    assert line(name).status == "WARN" and "not the official file" in line(name).found
    monkeypatch.setattr(weights, "OFFICIAL_MD5", module_md5(file))
    assert line(name).status == "OK" and "ImageNet weights" in line(name).found
    file.unlink()
    file.mkdir()
    assert line(name).status == "FAIL" and "not a file" in line(name).found


def module_md5(file):
    from malaria_nb.fetch import file_hash

    return file_hash(file, "md5")


def test_weights_of_ones_own(tmp_path):
    name = "VGG-19 weights"
    assert line(name, weights="none.h5").status == "FAIL"
    vgg19(tmp_path / "own.h5")
    found = line(name, weights="own.h5")
    assert found.status == "OK" and "not the official file" in found.found
    vgg19(tmp_path / "own.h5", without=1)
    found = line(name, weights="own.h5")
    assert found.status == "FAIL" and "16 convolution layers" in found.found
    assert line(name, weights="random").status == "OK"
    assert "random" in line(name, weights="random").found


def test_weights_of_keras_count_only_if_they_are_official(tmp_path):
    theirs = tmp_path / "keras/models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"\x89HDF\r\n\x1a\n")
    found = line("VGG-19 weights")  # the course leaves it alone and downloads its own
    assert found.status == "WARN" and "not here" in found.found


def test_compact_model(monkeypatch):
    assert 0 <= score_nothing() <= 1
    assert line("compact model").status == "OK"

    def broken(*given):
        raise RuntimeError("it ends Python (SIGILL)")

    monkeypatch.setattr(module, "_elsewhere", broken)
    found = line("compact model")
    assert found.status == "FAIL" and "SIGILL" in found.found and "ai-edge-litert" in found.mend


# ---- another process


def packages(folder, **sources):
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return list(sources)


def test_imports_that_fail_crash_exit_or_hang(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "there")
    monkeypatch.setattr(module, "_SECONDS", 20)
    broken = packages(
        tmp_path / "there",
        fine="import os; os.write(1, b'\\xff noise')",
        fails="raise ImportError('libGL.so.1: cannot open')",
        crashes="import os; os.abort()",
        exits="raise SystemExit(0)",
        leaves="import os; os._exit(0)",
        fine_too="",
    )
    said = module._failing(broken)
    assert set(said) == {"fails", "crashes", "exits", "leaves"}
    assert "libGL.so.1" in said["fails"] and "SystemExit" in said["exits"]
    if os.name == "posix":
        assert "SIGABRT" in said["crashes"]
    monkeypatch.setattr(module, "_SECONDS", 2)
    packages(tmp_path / "there", hangs="import time; time.sleep(60)")
    assert module._failing(["fine", "hangs", "fine_too"]) == {"hangs": "takes over 2 seconds"}


def test_a_file_of_the_working_folder_is_no_module(tmp_path):
    packages(tmp_path, random="raise ImportError", json="raise ImportError", numpy="oops")
    before = [place for place in sys.path if place not in ("", str(tmp_path))]
    code = "import numpy, random; say(given[0])"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", before)
        assert module._ask(code, "é") == ([["é"]], "")


def test_another_process_may_print_what_it_likes(monkeypatch):
    code = """
import atexit, os
atexit.register(print, "goodbye")
os.write(1, b"\\xff{half a line")
say("found")
"""
    assert module._ask(code) == ([["found"]], "")
    assert module._ask("import nowhere") == ([], "ModuleNotFoundError: No module named 'nowhere'")
    assert in_another_process(module._port) == module._port()


@pytest.mark.parametrize(
    "package, why, mend",
    [
        ("opencv-python", "ImportError: libGL.so.1: cannot open", "libgl1"),
        ("opencv-python", "it ends Python (SIGSEGV)", "force-reinstall opencv-python"),
        ("scikit-learn", "ImportError: x", "force-reinstall scikit-learn"),
    ],
)
def test_a_package_that_is_there_and_does_not_start(package, why, mend, monkeypatch):
    monkeypatch.setattr(module, "_failing", lambda packages: {package: why})
    (check,) = check_imports()
    assert check.status == "FAIL" and package in check.found and mend in check.mend


def test_every_package_that_is_there_is_imported(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_failing", lambda packages: asked.extend(packages) or {})
    assert check_imports()[0].status == "OK"
    wanted = {r.name for rs in module._wanted().values() for r in rs}
    assert set(asked) | set(module._TENSORFLOW) == wanted
    assert {"cv2", "sklearn", "ai_edge_litert.interpreter"} <= set(map(module._module, asked))


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
    monkeypatch.setattr(module, "_DEVICES", f"print('noise'); say(*{printed!r})")
    monkeypatch.setattr(module, "_TENSORFLOW", ())
    monkeypatch.setattr(module, "_driver", lambda: driver)
    check = check_accelerator()
    assert check.status == status and says in str(check)


def test_the_lock_s_tensorflow_goes_before_the_one_for_gpus_comes(monkeypatch):
    monkeypatch.setattr(module, "_DEVICES", "say('tensorflow', [])")
    monkeypatch.setattr(module, "_TENSORFLOW", ())
    monkeypatch.setattr(module, "_driver", lambda: ["A GPU"])
    monkeypatch.setattr(module, "_version", lambda package: (package, "2.21.0"))
    assert "uninstall -y tensorflow-cpu && pip install" in check_accelerator().mend


@pytest.mark.parametrize(
    "last", ["raise ImportError('libdevice.so is missing')", "import os; os.abort()"]
)
def test_a_framework_that_does_not_start_fails(last, monkeypatch):
    monkeypatch.setattr(module, "_DEVICES", last)
    check = check_accelerator()
    assert check.status == "FAIL" and "Keras does not start: " in check.found
    assert "libdevice.so is missing" in check.found or "abort" in last


def test_what_imports_the_framework_is_tried_with_it(tmp_path, monkeypatch):
    packages(tmp_path, broken_export="raise ImportError('no protobuf')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "_DEVICES", "say('tensorflow', [])")
    monkeypatch.setattr(module, "_TENSORFLOW", ("broken-export",))
    monkeypatch.setattr(module, "_version", lambda package: (package, "1"))
    (check,) = check_accelerator()
    assert check.status == "FAIL" and "broken_export does not start" in check.found


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


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_doctor_sees_a_port_in_use(family, listens, monkeypatch):
    with socket.socket(family) as s:
        try:
            s.bind(("localhost", 0))
        except OSError:
            pytest.skip("no such address here")
        if listens:
            s.listen(1)
        monkeypatch.setenv("JUPYTER_PORT", str(s.getsockname()[1]))
        assert module._check_port().status == "WARN"
    assert module._check_port().status == "OK"


# ---- conditions of a battery


def test_what_the_core_brings_does_not_ask_for_an_extra(monkeypatch):
    lines = [
        "scikit-learn>=1",
        'threadpoolctl>=3; extra == "course"',
        'nbdev>=2; extra == "course"',
    ]
    real = module.metadata.version

    def version(name):
        if name == "nbdev":
            raise module.metadata.PackageNotFoundError(name)
        return real(name)

    requires = module.metadata.requires
    monkeypatch.setattr(
        module.metadata, "requires", lambda name: lines if name == "malaria_nb" else requires(name)
    )
    monkeypatch.setattr(module.metadata, "version", version)
    monkeypatch.setattr(module, "_distributions", dict)
    assert line("extra course").status == "WARN"
    assert main(["doctor"]) == 0, "the core is all that was asked for"


def test_another_distribution_of_a_module_counts(monkeypatch):
    real = module.metadata.version

    def version(name):
        if name == "opencv-python":
            raise module.metadata.PackageNotFoundError(name)
        return "99.0" if name == "opencv-python-headless" else real(name)

    monkeypatch.setattr(module.metadata, "version", version)
    monkeypatch.setattr(module, "_distributions", lambda: {"cv2": ["opencv-python-headless"]})
    assert line("opencv-python-headless").status == "OK"


def test_a_package_without_a_version_costs_no_other_line(monkeypatch):
    real = module.metadata.version
    monkeypatch.setattr(
        module.metadata, "version", lambda name: None if name == "pandas" else real(name)
    )
    assert line("pandas").status == "FAIL" and "pip install" in line("pandas").mend
    assert line("numpy").status == "OK"


def test_a_wrong_python(monkeypatch):
    monkeypatch.setattr(module.sys, "version_info", (3, 14, 0))
    assert line("Python").status == "FAIL" and ">=3.11" in line("Python").mend


def test_a_home_on_a_read_only_disk(tmp_path, monkeypatch):
    def refused(dir):
        if Path(dir) in bad:
            raise OSError(errno.EROFS, "Read-only file system")
        return io.BytesIO()

    monkeypatch.setattr(module.tempfile, "TemporaryFile", refused)  # root may write anywhere
    bad = {tmp_path}
    assert line("disk").status == "FAIL" and "Read-only" in line("disk").found
    (tmp_path / "home" / "images").mkdir(parents=True)
    bad = {tmp_path / "home" / "images"}
    assert line("disk").status == "FAIL" and "home/images" in line("disk").found
    bad = set()
    assert line("disk").status != "FAIL"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_home_that_even_root_cannot_write(tmp_path):
    assert line("disk", home=Path("/proc/home")).status == "FAIL"
    (tmp_path / "home").symlink_to(tmp_path / "nowhere")
    assert line("disk").status == "FAIL"


def test_the_doctor_leaves_no_trace(tmp_path, few):
    before = sorted(tmp_path.rglob("*"))
    doctor(Settings(home=Path("home"), cells="few"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_every_terminal_can_show_the_report(encoding, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("MALARIA_NB_WEIGHTS", "Überall/веса.h5")
    assert main(["doctor"]) == 1
    out.flush()
    assert "[FAIL] settings" in out.buffer.getvalue().decode(encoding)


def test_limits_of_a_container_count(tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert module._cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(module, "_CGROUPS", tmp_path)
    assert module._cores() == 1 and module._memory() == 1e9
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert module._cores() >= 1 and module._memory() > 1e9


@pytest.mark.slow
def test_the_real_doctor_finds_this_machine_able():
    checks = doctor_undisturbed()
    assert [str(c) for c in checks if c.status == "FAIL"] == []


def doctor_undisturbed():
    import subprocess

    code = "from malaria_nb.doctor import *; from malaria_nb.settings import Settings\n"
    code += "import json; print(json.dumps([vars(c) for c in doctor(Settings())]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return [Check(**found) for found in json.loads(done.stdout)]
