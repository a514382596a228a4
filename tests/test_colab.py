"""On Colab a chapter opens above a folder that isn't there yet, without the course's package.

Colab itself isn't to be had here. What is imitated: a Python that can import every requirement but
not `malaria_nb`, a working folder above the clone, and `git` and `pip` that do as they would.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GIT = """#!/bin/sh
echo "git $@" >> asked.txt
mkdir malaria_nb && cp -r "%s/malaria_nb" "%s/nbs" malaria_nb/
"""
PIP = """#!/bin/sh
echo "pip $@" >> asked.txt
%s
"""
# what stands for Colab's kernel: it runs a notebook's cells up to one that shows what is wanted
KERNEL = """
import json, sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for source in json.load(open("cells.json")):
    ran = shell.run_cell(source)
    if ran.error_before_exec or ran.error_in_exec:
        sys.exit(f"failed in:\\n{source}")
print("package:", sys.modules["malaria_nb"].__file__)
"""


def cells_up_to(chapter: str, wanted: str) -> list[str]:
    "Return the code of a chapter's cells up to the first that has `wanted` in it."
    notebook = json.loads((ROOT / "nbs" / chapter).read_text("utf-8"))
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            found.append("".join(cell["source"]))
            if wanted in found[-1]:
                return found
    raise AssertionError(f"no cell of {chapter} has {wanted!r} in it")


@pytest.fixture
def colab(tmp_path):
    "Run cells as Colab would; returns the ended process."
    site = tmp_path / "site"
    site.mkdir()
    for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(path).iterdir():
            ours = "malaria_nb" in entry.name or entry.suffix in (".pth", ".egg-link")
            if not ours and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    content = tmp_path / "content"
    content.mkdir()

    def run(cells, pip=""):
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "git").write_text(GIT % (ROOT, ROOT))
        (tools / "pip").write_text(PIP % pip)
        for tool in tools.iterdir():
            tool.chmod(0o755)
        (content / "cells.json").write_text(json.dumps(cells))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MALARIA_NB"))}
        env |= {
            "PATH": f"{tools}:{env['PATH']}",
            "PYTHONPATH": str(site),
            "HOME": str(tmp_path / "home"),
            "MALARIA_NB_CELLS": "sample",
            "MALARIA_NB_SCALE": "tiny",
            "MPLBACKEND": "agg",
        }
        # -S leaves out this environment's own packages, and with them the course's
        command = [sys.executable, "-S", "-c", KERNEL]
        return subprocess.run(command, cwd=content, env=env, capture_output=True, text=True)

    yield run


@pytest.mark.slow
@pytest.mark.parametrize(
    "chapter, wanted",
    [
        ("00_motivation.ipynb", "show_cells("),
        ("06_evaluation.ipynb", "load("),
        ("11_calibration.ipynb", "load("),
    ],
)
def test_first_cells_run_above_a_clone(colab, chapter, wanted):
    found = cells_up_to(chapter, wanted)
    ended = colab(found)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "content/malaria_nb/malaria_nb/__init__.py" in ended.stdout


def test_a_failed_installation_stops_with_its_own_words(colab):
    found = cells_up_to("00_motivation.ipynb", "google.colab")
    ended = colab(found, pip="echo 'ERROR: No matching distribution found for x' >&2; exit 1")
    assert ended.returncode == 1
    assert "The course could not be fetched" in ended.stdout
    assert "No matching distribution found for x" in ended.stdout


def test_a_second_start_does_not_fetch_again(colab, tmp_path):
    found = cells_up_to("00_motivation.ipynb", "google.colab")
    colab([*found, *found, "import malaria_nb"])
    asked = (tmp_path / "content" / "asked.txt").read_text().splitlines()
    assert [line.split()[0] for line in asked] == ["git", "pip", "pip"]
