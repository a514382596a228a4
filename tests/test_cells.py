"""Which cells a run uses: drawn, fetched, or a folder of one's own."""

import os
from dataclasses import replace

import pytest
from tiny_cells import table

from malaria_nb.audit import audit_cells
from malaria_nb.cells import course_cells, course_folder, fingerprint
from malaria_nb.dataset import split_cells
from malaria_nb.settings import SCALES, Settings


def test_fingerprint():
    cells = table()
    assert (
        fingerprint(cells)
        == fingerprint(cells.sample(frac=1, random_state=3))
        == fingerprint(split_cells(cells, "cell"))
    )
    assert (
        len(
            {
                fingerprint(c)
                for c in (cells, cells.iloc[1:], cells.assign(label=0), cells.assign(width=1))
            }
        )
        == 4
    )


def settings(cells, n, home):
    scale = replace(SCALES["quick"], synthetic=n, real=n)
    return Settings(cells, scale, "random", home=home)


def test_course_cells_of_a_folder(root, tmp_path):
    cells, where = course_cells(settings(str(root), 8, tmp_path / "home"))
    assert where == root and len(cells) == 8 and all((where / f).is_file() for f in cells.file)


def test_course_cells_synthetic(tmp_path):
    home = tmp_path / "home"
    cells, where = course_cells(settings("synthetic", 40, home))
    assert (
        len(cells) == 40
        and home in where.parents
        and audit_cells(cells, where, progress=False).empty
    )
    stamp = os.stat(where / cells.file[0]).st_mtime_ns
    assert course_cells(settings("synthetic", 40, home))[0].equals(cells)
    assert os.stat(where / cells.file[0]).st_mtime_ns == stamp


def test_course_cells_where_nothing_can_be_written(tmp_path):
    home = tmp_path / "home"
    home.write_text("a file where the cache should be")
    with pytest.raises(PermissionError, match="MALARIA_NB_HOME"):
        course_cells(settings("synthetic", 40, home))


def test_a_relative_folder_means_the_same_wherever_the_process_goes(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root.parent)
    s = settings(root.name, 8, "home")
    before, _ = course_cells(s)
    (tmp_path / "nbs").mkdir()
    monkeypatch.chdir(tmp_path / "nbs")
    again, where = course_cells(s)
    assert where == root and again.equals(before)
    assert not list((tmp_path / "nbs").iterdir())  # one home, not two


def test_no_variable_is_read(root, tmp_path, monkeypatch):
    monkeypatch.setenv("MALARIA_NB_CELLS", "synthetic")
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "other"))
    s = settings(str(root), 8, tmp_path / "home")
    assert course_folder(s) == root and len(course_cells(s)[0]) == 8
    assert (tmp_path / "home" / "index").is_dir() and not (tmp_path / "other").exists()


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no Uninfected/ and no Parasitized/"):
        course_folder(settings(str(tmp_path), 8, tmp_path / "home"))
