"""A control that differs in more than it says, or is chosen on the wrong cells, is no control."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from malaria_nb.check import check_record
from malaria_nb.golden import GOLDEN
from malaria_nb.kinds import Setup, kind_named
from malaria_nb.plan import plan_run
from malaria_nb.probe import fit_probe
from malaria_nb.recipes import RECIPES, choices
from malaria_nb.records import read_record, record_files, write_record
from malaria_nb.run import run

PENALTIES = [3, 0.3, 0.03]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x, y = rng.gamma(2, 3, (300, 30)).astype("float32"), rng.integers(0, 2, 300)
    x[:, :3] += y[:, None]
    x[:, 29] = 5  # always the same, as a filter that never fires
    return x, y, np.arange(150), np.arange(150, 225)


def test_it_is_scikit_learns_regression_on_standardised_features(data):
    x, y, train, valid = data
    probe, history = fit_probe(x, y, train, valid, PENALTIES)
    x = x.astype(float)
    scaler = StandardScaler().fit(x[train])
    best = history["penalty"][history.attrs["best_epoch"]]
    oracle = LogisticRegression(C=1 / (best * len(train)), tol=1e-8, max_iter=10_000)
    oracle.fit(scaler.transform(x[train]), y[train])
    expected = oracle.predict_proba(scaler.transform(x))[:, 1]
    np.testing.assert_allclose(probe.predict(x, verbose=0)[:, 0], expected, atol=1e-4)


def test_the_validation_cells_choose_and_no_other_cell_matters(data):
    x, y, train, valid = data
    probe, history = fit_probe(x, y, train, valid, PENALTIES)
    assert history.attrs["best_epoch"] == history["val_loss"].idxmin()
    others = x.copy(), y.copy()
    others[0][225:], others[1][225:] = 1e6, 1 - y[225:]
    again, same = fit_probe(*others, train, valid, PENALTIES)
    assert same.drop(columns=["seconds", "cpu_seconds"]).equals(
        history.drop(columns=["seconds", "cpu_seconds"])
    )
    for a, b in zip(probe.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)
    turned = y.copy()
    turned[valid] = 1 - y[valid]  # with which the strongest penalty is the least wrong
    assert fit_probe(x, turned, train, valid, PENALTIES)[1].attrs["best_epoch"] == 1


@pytest.mark.parametrize("penalties", [[], [0], [1, 1], [0.1, 1], [-1]])
def test_penalties_are_a_path(data, penalties):
    with pytest.raises(ValueError, match="from strong to weak"):
        fit_probe(*data, penalties)


# ---- as recipes


def test_controls_differ_from_their_model_in_what_they_say_alone():
    def differ(a, b):
        a, b = choices(RECIPES[a]), choices(RECIPES[b])
        return {k for k in a.keys() | b.keys() if a.get(k) != b.get(k)}

    assert differ("vgg19_probe", "vgg19_random_probe") == {"weights"}
    assert differ("vgg19_finetuned", "vgg19_scratch") == {
        "weights",
        "learn",
        "start_from",
        "epochs",
    }
    longer = {"learning_rate", "plateau", "patience", "keep", "epochs", "schedule"}
    assert differ("vgg19_finetuned", "vgg19_finetuned_one_cycle") == longer


def test_random_is_random_whatever_the_settings_ask_for(tmp_path):
    (tmp_path / "some.h5").write_bytes(b"weights")
    some = replace(GOLDEN, home=tmp_path, weights=str(tmp_path / "some.h5"))
    plans = {name: plan_run(name, some) for name in ("vgg19_probe", "vgg19_random_probe")}
    assert plans["vgg19_probe"].weights.name == "some.h5"
    assert plans["vgg19_random_probe"].weights is None
    assert plan_run("vgg19_scratch", some).weights is None
    none = replace(GOLDEN, home=tmp_path)
    assert plan_run("vgg19_random_probe", none).key == plans["vgg19_random_probe"].key
    assert plan_run("vgg19_probe", none).key != plans["vgg19_probe"].key


def test_no_precision_is_said_that_had_no_effect(tmp_path):
    half = replace(GOLDEN, home=tmp_path, precision="mixed_bfloat16")
    plans = {name: plan_run(name, half) for name in ("vgg19_random_probe", "vgg19_scratch")}
    assert plans["vgg19_random_probe"].precision == "float32"
    assert plans["vgg19_scratch"].precision == "mixed_bfloat16"


def test_from_scratch_every_block_learns():
    def learns(name):
        setup = Setup(32, None, options=RECIPES[name].options)
        model = kind_named("vgg19_finetuned").build(setup, None, None)
        return {v.path.partition("/")[0].partition("_")[0] for v in model.trainable_variables}

    late = {"block4", "block5", "hidden1", "hidden2", "score"}
    assert learns("vgg19_finetuned") == late
    assert learns("vgg19_scratch") == late | {"block1", "block2", "block3"}


def test_lite0s_probe_scores_images_as_its_parts_do(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype="uint8")
    setup = Setup(32, tmp_path, options={"penalties": [1, 0.1]})
    kind = kind_named("lite0_probe")
    x, y = kind.reads(None, images, setup), np.arange(40) % 2
    probe, _ = kind.fit(setup, x, y, {"train": np.arange(30), "valid": np.arange(30, 40)}, 2)
    whole = kind.whole(probe, setup)
    expected = probe.predict(np.asarray(x), verbose=0)
    np.testing.assert_allclose(whole.predict(images, verbose=0), expected, atol=1e-4)
    assert kind.starts_from(setup.options) == "ImageNet weights"


def test_a_probes_record_is_one_like_any_other(tmp_path):
    made = run("vgg19_random_probe", replace(GOLDEN, home=tmp_path / "home"))
    values = {"loss": 0.1, "val_loss": 0.1, "score": 0.5, "spread": 0.1}  # no golden run for this
    record = read_record(write_record(record_files(made, values), tmp_path / "records"))
    assert check_record(record) == []
    assert record.about["weights"] == "RANDOM weights" and record.about["epochs"]["done"] == 2
    assert list(record.history["penalty"]) == RECIPES["vgg19_random_probe"].options["penalties"][:2]
    images = np.zeros((2, 32, 32, 3), "uint8")
    assert made.model().predict(images, verbose=0).shape == (2, 1)
