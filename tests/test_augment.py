"""The article's augmentation: repeatable, and what Keras's former generator did."""

import cv2
import numpy as np
import pytest

from malaria_nb import augment
from malaria_nb.augment import affine_layers


def test_affine_layers():
    batch = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    out, again = (np.asarray(affine_layers(seed=3)(batch, training=True)) for _ in range(2))
    assert (
        out.shape == batch.shape
        and out.dtype == np.float32
        and 0 <= out.min()
        and out.max() <= 255.01
    )
    assert (out == again).all() and (
        np.asarray(affine_layers(seed=4)(batch, training=True)) != out
    ).any()
    assert (np.asarray(affine_layers(seed=3)(batch, training=False)) == batch).all()
    same = np.asarray(affine_layers(seed=3)(np.stack([batch[0]] * 6), training=True))
    assert len({s.tobytes() for s in same}) == 6  # every image of a batch is changed on its own


class Drawn:
    "What was drawn beforehand: turn and shear, shift, zoom (each -1 to 1), and whether to flip."

    def __init__(self, *moves, flip):
        self.moves, self.flip = [np.array([m]) for m in moves], flip

    def uniform(self, low, high, shape):
        return ((low + high) / 2 + (high - low) / 2 * self.moves.pop(0)).reshape(shape)

    def random(self, n):
        return np.full(n, 0.0 if self.flip else 1.0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "turn, shift, zoom",
    [
        ((0.6, 0.9), (0.6, -0.4), (-0.8, 0.8)),
        ((-0.9, -1), (-1, 0.2), (1, 0)),
        ((0, 0), (1, 0), (0, 0)),
    ],
)
def test_affine_is_what_image_data_generator_did(turn, shift, zoom, flip):
    from keras.src.legacy.preprocessing.image import apply_affine_transform

    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8), (0, 0), 2
    )
    ours = augment.affine(image[None], Drawn(turn, shift, zoom, flip=flip))[0]
    theirs = apply_affine_transform(
        image.astype(float),
        25 * turn[0],
        *(40 * 0.05 * np.array(shift)),
        0.05 * turn[1],
        *(1 + 0.05 * np.array(zoom)),
        row_axis=0,
        col_axis=1,
        channel_axis=2,
        order=1,
    )
    if flip:
        theirs = theirs[:, ::-1]
    assert np.abs(ours - theirs).max() < 2  # OpenCV looks between pixels in steps of 1/32


def test_affine_repeats_and_leaves_its_input_alone():
    batch = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), np.uint8)
    before = batch.copy()
    a, b, c = (augment.affine(batch, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (a == b).all() and (a != c).any() and (batch == before).all() and a.dtype == np.uint8
