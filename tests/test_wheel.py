"""The wheel, installed into an empty environment, serves somebody who never saw the repository."""

import hashlib
import json
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from malaria_nb.predict import SHA256
from malaria_nb.sample import SAMPLE_SHA256, ZIP

ROOT = Path(__file__).resolve().parents[1]
the_map = runpy.run_path(str(ROOT / "tools" / "map.py"))
QUICK = ("dataset", "evaluation", "calibration", "screening", "smear", "external")
HEAVY = {"tensorflow", "keras", "matplotlib", "nbdev", "fastcore", "IPython"}
UV = Path(sys.executable).with_name("uv")  # pip takes a minute for what takes uv seconds
CORE = {
    *("numpy", "pandas", "scipy", "scikit-learn", "opencv-python", "pillow", "ai-edge-litert"),
    *("requests", "filelock", "platformdirs", "packaging", "tqdm"),
}
ONE_LINE = r'this needs \w+, which is not installed: pip install "malaria_nb\[\w+\]"'
CAN_TRAIN = """
import importlib, json
said = {}
for module in %r:
    try:
        importlib.import_module(f"malaria_nb.{module}")
    except Exception as e:
        said[module] = f"{type(e).__name__}: {e}"
print(json.dumps(said))
"""


def sh(*command, cwd, env=None):
    command = [str(c) for c in command]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, worker_id):
    "Built once for all workers of a run: two builds at once write into the same folder here."
    own = tmp_path_factory.getbasetemp()
    to = (own if worker_id == "master" else own.parent) / "dist"
    with FileLock(f"{to}.lock"):
        if not list(to.glob("*.whl")):
            to.mkdir(exist_ok=True)
            sh(sys.executable, "-m", "build", "--no-isolation", "--outdir", to, ROOT, cwd=to)
    return next(to.glob("*.whl"))


def names(wheel):
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_holds_the_library_whole_and_nothing_else(wheel):
    inside = [n for n in names(wheel) if ".dist-info" not in n]
    assert {n.split("/")[0] for n in inside} == {"malaria_nb"}
    there = {n.removeprefix("malaria_nb/").removesuffix(".py").replace("/", ".") for n in inside}
    missing = {m for m in the_map["modules"]() if not {m, f"{m}.__init__"} & there}
    assert not missing, "a folder of modules needs an __init__.py"
    assert any(n.endswith("licenses/LICENSE") for n in names(wheel))
    assert "malaria_nb/py.typed" in inside
    touch = {f"malaria_nb/touch/{p.name}" for p in (ROOT / "malaria_nb" / "touch").iterdir()}
    assert touch and touch <= set(inside), "the scripts of the pictures to touch"


def test_wheel_brings_the_model_and_the_sample_byte_for_byte_with_its_notice(wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = {
            name: hashlib.sha256(archive.read(f"malaria_nb/{name}")).hexdigest()
            for name in ("network.tflite", f"data/{ZIP}")
        }
        assert found == {"network.tflite": SHA256, f"data/{ZIP}": SAMPLE_SHA256}
        notice = archive.read("malaria_nb/data/NOTICE.md").decode()
    assert "Courtesy of the U.S. National Library of Medicine" in notice


def test_wheel_brings_the_course_that_the_clone_has(wheel):
    listed = subprocess.run(
        ["git", "ls-files", "nbs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    wanted = {n for n in filter(None, listed) if not re.match(r"nbs/(claims|checks|sample)/", n)}
    wanted = {n for n in wanted if "/." not in n} | {n for n in listed if "sample/chula" in n}
    there = {n.removeprefix("malaria_nb/course/") for n in names(wheel) if "/course/nbs/" in n}
    assert wanted - there == set()
    assert not [n for n in there if re.search(r"claims/|checks/|checkpoints|\.zip$", n)]
    assert wheel.stat().st_size < 45_000_000


def test_wheel_asks_for_the_core_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("METADATA"))
        metadata = archive.read(name).decode()
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.M)
    assert set(needed) == CORE
    assert "Requires-Python: >=3.11,<3.14\n" in metadata.replace("<3.14,>=3.11", ">=3.11,<3.14")
    extras = set(re.findall(r"^Provides-Extra: (\w+)", metadata, re.M))
    assert {"train", "plot", "course", "dev"} <= extras


# ---- in an empty environment


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory):
    "An environment with the wheel and what its core brings: (folder of programs, folder, environ)."
    folder = tmp_path_factory.mktemp("core")
    sh(UV, "venv", "-q", "--python", sys.executable, folder / "env", cwd=folder)
    programs = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    lock = ("--constraint", ROOT / "requirements.lock")
    sh(UV, "pip", "install", "-q", "--python", programs / "python", *lock, wheel, cwd=folder)
    (folder / "records").mkdir()
    home = {
        "MALARIA_NB_HOME": str(folder / "home"),
        "MALARIA_NB_RECORDS": str(folder / "records"),
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
    }
    return programs, folder, home


