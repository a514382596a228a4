"""A folder for a stick: what pip is asked for, what is put in, and what a learner is told."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from malaria_nb import bundle as made
from malaria_nb import cli
from malaria_nb.bundle import PYTHONS, SYSTEMS, bundle, instructions, lacking_wheels
from malaria_nb.cli import main

OURS = "malaria_nb-0.1.0-py3-none-any.whl"


def wheel(folder, name, *needs):
    "Put a wheel into a folder that says no more than what it needs."
    package, version, *_ = name.split("-")
    said = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with ZipFile(folder / name, "w") as archive:
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{said}"
        archive.writestr(f"{package}-{version}.dist-info/METADATA", about)


@pytest.fixture
def pip(monkeypatch):
    "What pip was asked for; a wheel of malaria_nb appears as it would."
    asked = []

    def run(*arguments):
        asked.append([str(a) for a in arguments])
        if arguments[0] == "wheel":
            wheel(Path(asked[-1][asked[-1].index("--wheel-dir") + 1]), OURS)

    monkeypatch.setattr(made, "_pip", run)
    return asked


@pytest.mark.parametrize("system", SYSTEMS)
def test_wheels_alone_are_asked_for_and_for_that_system(pip, tmp_path, system):
    bundle(tmp_path / "stick", system, "3.12", say=lambda text: None)
    last = pip[-1]
    assert last[last.index("--only-binary") + 1] == ":all:"
    assert last[last.index("--python-version") + 1] == "3.12"
    assert [b for a, b in zip(last, last[1:]) if a == "--platform"] == list(SYSTEMS[system])
    assert last[-1].startswith("malaria_nb[course] @ file:")


@pytest.mark.parametrize(
    "system, lacks", [("windows", ["colorama", "pywinpty>=1.1"]), ("mac", []), ("linux", [])]
)
def test_what_only_that_system_needs_is_missed(tmp_path, system, lacks):
    wheel(tmp_path, OURS, "tqdm", "terminado; extra == 'course'", "jax; extra == 'jax'")
    wheel(tmp_path, "tqdm-4.67-py3-none-any.whl", "colorama; platform_system == 'Windows'")
    needs = "pywinpty>=1.1; os_name == 'nt'", "ptyprocess; os_name != 'nt'"
    wheel(tmp_path, "terminado-0.18-py3-none-any.whl", *needs, "old; python_version < '3.12'")
    wheel(tmp_path, "ptyprocess-0.7-py2.py3-none-any.whl")
    assert lacking_wheels(tmp_path, system, "3.13") == lacks
    assert lacking_wheels(tmp_path, system, "3.11") == sorted([*lacks, "old"])


def test_a_wheel_of_another_python_is_none_and_all_bounds_are_kept(tmp_path):
    wheel(tmp_path, OURS, "tqdm>=4", "uv[standard]>1")
    wheel(tmp_path, "tqdm-4.67-py3-none-any.whl", "pywinpty>=1.1")
    wheel(tmp_path, "terminado-0.18-py3-none-any.whl", "pywinpty<3")
    wheel(tmp_path, "pywinpty-2.0-cp312-cp312-win_amd64.whl")
    assert lacking_wheels(tmp_path, "windows", "3.13") == ["pywinpty<3,>=1.1", "uv[standard]>1"]
    assert lacking_wheels(tmp_path, "windows", "3.12") == ["uv[standard]>1"]


def test_what_is_missed_is_fetched(pip, tmp_path, monkeypatch):
    left = [["colorama"], []]
    monkeypatch.setattr(made, "lacking_wheels", lambda *args: left.pop(0))
    bundle(tmp_path, say=lambda text: None)
    assert pip[-1][-1] == "colorama" and "--platform" in pip[-1] and not left


def test_an_older_wheel_of_ours_goes(pip, tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/malaria_nb-0.0.9-py3-none-any.whl").write_bytes(b"old")
    bundle(tmp_path, say=lambda text: None)
    assert [p.name for p in tmp_path.glob("wheels/*.whl")] == [OURS]


def test_what_is_given_is_put_in(pip, tmp_path):
    weights, book = tmp_path / "some.h5", tmp_path / "html"
    weights.write_bytes(b"weights")
    (book / "chapters").mkdir(parents=True)
    (book / "chapters/00.html").write_text("a page")
    to = bundle(tmp_path / "stick", weights=weights, book=book, say=lambda text: None)
    assert (to / "vgg19.h5").read_bytes() == b"weights"
    assert (to / "book/chapters/00.html").read_text() == "a page"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_learner_is_told_each_line_to_type(system, python):
    text = instructions(system, python)
    typed = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert len(typed) == 4 and python in typed[0] and "activate" in typed[1]
    assert typed[3] == "malaria-nb lab --offline"
    assert max(map(len, text.splitlines())) < 100 and "not a medical device" in text


def test_pip_that_fails_is_quoted(tmp_path):
    with pytest.raises(RuntimeError, match="pip download failed: .*nowhere"):
        made._pip("download", "--no-index", "--dest", tmp_path, "nowhere-to-be-found")


def test_the_command_says_what_is_wrong(capsys):
    assert main(["bundle", "stick", "--weights", "nowhere.h5"]) == 1
    assert "nowhere.h5 isn't there" in capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_lab_offline_takes_the_weights_of_the_stick(tmp_path, monkeypatch, there):
    if there:
        (tmp_path / "vgg19.h5").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    args = cli.parser().parse_args(["lab", "--offline"])
    cli._offline(args)
    assert args.weights == (str(tmp_path / "vgg19.h5") if there else "random")
