"""What would spoil chapter 02: bad pictures, a broken cache, two processes at once."""

import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tiny_cells import folder, png

from malaria_nb import images
from malaria_nb.dataset import index_cells
from malaria_nb.gallery import show_cells
from malaria_nb.images import (
    all_symmetries,
    decode_cell,
    eight_symmetries,
    load_images,
    purple_excess,
    symmetry,
)

CACHE = None  # a folder of its own for every test


@pytest.fixture
def cells(root):
    return index_cells(root)


@pytest.fixture(autouse=True)
def cache(home, monkeypatch):
    monkeypatch.setitem(globals(), "CACHE", home / "images")


def load(cells, root, size=8, **kw):
    return load_images(cells, root, size, CACHE, progress=False, **kw)


def kept(home):
    return sorted(p.name for p in (home / "images").glob("*.*") if p.suffix != ".lock")


# -- one picture ----------------------------------------------------------------------------------


def flat(r, g, b, side=6):
    return png(side, side, rows=(b"\0" + bytes((r, g, b)) * side) * side)


def test_red_comes_first(tmp_path):
    (tmp_path / "a.png").write_bytes(flat(250, 20, 90))
    assert (decode_cell(tmp_path / "a.png") == (250, 20, 90)).all()
    assert (decode_cell(tmp_path / "a.png", 9) == (250, 20, 90)).all()


def test_sizes(tmp_path):
    (tmp_path / "a.png").write_bytes(png(7, 9))
    assert decode_cell(tmp_path / "a.png").shape == (7, 9, 3)
    for how in images.INTERPOLATIONS:
        x = decode_cell(tmp_path / "a.png", 5, how)
        assert (x.shape, x.dtype) == ((5, 5, 3), np.uint8)


def wide(side=20_000):
    data = bytearray(png(6, 5))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


bad = {
    "truncated": png(40, 40)[:-60],
    "without its end": png(40, 40)[:-12],
    "empty": b"",
    "text": b"not a picture\n",
    "1-bit": png(depth=1, colour=0),
    "16-bit": png(depth=16),
    "RGBA": png(colour=6),
    "grey": png(colour=0),
    "wide": wide(),
    "odd filter": png(6, 6, rows=(b"\x09" + bytes(18)) * 6),
}


@pytest.mark.parametrize("kind", bad)
def test_bad_picture(kind, tmp_path):
    (tmp_path / "this one.png").write_bytes(bad[kind])
    with pytest.raises(ValueError, match="this one.png: .*([Ff]etch|Convert|take)"):
        decode_cell(tmp_path / "this one.png", 8)


@pytest.mark.parametrize(
    "kind, says",
    [
        ("truncated", "cut short"),
        ("text", "not a PNG"),
        ("empty", "empty"),
        ("RGBA", "8-bit RGBA"),
        ("grey", "8-bit grey"),
        ("1-bit", "1-bit"),
        ("16-bit", "16-bit"),
    ],
)
def test_error_names_the_fault(kind, says, tmp_path):
    (tmp_path / "a.png").write_bytes(bad[kind])
    with pytest.raises(ValueError, match=says):
        decode_cell(tmp_path / "a.png")


