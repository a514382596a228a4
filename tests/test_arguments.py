"Arguments that mean nothing are refused where they enter, by name; good ones are not."

import errno
import hashlib
import os
import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from malaria_nb.annotations import crops_of_boxes
from malaria_nb.archive import class_root, fetch_cells
from malaria_nb.attribution import mean_by_patient
from malaria_nb.audit import audit_cells
from malaria_nb.augment import affine
from malaria_nb.calibration import null_errors
from malaria_nb.cells import fingerprint
from malaria_nb.check import check
from malaria_nb.cli import main
from malaria_nb.corrections import bare_names, course_corrections
from malaria_nb.course import read_variables
from malaria_nb.coverage import summarise
from malaria_nb.dealing import deal_cells
from malaria_nb.external import score_external
from malaria_nb.fetch import fetch_file
from malaria_nb.files import writing
from malaria_nb.gallery import show_cells
from malaria_nb.grid import grid
from malaria_nb.images import decode_cell, load_images
from malaria_nb.leakage import fold_scores, out_of_fold, patient_alone
from malaria_nb.maps import rivals
from malaria_nb.predict import find_pictures
from malaria_nb.process import hushed
from malaria_nb.proportions import as_count
from malaria_nb.recipes import split_as
from malaria_nb.records import count_parts, records_folder
from malaria_nb.repairs import cell_correlation, design_effect
from malaria_nb.report import recorded, standings
from malaria_nb.settings import SCALES, Settings, as_variables, read_settings
from malaria_nb.shortcuts import within_patients
from malaria_nb.signed import digests_of
from malaria_nb.stains import normalise_reinhard
from malaria_nb.synthetic import draw_field
from malaria_nb.tables import describe_cells, sample_cells

