"""What several test files start from."""

import pytest
from tiny_cells import folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    "A home folder of one's own, empty; a file whose every test wants it says so with `pytestmark`."
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path):
    "A few tiny cells, laid out like the official archive."
    return folder(tmp_path / "cells")
