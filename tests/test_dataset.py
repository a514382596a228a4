"""What would spoil chapter 01: bad files, bad names, bad splits, a broken cache."""

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_cells import name, png

from malaria_nb import course, dataset
from malaria_nb.dataset import (
    BadCell,
    audit_cells,
    check_png,
    class_root,
    course_cells,
    describe_cells,
    fingerprint,
    group_folds,
    index_cells,
    parse_name,
    sample_cells,
    shared_groups,
    split_cells,
)

pytestmark = pytest.mark.usefixtures("home")


def table(patients=40, seed=0):
    "A cells table like the real one: everyone gives uninfected cells, few give many parasitized ones; nothing on disk."
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(1, patients + 1):
        for label, n in ((0, 20), (1, 1 + int(rng.lognormal(2, 1.3)) if p % 4 else 0)):
            for k in range(n):
                file = f"{dataset.FOLDERS[label]}/{name(p, int(rng.integers(7)), 2 * k + label)}"
                rows.append(
                    {"file": file, "label": label, **parse_name(file), "height": 130, "width": 130}
                )
    return pd.DataFrame(rows).sort_values("file", ignore_index=True)


# -- names ------------------------------------------------------------------------------------------------------------


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


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_good_png():
    assert check_png(png(7, 9)) == (7, 9)


good = png(40, 40)
BAD = {
    "empty": (b"", "empty"),
    "text": (b"hello", "not a PNG"),
    "jpeg": (b"\xff\xd8\xff\xe0", "not a PNG"),
    "short header": (good[:20], "cut short"),
    "header bit": (good[:17] + b"\1" + good[18:], "header is damaged"),
    "1-bit": (png(depth=1, colour=0), "1-bit greyscale, expected 8-bit RGB.*Convert"),
    "16-bit": (png(depth=16), "16-bit RGB"),
    "RGBA": (png(colour=6), "8-bit RGBA"),
    "grey": (png(colour=0), "8-bit greyscale"),
    "palette": (png(colour=3), "palette"),
    "wide": (png(1, 20_000), "20,000 × 1 px"),
    "no pixels": (png(0, 5), "5 × 0 px"),
    "interlaced": (png(interlace=1), "interlaced"),
    "cut": (good[:-400], "cut short after"),
    "no end": (good[:-12], "cut short"),
    "bit": (good[:900] + bytes([good[900] ^ 4]) + good[901:], "checksum"),
    "few rows": (png(4, 4, rows=bytes(13 * 3)), "don't fill 4 × 4"),
    "bomb": (png(4, 4, rows=bytes(50_000_000)), "don't fill"),
    "filter": (png(1, 1, rows=b"\7abc"), "PNG doesn't know"),
    "not packed": (png(4, 4, packed=b"raw"), "can't be unpacked"),
}
HEADER = [
    "empty",
    "text",
    "jpeg",
    "short header",
    "header bit",
    "1-bit",
    "16-bit",
    "RGBA",
    "grey",
    "palette",
    "wide",
    "no pixels",
    "interlaced",
]


@pytest.mark.parametrize("kind", BAD)
def test_bad_png(kind):
    data, message = BAD[kind]
    with pytest.raises(ValueError, match="C1.png: .*" + message):
        check_png(data, "C1.png")


@pytest.mark.parametrize("kind", HEADER)
def test_index_refuses(root, kind):
    (root / "Uninfected" / name(1)).write_bytes(BAD[kind][0])
    with pytest.raises(ValueError, match=f"Uninfected/{name(1)}: .*{BAD[kind][1]}"):
        index_cells(root)


@pytest.mark.parametrize("kind", BAD)
def test_audit_finds(root, kind):
    (root / "Uninfected" / name(9)).write_bytes(BAD[kind][0])
    found = audit_cells(None, root, progress=False)
    assert list(found.file) == [f"Uninfected/{name(9)}"] and found.mend.str.len().gt(10).all()


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


# -- folders ----------------------------------------------------------------------------------------------------------


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
    for c in dataset.FOLDERS:
        (tmp_path / "empty" / c).mkdir()
    with pytest.raises(FileNotFoundError, match="no PNG in them.*fetch the cells again"):
        index_cells(tmp_path / "empty")
    (root / "Uninfected").rename(root / "uninfected cells")
    with pytest.raises(FileNotFoundError, match="has no Uninfected/[.] Give"):
        index_cells(root)


def test_one_class_empty(root):
    for f in (root / "Uninfected").iterdir():
        f.unlink()
    assert index_cells(root).label.eq(1).all()


# -- the table --------------------------------------------------------------------------------------------------------


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
    before, scan = index_cells(root), os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: list(scan(p))[::-1])
    pd.testing.assert_frame_equal(index_cells(root), before)


def test_index_remembers_and_notices(root, home, monkeypatch):
    before, read = index_cells(root), []
    header = dataset._header
    monkeypatch.setattr(dataset, "_header", lambda *a: read.append(a) or header(*a))
    pd.testing.assert_frame_equal(index_cells(root), before)
    assert not read  # remembered
    (memory,) = (home / "index").iterdir()
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
        pd.testing.assert_frame_equal(index_cells(root), before)
        assert len(read) == 24 and memory.read_bytes() == whole  # noticed and made again
    (root / before.file[0]).write_bytes(png(8, 8))
    assert index_cells(root).height[0] == 8  # a changed file is read again
    assert not list((home / "index").glob("*.part*"))


