"""The sample of real cells: what it must hold, and how it arrives in a folder."""

import csv
import hashlib
import io
import runpy
import threading
import time
import zipfile
from pathlib import Path

import cv2
import pandas as pd
import pytest

from malaria_nb import sample
from malaria_nb.audit import audit_cells
from malaria_nb.dataset import group_folds, index_cells, split_cells
from malaria_nb.sample import LISTING, SAMPLE_SHA256, pixel_hash, sample_file, unpack_sample

ROOT = Path(__file__).resolve().parents[1]
NOTICE = ROOT / "nbs" / "sample" / "NOTICE.md"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return unpack_sample(tmp_path_factory.mktemp("sample"), progress=False)


@pytest.fixture(scope="module")
def cells(root):
    return index_cells(root)


def kinds(cells):  # patients with, and patients without a parasitized cell
    infected = cells.groupby("patient").label.max()
    return int(infected.sum()), int((infected == 0).sum())


def test_sample_is_one_small_file_with_a_notice():
    packed = [p.name for p in (ROOT / "nbs" / "sample").iterdir()]
    assert sorted(packed) == ["NOTICE.md", "chula", sample_file().name]
    assert sample_file().stat().st_size <= 10_000_000
    assert hashlib.sha256(sample_file().read_bytes()).hexdigest() == SAMPLE_SHA256


def test_sample_has_enough_of_everything(cells):
    assert 1_000 <= len(cells) <= 1_300
    assert 0.45 <= cells.label.mean() <= 0.55
    with_parasites, without = kinds(cells)
    assert with_parasites + without >= 60 and without >= 15
    each = cells.groupby("patient").size()
    assert each.max() > 4 * each.median(), "some patients have many cells, as in the whole set"


def test_every_part_of_the_course_split_has_both_classes_and_both_kinds_of_patients(cells):
    split = split_cells(cells, by="patient", seed=42)
    assert (split.groupby("patient").split.nunique() == 1).all()
    for name, fewest in {"train": 50, "valid": 5, "test": 25}.items():
        part = split[split.split == name]
        assert part.patient.nunique() >= fewest and 0.4 <= part.label.mean() <= 0.6, name
        assert min(kinds(part)) >= 1, name
    for _, fold in group_folds(cells, 5, by="patient").groupby("fold"):
        assert fold.patient.nunique() >= 18 and 0.4 <= fold.label.mean() <= 0.6


def test_unpacked_cells_are_sound_and_have_the_listed_pixels(root, cells):
    assert audit_cells(cells, root, progress=False).empty
    with zipfile.ZipFile(sample_file()) as archive:
        listed = list(csv.DictReader(io.StringIO(archive.read(LISTING).decode())))
    assert sorted(cell["file"] for cell in listed) == list(cells.file)
    for cell in listed:
        assert pixel_hash(cv2.imread(str(root / cell["file"]))) == cell["sha256"], cell["file"]


def test_notice_says_whose_the_cells_are_and_counts_them(cells):
    text = NOTICE.read_text("utf-8")
    for said in ("U.S. National Library of Medicine", "cell_images.zip", "PeerJ", SAMPLE_SHA256):
        assert said in text
    with_parasites, without = kinds(cells)
    assert f"| cells | {len(cells):,} | 27,558 |" in text
    assert f"| patients without a parasitized cell | {without} | 50 |" in text


def test_second_time_is_instant_and_a_damaged_folder_is_made_again(root):
    start = time.perf_counter()
    assert unpack_sample(root.parent, progress=False) == root
    assert time.perf_counter() - start < 0.5
    gone = next((root / "Parasitized").glob("*.png"))
    before = gone.read_bytes()
    gone.unlink()
    unpack_sample(root.parent, progress=False)
    assert gone.read_bytes() == before
    (root / "source.json").write_text("[" * 50_000)
    unpack_sample(root.parent, progress=False)
    assert SAMPLE_SHA256 in (root / "source.json").read_text()


def test_nothing_appears_when_unpacking_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "pixel_hash", lambda image: "another")
    with pytest.raises(ValueError, match="reads other pixels"):
        unpack_sample(tmp_path, progress=False)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []


def test_damaged_or_missing_file_is_an_error_that_says_what_puts_it_right(tmp_path, monkeypatch):
    file = tmp_path / "damaged.zip"
    file.write_bytes(sample_file().read_bytes()[:-1])
    monkeypatch.setattr(sample, "sample_file", lambda: file)
    with pytest.raises(ValueError, match=f"expected {SAMPLE_SHA256}.*Install malaria_nb again"):
        unpack_sample(tmp_path / "to", progress=False)
    monkeypatch.undo()
    monkeypatch.setattr(sample, "ZIP", "nowhere.zip")
    with pytest.raises(FileNotFoundError, match="install malaria_nb again, or clone it whole"):
        unpack_sample(tmp_path / "to", progress=False)


def test_two_at_a_time_get_one_folder(tmp_path, monkeypatch):
    calls, unpack = [], sample._unpack
    monkeypatch.setattr(sample, "_unpack", lambda *a: calls.append(a) or unpack(*a))
    both = [threading.Thread(target=unpack_sample, args=(tmp_path, False)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(calls) == 1
    assert len(index_cells(tmp_path / "cell_images")) > 1_000


def table(order=1):
    "A whole set in small: 40 patients, 10 of them without a parasitized cell."
    rows = []
    for patient in range(40):
        for label in (0, 1) if patient >= 10 else (0,):
            n = 25 + patient if label else 50
            rows += [(f"{label}/C{patient}_{i:03}.png", label, f"C{patient}") for i in range(n)]
    return pd.DataFrame(rows[::order], columns=["file", "label", "patient"])


def test_choice_depends_on_names_and_seed_alone():
    choose = runpy.run_path(str(ROOT / "tools" / "sample.py"))["choose"]
    first = choose(table(), patients=20)
    assert first.equals(choose(table(order=-1), patients=20)), "the order of rows changes nothing"
    assert not first.equals(choose(table(), patients=20, seed=1))
    assert kinds(first) == (15, 5)
    scored = table().assign(score=0.5, split="test")
    assert list(choose(scored, patients=20).file) == list(first.file)
    shares = (
        first.groupby(["patient", "label"]).size() / table().groupby(["patient", "label"]).size()
    )
    assert shares.dropna().between(0.05, 0.11).all(), "the same share of every patient's cells"
