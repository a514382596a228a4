"""From README's first line to chapter 00's first figure, typed as README has it.

An empty environment in an empty home, in a folder with a space and an umlaut in its name. The wheel
is the one that would be published; pip finds it in a folder, as long as no registry has it. uv
stands in for pip, whose `install` it understands; `NEWCOMER=pip` takes pip itself. The seconds are
printed (`pytest -s`), and nothing depends on them.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import unquote

import pytest
from test_wheel import UV, sh, wheel  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
# runs a chapter's cells in the environment's own kernel until one shows a picture
FIRST_FIGURE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
client = NotebookClient(notebook, timeout=300)
with client.setup_kernel():
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs = []
            client.execute_cell(cell, i)
            if any("image/png" in output.get("data", {}) for output in cell.outputs):
                print("a figure")
                break
"""
BROWSER = """#!/bin/sh
echo "$1" > "%s"
"""


def lines_to_type() -> list[str]:
    "Return README's lines for a reader without a clone."
    text = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"^## Run it\n.*?```sh\n(.*?)```", text, re.M | re.S)[1]
    return block.strip().splitlines()


def test_readme_has_two_lines_for_a_newcomer():
    assert lines_to_type() == ['pip install "malaria_nb[course]"', "malaria-nb lab"]


def answered(file: Path, process, seconds: float = 240) -> str:
    "Wait for the address that JupyterLab opens in the browser."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.exists() and (said := file.read_text().strip()):
            return said
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.2)
    raise AssertionError("no page was opened")


@pytest.mark.slow
def test_two_lines_lead_to_the_first_figure(wheel, tmp_path):  # noqa: F811
    home = tmp_path / "a home with an umlaut, Jörg"
    home.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MALARIA", "XDG"))}
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"  # its path takes no space
    browser.write_text(BROWSER % opened)
    browser.chmod(0o755)
    programs = home / "malaria" / "bin"
    env |= {
        "HOME": str(home),
        "PATH": f"{programs}:/usr/bin:/bin",
        "PIP_FIND_LINKS": f"{wheel.parent} {env.get('PIP_FIND_LINKS', '')}".strip(),
        "UV_FIND_LINKS": str(wheel.parent),
        "UV_CACHE_DIR": sh(UV, "cache", "dir", cwd=home).strip(),
        "BROWSER": f"{browser} %s",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    began = time.monotonic()
    sh(sys.executable, "-m", "venv", programs.parent, cwd=home, env=env)
    install, lab = map(shlex.split, lines_to_type())
    if os.environ.get("NEWCOMER") != "pip":
        constraint = ["--constraint", ROOT / "requirements.lock"]
        install = [UV, *install, "--python", programs / "python", *constraint]
    sh(*install, cwd=home, env=env)
    print(f"\ninstalled after {time.monotonic() - began:.0f} s")

    process = subprocess.Popen(
        [programs / lab[0], *lab[1:]],
        cwd=home,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        page = answered(opened, process)
        if page.startswith("file:"):  # a page that sends the browser on, with the token
            page = re.search(r'href="(http[^"]+)"', Path(unquote(page[7:])).read_text("utf-8"))[1]
        assert re.search(r"/lab/tree/.*00_motivation\.ipynb", page), page
        with urllib.request.urlopen(page.replace("/lab/tree/", "/api/contents/")) as answer:
            assert json.load(answer)["name"] == "00_motivation.ipynb"
        print(f"chapter 00 opened after {time.monotonic() - began:.0f} s")
        chapter = next(home.glob("malaria_nb-course/**/00_motivation.ipynb"))
        ran = [programs / "python", "-c", FIRST_FIGURE, chapter]
        assert "a figure" in sh(*ran, cwd=chapter.parent, env=env)
        print(f"its first figure after {time.monotonic() - began:.0f} s")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
