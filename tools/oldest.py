"""Run the core's tests with the oldest versions that settings.ini allows, in a new environment.

python tools/oldest.py      # needs uv beside this Python, and the registry; a minute or two

The oldest version of what the core names, the newest of what those bring. Left out: tests that
need another extra or another's implementation to compare with.
"""

import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
made = runpy.run_path(str(ROOT / "tools" / "requirements.py"))
TESTS = (
    *("archive", "audit", "cells", "dataset", "fetch", "images", "leakage", "png", "predict"),
    *("sample", "screening", "smear", "synthetic"),
)


def wanted() -> str:
    "List what the core and its figures ask for, and what holds back a package that they bring."
    return "\n".join((*made["requirements"]("requirements", "plot_requirements"), *made["HELD"]))


def run(*command, **how):
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT, **how)


def main() -> int:  # exit status of pytest
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder, "env")
        run(UV, "venv", "-q", "--python", sys.executable, env)
        python = env / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        pip = (UV, "pip", "install", "-q", "--python", python)
        run(*pip, "--resolution", "lowest-direct", "-r", "-", input=wanted(), text=True)
        run(UV, "pip", "freeze", "--python", python)
        run(*pip, "--no-deps", ROOT)
        run(*pip, "pytest")
        tests = [f"tests/test_{name}.py" for name in TESTS]
        options = ("-m", "not slow", "-W", "ignore", "-p", "no:cacheprovider")
        return subprocess.call([str(python), "-P", "-m", "pytest", *options, *tests], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