@pytest.fixture
def python(core):
    programs, folder, home = core
    return lambda code: sh(programs / "python", "-c", code, cwd=folder, env=home)


@pytest.fixture
def malaria_nb(core):
    programs, folder, home = core

    def run(*arguments):
        return subprocess.run(
            [programs / "malaria-nb", *arguments],
            cwd=folder,
            env=home,
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.slow
def test_installed_is_the_core_and_small(core, python):
    programs, folder, _ = core
    assert "site-packages" in python("import malaria_nb; print(malaria_nb.__file__)")
    listed = python(
        "from importlib import metadata as m; print(*(d.name for d in m.distributions()))"
    )
    assert not {"keras", "tensorflow", "matplotlib", "jupyterlab", "jax"} & set(listed.split())
    size = sum(p.stat().st_size for p in (folder / "env").rglob("*") if p.is_file())
    assert size < 900e6, f"{size / 1e6:.0f} MB"


@pytest.mark.slow
@pytest.mark.parametrize("module", QUICK)
def test_core_imports_quickly_without_tensorflow(python, module):
    code = f"""
import json, sys, time
start = time.process_time()
import malaria_nb.{module}
print(json.dumps([time.process_time() - start, list(sys.modules)]))
"""
    python(code)  # compiles once
    seconds, loaded = json.loads(python(code))
    assert seconds < 1.5 and not HEAVY & set(loaded)


@pytest.mark.slow
def test_every_module_imports_or_names_its_extra(python):
    said = json.loads(python(CAN_TRAIN % the_map["modules"]()))
    assert said, "training needs an extra"
    assert all(re.fullmatch(f"ModuleNotFoundError: {ONE_LINE}", text) for text in said.values())
    layers = {the_map["layer_of"](module) for module in said}
    assert not layers & {"settings", "data", "evaluation"}, said


@pytest.mark.slow
def test_use_the_library_works_in_the_core(core, tmp_path):
    page = runpy.run_path(str(ROOT / "tests" / "test_use_the_library.py"))
    programs, _, home = core
    blocks = {title: block + page["HOLDS"][title] for title, block in page["SECTIONS"].items()}
    done = subprocess.run(
        [programs / "python", "-c", page["RUNNER"]],
        input=json.dumps(blocks),
        cwd=tmp_path,
        env=home,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert not any(said.values()), said


@pytest.mark.slow
def test_commands_work_in_the_core(core, malaria_nb):
    assert malaria_nb("--version").stdout.startswith("malaria-nb 0.1.0")
    data = malaria_nb("data", "--cells", "sample")
    assert data.returncode == 0 and "parasitized" in data.stdout, data.stderr
    cell = next((core[1] / "home" / "sample").rglob("*.png"))
    predicted = malaria_nb("predict", cell, "--explain", core[1] / "seen")
    assert predicted.returncode == 0 and "1 cell scored" in predicted.stdout, predicted.stderr


@pytest.mark.slow
def test_a_reader_gets_the_chapters_and_the_records(core, python, malaria_nb):
    said = python(
        "import json\n"
        "from malaria_nb.workbench import place_course\n"
        "from malaria_nb.notebooks import find_chapters\n"
        "from malaria_nb.records import load, records_folder\n"
        "brought = records_folder()\n"
        "first = place_course('mine')\n"
        "print(json.dumps([len(first.new), len(place_course('mine').new), "
        "json.load(open('mine/nbs/00_motivation.ipynb'))['cells'][0]['source'][0], "
        "len(find_chapters()), str(brought), str(records_folder()), "
        "len(load('compact').predictions)]))"
    )
    new, again, title, chapters, brought, own, predictions = json.loads(said)
    assert new > 200 and again == 0 and title.startswith("# ")
    assert chapters > 80 and predictions > 8000
    # what the library brought, until there is a folder of the reader's own
    assert Path(brought).parts[-3:] == ("course", "nbs", "records")
    assert Path(own).parts[-3:] == ("mine", "nbs", "records")
    assert (core[1] / "mine/nbs/records/compact-patient-s42/record.json").exists()
    last = malaria_nb("lab", "--dry-run").stderr.strip().splitlines()[-1]
    assert 'pip install "malaria_nb[course]"' in last


@pytest.mark.slow
def test_doctor_works_in_the_core_and_names_the_extra(malaria_nb):
    said = malaria_nb("doctor")
    assert "Traceback" not in said.stdout + said.stderr and said.returncode == 0, said.stdout
    for package in CORE:
        assert re.search(rf"^\[OK\] +{package} ", said.stdout, re.M), said.stdout
    assert 'pip install "malaria_nb[course]"' in said.stdout
    assert "force-reinstall" not in said.stdout, "what isn't there can't be broken"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("course",), ("experiment", "run", "basic_cnn", "--cells", "sample")]
)
def test_what_needs_an_extra_says_so_in_one_line(malaria_nb, command):
    done = malaria_nb(*command)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert re.search(r'pip install "malaria_nb\[(course|train)\]"', last), done.stderr
