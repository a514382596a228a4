"""Fields of other laboratories: what is read, and what is said of what can't be."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from malaria_nb.external import score_external
from malaria_nb.laboratories import (
    CHULA_LABELS,
    IML_LABELS,
    crops_of,
    known_fields,
    read_chula,
    read_iml,
    read_mpidb,
)
from malaria_nb.predict import black_outside

CHULA = Path(__file__).parents[1] / "nbs" / "sample" / "chula"
NAME = "PA171690.JPG"


def entry(kind="ring", **box):
    return {"type": kind, "bbox": {"x": "5", "y": "5", "w": "40", "h": "40"} | box}


def iml(folder, objects, whole=None):
    "Lay out a field of 90 × 120 pixels as IML_Malaria does."
    (folder / "fields").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "fields" / NAME), np.full((90, 120, 3), 200, np.uint8))
    content = [{"image_name": NAME, "objects": objects}] if whole is None else whole
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def test_boxes_kinds_and_the_border(tmp_path):
    far = {"x": "100", "w": "20"}
    table = read_iml(iml(tmp_path, [entry(), entry("red blood cell", **far)]), check=False)
    assert table["kind"].tolist() == ["ring", "red blood cell"]
    assert table["whole"].tolist() == [True, False] and table["run"].tolist() == [1, 1]
    assert table.loc[0, ["x", "y", "width", "height"]].tolist() == [5, 5, 40, 40]


@pytest.mark.parametrize(
    "objects, words",
    [
        ([entry(), 1], r"\[0\]\.objects\[1\] is 1, expected an object"),
        ([{"type": "ring"}], r"\[0\]\.objects\[0\]"),
        ([entry(["ring"])], r"has type \['ring'\], expected one of"),
        ([entry("leukocyte")], "has type 'leukocyte'"),
        ([entry(x="here")], "has x 'here' in its bbox"),
        ([entry(x=None)], "has x None"),
        ([entry(w="0")], "a box of 0 × 40 pixels"),
    ],
)
def test_a_malformed_box_is_named(tmp_path, objects, words):
    with pytest.raises(ValueError, match=words):
        read_iml(iml(tmp_path, objects), check=False)


@pytest.mark.parametrize(
    "whole, words",
    [({}, "holds no list"), ([3], r"\[0\] is 3"), ([{"image_name": NAME}], r"\[0\] is \{")],
)
def test_a_malformed_list_is_named(tmp_path, whole, words):
    with pytest.raises(ValueError, match=words):
        read_iml(iml(tmp_path, [], whole), check=False)


def test_without_the_files_it_is_said_where_they_are_and_whose(tmp_path):
    with pytest.raises(FileNotFoundError, match="ae06c862a4482124.*permission is the authors'"):
        read_iml(tmp_path)
    iml(tmp_path, [entry()])
    (tmp_path / "fields" / NAME).unlink()
    with pytest.raises(FileNotFoundError, match="ae06c862a4482124"):
        read_iml(tmp_path, check=False)


def test_other_boxes_or_another_picture_under_a_known_name(tmp_path, monkeypatch):
    folder = iml(tmp_path, [entry()])
    with pytest.raises(ValueError, match="other boxes than those measured"):
        read_iml(folder)
    known = known_fields("iml")
    digest = hashlib.sha256(json.dumps([entry()], sort_keys=True).encode()).hexdigest()
    known.loc[NAME, "truth"] = digest
    monkeypatch.setattr("malaria_nb.laboratories.known_fields", lambda which: known)
    with pytest.raises(ValueError, match="SHA-256.*fetch it again"):
        read_iml(folder)
    picture = (folder / "fields" / NAME).read_bytes()
    known.loc[NAME, "sha256"] = hashlib.sha256(picture).hexdigest()
    with pytest.raises(ValueError, match="lacks 157 fields, PA171691.JPG first"):
        read_iml(folder)


def test_the_travelling_fields_are_those_that_were_measured():
    table = read_chula(CHULA)
    assert table["file"].nunique() == 4 and set(table["kind"]) <= set(CHULA_LABELS)
    assert (CHULA / "LICENSE").read_text().startswith("MIT License")
    assert max(p.stat().st_size for p in CHULA.rglob("*.*")) < 1_000_000


def test_changed_fields_and_points_are_noticed(tmp_path):
    shutil.copytree(CHULA, tmp_path / "c")
    file = tmp_path / "c" / "points" / "100.txt"
    text = file.read_text()
    file.write_text(text.replace("77 363 3", "78 363 3"))
    with pytest.raises(ValueError, match="other points than those measured"):
        read_chula(tmp_path / "c")
    for line, words in [("1 2", "expected x, y and a kind"), ("5 5 99", "kind 99")]:
        file.write_text(text + line + "\n")
        with pytest.raises(ValueError, match=f"line .*{words}"):
            read_chula(tmp_path / "c")
    file.write_text("\r\n".join(text.split("\n")))
    assert len(read_chula(tmp_path / "c")) == len(read_chula(CHULA))
    picture = tmp_path / "c" / "fields" / "100.jpg"
    picture.write_bytes(picture.read_bytes() + b" ")
    with pytest.raises(ValueError, match="fetch it again"):
        read_chula(tmp_path / "c")
    shutil.copy(CHULA / "fields" / "100.jpg", picture)
    shutil.copy(picture, picture.with_name("x.jpg"))
    with pytest.raises(FileNotFoundError, match="no points for x.jpg"):
        read_chula(tmp_path / "c")


def test_points_and_boxes_are_scored_by_field(tmp_path):
    def pale(images):
        return np.zeros(len(images))

    found = score_external(pale, CHULA, CHULA_LABELS, 0.5, size=16)
    table = read_chula(CHULA)
    assert found.unit == "fields" and len(found.predictions) == table["whole"].sum()
    assert len(found.problems) == (~table["whole"]).sum()
    assert found.scores.loc["specificity", "value"] == 1
    folder = iml(tmp_path, [entry(), entry("difficult"), entry("red blood cell", x="70")])
    found = score_external(pale, folder, IML_LABELS, 0.5, size=16, check=False)
    assert found.predictions["label"].tolist() == [1, 0]
    with pytest.raises(ValueError, match="not in mapping: 'difficult', 'red blood cell'"):
        list(crops_of(folder, {"ring": 1}, check=False))


def mpidb(folder, name="1305121398-0001-R_S", side=(90, 120)):
    for part in ("img", "gt"):
        (folder / part).mkdir(exist_ok=True)
    mask = np.zeros((*side, 3), np.uint8)
    mask[10:30, 20:50] = mask[50:60, 80:90] = 255
    mask[0, 0] = 255
    cv2.imwrite(str(folder / "img" / f"{name}.jpg"), np.full((90, 120, 3), 200, np.uint8))
    cv2.imwrite(str(folder / "gt" / f"{name}.png"), mask)
    return folder


def test_masks_of_parasites(tmp_path):
    table = read_mpidb(mpidb(tmp_path))
    assert table[["x", "y", "width", "height", "area"]].values.tolist() == [
        [20, 10, 30, 20, 600],
        [80, 50, 10, 10, 100],
    ]
    assert set(table["stages"]) == {"ring, schizont"}


def test_masks_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="a species' folder of MP-IDB"):
        read_mpidb(tmp_path)
    mpidb(tmp_path, side=(80, 120))
    with pytest.raises(ValueError, match="the mask of .* has 120 × 80 pixels, the field 120 × 90"):
        read_mpidb(tmp_path)
    next((tmp_path / "gt").iterdir()).unlink()
    with pytest.raises(FileNotFoundError, match="no mask for"):
        read_mpidb(tmp_path)
    next((tmp_path / "img").iterdir()).unlink()
    mpidb(tmp_path, "1305121398-0001-X")
    with pytest.raises(ValueError, match="doesn't end in stages"):
        read_mpidb(tmp_path)


def test_what_is_cut_out_around_a_point_is_its_own_cell(monkeypatch):
    "In a box that is too wide the largest piece is a neighbour's."

    def own():
        found = [crop for crop in crops_of(CHULA, CHULA_LABELS) if crop.picture is not None]
        cut = [black_outside(crop.picture) for crop in found]
        return np.mean([c[c.shape[0] // 2, c.shape[1] // 2].any() for c in cut])

    assert own() > 0.98
    monkeypatch.setattr("malaria_nb.laboratories._CHULA_SIDE", 80)
    assert own() < 0.96
