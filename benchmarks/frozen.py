"""The frozen VGG-19's head, trained in two ways: features once, or every epoch through the base.

python benchmarks/frozen.py --cells FOLDER --weights FILE --limit 300
"""

import argparse
import os
import tempfile
import time
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import pandas as pd

from malaria_nb import features, transfer
from malaria_nb.batches import Batches
from malaria_nb.dataset import index_cells, sample_cells, split_cells
from malaria_nb.fitting import compile_model, set_seed
from malaria_nb.images import load_images
from malaria_nb.settings import read_settings
from malaria_nb.weights import find_weights, weights_name


class CountedBase:
    "A base that counts the images that pass through it."

    def __init__(self, base):
        self.base, self.passes = base, 0

    def predict_on_batch(self, x):
        self.passes += len(x)
        return self.base.predict_on_batch(x)


class CountedFit(keras.callbacks.Callback):
    "Counts the images that pass through the model while it is fitted."

    def __init__(self, train, valid):
        super().__init__()
        self.train, self.valid, self.passes = train, valid, 0

    def on_train_batch_end(self, batch, logs=None):
        self.passes += len(self.train[batch][1])

    def on_test_batch_end(self, batch, logs=None):
        self.passes += len(self.valid[batch][1])


def timed(f):
    began = time.perf_counter()
    value = f()
    return value, time.perf_counter() - began


def fit(model, x, label, rows, epochs, batch):
    "Train and validate for `epochs`; return the last validation loss and the passes counted."
    train, valid = (
        Batches(x, label, rows[part], batch, shuffle=part == "train") for part in ("train", "valid")
    )
    counted = CountedFit(train, valid)
    compile_model(model, "rmsprop", 1e-4)
    history = model.fit(
        train, validation_data=valid, epochs=epochs, shuffle=False, verbose=0, callbacks=[counted]
    )
    return history.history["val_loss"][-1], counted.passes


def features_once(images, label, rows, a, folder):
    base = CountedBase(transfer.vgg19_base(a.weights, a.size))
    with patch.object(features, "vgg19_base", lambda *_: base):
        x = features.frozen_features(images, a.weights, cache=folder)
    set_seed(42)
    loss, _ = fit(transfer.vgg19_head(x.shape[1]), x, label, rows, a.epochs, a.batch)
    return loss, base.passes


def every_epoch(images, label, rows, a):
    set_seed(42)
    head = transfer.vgg19_head(512 * (a.size // 32) ** 2)
    return fit(
        transfer.vgg19_frozen(a.weights, a.size, head), images, label, rows, a.epochs, a.batch
    )


def prepare(doc, **more):
    "Read the command line and load its cells; `more`: a benchmark's options, default and help."
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument("--cells", required=True, help="folder laid out like the official archive")
    p.add_argument(
        "--weights",
        default="auto",
        help="auto, imagenet, random, or a weights file (default: auto)",
    )
    p.add_argument(
        "--limit", type=int, help="cells to use, spread over all patients (default: all)"
    )
    p.add_argument(
        "--size", type=int, default=125, help="side of the images, pixels (default: 125)"
    )
    p.add_argument("--batch", type=int, default=64, help="cells a step (default: 64)")
    for name, (default, what) in more.items():
        p.add_argument(
            f"--{name}", type=type(default), default=default, help=f"{what} (default: {default})"
        )
    a, home = p.parse_args(), read_settings().home
    a.asked, a.weights = a.weights, find_weights(a.weights, home)
    cells = index_cells(a.cells)
    cells = split_cells(sample_cells(cells, a.limit) if a.limit else cells, by="cell")
    rows = {part: (cells["split"] == part).to_numpy().nonzero()[0] for part in ("train", "valid")}
    a.images = home / "images"
    images = load_images(cells, a.cells, a.size, cache=a.images)
    return a, images, cells["label"].to_numpy(), rows


def main():
    a, images, label, rows = prepare(__doc__, epochs=(25, "epochs of both ways"))
    with tempfile.TemporaryDirectory() as folder:
        (our_loss, ours), our_seconds = timed(lambda: features_once(images, label, rows, a, folder))
    (their_loss, theirs), their_seconds = timed(lambda: every_epoch(images, label, rows, a))
    print(
        f"{len(images):,} cells of {a.size} px, {a.epochs} epochs, {weights_name(a.weights)}, "
        f"Keras on {keras.backend.backend()}, {os.cpu_count()} cores"
    )
    table = pd.DataFrame(
        {
            "way": ["features once, all cells", "every epoch through the base"],
            "forward passes": [ours, theirs],
            "seconds": [our_seconds, their_seconds],
            "passes, ratio": [1, theirs / ours],
            "seconds, ratio": [1, their_seconds / our_seconds],
            "last validation loss": [our_loss, their_loss],
        }
    )
    print(
        table.to_string(
            index=False,
            formatters={
                "forward passes": "{:,}".format,
                "seconds": "{:.1f}".format,
                "passes, ratio": "{:.1f}".format,
                "seconds, ratio": "{:.1f}".format,
                "last validation loss": "{:.3f}".format,
            },
        )
    )
    article = 25 * (17_361 + 1_929)
    print(
        f"The article's 25 epochs: {article:,} passes instead of 27,558, "
        f"{article / 27_558:.1f} times as many."
    )


if __name__ == "__main__":
    main()
