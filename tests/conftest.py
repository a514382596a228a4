"""What several test files start from, and what keeps a test run to a screen."""

import os

# libraries say less: before any of them is imported, and in every process that a test starts
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_cells import folder


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    "Let children stop at Ctrl-C, also where the tests are a background job that ignores it."
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def home(tmp_path, monkeypatch):
    "A home folder of one's own, empty; a file whose every test wants it says so with `pytestmark`."
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path):
    "A few tiny cells, laid out like the official archive."
    return folder(tmp_path / "cells")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    "The basic CNN in miniature, trained once for all tests."
    from malaria_nb.golden import GOLDEN
    from malaria_nb.run import run

    return run("basic_cnn", replace(GOLDEN, home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def now():
    "The golden values of the basic CNN in today's code."
    from malaria_nb.golden import golden_of

    return golden_of("basic_cnn")


@pytest.fixture(scope="session")
def written(tiny_run, now, tmp_path_factory):
    "Its record."
    from malaria_nb.records import record_files, write_record

    return write_record(record_files(tiny_run, now), tmp_path_factory.mktemp("records"))


@pytest.fixture
def record(written, tmp_path):
    "A copy of its record, to be spoilt."
    return Path(shutil.copytree(written, tmp_path / "records" / written.name))


@pytest.fixture
def edit():
    "A function that replaces a text in a file, once."

    def replaced(path, old, new):
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replaced
