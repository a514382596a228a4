"What would spoil chapter 13: maps that aren't what their papers say, scores of maps that flatter, shortcuts that see more than they should."

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import stats

keras = pytest.importorskip("keras")

from malaria_nb.cnn import convolve
from malaria_nb.evaluation import metrics
from malaria_nb.explain import (
    attribution_share,
    grad_cam,
    inside,
    logits,
    map_correlation,
    mean_by_patient,
    occlude,
    only_colour,
    only_mask,
    only_size,
    plot_maps,
    pointing_game,
    randomise,
    wipe,
    within_patients,
)

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Grad-CAM takes its slopes from TensorFlow"
)


@pytest.fixture
def cells():
    "Six discs of random pixels on black."
    rng = np.random.default_rng(3)
    images = rng.integers(1, 256, (6, 16, 16, 3), dtype=np.uint8)
    y, x = np.mgrid[:16, :16]
    images[:, np.hypot(y - 7.5, x - 7.5) > 7] = 0
    return images


def pooled(activation="relu", frozen=False):
    "A network whose Grad-CAM is known: convolution, global average, one sigmoid."
    keras.utils.set_random_seed(5)
    x = keras.Input((16, 16, 3))
    pictures = keras.layers.Conv2D(
        4, 3, padding="same", activation=activation, name="conv", trainable=not frozen
    )(x / 255.0)
    model = keras.Model(
        x,
        keras.layers.Dense(1, activation="sigmoid", name="score")(
            keras.layers.GlobalAveragePooling2D()(pictures)
        ),
    )
    model.get_layer("conv").bias.assign([0.1, -0.1, 0.2, 0.0])
    model.get_layer("score").bias.assign([0.3])
    return model


def corner(weight=1 / 50):
    "A network that reads the mean of red over rows and columns 4 to 7, and nothing else."
    x = keras.Input((16, 16, 3))
    model = keras.Model(
        x,
        keras.layers.Dense(1, activation="sigmoid", name="score")(keras.layers.Flatten()(x)),
        name="corner",
    )
    kernel = np.zeros((16, 16, 3, 1), np.float32)
    kernel[4:8, 4:8, 0] = weight / 16
    model.get_layer("score").set_weights([kernel.reshape(-1, 1), np.array([-1], np.float32)])
    return model


# ---- Grad-CAM against the class activation map (Zhou et al. 2016), computed with NumPy


def activation_map(model, images, sign=1, relu=True):
    kernel, bias = (np.asarray(w) for w in model.get_layer("conv").get_weights())
    weights = model.get_layer("score").get_weights()[0][:, 0]
    pictures = np.array([convolve(image / 255, kernel, bias, "same") for image in images])
    maps = np.maximum(sign * ((np.maximum(pictures, 0) if relu else pictures) @ weights), 0)
    top = maps.max((1, 2), keepdims=True)
    return np.divide(maps, top, out=np.zeros_like(maps), where=top > 0)


@tensorflow_only
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("toward", [1, 0])
@pytest.mark.parametrize("frozen", [False, True])
def test_grad_cam_is_the_class_activation_map_where_it_must_be(cells, activation, toward, frozen):
    model = pooled(activation, frozen)
    np.testing.assert_allclose(
        grad_cam(model, cells, toward=toward, batch=4),
        activation_map(model, cells, 1 if toward else -1, activation == "relu"),
        atol=2e-4,
    )


@tensorflow_only
def test_grad_cam_does_not_vanish_where_the_sigmoid_is_flat(cells):
    model = pooled()
    model.get_layer("score").bias.assign([200.0])
    assert float(np.asarray(model(cells[:1].astype("float32")))[0, 0]) == 1
    np.testing.assert_allclose(grad_cam(model, cells), activation_map(model, cells), atol=2e-4)


@tensorflow_only
def test_grad_cam_grows_the_map_of_a_coarse_layer():
    keras.utils.set_random_seed(1)
    x = keras.Input((16, 24, 3))
    y = keras.layers.MaxPooling2D(4, name="pool")(
        keras.layers.Conv2D(3, 3, padding="same", name="conv")(x)
    )
    model = keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(y)))
    images = np.random.default_rng(0).integers(1, 256, (2, 16, 24, 3), dtype=np.uint8)
    for layer in (None, "pool"):
        maps = grad_cam(model, images, layer)
        assert maps.shape == (2, 16, 24) and maps.min() >= 0 and set(maps.max((1, 2))) <= {0, 1}


