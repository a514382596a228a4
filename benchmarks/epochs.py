"""Seconds an epoch for each of the three models: ours beside the article's, in today's Keras.

    python benchmarks/epochs.py --cells FOLDER --weights FILE --limit 800

Both ways train and validate on the same cells, in turn, one epoch each; a first epoch of each is
not counted.
"""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import pandas as pd
from frozen import prepare, timed
from keras import layers as L
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from malaria_nb import transfer
from malaria_nb.batches import Batches
from malaria_nb.cnn import basic_cnn
from malaria_nb.features import frozen_features
from malaria_nb.fitting import compile_model
from malaria_nb.images import eight_symmetries
from malaria_nb.weights import load_weights, weights_name

RATES = {
    "basic CNN": ("adam", 1e-3),
    "VGG-19 frozen": ("rmsprop", 1e-4),
    "VGG-19 fine-tuned": ("rmsprop", 1e-5),
}


def article_model(name, size, weights):
    "Build a model as the article does: float input from 0 to 1, three dense layers behind."
    if name == "basic CNN":
        x = inputs = keras.Input((size, size, 3))
        for filters in 32, 64, 128:
            x = L.MaxPooling2D()(L.Conv2D(filters, 3, padding="same", activation="relu")(x))
    else:
        vgg = keras.applications.VGG19(include_top=False, weights=None, input_shape=(size, size, 3))
        load_weights(vgg, weights)
        for layer in vgg.layers:
            layer.trainable = name != "VGG-19 frozen" and layer.name.startswith(
                ("block4", "block5")
            )
        inputs, x = vgg.input, vgg.output
    x = L.Flatten()(x)
    for _ in range(2):
        x = L.Dropout(0.3)(L.Dense(512, "relu")(x))
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(x))
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    optimizer, rate = RATES[name]
    model.compile(kinds[optimizer](rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def article_epoch(name, images, label, rows, a):
    "Return a function that trains for an epoch as the article does, from a float copy of images."
    model = article_model(name, a.size, a.weights)
    x = {part: images[rows[part]] / np.float32(255) for part in rows}
    y = {part: label[rows[part]] for part in rows}
    if name != "VGG-19 fine-tuned":
        return model, lambda: model.fit(
            x["train"], y["train"], a.batch, validation_data=(x["valid"], y["valid"]), verbose=0
        )
    moving = ImageDataGenerator(
        zoom_range=0.05,
        rotation_range=25,
        width_shift_range=0.05,
        height_shift_range=0.05,
        shear_range=0.05,
        horizontal_flip=True,
        fill_mode="nearest",
    )
    train = moving.flow(x["train"], y["train"], a.batch)
    valid = ImageDataGenerator().flow(x["valid"], y["valid"], a.batch, shuffle=False)
    return model, lambda: model.fit(train, validation_data=valid, verbose=0)


def our_epoch(name, images, features, label, rows, a):
    "Return a function that trains for one epoch as the chapters do."
    model = {
        "basic CNN": lambda: basic_cnn(a.size),
        "VGG-19 frozen": lambda: transfer.vgg19_head(features.shape[1]),
        "VGG-19 fine-tuned": lambda: transfer.vgg19_finetuned(a.weights, a.size),
    }[name]()
    x = features if name == "VGG-19 frozen" else images
    augment = eight_symmetries if name == "VGG-19 fine-tuned" else None
    train = Batches(x, label, rows["train"], a.batch, shuffle=True, augment=augment)
    valid = Batches(x, label, rows["valid"], a.batch)
    compile_model(model, *RATES[name])
    return model, lambda: model.fit(train, validation_data=valid, shuffle=False, verbose=0)


def weights_of(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def main():
    a, images, label, rows = prepare(
        __doc__, repeat=(3, "epochs counted, of which the median is shown")
    )
    with tempfile.TemporaryDirectory() as folder:
        features, once = timed(lambda: frozen_features(images, a.weights, cache=folder))
        features = np.array(features)
    table = {}
    for name in RATES:
        ours, our_fit = our_epoch(name, images, features, label, rows, a)
        theirs, their_fit = article_epoch(name, images, label, rows, a)
        assert weights_of(ours) == weights_of(theirs), f"{name}: not the same model"
        our_fit()
        their_fit()
        seconds = np.array([(timed(our_fit)[1], timed(their_fit)[1]) for _ in range(a.repeat)])
        table[name] = [
            *np.median(seconds, axis=0),
            *np.quantile(seconds[:, 1] / seconds[:, 0], [0.5, 0, 1]),
        ]
    table = pd.DataFrame(table, ["ours", "the article's", "ratio", "lowest", "highest"]).T
    print(
        f"{len(images):,} cells of {a.size} px ({len(rows['train']):,} trained on, "
        f"{len(rows['valid']):,} validated), batches of {a.batch}, {weights_name(a.weights)}, "
        f"Keras on {keras.backend.backend()}, {os.cpu_count()} cores"
    )
    print(f"Seconds an epoch, median of {a.repeat}, and their ratio pair by pair:")
    print(table.round(2).to_string())
    ours, theirs = table.loc["VGG-19 frozen", ["ours", "the article's"]]
    mine, article = once + 25 * ours, 25 * theirs
    print(
        f"The frozen lesson, 25 epochs: features once {once:.0f} s + 25 × {ours:.2f} s = "
        f"{mine:.0f} s, the article's 25 × {theirs:.1f} s = {article:.0f} s, "
        f"{article / mine:.1f} times as long. "
        f"(Ours makes features of all cells, the test cells too.)"
    )


if __name__ == "__main__":
    main()
