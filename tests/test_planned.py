"""What waits for an accelerator: killed in the middle, it goes on, and to the same records."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from tiny_cells import folder

from malaria_nb.cli import main

# the command with a VGG-19 of eight channels, and as on a machine that has no TensorFlow
COMMAND = """
import os, sys
from dataclasses import replace

class Without:  # a machine that has no TensorFlow
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
os.environ["KERAS_BACKEND"] = "jax"
import keras
from malaria_nb import grid, settings, transfer

def narrow(weights, size=125, preprocessing="bgr-mean"):
    rgb, x = transfer.vgg19_input(size, preprocessing)
    for block, channels in enumerate((8, 8, 8, 8, 512), start=1):
        draw = keras.initializers.HeNormal(seed=block)
        name = f"block{block}_conv1"
        x = keras.layers.Conv2D(channels, 3, 2, "same", activation="relu", name=name,
                                kernel_initializer=draw)(x)
    return keras.Model(rgb, keras.layers.Flatten(name="features")(x), name="vgg19_base")

transfer.vgg19_base = narrow
settings.SCALES["tiny"] = replace(settings.SCALES["tiny"], finetune=4)
from malaria_nb import features
features.vgg19_base = narrow
from malaria_nb.cli import main
sys.exit(main(sys.argv[1:]))
"""
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "TQDM_DISABLE": "1", "MALARIA_NB_WEIGHTS": "random"}


def planned(tmp_path, root, who, *more):
    arguments = ["--planned", "accelerator", "--scale", "tiny", "--cells", root, "--seed", "42"]
    places = ["--home", tmp_path / f"{who}-home", "--out", tmp_path / who]
    command = [*arguments, *places, *more]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "experiment", "run", *map(str, command)],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process, status=0):
    out, err = process.communicate(timeout=600)
    assert process.returncode == status, err[-3000:]
    return out


def records(tmp_path, who):
    "Read what a command has recorded, but for its seconds."
    found = {}
    for record in sorted(p for p in (tmp_path / who).iterdir() if p.is_dir()):
        history = pd.read_csv(record / "history.csv", index_col="epoch")
        predictions = pd.read_csv(record / "predictions.csv.gz")
        found[record.name] = history.drop(columns=["seconds", "cpu_seconds"]), predictions
    return found


@pytest.fixture
def cells(tmp_path):
    return folder(tmp_path / "cells", 20)


@pytest.mark.weekly
def test_killed_and_given_again_it_makes_the_same_records(tmp_path, cells):
    finished(planned(tmp_path, cells, "whole"))
    whole = records(tmp_path, "whole")
    assert list(whole) == [
        "article_vgg19_finetuned-cell-s42",
        "vgg19_finetuned-cell-s42",
        "vgg19_finetuned-patient-s42",
    ]
    assert not list((tmp_path / "whole").glob("**/*.keras"))

    cut, deadline = planned(tmp_path, cells, "cut"), time.monotonic() + 300
    runs = tmp_path / "cut-home" / "runs"
    while not list(runs.glob("vgg19_finetuned-cell-*/fit/epoch-002.npz")):
        assert cut.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(cut.pid, signal.SIGKILL)
    cut.communicate()
    assert list(records(tmp_path, "cut")) == ["vgg19_finetuned-patient-s42"]

    out = finished(planned(tmp_path, cells, "cut"))
    assert "vgg19_finetuned-patient-s42       recorded     4        4" in out
    again = records(tmp_path, "cut")
    for name, (history, predictions) in whole.items():
        assert len(history) == 4 and history["loss"].nunique() == 4
        pd.testing.assert_frame_equal(again[name][0], history)
        pd.testing.assert_frame_equal(again[name][1], predictions)

    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "cut").rglob("*") if p.is_file()}
    finished(planned(tmp_path, cells, "cut"))  # nothing is left
    assert written == {p: p.stat().st_mtime_ns for p in written}


@pytest.mark.weekly
def test_a_budget_ends_it_after_an_epoch_that_is_kept(tmp_path, cells):
    out = finished(planned(tmp_path, cells, "brief", "--budget", "0.001"), status=1)
    assert "out of time" in out and not records(tmp_path, "brief")


# ---- the command line


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["basic_cnn", "--out", "out"], "--out goes with --planned"),
        (["basic_cnn", "--budget", "3"], "--budget goes with --planned"),
        ([], "name a recipe, or --planned accelerator"),
        (["--planned", "accelerator"], "--planned needs --out FOLDER"),
        (["--planned", "accelerator", "--out", "o", "--again"], "without --epochs, --again"),
        (["--planned", "accelerator", "--out", "o", "--budget", "0"], "number of minutes above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, told, home, capsys):
    assert main(["experiment", "run", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_another_back_end_that_is_loaded_is_named(tmp_path, home, root, monkeypatch, capsys):
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    monkeypatch.setenv("XLA_FLAGS", "")
    arguments = ["--planned", "accelerator", "--cells", str(root), "--out", str(tmp_path / "out")]
    assert main(["experiment", "run", *arguments]) == 1
    assert f"computes with {keras.backend.backend()}, not jax" in capsys.readouterr().err
