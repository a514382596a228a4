"""What an audit must find: damage, other names, changed files, copies."""

import os

import pytest
from test_png import BAD
from tiny_cells import name, png

from malaria_nb.audit import audit_cells
from malaria_nb.dataset import index_cells


def test_audit_of_names(root):
    cells = index_cells(root)
    (root / cells.file[0]).rename(root / "Parasitized" / "cell (3).png")
    found = audit_cells(None, root, progress=False)
    assert (
        found.file.tolist() == ["Parasitized/cell (3).png"]
        and "neither patient" in found.problem[0]
    )


def test_audit_of_what_changed(root):
    cells = index_cells(root)
    assert audit_cells(cells, root, progress=False).empty
    assert audit_cells(cells[["file", "label"]], root, progress=False).empty
    files = list(cells.file)
    (root / files[0]).unlink()
    (root / files[1]).write_bytes(png(9, 9))
    (root / files[2]).write_bytes((root / files[3]).read_bytes())  # twice, one class
    (root / files[-1]).write_bytes((root / files[4]).read_bytes())  # twice, both classes
    (root / "Uninfected" / os.path.basename(files[5])).write_bytes(
        png(6, 5, seed=99)
    )  # one name, two pictures
    found = audit_cells(cells, root, progress=False).set_index("file").problem
    assert "can't be read" in found[files[0]] and "the table says (6, 5)" in found[files[1]]
    assert found[files[3]] == f"same picture as {files[2]}"
    assert found[files[-1]] == f"same picture as {files[4]}, which has the other label"
    assert len(found) == 4
    assert (
        audit_cells(None, root, progress=False)
        .problem.str.contains("same name as Parasitized")
        .sum()
        == 1
    )


@pytest.mark.parametrize("kind", BAD)
def test_audit_finds(root, kind):
    (root / "Uninfected" / name(9)).write_bytes(BAD[kind][0])
    found = audit_cells(None, root, progress=False)
    assert list(found.file) == [f"Uninfected/{name(9)}"] and found.mend.str.len().gt(10).all()
