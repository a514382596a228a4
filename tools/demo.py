"""Build the page that reads cells in the browser, without a server and without a network.

python tools/demo.py [OUT]      # default: _docs/html/demo
python tools/demo.py --serve    # build, and serve the book with it on this machine until Ctrl+C
"""

import base64
import gzip
import hashlib
import html
import json
import os
import shutil
import subprocess
import sys
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import matplotlib
import numpy as np
import pandas as pd
import requests
from filelock import FileLock

from malaria_nb.counting import check_count, crop_cells
from malaria_nb.files import whole_file
from malaria_nb.finder import find_cells
from malaria_nb.parasitaemia import parasitaemia
from malaria_nb.pictures import read_picture
from malaria_nb.predict import CompactModel
from malaria_nb.settings import read_settings
from malaria_nb.synthetic import draw_cell, draw_field

ROOT = Path(__file__).resolve().parents[1]
PAGE, OUT = ROOT / "docs" / "demo", ROOT / "_docs" / "html" / "demo"
MODEL = ROOT / "malaria_nb" / "network.tflite"
CHULA = ROOT / "nbs" / "sample" / "chula"  # real fields, with their licence
FIELDS = ("17", "100")  # of Chula-RBC-12; the page opens with the first
# exact versions, with the registry's SHA-512; the wasm is too large for the repository
PACKAGES = {
    "@litertjs/core@2.5.3": "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr"
    "9OFDL1kCnN4nzWoyJQ==",
    "@techstark/opencv-js@5.0.0-release.1": "PIm+eB0MFtieXoNC2GRao0dv/02sehG+Nv2nSW5D6pQm6J/4WqvD"
    "Hm0RyoqOmGYQm67jdGiaOdIeTShCY3PIUg==",
}
# one thread and no relaxed SIMD: every browser, and the same sums in each
WASM = "package/wasm/litert_wasm_compat_internal"


class CantBuild(Exception):
    "The page lacks a part that this machine can't get."


def pack(package: str) -> bytes:  # the tarball
    "Get a package by npm, or without it from the registry that npm_config_registry names."
    name, _, version = package.rpartition("@")
    registry, npm = os.environ.get("npm_config_registry"), shutil.which("npm")
    if not npm and not registry:
        raise CantBuild(
            f"{package} comes from an npm registry: install npm (apt-get install npm), "
            "or let npm_config_registry name a registry"
        )
    try:
        if not npm:
            answer = requests.get(
                f"{registry.rstrip('/')}/{name}/-/{name.split('/')[-1]}-{version}.tgz", timeout=60
            )
            answer.raise_for_status()
            return answer.content
        with TemporaryDirectory() as folder:
            subprocess.run(
                [npm, "pack", "--fetch-retries=1", package],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
                timeout=300,
            )
            return next(Path(folder).glob("*.tgz")).read_bytes()
    except (requests.RequestException, subprocess.SubprocessError) as e:
        said = [
            line
            for line in (getattr(e, "stderr", None) or str(e)).splitlines()
            if " warn " not in line.lower()
        ]
        raise CantBuild(
            f"{package} can't be had from the npm registry: {' '.join(said[:4])}"
        ) from None


def pinned(package: str, data: bytes) -> bool:
    "Tell whether these bytes are the package that was pinned."
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == PACKAGES[package]


