"""What would spoil chapter 01: bad files, bad names, bad splits, a broken cache."""

import hashlib
import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from test_png import BAD, HEADER
from tiny_cells import name, png, table

from malaria_nb import dataset
from malaria_nb import png as png_module
from malaria_nb.dataset import (
    describe_cells,
    group_folds,
    index_cells,
    parse_name,
    sample_cells,
    shared_groups,
    split_cells,
)

# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file, patient, smear, time",
    [
        (
            "C183P144NThinF_IMG_20151201_222119_cell_122.png",
            "C183",
            "C183P144NThinF",
            "20151201_222119",
        ),
        (
            "Parasitized/C39P4thinF_original_IMG_20150622_105554_cell_1.png",
            "C39",
            "C39P4thinF_original",
            "20150622_105554",
        ),
        ("C33P1thinF_IMG_20150619_114756a_cell_179.png", "C33", "C33P1thinF", "20150619_114756a"),
        ("C1_thinF_IMG_20150604_104722_cell_9.png", "C1", "C1_thinF", "20150604_104722"),
        ("C51AP12thinF_IMG_20150724_154425_cell_75.png", "C51", "C51AP12thinF", "20150724_154425"),
        (
            r"Uninfected\C2NThinF_IMG_20150604_114631_cell_87.png",
            "C2",
            "C2NThinF",
            "20150604_114631",
        ),
    ],
)
def test_name(file, patient, smear, time):
    assert parse_name(file) == {"patient": patient, "smear": smear, "photo": f"{smear}_IMG_{time}"}


@pytest.mark.parametrize(
    "file",
    [
        "cell.png",
        "P33C1_IMG_1_cell_2.png",
        "C3ThinF_IMG_20150604_cell_.png",
        "C3ThinF_20150604_cell_2.png",
        "",
        "C33P1thinF_IMG_20150619_114756_cell_179 (1).png",
        "C33P1thinF_IMG_20150619_114756_cell_179.jpg",
    ],
)
def test_bad_name(file):
    with pytest.raises(ValueError, match="expected one like C33P1thinF.*Rename"):
        parse_name(file)


# -- the table ------------------------------------------------------------------------------------


def test_index(root):
    (root / "Parasitized" / "Thumbs.db").write_bytes(b"thumbnails")
    (root / "Parasitized" / ("._" + name(1))).write_bytes(b"resource fork")
    (root / "masks").mkdir()
    (root / "masks" / name(1)).write_bytes(png(colour=0))
    cells = index_cells(root)
    assert list(cells) == ["file", "label", "patient", "smear", "photo", "height", "width"]
    assert len(cells) == 24 and list(cells.file) == sorted(cells.file) and cells.label.sum() == 12
    assert (cells.label == cells.file.str.startswith("Parasitized/")).all()
    assert (cells.height.eq(6) & cells.width.eq(5)).all()
    assert cells.patient.nunique() == 3 and cells.photo.nunique() == 6


def test_index_does_not_depend_on_listing_order(root, monkeypatch):
    before, listed = index_cells(root), os.listdir
    monkeypatch.setattr(os, "listdir", lambda p: listed(p)[::-1])
    pd.testing.assert_frame_equal(index_cells(root), before)


