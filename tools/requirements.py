"""Write requirements.lock and environment.yml from settings.ini, the one place where requirements stand.

python tools/requirements.py          # needs uv on the path; then run the tests with the new lock
"""

import subprocess
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COURSE = (
    "requirements",
    "course_requirements",
    "labels_requirements",
    "export_requirements",
)  # what the chapters need
ALL = *COURSE, "cluster_requirements", "docs_requirements", "dev_requirements"
HELD = (
    "backports.strenum<1.3",
)  # ai-edge-litert's; newer ones want Python below 3.11, which uv doesn't look at
LOCK_HEAD = """\
# The exact versions that the tests passed with, for every system and Python that settings.ini allows; `make` installs
# these. Made from settings.ini by `make lock`: do not edit.
"""


def requirements(
    *keys: str,  # of settings.ini
) -> list[str]:
    "List the requirements under `keys`, one a line there."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return [
        line.strip() for key in keys for line in parser["DEFAULT"][key].splitlines() if line.strip()
    ]


def environment() -> str:
    "Return what environment.yml must hold: Python from conda-forge, everything else as pip installs it."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    pip = "\n".join(f'      - "{r}"' for r in requirements(*COURSE))
    return f"""\
# For conda users: conda env create -f environment.yml && conda activate malaria_nb && pip install --no-deps -e .
# Made from settings.ini, where each requirement has its reason, by `make lock`: do not edit.
name: malaria_nb
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python >={parser["DEFAULT"]["min_python"]}
  - pip
  - pip:
{pip}
"""


def lock() -> str:
    "Resolve every requirement to one exact version."
    wanted = "\n".join((*requirements(*ALL), *HELD))
    return subprocess.run(
        [
            "uv",
            "pip",
            "compile",
            "--universal",
            "--python-version",
            "3.11",
            "--no-emit-index-url",
            "--no-header",
            "--no-annotate",
            "-q",
            "-",
        ],
        input=wanted,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
    (ROOT / "requirements.lock").write_text(LOCK_HEAD + lock(), encoding="utf-8")