def unpacked(package: str, folder: Path) -> dict[str, bytes]:  # file in the package: its bytes
    "Return a pinned package's files; it is fetched once into `folder`, and checked each time."
    file = folder / f"{package.replace('/', '-')}.tgz"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        data = file.read_bytes() if file.exists() else b""
        if not pinned(package, data):
            data = pack(package)
            if not pinned(package, data):
                raise CantBuild(
                    f"{package}: what came is not what was pinned (SHA-512); nothing of it was kept"
                )
            with whole_file(file) as part:
                part.write_bytes(data)
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def classic(module: bytes) -> str:
    "Turn LiteRT's module into a plain script, which a page on disk may load, wasm from memory."
    text = module.decode().partition("//# sourceMappingURL")[0]
    for old, new in (
        ('import { createWasmLib } from "@litertjs/wasm-utils";', ""),
        ("Environment.create()", "Environment.create({webGpuDevice: null})"),
    ):
        assert text.count(old) == 1, (
            f"LiteRT's module is not laid out as in the pinned version: {old}"
        )
        text = text.replace(old, new)
    body, _, names = text.rpartition("\nexport {")
    made = (
        "const createWasmLib = async lib => new lib(await ModuleFactory("
        "{wasmBinary: self.LITERT_WASM, printErr: console.debug}));"
    )
    return f"(() => {{\n{made}\n{body}\nself.LiteRT = {{{names.strip().rstrip(';')};\n}})();\n"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(image: np.ndarray) -> str:
    return encoded(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def pictures() -> tuple[dict[str, np.ndarray], dict[str, str]]:  # by name: RGB; what is known of it
    "Return what a reader without pictures of their own can try, and the truth about fields."
    shown, truth = {}, {}
    for i in range(8):
        kind = "with" if i % 2 else "without"
        shown[f"synthetic cell {i + 1}, drawn {kind} parasites.png"] = draw_cell(i, bool(i % 2))[0]
    for number in FIELDS:
        shown[f"field {number} of Chula-RBC-12.png"] = read_picture(
            CHULA / "fields" / f"{number}.jpg"
        )
    truth["field 17 of Chula-RBC-12.png"] = (
        "What is known: nobody in this collection has malaria, so every alarm is false. At 0.50 "
        "there are five: four pale cells, one of them with a dark speck, and part of a white cell "
        "that was taken for a red one. Five in 87 would be an infection of 5.7 %."
    )
    truth["field 100 of Chula-RBC-12.png"] = (
        "What is known: nobody here has malaria either. Stain and light differ from those of the "
        "hospital where the model learned. The network that this page had before called all 83 "
        "cells parasitized (chapter 14); this one, trained on varied stains, calls none."
    )
    field, things = draw_field(5, cells=60, parasitaemia=0.1, shape=(700, 900))
    red = find_cells(field)
    red = red[red["kind"] == "red"]
    apart = np.hypot(
        *(red[[f"c{k}"]].to_numpy() - things[k].to_numpy() for k in "xy")
    )  # a row a cell found, a column a thing drawn
    drawn = int(things["label"].to_numpy()[apart.argmin(axis=1)].sum())
    shown["synthetic field.png"] = field
    truth["synthetic field.png"] = (
        f"What is known: {drawn} of the {len(red)} red cells found here were drawn with parasites. "
        "The model never saw a drawn cell in training."
    )
    return shown, truth


# page.js says the same
RINGS = (
    "Thick ring and number: called parasitized. Thin ring: called uninfected. "
    "Dashed ring: left out."
)
COLOURS = {"parasitized": "#D55E00", "uninfected": "#0072B2", "left out": "#333"}
LEFT_OUT = {"edge": "cut by the border", "clump": "crowded", "small": "small", "white": "white"}


def summary(found: pd.DataFrame, called: int) -> str:
    "Say what was counted in a field, as page.js does at the same threshold."
    kinds = found["kind"].value_counts()
    n = int(kinds["red"])
    p, doubt = parasitaemia(called, n), check_count(called, n)
    value, low, high = (f"{100 * v:.1f}\u00a0%" for v in (p.value, p.low, p.high))
    left = ", ".join(f"{kinds[k]} {words}" for k, words in LEFT_OUT.items() if k in kinds)
    return (
        f"{f'This count is {doubt}. ' if doubt else ''}{n} red cells, {called} called parasitized: "
        f"parasitaemia {value} (95\u00a0% interval {low} to {high})."
        f"{f' Left out: {left}.' if left else ''}"
    )


def ring(cell, called: bool) -> str:  # SVG
    "Draw a ring around a cell that was found, as page.js does."
    kind = ("parasitized" if called else "uninfected") if cell.kind == "red" else "left out"
    place = f'cx="{cell.cx:.1f}" cy="{cell.cy:.1f}"'
    radius, width = 1.15 * np.sqrt(cell.area / np.pi) + 2, 5 if called else 2
    dashes = "" if cell.kind == "red" else ' stroke-dasharray="6 5"'
    drawn = "".join(
        f'<circle {place} r="{radius:.1f}" stroke="{colour}" stroke-width="{w}"{dashes}/>'
        for colour, w in (("#fff", width + 3), (COLOURS[kind], width))
    )
    if called:
        drawn += f'<text x="{cell.cx:.1f}" y="{cell.cy:.1f}">{cell.Index + 1}</text>'
    return drawn


def opening(name: str, field: np.ndarray, truth: str) -> str:  # HTML
    "Show a field as Python reads it, until the browser has read it too."
    found = find_cells(field).reset_index(drop=True)
    red = found["kind"] == "red"
    model = CompactModel()
    scores, _ = model.evidence(crop_cells(field, found[red], model.size))
    calls = red.to_numpy(copy=True)
    calls[red] = np.asarray(scores) >= 0.5
    said = summary(found, int(calls.sum()))
    rings = "".join(ring(cell, call) for cell, call in zip(found.itertuples(), calls))
    height, width = field.shape[:2]
    label = html.escape(f"{name} with a ring around each cell found. {said}", quote=True)
    return f"""<div id="opening">
<h2>Result</h2>
<h3>{html.escape(name)}</h3>
<div class="field">
<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">
<image href="opening.jpg" width="{width}" height="{height}"/>{rings}</svg>
<div><p>{html.escape(said)}</p>
<p class="truth">{html.escape(truth)}</p>
<p class="small">{RINGS}</p></div>
</div>
</div>"""


def build(out: Path):
    "Write the page and everything it needs into `out`; raise `CantBuild` when a part can't be had."
    if not MODEL.exists():
        raise CantBuild(f"{MODEL.relative_to(ROOT)} is missing: the page has no model to run")
    npm = read_settings().home / "npm"
    litert, opencv = (unpacked(package, npm) for package in PACKAGES)
    out.mkdir(parents=True, exist_ok=True)
    for file in PAGE.iterdir():
        shutil.copy(file, out)
    shown, truth = pictures()
    first = f"field {FIELDS[0]} of Chula-RBC-12.png"
    page = (PAGE / "index.html").read_text("utf-8")
    assert page.count("<!-- opening -->") == 1, "index.html has no place for the first field"
    page = page.replace("<!-- opening -->", opening(first, shown[first], truth[first]))
    (out / "index.html").write_text(page, encoding="utf-8")
    shutil.copy(CHULA / "fields" / f"{FIELDS[0]}.jpg", out / "opening.jpg")
    shutil.copy(CHULA / "LICENSE", out / "LICENSE-chula.txt")
    (out / "litert.js").write_text(
        litert[f"{WASM}.js"].decode() + classic(litert["package/dist/index.js"]), encoding="utf-8"
    )
    (out / "opencv.js").write_bytes(opencv["package/dist/opencv.js"])
    (out / "LICENSE.txt").write_bytes(opencv["package/LICENSE"])  # Apache 2.0, LiteRT's as well
    cividis = matplotlib.colormaps["cividis"](range(256))[:, :3]
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()[:12]
    parts = {
        "wasm": encoded(gzip.compress(litert[f"{WASM}.wasm"], mtime=0)),
        "model": encoded(MODEL.read_bytes()),
        "colours": (cividis * 255).round().astype(int).tolist(),
        "about": f"{MODEL.name}, {MODEL.stat().st_size / 1000:.0f} kB, SHA-256 {digest}; "
        + " and ".join(PACKAGES),
    }
    constants = {
        "parts.js": {"PARTS": parts},
        "samples.js": {"SAMPLES": {name: png(image) for name, image in shown.items()}},
    }
    constants["samples.js"]["TRUTH"] = truth
    for file, values in constants.items():
        lines = [f"const {name} = {json.dumps(value)};\n" for name, value in values.items()]
        (out / file).write_text("".join(lines), encoding="utf-8")


def serve(book: Path):
    "Serve the book on this machine until Ctrl+C."
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=book)
    )
    print(f"http://127.0.0.1:{server.server_port}/demo/  (Ctrl+C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    to = sys.argv[1:] or [OUT]
    try:
        build(OUT if to == ["--serve"] else Path(to[0]))
    except CantBuild as e:
        sys.exit(str(e))
    if to == ["--serve"]:
        serve(OUT.parent)
