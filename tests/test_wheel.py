"""The wheel, installed into an empty environment, serves somebody who has never seen this repository."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from malaria_nb.predict import SHA256

ROOT = Path(__file__).resolve().parents[1]
USE = """
import sys
from pathlib import Path
from malaria_nb.predict import predict_files
from malaria_nb.dataset import index_cells, split_cells
from malaria_nb.evaluation import evaluate
from malaria_nb.images import load_images
from malaria_nb.synthetic import synthetic_cells
import malaria_nb

assert "site-packages" in malaria_nb.__file__, malaria_nb.__file__
root = synthetic_cells(Path("cells"), n=120)
cells = split_cells(index_cells(root), by="patient")
images = load_images(cells, root, size=32, progress=False)
assert images.shape == (120, 32, 32, 3)
score = images.mean((1, 2, 3))/255
(prediction,) = predict_files([root/cells["file"][0]])
assert not prediction.problem and 0 <= prediction.score <= 1
print(evaluate(cells["label"], score, cells["patient"], n_boot=50))
assert "nbdev" not in sys.modules and "fastcore" not in sys.modules
"""


def sh(*command, cwd, env=None):
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    to = tmp_path_factory.mktemp("dist")
    sh(sys.executable, "-m", "build", "--no-isolation", "--outdir", to, ROOT, cwd=to)
    return next(to.glob("*.whl"))


def test_wheel_holds_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info" not in n} == {"malaria_nb"}
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert (
        hashlib.sha256(zipfile.ZipFile(wheel).read("malaria_nb/compact.tflite")).hexdigest()
        == SHA256
    ), "the model must come along, byte for byte"
    metadata = next(
        zipfile.ZipFile(wheel).read(n).decode() for n in names if n.endswith("METADATA")
    )
    needed = [
        line
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist") and "extra" not in line
    ]
    assert not [
        n for n in needed if any(tool in n for tool in ("nbdev", "jupyter", "fastcore", "pytest"))
    ]


def test_wheel_works_in_an_empty_environment(wheel, tmp_path):
    sh(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    bin = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    sh(
        bin / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        ROOT / "requirements.lock",
        wheel,
        cwd=tmp_path,
    )
    home = {
        "MALARIA_NB_HOME": str(tmp_path / "home"),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    sh(bin / "python", "-c", USE, cwd=tmp_path, env=home)
    assert "0.1.0" in sh(bin / "malaria-nb", "--version", cwd=tmp_path, env=home)
    assert "parasitized" in sh(
        bin / "malaria-nb", "data", "--cells", "synthetic", cwd=tmp_path, env=home
    )
    done = subprocess.run(
        [bin / "malaria-nb", "course"], cwd=tmp_path, env=home, capture_output=True, text=True
    )
    assert (
        done.returncode != 0
        and "malaria_nb[course]" in done.stderr
        and "Traceback" not in done.stderr
    )