def test_index_remembers_and_notices(root, tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    before, read = index_cells(root, notes), []
    header = png_module._read_size
    monkeypatch.setattr(png_module, "_read_size", lambda *a: read.append(a) or header(*a))
    pd.testing.assert_frame_equal(index_cells(root, notes), before)
    assert not read  # remembered
    (memory,) = notes.iterdir()
    whole = memory.read_bytes()
    other = io.BytesIO()
    np.save(other, np.zeros((7, 2), int))
    for spoiled in (
        b"",
        whole[:50],
        whole[:-8],
        b"x" * 500,
        other.getvalue(),
    ):  # cut short by a crash, or foreign
        memory.write_bytes(spoiled)
        read.clear()
        with pytest.warns(RuntimeWarning, match="is damaged: making it again"):
            pd.testing.assert_frame_equal(index_cells(root, notes), before)
        assert len(read) == 24 and memory.read_bytes() == whole  # noticed and made again
    file = root / before.file[0]
    date = file.stat().st_mtime_ns
    file.write_bytes(png(6, 5) + b"x" * (len(png(8, 8)) - len(png(6, 5))))
    os.utime(file, ns=(0, date))
    assert index_cells(root, notes).height[0] == 6
    file.write_bytes(png(8, 8))  # as long, and as old
    os.utime(file, ns=(0, date))
    assert index_cells(root, notes).height[0] == 8  # a changed file is read again
    assert not list(notes.glob("*.part*"))


def test_index_without_a_place_for_its_notes(root, tmp_path):
    (tmp_path / "file").write_text("a file where the notes should be")
    assert len(index_cells(root, tmp_path / "file")) == 24


def test_index_without_notes_writes_nothing(root, home):
    before = sorted(root.rglob("*"))
    index_cells(root)
    assert sorted(root.rglob("*")) == before and not home.exists()


def test_describe():
    cells = table()
    d = describe_cells(cells)
    assert list(d.index) == ["uninfected", "parasitized", "all"] and d.patients.tolist() == [
        40,
        30,
        40,
    ]
    assert list(describe_cells(split_cells(cells, "cell"), "split").index) == [
        "train",
        "valid",
        "test",
        "all",
    ]
    with pytest.raises(ValueError, match="no column"):
        describe_cells(cells, "split")


@pytest.mark.parametrize("kind", HEADER)
def test_index_refuses(root, kind):
    (root / "Uninfected" / name(1)).write_bytes(BAD[kind][0])
    with pytest.raises(ValueError, match=f"Uninfected/{name(1)}: .*{BAD[kind][1]}"):
        index_cells(root)


def test_one_class_empty(root):
    for f in (root / "Uninfected").iterdir():
        f.unlink()
    assert index_cells(root).label.eq(1).all()


# -- splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fractions, sizes", [((0.63, 0.07, 0.30), (17_361, 1_929, 8_268)), ((0.7, 0.1, 0.2), (7, 1, 2))]
)
def test_sizes(fractions, sizes):
    cells = pd.DataFrame({"file": [f"{i:05d}" for i in range(sum(sizes))], "label": 0})
    assert split_cells(cells, "cell", fractions).split.value_counts().to_dict() == dict(
        zip(dataset.SPLITS, sizes)
    )


@pytest.mark.parametrize("by", ["cell", "photo", "patient"])
def test_split_depends_on_content_and_seed_only(by):
    cells = table()
    one = split_cells(cells, by, seed=1)
    mixed = split_cells(cells.sample(frac=1, random_state=5), by, seed=1)
    assert (
        one.split.tolist() == mixed.sort_index().split.tolist()
        and mixed.index.tolist() != one.index.tolist()
    )
    assert one.split.tolist() != split_cells(cells, by, seed=2).split.tolist()
    assert "split" not in cells


def test_split_is_the_same_on_every_machine():
    "Records and caches are about one split's cells: a change here makes all of them stale."
    cells = table()
    splits = "".join(
        split_cells(cells, by).split.str[:2].str.cat() for by in ("cell", "photo", "patient")
    )
    folds = group_folds(cells, 5, "patient").fold.astype(str).str.cat()
    assert hashlib.sha256((splits + folds).encode()).hexdigest()[:12] == "04bf45d0474d"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", ["photo", "patient"])
def test_groups_stay_whole_and_classes_balanced(by, seed):
    split = split_cells(table(), by, seed=seed)
    assert split.groupby(by).split.nunique().max() == 1
    assert shared_groups(split).loc[by, "proportion of test cells"] == 0
    for part, fraction in zip(dataset.SPLITS, (0.63, 0.07, 0.30)):
        for label in (0, 1):
            assert abs((split.split[split.label == label] == part).mean() - fraction) < 0.02
    assert abs(split[split.split == "test"][by].nunique() / split[by].nunique() - 0.30) < 0.03


