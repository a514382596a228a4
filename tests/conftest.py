"""What several test files start from, and what keeps a test run to a screen."""

import os

# libraries say less: before any of them is imported, and in every process that a test starts
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import signal

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