@tensorflow_only
def test_grad_cam_of_a_layer_before_the_first_weights(cells):
    x = keras.Input((16, 16, 3))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255, name="rescale")(x))
    model = keras.Model(x, keras.layers.Dense(1, activation="sigmoid", name="score")(y))
    model.get_layer("score").set_weights(
        [np.array([[1.0], [0], [0]], np.float32), np.zeros(1, np.float32)]
    )
    np.testing.assert_allclose(
        grad_cam(model, cells, "rescale"),
        cells[..., 0] / cells[..., 0].max((1, 2), keepdims=True),
        atol=1e-5,
    )


# ---- occlusion of a network that reads one corner, worked by hand


def test_occlusion_finds_the_corner_and_nothing_else(cells):
    maps = occlude(corner(), cells, side=4, stride=4, fill=0)
    expected = np.zeros((6, 16, 16))
    expected[:, 4:8, 4:8] = cells[:, 4:8, 4:8, 0].mean((1, 2))[:, None, None] / 50
    np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_occlusion_averages_over_the_patches_that_cover_a_pixel():
    flat = np.full((1, 16, 16, 3), 100, np.uint8)
    maps = occlude(corner(), flat, side=4, stride=2, fill=0)[0]
    # patches start at 0, 2, 4 …; each takes away 2 units times the share of the corner that it covers
    assert maps[5, 5] == pytest.approx(2 * np.mean([0.25, 0.5, 0.5, 1]), abs=1e-4) and maps[
        3, 3
    ] == pytest.approx(2 * np.mean([0, 0, 0, 0.25]), abs=1e-4)
    assert maps[12, 12] == pytest.approx(0, abs=1e-6)


def test_occlusion_with_the_cells_own_colour_leaves_the_black_alone(cells):
    model = corner()
    before = cells.copy()
    median = np.array([np.median(c[o], axis=0).round() for c, o in zip(cells, inside(cells))])
    maps = occlude(model, cells, side=4, stride=4)
    expected = (cells[:, 4:8, 4:8, 0].mean((1, 2)) - median[:, 0]) / 50
    np.testing.assert_allclose(maps[:, 5, 5], expected, atol=1e-4)
    np.testing.assert_array_equal(cells, before)
    assert (maps[:, 0, 0] == 0).all()


def test_occlusion_reaches_every_edge_when_steps_do_not_fit():
    x = keras.Input((16, 16, 3))
    model = keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(x)))
    model.layers[-1].set_weights([np.full((768, 1), 1e-3, np.float32), np.zeros(1, np.float32)])
    maps = occlude(model, np.full((1, 16, 16, 3), 100, np.uint8), side=5, stride=5, fill=0)
    assert (maps > 0).all()


def test_logits_are_what_the_sigmoid_takes(cells):
    model = pooled()
    np.testing.assert_allclose(
        1 / (1 + np.exp(-logits(model, cells, batch=4))),
        model.predict(cells, verbose=0)[:, 0],
        atol=1e-5,
    )


# ---- scores of maps


def test_a_random_maps_share_is_the_area():
    rng = np.random.default_rng(0)
    maps, masks = rng.random((500, 12, 12)), rng.random((500, 12, 12)) < 0.2
    share, area = attribution_share(maps, masks), masks.mean()
    assert share.mean() == pytest.approx(area, abs=4 * share.std() / 500**0.5)
    hits = pointing_game(maps, masks)
    assert set(hits) <= {0, 1} and hits.mean() == pytest.approx(
        area, abs=4 * (area * 0.8 / 500) ** 0.5
    )


def test_map_scores_worked_by_hand():
    maps = np.array([[[4.0, 1], [-2, 3]], [[1, 1], [1, 1]], [[-1, -1], [-1, -1]]])
    masks = np.array([[[True, False], [True, False]]] * 3)
    np.testing.assert_allclose(attribution_share(maps, masks), [0.5, 0.5, np.nan])
    np.testing.assert_allclose(pointing_game(maps, masks), [1, 0.5, 0.5])
    np.testing.assert_allclose(attribution_share(7 * maps, masks), attribution_share(maps, masks))


