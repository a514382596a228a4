"""The compact network: its shape, its schedule, its exports, and its own size and length."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from malaria_nb.batches import Batches
from malaria_nb.compact import compact_cnn, one_cycle
from malaria_nb.evaluation import metrics
from malaria_nb.export import PRECISIONS, _with_evidence, export_litert, export_onnx
from malaria_nb.fitting import compile_model, fit, set_seed
from malaria_nb.golden import GOLDEN
from malaria_nb.predict import CompactModel
from malaria_nb.recipes import choices
from malaria_nb.records import read_table
from malaria_nb.run import run

RNG = np.random.default_rng(16)
CELLS = RNG.integers(0, 256, (40, 24, 24, 3), np.uint8)


def tiny(seed=0):
    set_seed(seed)
    model = compact_cnn(24, (4, 6), (2, 2))
    evidence = model.get_layer("evidence")
    kernel, _ = evidence.get_weights()
    raw = np.log(1 / model.predict(CELLS, verbose=0) - 1)
    # scores from near 0 to near 1, so that a wrong one shows
    evidence.set_weights([kernel * 2 / raw.std(), 2 * np.array([raw.mean() / raw.std()])])
    return model


@pytest.mark.parametrize("how", [{}, dict(norm=False), dict(centre=True), dict(strides=(1, 2))])
def test_logit_is_the_mean_of_the_evidence(how):
    model = compact_cnn(24, **dict(widths=(4, 6), strides=(2, 2)) | how)
    out = _with_evidence(model).predict(CELLS, verbose=0)
    assert out["evidence"].shape == (40, *(24 // np.prod(how.get("strides", (2, 2))),) * 2, 1)
    np.testing.assert_allclose(
        out["score"][:, 0], 1 / (1 + np.exp(-out["evidence"].mean((1, 2, 3)))), atol=1e-5
    )


def test_a_cells_own_mean_colour_is_taken_inside_it_alone():
    cell = np.zeros((1, 24, 24, 3), np.float32)
    cell[:, 4:20, 4:20] = RNG.integers(50, 200, (1, 16, 16, 3))
    set_seed(0)
    model = compact_cnn(24, (4, 6), (2, 2), centre=True)
    paler = np.where(cell > 0, cell + [20, 0, 30], 0)  # another lamp: only the mean moves
    np.testing.assert_allclose(
        model.predict(cell, verbose=0), model.predict(paler, verbose=0), atol=1e-5
    )
    assert (
        abs(
            float(
                model.predict(cell, verbose=0)[0, 0]
                - model.predict(cell[:, ::-1] * 0.5, verbose=0)[0, 0]
            )
        )
        > 1e-7
    )


def test_one_cycle_climbs_then_falls_to_nothing():
    rate = np.array([float(one_cycle(0.01, 50)(k)) for k in range(51)])
    assert (
        rate.argmax() == 10
        and rate[0] == pytest.approx(0.001)
        and rate[10] == pytest.approx(0.01)
        and rate[50] < 1e-9
    )
    assert (np.diff(rate[:11]) > 0).all() and (np.diff(rate[10:]) < 0).all()
    assert float(one_cycle(0.01, 1)(0)) > 0  # however short


@pytest.mark.parametrize("precision, close", [("float32", 1e-5), ("float16", 2e-3), ("int8", 0.05)])
def test_exported_network_says_the_same(precision, close, tmp_path):
    model = tiny()
    file = export_litert(model, tmp_path / "a.tflite", precision, CELLS)
    assert [f.name for f in tmp_path.iterdir()] == ["a.tflite"]
    score = model.predict(CELLS, verbose=0)[:, 0]
    assert np.ptp(score) > 0.5
    np.testing.assert_allclose(CompactModel(file, sha256=None)(CELLS), score, atol=close)


def test_a_cell_less_its_own_mean_says_the_same_in_int8(tmp_path):
    # a minimum shares its scale with what goes into it, and once cut every pixel off at 1; a sum
    # over 48 × 48 pixels is a multiple of some 9, and once became 0 in a black picture
    cells = RNG.integers(1, 256, (40, 48, 48, 3), np.uint8)
    cells[:, :3] = 0  # ground
    cells[-1] = 0  # all of it
    model = compact_cnn(48, centre=True)
    file = export_litert(model, tmp_path / "a.tflite", "int8", cells)
    score = model.predict(cells, verbose=0)[:, 0]
    np.testing.assert_allclose(CompactModel(file, sha256=None)(cells), score, atol=0.05)
    logits = CompactModel(file, sha256=None).evidence(cells)[1].mean((1, 2))
    assert np.corrcoef(logits, np.log(score / (1 - score)))[0, 1] > 0.95


def test_int8_is_smaller_and_int8_inside(tmp_path):
    model = compact_cnn(24)
    sizes = [
        export_litert(model, tmp_path / f"{p}.tflite", p, CELLS).stat().st_size for p in PRECISIONS
    ]
    assert sizes[0] > 1.7 * sizes[1] > 1.7 * 1.4 * sizes[2]
    from ai_edge_litert.interpreter import Interpreter

    kinds = [d["dtype"] for d in Interpreter(str(tmp_path / "int8.tflite")).get_tensor_details()]
    assert np.int8 in kinds


def test_onnx_says_the_same_in_batches_of_any_size(tmp_path):
    model = tiny()
    session = onnxruntime.InferenceSession(str(export_onnx(model, tmp_path / "a.onnx")))
    for n in (1, 40):
        score, evidence = session.run(
            ["score", "evidence"], {"cells": CELLS[:n].astype(np.float32)}
        )
        np.testing.assert_allclose(score, model.predict(CELLS[:n], verbose=0), atol=1e-5)
        assert evidence.shape == (n, 6, 6, 1)


def test_what_cant_be_exported_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'int8'"):
        export_litert(tiny(), tmp_path / "a.tflite", "int4")
    for cells in (None, CELLS[:0]):
        with pytest.raises(ValueError, match="calibration"):
            export_litert(tiny(), tmp_path / "a.tflite", "int8", cells)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"malaria_nb\[export\]"):
        export_onnx(tiny(), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_averaged_weights_survive_a_resumed_training(tmp_path):
    label = np.arange(40) % 2

    def trained(folder, epochs):
        set_seed(1)
        model = compile_model(compact_cnn(24, (4, 6), (2, 2)), "adamw", 1e-2, averaging=0.9)
        fit(
            model,
            Batches(CELLS, label, batch_size=8, shuffle=True),
            Batches(CELLS, label, batch_size=8),
            epochs,
            folder,
            None,
            None,
            "last",
            progress=False,
        )
        return model.get_weights()

    whole, plain = trained(tmp_path / "a", 3), trained(None, 3)
    again = trained(
        tmp_path / "a", 3
    )  # only restored: killed after the last epoch, before anything else was written
    for a, b, c in zip(whole, plain, again):
        np.testing.assert_allclose(a, b, atol=1e-6)
        np.testing.assert_allclose(a, c, atol=1e-6)


def test_smoothing_moves_labels_towards_a_half():
    model = compile_model(tiny(), "adam", smoothing=0.2)
    score = model.predict(CELLS, verbose=0)[:, 0]
    label = np.arange(40) % 2
    wanted = -np.mean(
        (0.9 * label + 0.1 * (1 - label)) * np.log(score)
        + (0.1 * label + 0.9 * (1 - label)) * np.log(1 - score)
    )
    assert model.evaluate(CELLS, label[:, None], verbose=0, return_dict=True)[
        "loss"
    ] == pytest.approx(wanted, abs=1e-4)


def test_the_recipe_has_its_own_size_and_its_learning_rate_comes_to_rest(tmp_path):
    r = run("compact", replace(GOLDEN, home=tmp_path))
    assert (r.settings.scale.size, r.settings.scale.batch) == (48, 64)
    assert r.model().input_shape[1:3] == (48, 48)
    assert len(r.history) == 2 and r.history["learning_rate"].iloc[-1] < 1e-6
    assert r.predictions["score"].between(0, 1).all()


SMALL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "small.py"))


@pytest.mark.parametrize("name", [*SMALL["STEPS"], *SMALL["LARGER"]])
def test_kept_scores_belong_to_their_recipe(name):
    recipe = SMALL["STEPS"][name][1] if name in SMALL["STEPS"] else SMALL["LARGER"][name][0]
    about, _ = SMALL["read_step"](name)
    assert about["recipe"] == json.loads(json.dumps(choices(recipe))), (
        "its recipe has changed since its scores were made: run tools/small.py"
    )


@pytest.mark.parametrize(
    "table, names", [("steps", SMALL["STEPS"]), ("larger", ["by cell, seed 42"])]
)
def test_tables_of_the_small_network_belong_to_the_kept_scores(table, names):
    found = read_table(f"16_compact-{table}")
    found = found.set_index(found.columns[0], append=True)["accuracy"].astype(float)
    for name in names:
        _, kept = SMALL["read_step"](name)
        row = (name, "score") if table == "steps" else ("the recipe", 1)
        accuracy = metrics(kept["label"], kept["score"])["accuracy"]
        assert found.loc[row] == pytest.approx(accuracy, abs=1e-5), name
