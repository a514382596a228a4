"What would spoil chapter 04: scores that belong to other cells, or that a new cell cannot have."

import numpy as np
import pandas as pd
import pytest

from malaria_nb.fitting import compile_model
from malaria_nb.predict import CompactModel
from malaria_nb.training import predict_cells


@pytest.fixture(scope="module")
def model():
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, "sigmoid")])


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(40, 5)).astype("float32")


def table(n=40):
    return pd.DataFrame(
        {
            "file": [f"{i:03d}.png" for i in range(n)],
            "label": np.arange(n) % 2,
            "patient": "C1",
            "smear": "C1P1",
            "photo": "p",
            "split": "test",
        }
    )


def test_predictions_keep_the_order_of_rows(model, images):
    rows = np.array([30, 2, 13])
    found = predict_cells(model, images, table(), rows, batch_size=2)
    assert list(found) == ["file", "patient", "smear", "label", "score", "split"]
    assert list(found["file"]) == ["030.png", "002.png", "013.png"]
    np.testing.assert_allclose(found["score"], model.predict(images[rows], verbose=0)[:, 0])


@pytest.mark.parametrize("columns", [["file"], ["file", "label"], ["file", "split", "patient"]])
def test_new_cells_need_nothing_but_a_file_name(model, images, columns):
    found = predict_cells(model, images, table()[columns])
    assert set(found) == {*columns, "score"} and found["score"].between(0, 1).all()
    known = predict_cells(model, images, table())
    pd.testing.assert_series_equal(found["score"], known["score"])


def test_a_function_scores_as_well_as_a_network():
    cells = np.random.default_rng(0).integers(0, 256, (3, 60, 60, 3), dtype="uint8")
    compact = CompactModel()
    found = predict_cells(compact, cells, table(3)[["file"]], [2, 0])
    np.testing.assert_allclose(found["score"], compact(cells)[[2, 0]], atol=1e-6)


def test_images_and_cells_that_do_not_pair_are_refused(model, images):
    with pytest.raises(ValueError, match="40 images but 39 cells"):
        predict_cells(model, images, table()[1:])
    with pytest.raises(ValueError, match="its column `file`"):
        predict_cells(model, images, table().drop(columns="file"))


def test_scores_that_are_no_numbers_are_refused(images):
    with pytest.raises(ValueError, match="2 of 3 scores are NaN"):
        predict_cells(lambda x: [0.5, np.nan, np.nan], images[:3], table(3))


def test_an_unknown_optimizer_is_refused(model):
    with pytest.raises(ValueError, match="'adam', 'adamw', 'rmsprop'"):
        compile_model(model, "adm")