def test_correlation_is_scipys():
    rng = np.random.default_rng(1)
    a = rng.random((4, 9, 9)).round(1)  # with ties
    b, within = a + rng.random((4, 9, 9)), rng.random((4, 9, 9)) < 0.5
    np.testing.assert_allclose(
        map_correlation(a, b), [stats.spearmanr(x.ravel(), y.ravel())[0] for x, y in zip(a, b)]
    )
    np.testing.assert_allclose(
        map_correlation(a, b, within),
        [stats.spearmanr(x[w], y[w])[0] for x, y, w in zip(a, b, within)],
    )
    assert np.isnan(map_correlation(a, np.zeros_like(a))).all()


def test_means_resample_patients_as_scipy_does():
    rng = np.random.default_rng(2)
    patient = rng.integers(30, size=600)
    value = rng.normal(size=30)[patient] + 0.3 * rng.normal(size=600)
    value[:5] = np.nan
    t = pd.DataFrame({"v": value, "p": patient}).dropna().groupby("p")["v"].agg(["sum", "size"])
    theirs = stats.bootstrap(
        (t["sum"], t["size"]),
        lambda s, n, axis=-1: s.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        random_state=np.random.default_rng(0),
    ).confidence_interval
    mine = mean_by_patient(value, patient, n_boot=4000)
    assert mine["value"] == pytest.approx(np.nanmean(value))
    np.testing.assert_allclose(mine[["low", "high"]], theirs, atol=0.04)


def test_intervals_of_a_mean_cover_the_truth_by_patient_and_not_by_cell():
    rng, covered = np.random.default_rng(4), []
    for _ in range(150):
        patient = np.repeat(np.arange(40), 8)
        value = 0.5 + rng.normal(size=40)[patient] + 0.3 * rng.normal(size=320)
        by = mean_by_patient(value, patient, 300), mean_by_patient(value, np.arange(320), 300)
        covered.append([m["low"] <= 0.5 <= m["high"] for m in by])
    by_patient, by_cell = np.mean(covered, axis=0)
    assert 0.88 <= by_patient <= 0.99 and by_cell < 0.75


def test_within_patients_is_the_auc_of_pairs_of_one_patient():
    rng = np.random.default_rng(5)
    patient, label = rng.integers(12, size=200), rng.integers(2, size=200)
    score = (label + 3 * rng.normal(size=12)[patient] + rng.normal(size=200)).round(1)
    wins = [
        (0.5 if score[i] == score[j] else score[i] > score[j])
        for i in range(200)
        for j in range(200)
        if label[i] and not label[j] and patient[i] == patient[j]
    ]
    assert within_patients(label, score, patient) == pytest.approx(np.mean(wins))
    scaled = (score - score.min()) / np.ptp(score)
    assert within_patients(label, score, np.zeros(200)) == pytest.approx(
        metrics(label, scaled)["auc"]
    )


# ---- shortcuts see what their names say, and no more


