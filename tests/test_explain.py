"What would spoil chapter 13: maps that aren't their papers', or scores that flatter."

import cv2
import numpy as np
import pytest

from malaria_nb.dissect import logits, randomise
from malaria_nb.maps import grad_cam, occlude
from malaria_nb.pixels import inside

keras = pytest.importorskip("keras")
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
    from malaria_nb.cnn import convolve

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
        grad_cam(model, cells, toward=toward, batch_size=4),
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
    # patches start at 0, 2, 4 …; each takes away 2 units times how much of the corner it covers
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
        1 / (1 + np.exp(-logits(model, cells, batch_size=4))),
        model.predict(cells, verbose=0)[:, 0],
        atol=1e-5,
    )


def compact():
    from malaria_nb.compact import compact_cnn

    keras.utils.set_random_seed(4)
    return compact_cnn(16, (4, 4), (2, 1))


def test_logits_of_a_network_that_ends_in_an_activation(cells):
    model = compact()
    score = model.predict(cells, verbose=0)[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits(model, cells))), score, atol=1e-5)
    assert occlude(model, cells, side=8, stride=8).shape == cells.shape[:3]


@tensorflow_only
def test_grad_cam_of_the_compact_networks_evidence_is_the_evidence(cells):
    model = compact()
    evidence = keras.Model(model.input, model.get_layer("evidence").output)
    drawn = np.maximum(evidence.predict(cells, verbose=0)[..., 0], 0)
    grown = np.stack([cv2.resize(x, (16, 16), interpolation=cv2.INTER_LINEAR) for x in drawn])
    top = grown.max((1, 2), keepdims=True)
    expected = np.divide(grown, top, out=np.zeros_like(grown), where=top > 0)
    np.testing.assert_allclose(grad_cam(model, cells), expected, atol=1e-4)


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
        (lambda c: occlude(corner(), c, side=17), "side=17"),
        (lambda c: occlude(corner(), c, 4, 5), "never covered"),
        (lambda c: occlude(corner(), c, 4, 4, "median"), "fill='median'"),
        (lambda c: randomise(corner(), "flatten"), "has weights|that has weights"),
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
