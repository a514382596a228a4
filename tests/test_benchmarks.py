"""The comparison with peers reads what records there are, and trains the rest once."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from malaria_nb.evaluation import evaluate
from malaria_nb.records import load, records_folder

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
import peers  # noqa: E402

FEATURES = """"Stands in for emfet: five numbers of a picture."
import numpy as np

def extract_features_from_array(picture):
    inside = picture[picture.max(-1) > 0]
    return np.array([*inside.mean(0), inside.std(), np.percentile(inside[:, 0] - 1.0, 99)])
"""


class Opened:
    "Leaves a file behind when it is unpickled."

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    "A package called emfet, with a model that nobody may open."
    folder = tmp_path_factory.mktemp("emfet")
    package = folder / "emfet"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "features.py").write_text(FEATURES)
    (package / "best_model.pkl").write_bytes(pickle.dumps(Opened(folder / "opened")))
    return folder


@pytest.fixture(scope="module")
def quick(stand_in, tmp_path_factory):
    "A function that runs the benchmark on the sample and returns what it prints."
    home = tmp_path_factory.mktemp("home")
    paths = os.pathsep.join([str(stand_in), str(ROOT)])
    env = os.environ | {"MALARIA_NB_HOME": str(home), "PYTHONPATH": paths}

    def run(out):
        command = [sys.executable, str(ROOT / "benchmarks" / "peers.py"), "--cells", "sample"]
        command += ["--quick", "--python", sys.executable, "--out", str(out)]
        done = subprocess.run(command, env=env, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


@pytest.mark.weekly
def test_quick_run_trains_once_and_compares_on_the_same_cells(quick, stand_in, tmp_path):
    said = quick(tmp_path)
    assert said.count("s of CPU time") == 5
    assert not (stand_in / "opened").exists()
    found = pd.read_csv(tmp_path / "peers.csv", comment="#").set_index("model")
    folds = [load("compact", f"patient-fold{k}").predictions for k in range(1, 6)]
    folds = pd.concat(t[t["split"] == "test"] for t in folds)
    sample = next(iter(found["cells"].dropna().unique()))
    assert (found["cells"].dropna() == sample).all() and sample < len(folds) / 10
    emfet = found.loc[peers.FOREST]
    assert emfet["accuracy, low"] < emfet["accuracy"] < emfet["accuracy, high"]
    # a forest that had learned from the cells it is scored on would know nearly all of them
    assert 0.7 < emfet["accuracy"] < 0.96
    apart = emfet["accuracy"] - found.loc["compact", "accuracy"]
    assert emfet["accuracy less compact's"] == pytest.approx(apart, abs=1e-5)
    assert emfet["cells a CPU second"] > 0 and emfet["bytes"] > 1_000
    assert found.loc["the article's basic CNN", "from"] == "no record yet"
    assert "s of CPU time" not in quick(tmp_path)


def test_records_are_taken_when_all_folds_are_there(tmp_path):
    cells = load("compact", "patient-fold1").predictions
    for k in range(1, 4):
        kept = records_folder() / f"compact-patient-fold{k}-s42"
        shutil.copytree(kept, tmp_path / f"lite0_finetuned-patient-fold{k}-s42")
    splits = [f"patient-fold{k}" for k in range(1, 6)]
    nothing, about = peers.recorded(cells, tmp_path, "Lite0 fine-tuned", splits)
    assert nothing is None and about["from"] == "no record yet (3 of 5 folds)"
    found, about = peers.recorded(cells, tmp_path, "Lite0 fine-tuned", splits[:1])
    first = load("compact", "patient-fold1")
    assert about["minutes"] == pytest.approx(first.about["seconds"] / 60)
    table = evaluate(found["label"], found["score"], found["patient"])
    assert table["value"].round(6).to_dict() == first.metrics["value"].to_dict()


def test_peers_are_nobodys_requirement():
    for name in ("settings.ini", "requirements.lock", "requirements-dev.lock", "environment.yml"):
        assert "emfet" not in (ROOT / name).read_text("utf-8")
    pins = (ROOT / "benchmarks" / "peers.txt").read_text("utf-8")
    lines = [line for line in pins.splitlines() if line and line[0] not in "# "]
    assert all("==" in line for line in lines)
    assert pins.count("--hash=sha256:") >= len(lines) and "http" not in pins
