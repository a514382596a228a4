"""Which folders hold cells, and which files in them are some."""

import os

import pytest
from tiny_cells import folder, name

from malaria_nb import archive
from malaria_nb.archive import class_root, fetch_cells, list_cells
from malaria_nb.dataset import index_cells


def test_class_root(root, tmp_path):
    (tmp_path / "around").mkdir()
    root.rename(tmp_path / "around" / "cell_images")
    inner = tmp_path / "around" / "cell_images"
    assert class_root(tmp_path / "around") == class_root(str(inner)) == inner
    (inner / "cell_images").mkdir()
    (inner / "cell_images" / "Parasitized").mkdir()  # Kaggle's second copy
    assert class_root(inner) == inner


def test_folders_that_are_none(tmp_path, root):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        index_cells(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no Uninfected/ and no Parasitized/"):
        index_cells(tmp_path / "empty")
    for c in archive.FOLDERS:
        (tmp_path / "empty" / c).mkdir()
    with pytest.raises(FileNotFoundError, match="hold no PNG.*fetch the cells again"):
        index_cells(tmp_path / "empty")
    (root / "Uninfected").rename(root / "uninfected cells")
    with pytest.raises(FileNotFoundError, match="has no Uninfected/[.] Give"):
        index_cells(root)


# -- hidden files: macOS leaves a ._name.png beside each file that it copies to a foreign disk ----


def leave_hidden_files(root):
    for c in archive.FOLDERS:
        (root / c).mkdir(parents=True, exist_ok=True)
        for number in (1, 2):
            (root / c / ("._" + name(9, cell=number))).write_bytes(b"resource fork")
        (root / c / ".hidden.PNG").write_bytes(b"")


def test_hidden_files_are_no_cells(root):
    before = list_cells(root)
    leave_hidden_files(root)
    assert list_cells(root) == before == list(index_cells(root).file)


def test_a_folder_of_hidden_files_only(tmp_path):
    leave_hidden_files(tmp_path / "mac")
    for read in (class_root, index_cells, fetch_cells):
        with pytest.raises(FileNotFoundError, match="hold no PNG"):
            read(tmp_path / "mac")


def test_a_complete_archive_with_hidden_files_is_complete(tmp_path, monkeypatch):
    root = folder(tmp_path / "nih" / "cell_images")
    monkeypatch.setattr(archive, "N_CELLS", 24)
    leave_hidden_files(root)
    assert fetch_cells(home=tmp_path) == root


# -- notes of where cells came from ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "[]",
            '{"cells": 8}',
            '{"sha256": "0", "cells": "x"}',
            "\xff",
            "null",
            "7",
            "NaN",
        ),
        *('{"sha256": "0", "cells": 1e999}', '{"sha256": "0", "cells": true}', "[" * 50_000),
        *('{"sha256": "0", "cells": null}', '{"sha256": ["0"], "cells": 24}', " " * 100_000),
        '{"sha256": "0", "cells": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_note_is_an_error_that_says_so(tmp_path, text):
    root = folder(tmp_path / "to" / "cell_images")
    (root / "source.json").write_bytes(text.encode("latin-1"))
    zipped = tmp_path / "a.zip"
    zipped.write_bytes(b"an archive")
    for source in (zipped, [tmp_path / "missing.zip", zipped]):
        with pytest.raises(ValueError, match="source.json is damaged. Move its folder away"):
            fetch_cells(source, tmp_path / "to")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
@pytest.mark.parametrize("kind", ["folder", "pipe", "lost link"])
def test_a_note_that_is_no_file_is_damaged(tmp_path, kind):
    root = folder(tmp_path / "to" / "cell_images")
    note = root / "source.json"
    if kind == "folder":
        note.mkdir()
    elif kind == "pipe":
        os.mkfifo(note)
    else:
        note.symlink_to("nowhere")
    (tmp_path / "a.zip").write_bytes(b"an archive")
    with pytest.raises(ValueError, match="source.json is damaged"):
        fetch_cells(tmp_path / "a.zip", tmp_path / "to")


def test_where_to_unpack_must_be_said(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"an archive")
    with pytest.raises(ValueError, match="Give to=FOLDER or home=FOLDER"):
        fetch_cells(tmp_path / "a.zip")