def test_by_cell_leaks():
    assert (shared_groups(split_cells(table(), "cell"))["proportion of test cells"] > 0.9).all()


@pytest.mark.parametrize(
    "fractions",
    [
        (0.6, 0.1, 0.2),
        (0.7, 0.3),
        (1.2, -0.1, -0.1),
        (0.5, 0.5, float("nan")),
        (0.63, 0.07, 0.30, 0),
    ],
)
def test_fractions(fractions):
    with pytest.raises(ValueError, match="add up to 1"):
        split_cells(table(), "cell", fractions)


def test_fraction_of_zero():
    assert set(split_cells(table(), "patient", (0.7, 0, 0.3)).split) == {"train", "test"}
    assert set(split_cells(table(), "cell", (0, 0, 1)).split) == {"test"}


@pytest.mark.parametrize("patients", [1, 2])
def test_too_few_patients(patients):
    with pytest.raises(
        ValueError, match=f"^{patients} patients? can't fill 3 parts: use cells of more patients"
    ):
        split_cells(table(patients), "patient")


@pytest.mark.parametrize("patients", [3, 4, 7])
def test_no_part_is_empty(patients):
    assert set(split_cells(table(patients), "patient").split) == set(dataset.SPLITS)
    assert set(group_folds(table(patients), 3, "patient").fold) == {0, 1, 2}


def test_split_arguments():
    cells = table(5)
    with pytest.raises(ValueError, match="by='slide'.*'patient'"):
        split_cells(cells, "slide")
    with pytest.raises(ValueError, match="no column patient: the table has .*rename yours"):
        split_cells(cells.drop(columns="patient"), "patient")
    with pytest.raises(ValueError, match="twice"):
        split_cells(pd.concat([cells, cells]), "cell")
    with pytest.raises(ValueError, match="at least 2 folds"):
        group_folds(cells, 1, "patient")
    with pytest.raises(ValueError, match="5 patients can't fill 6 parts"):
        group_folds(cells, 6, "patient")


def test_what_stays_whole_has_no_default():
    with pytest.raises(TypeError, match="by"):
        split_cells(table())
    with pytest.raises(TypeError, match="by"):
        group_folds(table(), 5)


def test_folds():
    folds = group_folds(table(), 5, "patient")
    assert folds.groupby("patient").fold.nunique().max() == 1
    sizes = folds.groupby(["label", "fold"]).size().unstack()
    assert ((sizes.max(axis=1) - sizes.min(axis=1)) / sizes.mean(axis=1)).max() < 0.1


def test_sample():
    cells = table()
    some = sample_cells(cells, 200)
    assert len(some) == 200 and some.label.sum() == 100 and some.patient.nunique() == 40
    assert list(some.file) == sorted(some.file)
    assert some[some.label == 0].groupby("patient").size().between(2, 3).all()
    assert some.equals(sample_cells(cells.sample(frac=1, random_state=1), 200))
    assert not some.equals(sample_cells(cells, 200, seed=1))
    assert sample_cells(cells, 10**6) is cells


@pytest.mark.parametrize("n", [1, 2, 11, 20, 27, 28])
def test_sample_has_as_many_cells_as_asked_for(n):
    "Also an odd number, and more than twice what the smaller class has."
    every = table()
    cells = pd.concat([every[every.label == 0].head(20), every[every.label == 1].head(7)])
    some = sample_cells(cells, n)
    assert len(some) == min(n, 27) and some.file.is_unique
    assert some.label.sum() == {1: 1, 2: 1, 11: 6, 20: 7}.get(n, 7)


def test_import_is_light():
    code = "import sys, malaria_nb.dataset; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"tensorflow", "keras", "matplotlib", "sklearn", "cv2"} & set(loaded)