def test_shortcuts_see_only_their_own(cells):
    painted = np.where(inside(cells)[..., None], 255 - cells // 2, 0).astype(np.uint8)
    np.testing.assert_array_equal(only_mask(cells), only_mask(painted))  # the inside doesn't matter
    shuffled, own = cells.copy(), inside(cells)
    for image, o in zip(shuffled, own):
        image[o] = np.random.default_rng(0).permutation(image[o])
    np.testing.assert_allclose(
        only_colour(cells), only_colour(shuffled), rtol=1e-6
    )  # where a colour is doesn't matter
    np.testing.assert_allclose(
        only_colour(cells), [c[o].mean(0) for c, o in zip(cells, own)], rtol=1e-6
    )
    np.testing.assert_allclose(
        only_mask(cells, 4),
        [
            cv2.resize(o.astype("float32"), (4, 4), interpolation=cv2.INTER_AREA).ravel()
            for o in own
        ],
    )
    assert only_mask(cells).dtype == only_colour(cells).dtype == np.float32 and only_mask(
        cells
    ).shape == (6, 256)
    table = pd.DataFrame({"height": [10, 20], "width": [30, 40], "label": [0, 1]})
    np.testing.assert_array_equal(only_size(table), [[10, 30], [20, 40]])


def test_shortcuts_of_many_images_are_those_of_each():
    images = np.random.default_rng(0).integers(
        0, 256, (1003, 8, 8, 3), dtype=np.uint8
    )  # more than fit into one part
    np.testing.assert_allclose(
        only_colour(images)[[0, 499, 500, 1002]],
        np.concatenate([only_colour(images[i : i + 1]) for i in (0, 499, 500, 1002)]),
    )
    assert len(only_mask(images, 4)) == len(wipe(images)) == 1003


def test_wiping_leaves_outline_and_median_colour(cells):
    flat = wipe(cells)
    np.testing.assert_array_equal(inside(flat), inside(cells))
    for image, before, own in zip(flat, cells, inside(cells)):
        assert (
            len(np.unique(image[own], axis=0)) == 1
            and (image[own][0] == np.median(before[own], axis=0).round()).all()
        )


# ---- randomised weights


def test_randomise_forgets_from_the_top_and_leaves_the_model_alone(cells):
    from malaria_nb.cnn import basic_cnn

    model = basic_cnn(16)
    kept = [w.copy() for w in model.get_weights()]
    names = [layer.name for layer in model.layers if layer.weights]
    for i, name in enumerate(names):
        other = randomise(model, name, seed=1)
        same = [
            np.array_equal(model.get_layer(n).get_weights()[0], other.get_layer(n).get_weights()[0])
            for n in names
        ]
        assert same == [True] * i + [False] * (len(names) - i)
    for a, b in zip(kept, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        randomise(model, "dense1", 7).get_weights(), randomise(model, "dense1", 7).get_weights()
    ):
        np.testing.assert_array_equal(a, b)


# ---- what people hand in by mistake


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda c: inside(c[0]), "image\\[None\\]"),
        (lambda c: inside(c / 255), "float64"),
        (lambda c: only_colour(np.concatenate([c, 0 * c[:1]])), "image 6 is black"),
        (lambda c: only_mask(c, 0), "side=0"),
        (lambda c: only_size(pd.DataFrame({"height": [1]})), "width"),
        (lambda c: within_patients([0, 1], [0.1, 0.2], ["a", "b"]), "both classes"),
        (lambda c: occlude(corner(), c, side=17), "side=17"),
        (lambda c: occlude(corner(), c, 4, 5), "never covered"),
        (lambda c: occlude(corner(), c, 4, 4, "median"), "fill='median'"),
        (lambda c: attribution_share(np.ones((2, 3, 3)), np.ones((3, 3), bool)), "one mask"),
        (lambda c: pointing_game(np.ones((2, 3, 3)), np.ones((2, 3, 3), int)), "masks are int"),
        (lambda c: attribution_share(np.full((1, 2, 2), np.nan), np.ones((1, 2, 2), bool)), "NaN"),
        (lambda c: mean_by_patient([1.0, 2.0], ["a", "a"]), "one patient"),
        (lambda c: map_correlation(np.ones((2, 3, 3)), np.ones((2, 4, 4))), "all must be"),
        (lambda c: randomise(corner(), "flatten"), "has weights|that has weights"),
        (lambda c: plot_maps(c, {"m": np.ones((5, 16, 16))}), "'m' have shape"),
        (
            lambda c: logits(
                keras.Sequential(
                    [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
                ),
                c,
            ),
            "one sigmoid unit",
        ),
    ],
)
def test_says_what_is_wrong(cells, call, words):
    with pytest.raises(ValueError, match=words):
        call(cells)


@pytest.mark.parametrize(
    "arguments, words", [(dict(layer="score"), "leaves pictures"), (dict(toward=2), "toward=2")]
)
def test_grad_cam_says_what_is_wrong(cells, arguments, words):
    with pytest.raises(ValueError, match=words):
        grad_cam(pooled(), cells, **arguments)


@tensorflow_only
def test_grad_cam_wants_the_models_size_and_a_convolution(cells):
    with pytest.raises(ValueError, match="load them at its size"):
        grad_cam(pooled(), cells[:, :8, :8])
    with pytest.raises(ValueError, match="no convolution"):
        grad_cam(corner(), cells)


def test_grad_cam_names_the_back_end_it_needs(cells, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        grad_cam(pooled(), cells)


def test_plot_maps_draws_no_rainbow(cells):
    import matplotlib

    matplotlib.use("Agg")
    fig = plot_maps(
        cells,
        {"one": np.random.default_rng(0).random((6, 16, 16)) - 0.5, "blank": np.zeros((6, 16, 16))},
        ["t"] * 6,
        inside(cells),
        "found",
    )
    maps = [ax.images[0] for ax in fig.axes if ax.images][6:18]
    assert {m.get_cmap().name for m in maps} == {"cividis"} and all(
        m.get_clim() == (0, 1) for m in maps
    )
    matplotlib.pyplot.close(fig)