def test_huge_picture_is_refused_before_it_costs_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *a: pytest.fail("decoded"))
    (tmp_path / "a.png").write_bytes(wide())
    tracemalloc.start()
    with pytest.raises(ValueError, match="20,000 × 20,000"):
        decode_cell(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


@pytest.mark.parametrize("kind", bad)
def test_bad_picture_among_good_ones(kind, cells, root, home):
    whole = np.array(load(cells, root))
    before = kept(home)
    victim = root / cells.file[5]
    good = victim.read_bytes()
    victim.write_bytes(bad[kind])
    with pytest.raises(ValueError, match=victim.name.replace("(", r"\(")):
        load(cells, root)
    assert kept(home) == before  # the good cache untouched, nothing half made
    victim.write_bytes(good)
    assert (load(cells, root) == whole).all()


# -- the cache ------------------------------------------------------------------------------------


def test_row_i_is_cell_i(cells, root):
    x = load(cells.sample(frac=1, random_state=0), root)
    assert (x.shape, x.dtype) == ((len(cells), 8, 8, 3), np.uint8)
    for row, file in zip(x, cells.sample(frac=1, random_state=0).file):
        assert (row == decode_cell(root / file, 8)).all()
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 0


def test_more_cells_than_a_block(tmp_path):
    root = folder(tmp_path / "many", patients=4, photos=13, each=10, height=2, width=2)
    cells = index_cells(root)
    assert len(cells) > 2 * 512
    x = load(cells, root, 2, workers=3)
    for i in (0, 511, 512, 1023, 1024, -1):
        assert (x[i] == decode_cell(root / cells.file.iloc[i], 2)).all()


def test_outer_folder_will_do(cells, root, tmp_path):
    (tmp_path / "outer").mkdir()
    root.rename(tmp_path / "outer" / "cell_images")
    assert len(load(cells, tmp_path / "outer")) == len(cells)


def test_second_start_decodes_nothing(cells, root, monkeypatch):
    x = load(cells, root)
    monkeypatch.setattr(images, "decode_cell", lambda *a: pytest.fail("decoded again"))
    assert (load(cells, root) == x).all()


def test_cache_is_made_of_these_files(cells, root):
    first = load(cells, root).filename
    assert load(cells, root).filename == first
    assert (
        load(cells, root, 9).filename != first != load(cells, root, interpolation="cubic").filename
    )
    assert load(cells[::-1], root).filename != first
    os.utime(root / cells.file[0], (1, 1))  # another date is the same picture
    assert load(cells, root).filename == first
    victim = root / cells.file[0]
    height, width = cells.height[0], cells.width[0]
    victim.write_bytes(png(height, width, seed=99))
    assert victim.stat().st_size == len(png(height, width, seed=99))
    x = load(cells, root)
    assert x.filename != first and (x[0] == decode_cell(victim, 8)).all()


def test_another_machine_gives_the_same_name(cells, root, tmp_path):
    first = Path(load(cells, root).filename).name
    root.rename(tmp_path / "elsewhere")
    assert Path(load(cells, tmp_path / "elsewhere").filename).name == first


def commented(seed):
    "Return a PNG of one size whatever the seed, with a comment behind its pixels."
    pixels = png(6, 5, seed)
    comment = b"tEXtComment\0" + b"the same in both, and " * 5
    block = struct.pack(">I", len(comment) - 4) + comment + struct.pack(">I", zlib.crc32(comment))
    return pixels[:-12] + block + pixels[-12:]


def test_a_comment_behind_the_pixels_hides_nothing(cells, root):  # finding M7
    victim = root / cells.file[0]
    victim.write_bytes(commented(1))
    first = load(cells, root)
    os.utime(victim, (1, 1))
    victim.write_bytes(commented(2))
    os.utime(victim, (1, 1))
    again = load(cells, root)
    assert commented(1)[-20:] == commented(2)[-20:] and len(commented(1)) == len(commented(2))
    assert again.filename != first.filename and (again[0] == decode_cell(victim, 8)).all()


def test_other_pixels_under_the_same_names_are_other_images(cells, root, tmp_path):
    first, other = load(cells, root), tmp_path / "other"
    for i, file in enumerate(cells.file):
        (other / file).parent.mkdir(parents=True, exist_ok=True)
        (other / file).write_bytes(png(6, 5, seed=100 + i))
        os.utime(other / file, ns=(0, (root / file).stat().st_mtime_ns))
    x = load(cells, other)
    assert x.filename != first.filename and (x[5] == decode_cell(other / cells.file[5], 8)).all()
    assert (load(cells, root) == first).all()


def test_a_cell_that_changes_while_it_is_decoded_spoils_no_cache(cells, root, home, monkeypatch):
    decode, victim = images.decode_cell, root / cells.file[3]

    def slow(path, *how):
        if path == victim:
            path.write_bytes(png(6, 5, seed=99))
        return decode(path, *how)

    with monkeypatch.context() as m:
        m.setattr(images, "decode_cell", slow)
        with pytest.raises(ValueError, match=f"{victim.name} changed while it was decoded"):
            load(cells, root)
    assert kept(home) == []
    assert (load(cells, root)[3] == decode_cell(victim, 8)).all()


@pytest.mark.parametrize(
    "harm", ["empty", "header", "half", "one byte", "flipped", "longer", "text", "another shape"]
)
def test_broken_cache_is_noticed(harm, cells, root):
    x = load(cells, root)
    path, whole, rows = Path(x.filename), Path(x.filename).read_bytes(), np.array(x)
    path.write_bytes(
        {
            "empty": b"",
            "header": whole[:100],
            "half": whole[: len(whole) // 2],
            "one byte": whole[:-1],
            "flipped": whole[:900] + bytes([whole[900] ^ 1]) + whole[901:],
            "longer": whole + b"x",
            "text": b"hello",
            "another shape": b"",
        }[harm]
    )
    if harm == "another shape":
        np.save(path, np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.warns(RuntimeWarning, match="making it again"):
        again = load(cells, root)
    assert (again == rows).all() and path.read_bytes() == whole


@pytest.mark.parametrize(
    "kw, error, says",
    [
        (dict(size=0), ValueError, "1 to 4096"),
        (dict(size=5000), ValueError, "1 to 4096"),
        (dict(interpolation="bicubic"), ValueError, "'area', 'linear', 'cubic'"),
    ],
)
def test_bad_argument(kw, error, says, cells, root):
    with pytest.raises(error, match=says):
        load(cells, root, **kw)


def test_nothing_to_decode(cells, root):
    with pytest.raises(ValueError, match="empty"):
        load(cells[:0], root)


def test_missing_cell(cells, root):
    (root / cells.file[3]).unlink()
    with pytest.raises(FileNotFoundError, match="is not there: give the table"):
        load(cells, root)


def test_missing_folder(cells, tmp_path):
    with pytest.raises(FileNotFoundError, match="Parasitized"):
        load(cells, tmp_path)


# -- the disk -------------------------------------------------------------------------------------


def test_too_small_a_disk_is_known_beforehand(cells, root, home, monkeypatch):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("shutil.disk_usage", lambda p: usage)
    monkeypatch.setattr(images, "decode_cell", lambda *a: pytest.fail("decoded"))
    with pytest.raises(OSError, match="make room.*MALARIA_NB_HOME"):
        load(cells, root)
    assert kept(home) == []


def test_disk_that_fills_up(cells, root, home):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(OSError, match="free some space.*MALARIA_NB_HOME"):
            load(cells, root, 32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(load(cells, root, 32)) == len(cells)


@pytest.fixture
def nobody():
    "Run a test without root's rights, which no permission stops."
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked(tmp_path_factory):
    "A home that can be read and not written to."
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


def test_no_permission(locked, monkeypatch, request):
    cells = index_cells(root := folder(locked / "cells"))
    monkeypatch.setitem(globals(), "CACHE", locked / "home" / "images")
    (locked / "home").mkdir()
    os.chmod(locked / "home", 0o555)
    request.getfixturevalue("nobody")
    with pytest.raises(PermissionError, match="MALARIA_NB_HOME"):
        load(cells, root)


def test_cache_that_may_only_be_read(locked, monkeypatch, request):
    cells = index_cells(root := folder(locked / "cells"))
    monkeypatch.setitem(globals(), "CACHE", locked / "home" / "images")
    x = load(cells, root)
    for lock in (locked / "home/images").glob("*.lock"):
        lock.unlink()
    os.chmod(locked / "home/images", 0o555)
    request.getfixturevalue("nobody")
    assert (load(cells, root) == x).all()


# -- other processes ------------------------------------------------------------------------------

SLOWLY = """
import sys, time
from pathlib import Path
from malaria_nb import images
from malaria_nb.dataset import index_cells
root, go, fast = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
decode, done = images.decode_cell, []
def slowly(*a):
    done.append(a)
    if len(done) > fast: time.sleep(.02)
    return decode(*a)
images.decode_cell = slowly
cells = index_cells(root)
print("ready", flush=True)
while not go.exists(): time.sleep(.01)
x = images.load_images(cells, root, 8, sys.argv[4], workers=1, progress=False)
print(len(done), x.filename, int(x.sum()))
"""


def slowly(root, go, fast=0):
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, root, go, str(fast), CACHE],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_make_one_cache(root, cells, tmp_path, home):
    both = [slowly(root, tmp_path / "go") for _ in range(2)]
    for p in both:
        assert p.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    said = [p.communicate(timeout=60)[0].split() for p in both]
    assert sorted(int(n) for n, *_ in said) == [0, len(cells)]  # one decoded, the other waited
    x = load(cells, root)
    assert [s[1:] for s in said] == [[str(x.filename), str(int(x.sum()))]] * 2
    assert kept(home) == [Path(x.filename).name]


@pytest.mark.slow
def test_killed_process_leaves_no_bad_cache(tmp_path, home):
    root = folder(tmp_path / "many", patients=3, photos=10, each=10)
    cells = index_cells(root)
    process = slowly(root, tmp_path / "go", fast=512)
    assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    until = time.monotonic() + 60
    while not any(p.stat().st_size > 512 * 8 * 8 * 3 for p in (home / "images").glob("*.part")):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {Path(n).suffix for n in kept(home)} <= {".part", ".rows"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = load(cells, root)
    assert (x[-1] == decode_cell(root / cells.file.iloc[-1], 8)).all()
    assert kept(home) == [Path(x.filename).name]


# -- the eight symmetries -------------------------------------------------------------------------

x = np.arange(100 * 2 * 2 * 3, dtype=np.uint8).reshape(100, 2, 2, 3)


def test_eight_symmetries_are_those_of_numpy():
    image = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    turns = [np.rot90(m, k) for m in (image, image[:, ::-1]) for k in range(4)]
    assert {a.tobytes() for a in all_symmetries(image)} == {
        np.ascontiguousarray(t).tobytes() for t in turns
    }
    assert (symmetry(image, 0) == image).all()


def test_all_eight_are_drawn_alike():
    image = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    out = eight_symmetries(np.stack([image] * 8000), np.random.default_rng(1))
    counts = pd.Series([o.tobytes() for o in out]).value_counts()
    assert set(counts.index) == {a.tobytes() for a in all_symmetries(image)}
    assert counts.between(850, 1150).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_kind_is_kept(dtype):
    assert eight_symmetries(x.astype(dtype), np.random.default_rng(0)).dtype == dtype


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 12)])
def test_oblong_can_not_be_turned(shape):
    with pytest.raises(ValueError, match="make the images square"):
        eight_symmetries(np.zeros(shape, np.uint8), np.random.default_rng(0))


# -- what is measured and shown -------------------------------------------------------------------


def test_purple_excess():
    cell = np.full((20, 20, 3), (180, 120, 130), np.uint8)
    assert purple_excess(cell) == 0
    cell[3:6, 3:6] = (120, 40, 130)
    assert purple_excess(cell) == 80
    cell[:, 10:] = 0
    assert purple_excess(cell) == 80 and purple_excess(cell * 0) == 0


def test_grid():
    fig = show_cells([x[0]] * 5, [0, 1, 0, 1, 1], columns=3)
    assert [a.get_title() for a in fig.axes[:5]] == [
        "uninfected",
        "parasitized",
        "uninfected",
        "parasitized",
        "parasitized",
    ]
    with pytest.raises(ValueError, match="5 images but 4 labels"):
        show_cells([x[0]] * 5, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="5 images but 2 titles"):
        show_cells([x[0]] * 5, titles=["a", "b"])


def test_images_need_no_keras():
    code = "import sys, malaria_nb.images; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "matplotlib"} & set(done.stdout.split())
