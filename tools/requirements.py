"""Write the locks and environment.yml from settings.ini, the one place for requirements.

requirements.lock holds what the course needs, requirements-dev.lock what a maintainer needs, both
with the hash of every file that may be installed.

python tools/requirements.py              # changes only what settings.ini asks for
python tools/requirements.py --upgrade    # the newest versions that settings.ini allows

Needs uv on the path. Run the tests with the new lock afterwards.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK, DEV_LOCK = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
ENVIRONMENT = ROOT / "environment.yml"
parser = ConfigParser(delimiters=["="])
parser.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = parser["DEFAULT"]
# ai-edge-litert's; newer ones want Python below 3.11, which uv doesn't look at
HELD = ("backports.strenum<1.3",)
# Linux's TensorFlow carries 0.65 GB for NVIDIA GPUs, which few learners have: the locks take the
# one for processors. Not so settings.ini: Colab and other machines with a GPU keep theirs.
PROCESSOR = "sys_platform == 'linux' and platform_machine == 'x86_64'"
INSTEAD = {"tensorflow": "tensorflow-cpu"}
LOCK_HEAD = """\
# The exact versions that the tests passed with, for every system and Python that settings.ini
# allows, and the hash of each file; `make` installs these and nothing else:
#   pip install --require-hashes -r {name} && pip install --no-deps --no-build-isolation -e .
# Made from settings.ini by `make lock`: do not edit.
"""
ENVIRONMENT_HEAD = """\
# For conda users:
#   conda env create -f environment.yml && conda activate malaria_nb && pip install --no-deps -e .
# Made from settings.ini, where each requirement has its reason, by `make lock`: do not edit.
"""


def keys(
    extra: str,  # "course", "dev", …
) -> tuple[str, ...]:  # of settings.ini
    "List the lists of requirements that an extra brings, its own last."
    brought = sum(map(keys, SETTINGS.get(f"{extra}_brings", "").split()), ())
    return *brought, f"{extra}_requirements"


COURSE = "requirements", *keys("course")  # what the chapters need
BUILDS = "setuptools"  # the package itself, from a clone
ALL = "requirements", *keys("dev")


def requirements(
    *keys: str,  # of settings.ini
) -> list[str]:
    "List the requirements under `keys`, one a line there."
    lines = (line.strip() for key in keys for line in SETTINGS[key].splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def for_processors(
    wanted: Iterable[str],  # requirements
) -> list[str]:
    "Put in place of each requirement of INSTEAD two: one for Linux, and one for other systems."
    found = []
    for line in wanted:
        name, bounds = re.match(r"([\w.-]+)(.*)", line).groups()
        if name in INSTEAD:
            found.append(f"{INSTEAD[name]}{bounds}; {PROCESSOR}")
            line += "; " + PROCESSOR.replace("==", "!=").replace(" and ", " or ")
        found.append(line)
    return found


def environment() -> str:
    "Return what environment.yml must hold: Python from conda-forge, the rest as pip installs it."
    pip = "\n".join(f'      - "{r}"' for r in requirements(*COURSE))
    return f"""\
{ENVIRONMENT_HEAD}name: {SETTINGS["lib_name"]}
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python >={SETTINGS["min_python"]},<{SETTINGS["max_python"]}
  - pip
  - pip:
{pip}
"""


def resolve(
    lock: Path,  # to be written; what it holds stays where it still fits
    wanted: Iterable[str],  # requirements
    *options: str,  # of uv pip compile
):
    "Let uv write a lock: one exact version of everything, with hashes, from whatever registry."
    flags = "--universal --generate-hashes --no-emit-index-url --no-header --no-annotate -q".split()
    command = ["uv", "pip", "compile", "--python-version", SETTINGS["min_python"], *flags, *options]
    subprocess.run(
        [*command, "--output-file", str(lock), "-"],
        input="\n".join(for_processors(wanted)),
        text=True,
        check=True,
    )
    text = LOCK_HEAD.format(name=lock.name) + lock.read_text("utf-8")
    lock.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    ENVIRONMENT.write_text(environment(), encoding="utf-8")
    resolve(DEV_LOCK, (*requirements(*ALL), *HELD), *sys.argv[1:])
    course = (*requirements(*COURSE), BUILDS, *HELD)
    resolve(LOCK, course, "--constraint", str(DEV_LOCK), "--upgrade")