NOBODY = "~nobody-of-this-name/cells"
CELLS = pd.DataFrame(
    {
        "file": [f"{k}.png" for k in range(12)],
        "label": [0, 1] * 6,
        "patient": [f"C{k // 2}" for k in range(12)],
    }
)
HOLED = CELLS.assign(patient=CELLS["patient"].where(CELLS.index > 1))


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: within_patients([0, 0, 2], [0.1, 0.2, 0.3], list("aaa")), "0 or 1"),
        (lambda: within_patients([0, 1], [0.1, np.nan], list("aa")), "numbers"),
        (lambda: within_patients([0, 1, 1], [0.1, 0.2], list("aaa")), "one of each"),
        (lambda: summarise([0, 1], [0.1, 0.9], list("ab"), threshold=50), "threshold"),
        (lambda: as_count(np.inf), "whole number"),
        (lambda: Settings("nih", "full"), "SCALES"),
        (lambda: read_settings({"MALARIA_NB_PRECISION": "flaot32"}), "MALARIA_NB_PRECISION"),
        (lambda: read_settings({"MALARIA_NB_HOME": NOBODY}), "MALARIA_NB_HOME"),
        (lambda: read_settings({}, cells=NOBODY), "--cells"),
        (lambda: class_root(NOBODY), "no user of that name"),
        (lambda: fetch_cells(f"{NOBODY}.zip", home="."), "no user of that name"),
        (lambda: find_pictures("cells"), "a list of files"),
        (lambda: deal_cells(HOLED, "patient", (0.5, 0.5), 0), "2 cells have no patient"),
        (lambda: deal_cells(HOLED, "patient", (0.5, 0.5), 0, balance=False), "2 cells have no"),
        (lambda: sample_cells(CELLS, -3), "n=-3"),
        (lambda: show_cells([]), "no images"),
        (lambda: split_as(CELLS, "patient-fold"), "patient-fold"),
        (lambda: grid(["basic_cnn"], ["patients"]), "patients"),
        (
            lambda: score_external(len, ".", {}, 0.5, size=8, interpolation="areaa"),
            "interpolation='areaa'",
        ),
        (lambda: score_external(len, ".", {}, 0.5, size=8, level=95), "level"),
        (
            lambda: normalise_reinhard(
                np.full((2, 8, 8, 3), 200, np.uint8), np.ones((2, 3)), [1.0, np.nan]
            ),
            "1 images have no group",
        ),
        (lambda: within_patients([], [], []), "no cells"),
        (lambda: mean_by_patient([], []), "no values"),
        (lambda: null_errors([]), "no scores"),
        (lambda: patient_alone([1, 2, 2], list("aab")), "labels must be"),
        (lambda: patient_alone([0, 1], ["a", None]), "1 cells have no patient"),
        (lambda: cell_correlation([0, 1], ["a", None]), "1 cells have no patient"),
        (lambda: design_effect(["a", "a", None], 0.1), "1 cells have no patient"),
        (lambda: fold_scores([], "acc"), "metric='acc'"),
        (lambda: fold_scores([CELLS]), "no column score, split"),
        (lambda: audit_cells(CELLS[["label"]], "."), "no column file"),
        (lambda: out_of_fold([CELLS]), "no column split"),
        (lambda: fingerprint(CELLS), "no column height, width"),
        (lambda: load_images(CELLS[["label"]], ".", 8, "."), "no column file"),
        (lambda: decode_cell("no.png", None, "areaa"), "interpolation='areaa'"),
        (lambda: affine(np.zeros((1, 4, 6, 3), np.uint8), np.random.default_rng()), "square"),
        (lambda: describe_cells(CELLS[:0]), "no cells"),
        (lambda: describe_cells(CELLS.assign(fold=np.nan), "fold"), "12 cells have no fold"),
        (lambda: as_variables(Settings(scale=replace(SCALES["quick"], size=32))), "SCALES"),
        (lambda: fetch_file("http://127.0.0.1:9/x", "x", sha256=""), "give the file's hash"),
        (lambda: recorded("compct"), "no recipe 'compct'"),
        (lambda: standings("acc"), "no metric 'acc'"),
    ],
)
def test_what_means_nothing_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_what_was_once_refused_or_lost_is_taken(tmp_path):
    assert patient_alone(np.repeat([1, 0], [150, 50]).astype(np.uint8), ["a"] * 200) == 0.75
    assert grid([]) == [] == grid(["compact"], seeds=[])
    parts = describe_cells(CELLS.assign(split=["train", "val"] * 6), "split")
    assert list(parts.index) == ["train", "val", "all"]
    assert bare_names(CELLS[:0]).empty
    assert count_parts(CELLS.assign(split="test"))["valid"]["cells"] == 0
    batch = np.full((4, 3, 8, 8), 200, np.uint8).transpose(0, 2, 3, 1)
    assert (affine(batch, np.random.default_rng(0)) == 200).all()


def test_a_variable_with_the_home_of_nobody_is_named(monkeypatch):
    monkeypatch.setenv("MALARIA_NB_HOME", NOBODY)
    with pytest.raises(ValueError, match="MALARIA_NB_HOME=.*no user of that name"):
        read_variables()


def test_a_file_that_is_read_does_not_make_the_cache_full(tmp_path):
    big = OSError(errno.EFBIG, "File too large", str(tmp_path / "cell.png"))
    with pytest.raises(OSError, match="File too large") as raised:
        with writing(tmp_path / "cache"):
            raise big
    assert raised.value is big
    with pytest.raises(OSError, match="is full"):
        with writing(tmp_path / "cache"):
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_hash_in_capitals_is_the_same_hash(tmp_path):
    file = tmp_path / "cells.zip"
    file.write_bytes(b"no zip")
    right = hashlib.sha256(b"no zip").hexdigest().upper()
    with pytest.raises(ValueError) as raised:
        fetch_cells(file, tmp_path / "to", sha256=right)
    assert "expected" not in str(raised.value)  # it is no archive, but it is the file asked for


