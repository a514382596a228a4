"""Pictures from outside: read as Pillow reads them, or refused in words; never half, never all."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from test_predict import cell
from tiny_cells import png

from malaria_nb.fetch import file_hash
from malaria_nb.gallery import show_cells
from malaria_nb.pictures import read_picture
from malaria_nb.png import read_cell
from malaria_nb.predict import CompactModel, predict_files

NOISE = np.random.default_rng(3)


def picture(mode):
    "A cell as Pillow's picture of that mode; what is transparent is white behind."
    rgb = cell(57, 43)
    rgb[rgb.any(-1)] += NOISE.integers(0, 30, (rgb.any(-1).sum(), 3), np.uint8)
    full = Image.fromarray(rgb)
    if mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        alpha = Image.fromarray(NOISE.integers(0, 256, rgb.shape[:2], np.uint8))
        full.putalpha(alpha)
    return full.convert(mode)


def packed(kind, image, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def block(kind, data):
    size, check = len(data), zlib.crc32(kind + data)
    return struct.pack(">I", size) + kind + data + struct.pack(">I", check)


def keyed(mode, key):
    return packed("PNG", picture(mode), transparency=key)


READ = {
    **{f"{m}.png": packed("PNG", picture(m)) for m in ("1", "L", "LA", "P", "RGB", "RGBA")},
    "P4.png": packed("PNG", picture("RGB").quantize(12), bits=4),
    "key-P.png": packed("PNG", picture("RGB").quantize(40), transparency=bytes(range(0, 80, 2))),
    "key-L.png": keyed("L", 0),
    "key-RGB.png": keyed("RGB", (0, 0, 0)),
    "turned.png": packed("PNG", picture("RGB"), exif=exif(6)),
    **{f"{m}.jpg": packed("JPEG", picture(m)) for m in ("L", "RGB")},
    "progressive.jpg": packed("JPEG", picture("RGB"), progressive=True),
    "turned.jpg": packed("JPEG", picture("RGB"), exif=exif(6)),
    **{f"{m}.bmp": packed("BMP", picture(m)) for m in ("1", "L", "P", "RGB", "RGBA")},
    **{f"{m}.tif": packed("TIFF", picture(m)) for m in ("1", "L", "LA", "P", "RGB", "RGBA")},
    **{
        f"{c}.tif": packed("TIFF", picture("RGB"), compression=c)
        for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    },
    "deflated-RGBA.tif": packed("TIFF", picture("RGBA"), compression="tiff_adobe_deflate"),
    "YCbCr.tif": packed("TIFF", picture("YCbCr")),
    "turned.tif": packed("TIFF", picture("RGB"), exif=exif(6)),
    "big.tif": packed("TIFF", picture("RGB"), big_tiff=True),
    **{f"{m}.webp": packed("WEBP", picture(m), quality=80) for m in ("RGB", "RGBA")},
    "lossless.webp": packed("WEBP", picture("RGB"), lossless=True),
}
BLOCKS = READ["RGB.png"]
PIXELS = BLOCKS.index(b"IDAT") - 4
STREAM = zlib.compress(np.insert(cell(5, 4).reshape(4, 15), 0, 0, 1).tobytes())
READ |= {
    "gamma.png": BLOCKS[:PIXELS] + block(b"gAMA", struct.pack(">I", 20_000)) + BLOCKS[PIXELS:],
    "adler.png": png(4, 5, packed=STREAM[:-4] + b"aaaa"),
    "no-adler.png": png(4, 5, packed=STREAM[:-4]),
}
BROKEN = ("adler.png",)
DEEP = Image.fromarray(NOISE.integers(0, 60_000, (9, 9), np.uint16))


def deep_rgb_tiff():
    "A TIFF with 16 bits a channel."
    rows = NOISE.integers(0, 60_000, (9, 9, 3)).astype("<u2").tobytes()
    bits, entries = struct.pack("<3H", 16, 16, 16), []
    values = {256: 9, 257: 9, 258: None, 259: 1, 262: 2, 273: 0, 277: 3, 278: 9, 279: len(rows)}
    start = 8 + 2 + 12 * len(values) + 4
    values[273] = start + len(bits)
    for tag, value in values.items():
        count, value = (3, start) if value is None else (1, value)
        entries.append(struct.pack("<HHII", tag, 3 if tag == 258 else 4, count, value))
    return (
        b"II*\0" + struct.pack("<IH", 8, len(values)) + b"".join(entries) + bytes(4) + bits + rows
    )


def several(kind, **how):
    first, *more = (picture("RGB") for _ in range(3))
    return packed(kind, first, save_all=True, append_images=more, **how)


REFUSED = {
    "deep.png": (packed("PNG", DEEP), "16 bits"),
    "deep-RGB.png": (png(9, 9, depth=16), "16 bits"),
    "deep.tif": (packed("TIFF", DEEP), "16 bits"),
    "deep-RGB.tif": (deep_rgb_tiff(), "16 bits"),
    "integers.tif": (packed("TIFF", picture("L").convert("I")), "32 bits"),
    "floats.tif": (packed("TIFF", picture("L").convert("F")), "32 bits"),
    "CMYK.jpg": (packed("JPEG", picture("CMYK")), "CMYK.*save it as RGB"),
    "CMYK.tif": (packed("TIFF", picture("CMYK")), "CMYK.*save it as RGB"),
    "LAB.tif": (packed("TIFF", Image.merge("LAB", [picture("L")] * 3)), "LAB.*save it as RGB"),
    "frames.png": (several("PNG"), "several pictures"),
    "frames.webp": (several("WEBP"), "several pictures"),
    "pages.tif": (several("TIFF"), "several pictures"),
    "frames.gif": (several("GIF"), "no PNG, JPEG, BMP, TIFF or WebP"),
    "one.gif": (packed("GIF", picture("P")), "no PNG, JPEG"),
    "a.jp2": (packed("JPEG2000", picture("RGB")), "no PNG, JPEG"),
    "a.avif": (packed("AVIF", picture("RGB")), "no PNG, JPEG"),
    "a.ppm": (packed("PPM", picture("RGB")), "no PNG, JPEG"),
    "a.ico": (packed("ICO", picture("RGB")), "no PNG, JPEG"),
    "a.eps": (packed("EPS", picture("RGB")), "no PNG, JPEG"),
}


def as_pillow_reads(path):
    "RGB as Pillow has it, black where it is transparent."
    with Image.open(path) as image:
        image.load()
        if not image.has_transparency_data:
            return np.asarray(image.convert("RGB"))
        rgba = np.asarray(image.convert("RGBA")).astype(int)
    return (rgba[..., :3] * rgba[..., 3:] + 127) // 255


@pytest.fixture(scope="module")
def model():
    return CompactModel()


@pytest.mark.parametrize("name", READ)
def test_as_pillow_reads_it(name, tmp_path):
    (tmp_path / name).write_bytes(READ[name])
    if name in BROKEN:
        for read, error in ((as_pillow_reads, OSError), (read_picture, ValueError)):
            with pytest.raises(error):
                read(tmp_path / name)
        return
    wanted = as_pillow_reads(tmp_path / name)
    found = read_picture(tmp_path / name)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_read_wrongly_is_refused(name, tmp_path):
    data, says = REFUSED[name]
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ValueError, match=says):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("name", [name for name in READ if name not in BROKEN])
def test_a_picture_that_is_cut_short_is_refused_or_whole(name, tmp_path):
    path, data = tmp_path / name, READ[name]
    path.write_bytes(data)
    whole = as_pillow_reads(path)
    for cut in np.linspace(0, len(data) - 1, 40).astype(int):
        path.write_bytes(data[:cut])
        try:
            found = read_picture(path)
        except ValueError:
            continue
        np.testing.assert_array_equal(found, whole, err_msg=f"cut after {cut} of {len(data)}")


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_picture_whose_rest_is_zeros_is_refused_or_noted(name, kept, tmp_path, model):
    "An interrupted copy often has the right length, and zeros where nothing was written."
    path, data = tmp_path / name, READ[name]
    at = int(kept * len(data))
    path.write_bytes(data[:at] + bytes(len(data) - at))
    (found,) = predict_files([path], model)
    assert found.problem


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about tags
@pytest.mark.parametrize("name", READ)
def test_damage_is_an_error_in_words(name, tmp_path):
    "Whatever byte is changed: a picture, or `ValueError`."
    path, data = tmp_path / name, READ[name]
    rng = np.random.default_rng(len(data))
    for _ in range(60):
        bad = bytearray(data)
        for at in rng.integers(0, min(len(data), 400), 3):
            bad[at] = rng.integers(256)
        path.write_bytes(bad)
        try:
            assert read_picture(path).shape[2] == 3
        except ValueError as e:
            assert str(e)


# ---- pictures too large


def large_png(side):
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    squeeze = zlib.compressobj(1)
    row = bytes(1 + 3 * side)
    rows = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    kinds = (b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(block(*k) for k in kinds)


def large_bmp(side):
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def large_tiff(side):
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: side**2}
    entries = b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def large_webp(side):
    body = packed("WEBP", Image.new("RGB", (8, 8)), lossless=True)
    at = body.index(b"VP8L") + 9
    bits = (side - 1) | (side - 1) << 14
    return body[:at] + struct.pack("<I", bits) + body[at + 4 :]


def large_jpeg(side):
    body = packed("JPEG", Image.new("RGB", (8, 8)))
    at = body.index(b"\xff\xc0") + 5
    return body[:at] + struct.pack(">HH", side, side) + body[at + 4 :]


@pytest.mark.parametrize("make", [large_png, large_jpeg, large_bmp, large_tiff, large_webp])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(make, tmp_path):
    (tmp_path / "a.png").write_bytes(make(12_000))
    with pytest.raises(ValueError, match="144,000,000 pixels.*at most 33,554,432.*cut the cells"):
        read_picture(tmp_path / "a.png")


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path):
    with open(tmp_path / "a.png", "wb") as f:
        f.write(READ["RGB.png"])
        f.truncate(50 << 30)  # holes: no disk is used
    with pytest.raises(ValueError, match="53,687,091,200 bytes"):
        read_picture(tmp_path / "a.png")


def test_a_pillow_bomb_warning_is_never_printed(tmp_path, recwarn):
    (tmp_path / "a.png").write_bytes(large_bmp(10_000))
    with pytest.raises(ValueError, match="100,000,000 pixels"):
        read_picture(tmp_path / "a.png")
    assert not recwarn


# ---- what is no label


@pytest.mark.parametrize("label", [-1, 2, 0.5, float("nan"), None, "1"])
def test_a_gallery_names_no_class_that_there_is_none_of(label):
    with pytest.raises(ValueError, match="expected 0 .uninfected. or 1 .parasitized."):
        show_cells([cell(), cell()], [1, label])


# ---- what is no file


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
@pytest.mark.parametrize("read", [read_picture, file_hash, lambda p: read_cell(p.parent, p.name)])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_no_reader_waits_for_what_is_no_file(read, kind, tmp_path):
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises((ValueError, OSError), match="not a file"):
        read(path)


def test_a_png_whose_checksum_tells_of_damage_is_refused(tmp_path):
    # Pillow skips the checksum of the pixels: a flipped bit would be other pixels
    random = np.random.default_rng(0).integers(256, size=(20, 20, 3), dtype=np.uint8)
    Image.fromarray(random).save(tmp_path / "whole.png", compress_level=0)
    data = bytearray((tmp_path / "whole.png").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "cell.png").write_bytes(data)
    with pytest.raises(ValueError, match="the checksum is wrong"):
        read_picture(tmp_path / "cell.png")
