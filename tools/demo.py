"""Build the page that reads cells in the browser, without a server and without a network.

python tools/demo.py [OUT]      # default: _docs/html/demo
python tools/demo.py --serve    # build, and serve the book with it on this machine until Ctrl+C
"""

import base64
import gzip
import hashlib
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
import requests
from filelock import FileLock

from malaria_nb.files import whole_file
from malaria_nb.settings import read_settings
from malaria_nb.synthetic import draw_cell, draw_field

ROOT = Path(__file__).resolve().parents[1]
PAGE, OUT = ROOT / "docs" / "demo", ROOT / "_docs" / "html" / "demo"
MODEL = ROOT / "malaria_nb" / "compact.tflite"
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


def samples() -> dict[str, str]:  # file name: PNG, base64
    "Draw what a reader without cells of their own can try."
    cells = {
        f"synthetic cell {i + 1}, drawn {'with' if i % 2 else 'without'} parasites.png": png(
            draw_cell(i, bool(i % 2))[0]
        )
        for i in range(8)
    }
    return cells | {
        "synthetic field.png": png(draw_field(5, cells=60, parasitaemia=0.1, shape=(700, 900))[0])
    }


def build(out: Path):
    "Write the page and everything it needs into `out`; raise `CantBuild` when a part can't be had."
    if not MODEL.exists():
        raise CantBuild(f"{MODEL.relative_to(ROOT)} is missing: the page has no model to run")
    npm = read_settings().home / "npm"
    litert, opencv = (unpacked(package, npm) for package in PACKAGES)
    out.mkdir(parents=True, exist_ok=True)
    for file in PAGE.iterdir():
        shutil.copy(file, out)
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
    for name, value in {"PARTS": parts, "SAMPLES": samples()}.items():
        (out / f"{name.lower()}.js").write_text(
            f"const {name} = {json.dumps(value)};\n", encoding="utf-8"
        )


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
