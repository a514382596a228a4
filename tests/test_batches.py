"""Batches that can't be repeated, lose rows, or carry a wrong label."""

import numpy as np
import pandas as pd
import pytest

from malaria_nb.batches import Batches
from malaria_nb.images import eight_symmetries

n = 100
x = np.arange(n * 2 * 2 * 3, dtype=np.uint8).reshape(n, 2, 2, 3)
numbered = np.tile(np.arange(n, dtype=np.uint8)[:, None, None, None], (1, 2, 2, 3))
label = np.arange(n) % 2


def seen(batches):
    return np.concatenate([b[:, 0, 0, 0] for b, _ in batches])


def test_every_row_once_and_the_last_batch_kept():
    for shuffle in (False, True):
        b = Batches(numbered, label, batch_size=32, shuffle=shuffle)
        assert [len(y) for _, y in b] == [32, 32, 32, 4] and len(b) == 4
        assert sorted(seen(b)) == list(range(n))
        for images_, y in b:
            assert (images_[:, 0, 0, 0] % 2 == y[:, 0]).all()


def test_rows_as_numbers_or_mask():
    mask = np.arange(n) % 3 == 0
    assert (
        list(seen(Batches(numbered, label, mask)))
        == list(seen(Batches(numbered, label, np.flatnonzero(mask))))
        == list(range(0, n, 3))
    )
    assert list(seen(Batches(numbered, label, pd.Series(mask)))) == list(range(0, n, 3))
    assert list(seen(Batches(numbered, label, [7, 7, 3]))) == [7, 7, 3]


def test_order_is_a_function_of_seed_and_epoch():
    a, b = (Batches(numbered, label, shuffle=True, batch_size=size, seed=1) for size in (64, 32))
    assert (seen(a) == seen(b)).all() and (seen(a) == seen(a)).all()
    orders = []
    for _ in range(4):
        orders.append(seen(a))
        a.on_epoch_end()
    for epoch in (3, 0, 2):
        b.set_epoch(epoch)
        assert (seen(b) == orders[epoch]).all()
    assert len({o.tobytes() for o in orders}) == 4
    assert (seen(Batches(numbered, label, shuffle=True, seed=2)) != orders[0]).any()


def test_chance_does_not_depend_on_which_batch_comes_first():
    a, b = (
        Batches(x, label, batch_size=16, shuffle=True, augment=eight_symmetries) for _ in range(2)
    )
    forward, backward = (
        [a[i][0] for i in range(len(a))],
        [b[i][0] for i in reversed(range(len(b)))][::-1],
    )
    for f, g in zip(forward, backward):
        assert (f == g).all()
    still = Batches(
        x, label, batch_size=16, augment=eight_symmetries
    )  # the order stays, chance moves on
    first = [still[i][0] for i in range(len(still))]
    still.on_epoch_end()
    assert all((still[i][0] != first[i]).any() for i in range(len(first)))


def test_source_is_left_alone():
    before = x.copy()
    for _ in Batches(x, label, shuffle=True, augment=eight_symmetries):
        pass
    assert (x == before).all()


@pytest.mark.parametrize(
    "kw, says",
    [
        (dict(label=label[:-1]), "one label an image"),
        (dict(label=label[:, None]), "one label an image"),
        (dict(label=label + 0.5), "0 .uninfected. or 1"),
        (dict(label=np.where(label == 0, np.nan, 1)), "none missing"),
        (dict(label=["no"] * n), "0 .uninfected. or 1"),
        (dict(rows=[n]), "count from 0 to 99"),
        (dict(rows=[-1]), "count from 0"),
        (dict(rows=[]), "no rows"),
        (dict(rows=np.zeros(n, bool)), "no rows"),
        (dict(rows=np.ones(n - 1, bool)), "mask"),
        (dict(batch_size=0), "at least 1"),
    ],
)
def test_bad_batches(kw, says):
    with pytest.raises(ValueError, match=says):
        Batches(**{"images": x, "label": label, **kw})


def test_nan_features_do_not_reach_the_model():
    features = np.ones((n, 5), np.float16)
    features[70, 2] = np.nan
    b = Batches(features, label)
    assert b[0][0].shape == (64, 5)
    with pytest.raises(ValueError, match="batch 1 holds NaN"):
        b[1]
    with pytest.raises(IndexError):
        b[2]


def test_fit_sees_the_epochs_it_is_told():
    import keras

    trained = []

    class Recorder(keras.Model):
        def train_step(self, data):
            trained.append(np.asarray(data[0])[:, 0, 0, 0])
            return super().train_step(data)

    inputs = keras.Input((2, 2, 3))
    model = Recorder(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    model.compile("sgd", "mse", run_eagerly=True)
    batches, told = (Batches(numbered, label, batch_size=32, shuffle=True) for _ in range(2))
    orders = []
    for epoch in range(4):
        told.set_epoch(epoch)
        orders.append(seen(told))
    tell = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.set_epoch(epoch)
    )
    model.fit(batches, epochs=2, shuffle=False, callbacks=[tell], verbose=0)
    assert (np.concatenate(trained) == np.concatenate(orders[:2])).all()
    trained.clear()
    model.fit(batches, initial_epoch=2, epochs=4, shuffle=False, callbacks=[tell], verbose=0)
    assert (np.concatenate(trained) == np.concatenate(orders[2:])).all()
    trained.clear()
    model.fit(
        batches, epochs=2, shuffle=False, verbose=0
    )  # told nothing, it still deals anew every epoch
    first, second = np.concatenate(trained)[:n], np.concatenate(trained)[n:]
    assert sorted(first) == sorted(second) == list(range(n)) and (first != second).any()


@pytest.mark.parametrize("how", [dict(workers=3), dict(workers=2, max_queue_size=1), {}])
def test_keras_gets_its_workers_and_trains_alike(how):
    import keras

    def trained():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((2, 2, 3))
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
        model.compile("sgd", "mse")
        batches = Batches(x / 255, label, batch_size=16, shuffle=True, **how)
        assert batches.workers == how.get("workers", 1)
        assert batches.max_queue_size == how.get("max_queue_size", 10)
        return model.fit(batches, epochs=2, shuffle=False, verbose=0).history["loss"]

    assert trained() == trained()
