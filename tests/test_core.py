"""What the light core does without the extras, and what it says where one is needed."""

import json
import os
import re
import runpy
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from malaria_nb.process import needs

ROOT = Path(__file__).resolve().parents[1]
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = settings["DEFAULT"]
the_map = runpy.run_path(str(ROOT / "tools" / "map.py"))
made = runpy.run_path(str(ROOT / "tools" / "requirements.py"))
EXTRAS = {"keras", "tensorflow", "matplotlib", "IPython", "nbdev", "nbformat", "cleanlab"}
LIGHT = ("settings", "data", "evaluation")
TRAIN = ("cnn", "transfer", "training")
QUICK = ("dataset", "evaluation", "calibration", "screening", "smear", "external")


def without_extras(code):  # as an installation of the core alone
    blocker = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", blocker + code], capture_output=True, text=True, env=env
    )


def light_modules():
    modules = [m for m in the_map["modules"]() if the_map["layer_of"](m) in LIGHT]
    return [*modules, "predict", "cli", "doctor"]


def test_core_imports_every_module_that_needs_no_training():
    code = """
import importlib
for module in {!r}:
    importlib.import_module(f"malaria_nb.{{module}}")
"""
    done = without_extras(code.format(light_modules()))
    assert done.returncode == 0, done.stderr


# half a second or more each
HEAVY = ("tensorflow", "keras", "jax", "torch", "matplotlib", "sklearn", "scipy.stats", "IPython")


@pytest.mark.parametrize("module", QUICK)
def test_core_imports_nothing_that_takes_long(module):
    code = f"""
import json, sys
import malaria_nb.{module}
print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))
"""
    assert json.loads(without_extras(code).stdout) == []


def test_every_other_module_imports_or_names_its_extra_in_one_line():
    code = f"""
import importlib, json
said = {{}}
for module in {the_map["modules"]()!r}:
    try:
        importlib.import_module(f"malaria_nb.{{module}}")
        said[module] = ""
    except Exception as e:
        said[module] = f"{{type(e).__name__}}: {{e}}"
print(json.dumps(said))
"""
    done = without_extras(code)
    said = json.loads(done.stdout)
    one_line = (
        r"ModuleNotFoundError: this needs \w+, which is not installed: "
        r'pip install "malaria_nb\[\w+\]"'
    )
    wrong = {m: text for m, text in said.items() if text and not re.fullmatch(one_line, text)}
    assert not wrong, "put the import into `with needs(...)`"
    keras = 'needs keras, which is not installed: pip install "malaria_nb[train]"'
    assert all(keras in said[m] for m in TRAIN)


def test_needs_names_the_extra_and_lets_other_errors_pass():
    with pytest.raises(ModuleNotFoundError, match=r'needs nowhere.*"malaria_nb\[plot\]"') as e:
        with needs("plot"):
            import nowhere.at_all  # noqa: F401
    assert e.value.name == "nowhere"
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        with needs("plot"):
            from json import nothing  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="No module named 'malaria_nb.nothing'"):
        with needs("plot"):
            import malaria_nb.nothing  # noqa: F401


def required(extra=""):
    keys = made["keys"](extra) if extra else ("requirements",)
    return [Requirement(line) for line in made["requirements"](*keys)]


def names(extra=""):
    return {r.name for r in required(extra)}


def test_core_brings_no_framework_and_the_course_nothing_of_a_maintainer():
    heavy = {"keras", "tensorflow", "matplotlib", "jax", "cleanlab"}
    assert not names() & (heavy | {"nbdev", "jupyterlab", "pytest"})
    assert {"keras", "tensorflow"} <= names("train") and "matplotlib" in names("plot")
    course = names("course")
    assert {"keras", "tensorflow", "matplotlib", "jupyterlab", "nbdev", "cleanlab"} <= course
    maintainers = {"pytest", "ruff", "build", "sphinx", "playwright", "jax", "distributed", "mapie"}
    assert not course & maintainers and maintainers <= names("dev")


def test_every_extra_that_a_message_names_exists():
    extras = set(SETTINGS["extras"].split())
    texts = [p.read_text("utf-8") for p in ROOT.glob("malaria_nb/**/*.py")]
    texts += [p.read_text("utf-8") for p in ROOT.glob("docs/*.md")]
    named = set(re.findall(r"malaria_nb\[(\w+)\]", "\n".join(texts)))
    named |= set(re.findall(r"\bneeds\(\"(\w+)\"\)", "\n".join(texts)))
    assert named <= extras, named - extras
    assert extras == {k.removesuffix("_requirements") for k in SETTINGS if "_requirements" in k}


def test_python_has_a_ceiling_and_opencv_is_past_its_webp_hole():
    allowed = SpecifierSet(f">={SETTINGS['min_python']},<{SETTINGS['max_python']}")
    assert "3.13.5" in allowed and "3.14.0" not in allowed and "3.10.9" not in allowed
    opencv = next(r for r in required() if r.name == "opencv-python")
    assert "4.13.0.92" not in opencv.specifier and "4.14.0.94" in opencv.specifier


# the newest version that an advisory names, of each requirement that has one
KNOWN = {
    "distributed": "2025.12.0",
    "filelock": "3.20.2",
    "jupyterlab": "4.6.1",
    "keras": "3.13.2",
    "nbconvert": "7.17.0",
    "opencv-python": "4.13.0.92",
    "playwright": "1.55.0",
    "pytest": "9.0.2",
    "requests": "2.32.5",
    "scikit-learn": "1.4.2",
    "setuptools": "78.1.0",
    "tqdm": "4.66.2",
}


@pytest.mark.parametrize("name", KNOWN)
def test_floors_are_past_known_advisories(name):
    (requirement,) = (r for r in required("dev") + required() if r.name == name)
    assert KNOWN[name] not in requirement.specifier


def test_package_says_that_it_has_type_hints():
    assert (ROOT / "malaria_nb" / "py.typed").exists()
