"""What no cell's picture may be: cut short, damaged, of another kind."""

import os
import struct
import zlib

import numpy as np
import pytest
from tiny_cells import folder, png

from malaria_nb.archive import list_cells
from malaria_nb.audit import audit_cells
from malaria_nb.dataset import index_cells
from malaria_nb.png import BadCell, check_png, png_size


def test_good_png():
    assert check_png(png(7, 9)) == (7, 9)


good = png(40, 40)
ROWS = np.random.default_rng(1).integers(0, 256, (4, 13), np.uint8)
ROWS[:, 0] = 0
STREAM = zlib.compress(ROWS.tobytes())


def header(at, value):
    "A PNG whose header has another byte there, and the checksum that belongs to it."
    head = bytearray(good[12:29])
    head[4 + at] = value
    return good[:12] + head + struct.pack(">I", zlib.crc32(head)) + good[33:]


def block(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_block(kind, data=b"", before=b"IDAT"):
    at = good.index(before) - 4
    return good[:at] + block(kind, data) + good[at:]


FIRST = good.index(b"IDAT") - 4
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
    "compression": (header(10, 1), "compression method 1"),
    "filter method": (header(11, 64), "filter method 64"),
    "interlace 2": (header(12, 2), "interlace method 2"),
    "wrong Adler": (png(4, 4, packed=STREAM[:-4] + b"aaaa"), "can't be unpacked"),
    "no Adler": (png(4, 4, packed=STREAM[:-4]), "end of its pixels is missing"),
    "half an Adler": (png(4, 4, packed=STREAM[:-2]), "end of its pixels is missing"),
    "after the end": (png(4, 4, packed=STREAM + b"more"), "after the end of its pixels"),
    "no pixels at all": (good[:FIRST] + block(b"IEND"), "no pixels"),
    "two headers": (with_block(b"IHDR", good[16:29]), "a second header"),
    "a gap in the pixels": (
        with_block(b"tEXt", b"a\0b", b"IEND")[:-12] + good[FIRST:],
        "in one go",
    ),
    "a kind nobody knows": (with_block(b"CgBI", bytes(4)), "CgBI, which PNG doesn't know"),
    "no letters": (with_block(b"\0\1\2\3", bytes(4)), "PNG doesn't know"),
    "frames": (with_block(b"acTL", bytes(8)), "an animation"),
    "end with data": (good[:-12] + block(b"IEND", b"x"), "its end is damaged"),
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
    "compression",
    "filter method",
    "interlace 2",
]


@pytest.mark.parametrize("kind", BAD)
def test_bad_png(kind):
    data, message = BAD[kind]
    with pytest.raises(ValueError, match="C1.png: .*" + message):
        check_png(data, "C1.png")


def test_bad_cell_is_a_value_error():
    e = BadCell("a.png", "broken")
    assert (
        isinstance(e, ValueError)
        and (e.file, e.problem) == ("a.png", "broken")
        and e.mend in str(e)
    )


@pytest.mark.parametrize("kind", HEADER)
def test_a_bad_header_is_seen_in_the_header(kind):
    with pytest.raises(BadCell, match=BAD[kind][1]):
        png_size(BAD[kind][0][:33], "C1.png")


def test_what_a_camera_adds_is_no_fault():
    data = with_block(b"tEXt", b"Software\0x")
    at = data.index(b"IEND") - 4
    data = data[:at] + block(b"tIME", bytes(7)) + data[at:]
    assert (
        check_png(with_block(b"gAMA", bytes(4)) + b"after the end") == check_png(data) == (40, 40)
    )


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "lost"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_what_is_no_file_is_refused_by_name_and_at_once(kind, tmp_path):
    root = folder(tmp_path / "cells")
    (first, *_) = list_cells(root)
    (root / first).unlink()
    if kind == "pipe":
        os.mkfifo(root / first)
    elif kind == "folder":
        (root / first).mkdir()
    else:
        (root / first).symlink_to("/dev/zero" if kind == "device" else "nowhere")
    says = "no such file" if kind == "lost" else "not a file"
    for notes in (None, tmp_path / "notes"):
        with pytest.raises(BadCell, match=f"{first}: can't be read .{says}"):
            index_cells(root, notes)
    (problem,) = audit_cells(None, root, progress=False).to_dict("records")
    assert problem["file"] == first and says in problem["problem"]


def test_a_cell_of_too_many_bytes_is_refused_unread(tmp_path):
    root = folder(tmp_path / "cells")
    (first, *_) = list_cells(root)
    with open(root / first, "ab") as f:
        f.truncate(50 << 30)  # holes: no disk is used
    (problem,) = audit_cells(None, root, progress=False).to_dict("records")
    assert problem["file"] == first and "53,687,091,200 bytes" in problem["problem"]


@pytest.mark.parametrize("note", [b"", b"\x93NUMPY\x01\0", b"pickle", "object", "huge", "floats"])
def test_a_note_of_sizes_that_is_none_is_made_again(note, tmp_path):
    root = folder(tmp_path / "cells")
    table = index_cells(root, tmp_path / "notes")
    (kept,) = (tmp_path / "notes").iterdir()
    if note == "object":
        np.save(kept, np.array([[{}, 1]] * len(table)), allow_pickle=True)
    elif note == "huge":
        text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({1 << 50}, 2)}}".ljust(117)
        kept.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", 118) + text.encode() + b"\n")
    elif note == "floats":
        np.save(kept, np.full((len(table), 2), np.nan))
    else:
        kept.write_bytes(note)
    assert index_cells(root, tmp_path / "notes").equals(table)
