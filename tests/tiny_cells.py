"""Small PNGs and folders of them, written without an image library."""

import struct
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from malaria_nb.archive import FOLDERS
from malaria_nb.dataset import parse_name


def png(height=6, width=5, seed=0, depth=8, colour=2, interlace=0, rows=None, packed=None):
    "Return the bytes of a PNG of random pixels, of any kind."
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    line = (width * channels * depth + 7) // 8
    noise = np.random.default_rng([seed, height, width]).integers(0, 256, (height, line), np.uint8)
    rows = b"".join(b"\0" + r.tobytes() for r in noise) if rows is None else rows

    def block(kind, data):
        size, check = len(data), zlib.crc32(kind + data)
        return struct.pack(">I", size) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", header)
        + block(b"IDAT", packed or zlib.compress(rows))
        + block(b"IEND", b"")
    )


def name(patient, photo=0, cell=1):
    return f"C{patient}P{patient}ThinF_IMG_20150918_{photo:06d}_cell_{cell}.png"


def folder(root, patients=3, photos=2, each=2, **kind):
    "Write `patients` × `photos` × `each` cells of each class below `root` and return it."
    n = 0
    for c in ("Parasitized", "Uninfected"):
        (Path(root) / c).mkdir(parents=True, exist_ok=True)
        for p, f, k in product(range(1, patients + 1), range(photos), range(each)):
            n += 1
            file = name(p, f, 2 * k + (c == "Parasitized"))
            (Path(root) / c / file).write_bytes(png(seed=n, **kind))
    return Path(root)


def table(patients=40, seed=0):
    "A cells table like the real one: all give uninfected cells, few many parasitized; no files."
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(1, patients + 1):
        for label, n in ((0, 20), (1, 1 + int(rng.lognormal(2, 1.3)) if p % 4 else 0)):
            for k in range(n):
                file = f"{FOLDERS[label]}/{name(p, int(rng.integers(7)), 2 * k + label)}"
                rows.append(
                    {"file": file, "label": label, **parse_name(file), "height": 130, "width": 130}
                )
    return pd.DataFrame(rows).sort_values("file", ignore_index=True)
