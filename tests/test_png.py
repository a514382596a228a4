"""What no cell's picture may be: cut short, damaged, of another kind."""

import pytest
from tiny_cells import png

from malaria_nb.png import BadCell, check_png


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


def test_bad_cell_is_a_value_error():
    e = BadCell("a.png", "broken")
    assert (
        isinstance(e, ValueError)
        and (e.file, e.problem) == ("a.png", "broken")
        and e.mend in str(e)
    )
