"""The same recipe trains alike under another of Keras's back ends, and with mixed precision."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from malaria_nb import device
from malaria_nb.golden import GOLDEN
from malaria_nb.run import run

STEPS = """
import json, sys
import numpy as np
from malaria_nb.cnn import basic_cnn
from malaria_nb.fitting import compile_model
from malaria_nb.transfer import vgg19_head

def losses(model, shape, optimizer, largest):
    "Loss after each of four steps, from weights and cells that NumPy draws."
    for layer in model.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0  # every back end would drop other units
    rng = np.random.default_rng(0)
    drawn = []
    for w in model.get_weights():
        spread = 1 / max(1, np.prod(w.shape[:-1])) ** 0.5
        drawn.append(rng.normal(0, spread, w.shape) * (w.ndim > 1))
    model.set_weights(drawn)
    compile_model(model, optimizer, 1e-4)
    x, y = rng.uniform(0, largest, (8, *shape)).astype("float32"), np.arange(8)[:, None] % 2
    return [float(model.train_on_batch(x, y)[0]) for _ in range(4)]

found = {"basic_cnn": losses(basic_cnn(32), (32, 32, 3), "adam", 255),
         "vgg19_head": losses(vgg19_head(512), (512,), "rmsprop", 2)}
"""

pytestmark = pytest.mark.weekly


def elsewhere(code, home, backend="jax"):
    env = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "TQDM_DISABLE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, home], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_four_steps_under_jax_lose_what_they_lose_here(tmp_path):
    names = {}
    exec(STEPS, names)
    theirs = elsewhere(STEPS + "\nprint(json.dumps(found))", tmp_path)
    for model, ours in names["found"].items():
        assert ours[-1] != pytest.approx(ours[0], rel=1e-3), "nothing was learnt"
        assert theirs[model] == pytest.approx(ours, rel=1e-4)


def test_a_recipe_runs_under_jax_unchanged(tmp_path):
    code = """
import json, sys
from dataclasses import replace
from malaria_nb.golden import GOLDEN, golden_of
from malaria_nb.records import record_files
from malaria_nb.run import run

result = run("basic_cnn", replace(GOLDEN, home=sys.argv[1]))
print(json.dumps(json.loads(record_files(result, golden_of("basic_cnn"))["record.json"])))
"""
    about = elsewhere(code, tmp_path)
    assert about["environment"]["backend"] == "jax" and "jax" in about["environment"]
    assert about["epochs"]["done"] == 2 and np.isfinite(about["golden"]["loss"])


@pytest.fixture
def tiny(tmp_path):
    "The golden run's settings, in a home of its own, with the precision left open."
    return replace(GOLDEN, home=tmp_path, precision=None)


@pytest.mark.parametrize("name", ["basic_cnn", "vgg19_frozen"])
def test_mixed_precision_scores_in_32_bits(name, tiny, monkeypatch):
    import keras

    monkeypatch.setattr(device, "accelerators", lambda: [])
    full, asked = run(name, tiny), run(name, tiny, precision="mixed_bfloat16")
    monkeypatch.setattr(device, "accelerators", lambda: ["an accelerator"])
    mixed = run(name, tiny)
    assert mixed.folder == asked.folder
    assert run(name, tiny, precision="float32").folder == full.folder
    assert run(name, replace(tiny, precision="float32")).folder == full.folder
    assert mixed.folder != full.folder and mixed.environment["precision"] == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"  # as before
    layers = mixed.fitted().layers
    assert layers[-1].compute_dtype == "float32"
    assert layers[1].compute_dtype in ("bfloat16", "float32")
    assert np.allclose(mixed.predictions["score"], full.predictions["score"], atol=0.1)
    assert mixed.history["loss"].iloc[-1] != full.history["loss"].iloc[-1]


def test_unknown_precision_is_refused(tiny):
    with pytest.raises(ValueError, match="'half'.*'float32', 'mixed_bfloat16'"):
        run("basic_cnn", tiny, precision="half")
