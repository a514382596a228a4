"""tools/claims.py: what shows records is renewed; the rest stays, all of it where a cell fails."""

import runpy
from pathlib import Path

import nbformat
import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "claims.py"


@pytest.fixture(scope="module")
def tool():
    return runpy.run_path(str(TOOL))


def chapter(path, last):
    "Write a chapter of a trained cell, whose output must stay, and two that show records."
    code = nbformat.v4.new_code_cell

    def said(text):
        return [nbformat.v4.new_output("stream", name="stdout", text=text)]

    cells = [
        nbformat.v4.new_markdown_cell("# A chapter\n\n> For a test."),
        code("#| default_exp claims"),
        code("import math"),
        code("print('trained for an hour')\n1/0", outputs=said("kept")),
        code("#| records\nx = math.floor(20.5)", outputs=said("old")),
        code(last, outputs=said("old")),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def told(path):
    return [
        "".join(o.get("text", o.get("data", {}).get("text/plain", "")) for o in c.outputs)
        for c in nbformat.read(path, as_version=4).cells[3:]
    ]


def test_what_shows_records_is_renewed_and_nothing_else_runs(tool, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "#| records\nrounded(x + 1, 0)")
    tool["renew"](path)
    assert told(path) == ["kept", "", "21.0"]
    assert tool["differing"](path) == []


def test_what_differs_is_named_and_nothing_is_written(tool, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "#| records\nx + 1")
    before = path.read_bytes()
    first, second = tool["differing"](path)
    assert "stored ['old'], now []" in first and "stored ['old'], now ['21']" in second
    assert path.read_bytes() == before


def test_a_cell_that_fails_changes_nothing(tool, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "#| records\nassert x == 21")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="assert x == 21"):
        tool["renew"](path)
    assert path.read_bytes() == before


def test_a_chapter_that_shows_no_records_is_left_alone(tool, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "x = 1")
    nb = nbformat.read(path, as_version=4)
    nb.cells[4].source = "x = 20"
    nbformat.write(nb, path)
    before = path.read_bytes()
    tool["renew"](path)
    assert path.read_bytes() == before