def test_index_without_a_writable_home(root, home):
    home.write_text("a file where the cache should be")
    assert len(index_cells(root)) == 24


def test_fingerprint():
    cells = table()
    assert (
        fingerprint(cells)
        == fingerprint(cells.sample(frac=1, random_state=3))
        == fingerprint(split_cells(cells))
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


def test_describe():
    cells = table()
    d = describe_cells(cells)
    assert list(d.index) == ["uninfected", "parasitized", "all"] and d.patients.tolist() == [
        40,
        30,
        40,
    ]
    assert list(describe_cells(split_cells(cells), "split").index) == [
        "train",
        "valid",
        "test",
        "all",
    ]
    with pytest.raises(ValueError, match="no such column"):
        describe_cells(cells, "split")


# -- splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fractions, sizes", [((0.63, 0.07, 0.30), (17_361, 1_929, 8_268)), ((0.7, 0.1, 0.2), (7, 1, 2))]
)
def test_sizes(fractions, sizes):
    cells = pd.DataFrame({"file": [f"{i:05d}" for i in range(sum(sizes))], "label": 0})
    assert split_cells(cells, fractions=fractions).split.value_counts().to_dict() == dict(
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
    "Records and caches are about the cells of one split: a change here makes every one of them stale."
    cells = table()
    splits = "".join(
        split_cells(cells, by).split.str[:2].str.cat() for by in ("cell", "photo", "patient")
    )
    folds = group_folds(cells).fold.astype(str).str.cat()
    assert hashlib.sha256((splits + folds).encode()).hexdigest()[:12] == "04bf45d0474d"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", ["photo", "patient"])
def test_groups_stay_whole_and_classes_balanced(by, seed):
    split = split_cells(table(), by, seed=seed)
    assert split.groupby(by).split.nunique().max() == 1
    assert shared_groups(split).loc[by, "share of test cells"] == 0
    for part, fraction in zip(dataset.SPLITS, (0.63, 0.07, 0.30)):
        for label in (0, 1):
            assert abs((split.split[split.label == label] == part).mean() - fraction) < 0.02
    assert abs(split[split.split == "test"][by].nunique() / split[by].nunique() - 0.30) < 0.03


def test_by_cell_leaks():
    assert (shared_groups(split_cells(table()))["share of test cells"] > 0.9).all()


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
        split_cells(table(), fractions=fractions)


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
    assert set(group_folds(table(patients), 3).fold) == {0, 1, 2}


def test_split_arguments():
    cells = table(5)
    with pytest.raises(ValueError, match="by='slide'.*'patient'"):
        split_cells(cells, "slide")
    with pytest.raises(ValueError, match="no column patient: use a table from index_cells"):
        split_cells(cells.drop(columns="patient"), "patient")
    with pytest.raises(ValueError, match="twice"):
        split_cells(pd.concat([cells, cells]))
    with pytest.raises(ValueError, match="at least 2 folds"):
        group_folds(cells, 1)
    with pytest.raises(ValueError, match="5 patients can't fill 6 parts"):
        group_folds(cells, 6)


def test_folds():
    folds = group_folds(table(), 5)
    assert folds.groupby("patient").fold.nunique().max() == 1
    sizes = folds.groupby(["label", "fold"]).size().unstack()
    assert ((sizes.max(axis=1) - sizes.min(axis=1)) / sizes.mean(axis=1)).max() < 0.1


# -- the course's cells -----------------------------------------------------------------------------------------------


def test_sample():
    cells = table()
    some = sample_cells(cells, 200)
    assert len(some) == 200 and some.label.sum() == 100 and some.patient.nunique() == 40
    assert list(some.file) == sorted(some.file)
    assert some[some.label == 0].groupby("patient").size().between(2, 3).all()
    assert some.equals(sample_cells(cells.sample(frac=1, random_state=1), 200))
    assert not some.equals(sample_cells(cells, 200, seed=1))
    assert sample_cells(cells, 10**6) is cells


def settings(cells, n):
    return course.Settings(cells, replace(course.SCALES["quick"], synthetic=n, real=n), "random")


def test_course_cells_of_a_folder(root):
    cells, where = course_cells(settings(str(root), 8))
    assert where == root and len(cells) == 8 and all((where / f).is_file() for f in cells.file)


def test_course_cells_synthetic(home):
    cells, where = course_cells(settings("synthetic", 40))
    assert (
        len(cells) == 40
        and home in where.parents
        and audit_cells(cells, where, progress=False).empty
    )
    stamp = os.stat(where / cells.file[0]).st_mtime_ns
    assert course_cells(settings("synthetic", 40))[0].equals(cells)
    assert os.stat(where / cells.file[0]).st_mtime_ns == stamp


def test_course_cells_where_nothing_can_be_written(home):
    home.write_text("a file where the cache should be")
    with pytest.raises(PermissionError, match="MALARIA_NB_HOME"):
        course_cells(settings("synthetic", 40))


def test_bad_cell_is_a_value_error():
    e = BadCell("a.png", "broken")
    assert (
        isinstance(e, ValueError)
        and (e.file, e.problem) == ("a.png", "broken")
        and e.mend in str(e)
    )


def test_import_is_light():
    code = "import sys, malaria_nb.dataset; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"tensorflow", "keras", "matplotlib", "sklearn", "cv2", "requests"} & set(loaded)
