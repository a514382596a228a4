"""What would spoil an array on disk: a kill, a full disk, another's file, rows that don't fit."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from malaria_nb import arrays
from malaria_nb.arrays import cached_array, open_array
from malaria_nb.digests import write_sealed

ROWS = np.arange(100 * 6, dtype=np.float32).reshape(100, 6)


class Fill:
    "Give rows of `ROWS`, remember which, and raise `error` when row `stop` is asked for."

    def __init__(self, stop=None, error=KeyboardInterrupt):
        self.stop, self.error, self.asked = stop, error, []

    def __call__(self, start, stop):
        if self.stop is not None and stop > self.stop:
            raise self.error("stopped")
        self.asked.append((start, stop))
        return ROWS[start:stop]


def make(path, fill, **how):
    return cached_array(path, ROWS.shape, "float32", fill, step=8, progress=False, **how)


def kept(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock" and p.name != "known")


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "rows.npy"


@pytest.fixture
def noted(monkeypatch):
    "Every batch is noted at once, not after two seconds."
    monkeypatch.setattr(arrays, "_NOTED", 0)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_rows_are_computed_once_and_in_order(path, workers):
    fill = Fill()
    found = make(path, fill, workers=workers)
    assert (found == ROWS).all() and found.dtype == np.float32 and not found.flags.writeable
    assert sorted(fill.asked) == [(i, min(i + 8, 100)) for i in range(0, 100, 8)]
    assert make(path, Fill(stop=0)).filename == found.filename and kept(path.parent) == ["rows.npy"]


@pytest.mark.parametrize("shape", [tuple(np.int64([3, 2])), [3, 2]], ids=["NumPy's", "a list"])
def test_any_whole_numbers_make_a_shape(path, shape):
    def fill(start, stop):
        return np.full((stop - start, 2), 7, np.float32)

    for _ in range(2):
        assert (cached_array(path, shape, np.float32, fill, progress=False) == 7).all()


def test_interrupted_goes_on(path, noted):
    with pytest.raises(KeyboardInterrupt):
        make(path, Fill(stop=50))
    assert kept(path.parent) == ["rows.part", "rows.rows"]
    rest = Fill()
    assert (make(path, rest) == ROWS).all() and rest.asked[0] == (48, 56)
    assert kept(path.parent) == ["rows.npy"]


KILLED = """
import os, sys, time
import numpy as np
from malaria_nb import arrays
arrays._NOTED = 0
def fill(start, stop):
    time.sleep(0.02)
    return np.arange(start * 6, stop * 6, dtype=np.float32).reshape(-1, 6)
arrays.cached_array(sys.argv[1], (100, 6), "float32", fill, step=8, progress=False)
"""


def test_killed_goes_on(path):
    child = subprocess.Popen([sys.executable, "-c", KILLED, path])
    note, until = path.with_suffix(".rows"), time.monotonic() + 60
    while not (note.exists() and int((note.read_text().split() or [0])[0]) >= 32):
        assert time.monotonic() < until and child.poll() is None
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    rest = Fill()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (make(path, rest) == ROWS).all()
    assert rest.asked[0][0] >= 32


@pytest.mark.parametrize(
    "harm", ["note", "no note", "short", "another", "byte", "past the end", "folder", "link"]
)
def test_a_part_that_nobody_vouches_for_starts_again(path, noted, harm):
    with pytest.raises(KeyboardInterrupt):
        make(path, Fill(stop=50))
    part, note = path.with_suffix(".part"), path.with_suffix(".rows")
    victim = path.parent / "victim"
    victim.write_bytes(b"precious")
    if harm == "note":
        note.write_text("many")
    elif harm == "no note":
        note.unlink()
    elif harm == "short":
        part.write_bytes(part.read_bytes()[:300])
    elif harm == "another":
        part.write_bytes(b"x" * part.stat().st_size)
    elif harm == "byte":
        flip(part, 300)
    elif harm == "past the end":
        note.write_text(note.read_text().replace("48", "101"))
    elif harm == "folder":
        part.unlink()
        part.mkdir()
    else:
        part.unlink()
        part.symlink_to(victim)
    again = Fill()
    assert (make(path, again) == ROWS).all() and again.asked[0] == (0, 8)
    assert victim.read_bytes() == b"precious"


def test_an_input_that_cannot_be_used_leaves_nothing(path, noted):
    with pytest.raises(ValueError, match="stopped"):
        make(path, Fill(stop=50, error=ValueError))
    assert kept(path.parent) == []


@pytest.mark.parametrize("rows", [ROWS[:3], ROWS[:8].astype(int), ROWS[:8, :5]])
def test_rows_that_do_not_fit(path, rows):
    with pytest.raises(TypeError, match="rows 0 to 7: fill gave .* expected float32"):
        make(path, lambda start, stop: rows)
    assert open_array(path, ROWS.shape, "float32") is None


PLACES = {"byte": 700, "last byte": -33, "seal": -1}


@pytest.mark.parametrize(
    "harm",
    ["half", "longer", "text", "empty", "byte", "last byte", "seal", "unsealed", "folder", "pipe"]
    + ["another shape", "another type"],
)
def test_a_broken_file_is_noticed(path, harm):
    whole = Path(make(path, Fill()).filename).read_bytes()
    contents = {"half": whole[:500], "longer": whole + b"x", "empty": b"", "unsealed": whole[:-32]}
    path.write_bytes(contents.get(harm, whole if harm in PLACES else b"text"))
    if harm in PLACES:
        flip(path, PLACES[harm])
    elif harm in ("folder", "pipe"):
        path.unlink()
        path.mkdir() if harm == "folder" else os.mkfifo(path)
    elif harm.startswith("another"):
        write_sealed(path, ROWS.astype("float64") if "type" in harm else ROWS[:5])
    with pytest.warns(RuntimeWarning, match="rows.npy is damaged.*making it again"):
        assert (make(path, Fill()) == ROWS).all()
    assert path.read_bytes() == whole


def test_a_whole_array_is_read_through_once(path, monkeypatch):
    make(path, Fill())
    monkeypatch.setattr(arrays, "is_sealed", lambda file: pytest.fail("read again"))
    assert (make(path, Fill(stop=0)) == ROWS).all()
    (note,) = (path.parent / "known").iterdir()
    note.unlink()  # its loss costs a look
    monkeypatch.undo()
    assert (make(path, Fill(stop=0)) == ROWS).all() and note.exists()


def test_a_full_disk_is_explained_and_gone_on_from(path, noted):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(OSError, match="is full: free some space.*MALARIA_NB_HOME"):
            make(path, Fill())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    rest = Fill()
    assert (make(path, rest) == ROWS).all() and rest.asked[0][0] > 0


def test_too_small_a_disk_is_known_beforehand(path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(arrays.shutil, "disk_usage", lambda p: usage)
    with pytest.raises(OSError, match="make room.*MALARIA_NB_HOME") as e:
        make(path, Fill(stop=0))
    assert e.value.errno == errno.ENOSPC and kept(path.parent) == []


def test_a_folder_where_the_rows_are_noted_is_taken_away(tmp_path):
    (tmp_path / "a.rows").mkdir()
    made = arrays.cached_array(
        tmp_path / "a.npy", (3,), np.uint8, lambda a, b: np.arange(a, b, dtype=np.uint8)
    )
    assert made.tolist() == [0, 1, 2]
