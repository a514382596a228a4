"What would spoil chapter 03: shapes that don't fit, a convolution wrong where nobody looks."

import numpy as np
import pytest
from scipy.signal import correlate2d

from malaria_nb.cnn import (
    basic_cnn,
    conv_parameters,
    convolve,
    dense_parameters,
    max_pool,
    output_side,
    receptive_field,
)

RNG = np.random.default_rng(42)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_convolve_agrees_with_scipy(padding, k):
    image, kernel, bias = (
        RNG.normal(size=(9, 12, 3)),
        RNG.normal(size=(k, k, 3, 2)),
        RNG.normal(size=2),
    )
    mine = convolve(image, kernel, bias, padding)
    for f in range(2):
        theirs = (
            sum(correlate2d(image[..., c], kernel[..., c, f], "full") for c in range(3)) + bias[f]
        )
        before = (
            k - 1 if padding == "valid" else k // 2
        )  # TensorFlow's "same" puts the odd zero behind
        h, w = mine.shape[:2]
        np.testing.assert_allclose(
            mine[..., f], theirs[before : before + h, before : before + w], atol=1e-12
        )


def test_convolve_of_uint8_does_not_wrap():
    out = convolve(np.full((3, 3, 1), 255, "uint8"), np.ones((3, 3, 1, 1), "uint8"))
    assert out.dtype == np.float32 and out.item() == 9 * 255


@pytest.mark.parametrize(
    "image, kernel, words",
    [
        ((5, 5), (3, 3, 1, 1), "expected"),
        ((5, 5, 3), (3, 3, 1, 1), "expected"),
        ((5, 5, 3), (3, 3), "expected"),
        ((2, 5, 1), (3, 3, 1, 1), "does not fit"),
    ],
)
def test_convolve_says_what_does_not_fit(image, kernel, words):
    with pytest.raises(ValueError, match=words):
        convolve(np.zeros(image), np.zeros(kernel))


def test_output_side_and_receptive_field():
    assert output_side(7, 3, stride=2) == 3 and output_side(7, 3, stride=2, padding="same") == 4
    assert receptive_field([]) == 1 and receptive_field([(3, 2), (3, 2)]) == 7
    with pytest.raises(ValueError, match="'valid' or 'same'"):
        output_side(7, 3, padding="full")
    with pytest.raises(ValueError, match="1 or more"):
        output_side(7, 3, stride=0)


def test_max_pool_drops_what_fills_no_window_and_keeps_negatives():
    image = -np.arange(1, 31).reshape(5, 6, 1)
    assert max_pool(image).tolist() == [[[-1], [-3], [-5]], [[-13], [-15], [-17]]]
    assert max_pool(image, size=3).shape == (1, 2, 1)
    with pytest.raises(ValueError, match="does not fit"):
        max_pool(image, size=6)


def test_parameters_by_hand():
    assert conv_parameters(5, 2, 7) == 5 * 5 * 2 * 7 + 7 and dense_parameters(10, 3) == 33


def test_basic_cnn_is_what_other_chapters_rely_on():
    model = basic_cnn(64)
    assert (
        model.name == "basic_cnn"
        and model.input_shape == (None, 64, 64, 3)
        and model.output_shape == (None, 1)
    )
    assert model.output.dtype == "float32" and not model.compiled
    assert basic_cnn(8).get_layer("pool3").output.shape[1:] == (1, 1, 128)
    with pytest.raises(ValueError, match="8 pixels or more"):
        basic_cnn(7)


def test_score_stays_float32_under_mixed_precision():
    import keras

    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = basic_cnn(8)
        assert (
            model.get_layer("conv1").compute_dtype == "float16" and model.output.dtype == "float32"
        )
    finally:
        keras.config.set_dtype_policy(before)
