"""An epoch that is one program must train as Keras's `fit` does, to the last cell."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.weekly  # as everything of another back end

SETUP = """
import json, sys, time
import keras, numpy as np
from malaria_nb import fitting
from malaria_nb.batches import Batches
from malaria_nb.compiled import fits
from malaria_nb.fitting import compile_model, fit, score_images, set_seed
from malaria_nb.images import eight_symmetries

rng = np.random.default_rng(0)
label = np.arange(150) % 2
images = (rng.integers(0, 200, (150, 8, 8, 3)) + 50 * label[:, None, None, None]).astype("uint8")
train, valid = np.arange(100), np.arange(100, 150)  # 6 batches of 16 and one of 4


def trained(folder=None, epochs=4, dropout=0.0, augment=None, optimizer="rmsprop", **how):
    set_seed(1)
    L = keras.layers
    model = keras.Sequential([
        keras.Input((8, 8, 3)), L.Rescaling(1 / 255), L.Conv2D(8, 3, activation="relu"),
        L.Flatten(), L.Dropout(dropout), L.Dense(1, "sigmoid", dtype="float32"),
    ])
    compile_model(model, optimizer, 3e-3)
    learn = Batches(images, label, train, 16, shuffle=True, seed=3, augment=augment)
    judge = Batches(images, label, valid, 16)
    history = fit(model, learn, judge, epochs, folder, None, 1, progress=False, **how)
    return model, history


def numbers(model, history):
    weights = [float(w.sum()) for w in model.get_weights()]
    score = score_images(model, images, valid, 16)
    table = history.drop(columns=["seconds", "cpu_seconds"])
    return {"weights": weights, "score": score.tolist(), "columns": list(table),
            "history": table.to_numpy().tolist(), "best": history.attrs["best_epoch"]}
"""


# each part prints what it found; all run in one process, since JAX and Keras start slowly
PARTS = {
    "both ways": """
found = []
for one_program in (True, False):
    fitting.fits = lambda model: one_program
    found.append([numbers(*trained()), numbers(*trained(augment=eight_symmetries)),
                  numbers(*trained(optimizer="adamw"))])
fitting.fits = fits
print(json.dumps(found))
""",
    "who fits": """
import malaria_nb.compact, malaria_nb.cnn, malaria_nb.transfer
models = [malaria_nb.compact.compact_cnn(16), malaria_nb.transfer.vgg19_head(8)]
print(json.dumps([fits(m) for m in models]))
""",
    "two goes": """
whole = numbers(*trained(epochs=4, dropout=0.4))
trained(sys.argv[1] + "/two", epochs=2, dropout=0.4)
parts = numbers(*trained(sys.argv[1] + "/two", epochs=4, dropout=0.4))
print(json.dumps([whole, parts]))
""",
    "too late": """
from malaria_nb.process import OutOfTime
try:
    trained(sys.argv[1] + "/late", epochs=4, until=time.monotonic())
except OutOfTime as e:
    kept = str(e)
later = numbers(*trained(sys.argv[1] + "/late", epochs=4))
print(json.dumps([kept, later, numbers(*trained(epochs=4))]))
""",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    "What the parts find under JAX."
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SETUP + "".join(PARTS.values()), tmp_path_factory.mktemp("fit")],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()[-len(PARTS) :]
    return {name: json.loads(line) for name, line in zip(PARTS, said, strict=True)}


def test_an_epoch_in_one_program_is_what_kerass_fit_trains(found):
    ours, kerass = found["both ways"]
    for mine, other in zip(ours, kerass):
        assert mine["columns"] == other["columns"] and mine["best"] == other["best"]
        assert mine["score"] == pytest.approx(other["score"], abs=2e-4)
        assert mine["weights"] == pytest.approx(other["weights"], rel=1e-3, abs=1e-4)
        ours_, theirs = np.array(mine["history"]), np.array(other["history"])
        assert np.abs(ours_ - theirs).max() < 1e-3
    # and the three differ, so that more than a constant is compared
    assert ours[0]["score"] != pytest.approx(ours[1]["score"], abs=1e-3)


def test_nothing_else_is_trained_in_one_program(found):
    assert found["who fits"] == [False, True]


def test_a_number_of_epochs_is_the_same_at_once_and_in_two_goes(found):
    whole, parts = found["two goes"]
    assert parts == whole


def test_no_epoch_is_begun_that_would_end_too_late(found):
    kept, later, whole = found["too late"]
    assert kept == "1 of 4 epochs are kept"
    assert later == whole
