"""tools/claims.py: what replays a record is renewed, the rest stays, and a claim that fails changes nothing."""

import runpy
from pathlib import Path

import nbformat
import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "claims.py"


@pytest.fixture
def renew():
    return runpy.run_path(str(TOOL))["renew"]


def chapter(path, claim):
    "Write a chapter of a trained cell, whose output must stay, and two claims."
    code, said = (
        nbformat.v4.new_code_cell,
        lambda text: [nbformat.v4.new_output("stream", name="stdout", text=text)],
    )
    cells = [
        nbformat.v4.new_markdown_cell("# A chapter\n\n> For a test."),
        code("print('trained for an hour')\n1/0", outputs=said("kept")),
        code("#| claim\nx = 20", outputs=said("old")),
        code(claim, outputs=said("old")),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def told(path):
    return [
        "".join(o.get("text", o.get("data", {}).get("text/plain", "")) for o in c.outputs)
        for c in nbformat.read(path, as_version=4).cells[1:]
    ]


def test_claims_are_renewed_and_nothing_else_runs(renew, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "#| claim\nx + 1")
    renew(path)
    assert told(path) == ["kept", "", "21"]


def test_a_claim_that_fails_changes_nothing(renew, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "#| claim\nassert x == 21")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="assert x == 21"):
        renew(path)
    assert path.read_bytes() == before


def test_a_chapter_without_claims_is_left_alone(renew, tmp_path):
    path = chapter(tmp_path / "a.ipynb", "x = 1")
    nb = nbformat.read(path, as_version=4)
    nb.cells[2].source = "x = 20"
    nbformat.write(nb, path)
    before = path.read_bytes()
    renew(path)
    assert path.read_bytes() == before