def test_stderr_is_back_when_two_threads_were_hushed():
    before = os.fstat(2)
    one, two = ExitStack(), ExitStack()
    one.enter_context(hushed())
    with ExitStack() as inner:
        assert os.path.samestat(before, os.fstat(inner.enter_context(hushed())))
    thread = threading.Thread(target=lambda: two.enter_context(hushed()))
    thread.start()
    thread.join()
    one.close()
    assert not os.path.samestat(before, os.fstat(2))
    two.close()
    assert os.path.samestat(before, os.fstat(2))


def test_the_blob_lies_in_the_middle_of_any_picture():
    blob = rivals(np.zeros((1, 40, 80, 3), np.uint8))["blob in the middle"][0]
    assert np.argwhere(blob == blob.max()).mean(0).tolist() == [19.5, 39.5]


def test_an_empty_folder_of_corrections_is_none(tmp_path, capsys):
    (tmp_path / "label_corrections").mkdir()
    cells = CELLS.assign(file="Uninfected/" + CELLS["file"])
    assert len(course_corrections(Settings("sample", home=tmp_path), cells)) == 1
    assert "made up" in capsys.readouterr().out


def test_a_thing_that_finds_no_room_takes_no_other_one_with_it():
    _, truth = draw_field(0, cells=90, shape=(500, 650))
    radius = truth.groupby("kind")["radius"]
    assert radius.max()["platelet"] < radius.min()["red"]


def test_records_are_not_written_into_an_installed_library(tmp_path, monkeypatch):
    library = tmp_path / "site" / "malaria_nb"
    (library / "course" / "nbs" / "records").mkdir(parents=True)
    monkeypatch.setattr("malaria_nb.__file__", str(library / "__init__.py"))
    monkeypatch.chdir(tmp_path.parent / tmp_path.name)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert records_folder() == library / "course" / "nbs" / "records"
    with pytest.raises(FileNotFoundError, match="MALARIA_NB_RECORDS"):
        records_folder(to_write=True)


def test_what_jupyterlab_leaves_behind_is_not_signed(tmp_path):
    kept = tmp_path / "tables" / ".ipynb_checkpoints" / "x-checkpoint.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("x")
    (tmp_path / "tables" / "x.csv").write_text("x")
    assert list(digests_of(tmp_path)) == ["tables/x.csv"]


def test_only_a_clone_is_checked(tmp_path):
    (tmp_path / "nbs" / "records").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="only a clone"):
        check(tmp_path / "nbs" / "records")


def test_a_box_of_an_unknown_category_leaves_the_others_whole(tmp_path):
    import json

    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 40, 3), 200, np.uint8))
    boxes = [
        {"id": k, "image_id": 1, "category_id": c, "bbox": [2, 2, 20, 20]}
        for k, c in ((1, 1), (2, 99))
    ]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 40}],
        "categories": [{"id": 1, "name": "ring"}],
        "annotations": boxes,
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    labels = [crop.label for crop in crops_of_boxes(tmp_path / "coco.json", {"ring": 1})]
    assert labels == [1, None] and type(labels[0]) is int


@pytest.mark.parametrize(
    "words, says",
    [
        (["course", "--only", ""], "--only names no chapter"),
        (["data", "--cells", "synthetic", "--source", "x"], "not for synthetic cells"),
        (["experiment", "run", "basic_cnn", "--out", "x"], "malaria-nb experiment run --help"),
        (["experiment", "compare", "basic_cnn", "basic_cnn-cell-s42"], "basic_cnn-cell-s42"),
        (["progress", "--report", "NO_JSON"], "is not what malaria-nb grade --json writes"),
    ],
)
def test_a_command_names_what_was_wrong(words, says, tmp_path, capsys):
    (tmp_path / "report").write_text("[,")
    assert main([str(tmp_path / "report") if w == "NO_JSON" else w for w in words])
    assert says in capsys.readouterr().err
