"""JupyterLab in a real browser: run a chapter as a person would; break an exercise and mend it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

NBS = Path(__file__).resolve().parents[2] / "nbs"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "JupyterLab on a copy of the chapters; its address."
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NBS, folder / "nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {
        **os.environ,
        "MALARIA_NB_CELLS": "synthetic",
        "MALARIA_NB_SCALE": "quick",
        "MALARIA_NB_WEIGHTS": "random",
        "MALARIA_NB_HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--expose-app-in-browser",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, cwd=folder / "nbs", env=env, stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api")
            except OSError:
                time.sleep(1)
            else:
                break
        else:
            pytest.fail((folder / "log.txt").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}/lab/tree/"
    finally:
        server.terminate()
        server.wait(30)


def open_notebook(page, address):
    page.set_default_timeout(90_000)
    page.goto(address + "?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    idle(page)


def idle(page, seconds=240):
    "Wait until the kernel has had nothing to do for two seconds."
    quiet, end = 0, time.monotonic() + seconds
    while quiet < 4:
        assert time.monotonic() < end, "the kernel is still busy"
        page.wait_for_timeout(500)
        status = page.evaluate(
            "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status"
        )
        quiet = quiet + 1 if status == "idle" else 0


def run_all(page, seconds=240):
    page.click("text=Run >> nth=0")
    page.click('text="Run All Cells"')
    idle(page, seconds)


def outputs(page, kind):
    return page.locator(f".jp-OutputArea-output[data-mime-type='{kind}']").all_inner_texts()


def through(page):
    "Scroll a notebook from top to bottom: JupyterLab draws only what is near the window."
    for i in range(12):
        page.evaluate(
            "i => {const s = document.querySelector('.jp-WindowedPanel-outer'); "
            "s.scrollTop = s.scrollHeight*i/12}",
            i,
        )
        page.wait_for_timeout(400)
        yield i


def test_chapter_runs_as_a_person_would_run_it(page, lab):
    open_notebook(page, lab + "00_motivation.ipynb")

    def folded():
        return page.locator(".jp-OutputPlaceholder >> visible=true").count()

    assert max(folded() for _ in through(page)), "an answer stands open before it was asked for"
    run_all(page)
    seen, shown = [], 0
    for _ in through(page):
        seen += outputs(page, "application/vnd.jupyter.error") + outputs(
            page, "application/vnd.jupyter.stderr"
        )
        shown = max(
            shown,
            page.evaluate(
                "[...document.querySelectorAll('.jp-OutputArea img')]"
                ".filter(i => i.naturalWidth).length"
            ),
        )
        assert folded() == 0, "running a cell must show its answer"
    assert [s for s in seen if s.strip()] == [] and shown


def test_exercise_is_broken_noticed_and_mended(page, lab):
    solution = nbformat.read(NBS / "solutions" / "00_motivation.ipynb", 4)
    right = next(c.source for c in solution.cells if c.source.rstrip().endswith("# solution"))
    wrong = next(c.source for c in solution.cells if c.source.startswith("#| wrong:"))
    open_notebook(page, lab + "exercises/00_motivation.ipynb")
    run_all(page)
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
    # a first kernel on a busy machine takes its time
    page.wait_for_selector("text=Not yet: ", timeout=240_000)
    stub = page.locator(".jp-CodeCell").filter(has_text="your turn").first
    check = (
        page.locator(".jp-CodeCell")
        .filter(has_text=next(c.source for c in solution.cells if c.source.startswith("check_")))
        .first
    )

    def answer(source):
        stub.locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
        page.keyboard.press("Shift+Enter")
        idle(page)
        check.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        idle(page)
        return check.locator(".jp-OutputArea").inner_text()

    said = answer(wrong)
    assert "Not yet: " in said and "Traceback" not in said
    stub = check.locator("xpath=preceding-sibling::*[contains(@class, 'jp-CodeCell')][1]")
    assert "Right." in answer(right)
