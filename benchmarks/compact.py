"""The compact network beside the article's: cells a second, training, time to a first score.

    python benchmarks/compact.py --cells FOLDER --weights FILE --limit 4000
    python benchmarks/compact.py --cells FOLDER --what training --record yes
    python benchmarks/compact.py --cells FOLDER --weights FILE --what starting

reading:  each way to read decoded cells is timed in turn on one core, and the median taken.
training: the compact network is trained for all of its epochs, in each precision, and the basic
          CNN for one, on the training cells of the article's split, with all cores.
starting: whole processes, from the command to the score of one file, and of a thousand.

With --record yes the table goes among the course's records, where chapter 16 reads it; use a quiet
machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pandas as pd
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from frozen import prepare, timed

from malaria_nb import transfer
from malaria_nb.archive import class_root
from malaria_nb.augment import affine
from malaria_nb.batches import Batches
from malaria_nb.cnn import basic_cnn
from malaria_nb.compact import compact_cnn
from malaria_nb.dataset import index_cells, sample_cells
from malaria_nb.export import PRECISIONS, export_litert, export_onnx
from malaria_nb.images import eight_symmetries, load_images
from malaria_nb.lite0 import lite0_short
from malaria_nb.predict import MODEL
from malaria_nb.recipes import RECIPES
from malaria_nb.records import write_table
from malaria_nb.run import fit_recipe
from malaria_nb.settings import SCALES, Settings
from malaria_nb.weights import weights_name

STUDENT = "LiteRT int8, second student"
HALF = "LiteRT float16, five blocks"  # chapter 17's
SHIPPED = "LiteRT int8, as shipped"  # the same
SLOWEST = "Keras, article's fine-tuned VGG-19"
CELLS = {SLOWEST: 64, "Keras, article's basic CNN": 256}  # that are timed; 2,048 of the others

AUGMENT = {None: None, "affine": affine, "eight_symmetries": eight_symmetries}


def training(small, images, label, rows, a):
    "Return a row a recipe: epochs, seconds, the part that makes batches, validation accuracy."
    found = {}
    for name, policy, x, n in (
        ("compact", "float32", small, None),
        ("compact", "mixed_bfloat16", small, None),
        ("basic_cnn", "float32", images, 1),
    ):
        recipe = RECIPES[name]
        scale = replace(SCALES["full"], size=x.shape[1], batch=recipe.batch or SCALES["full"].batch)
        keras.config.set_dtype_policy(policy)
        (_, history), seconds = timed(
            lambda: fit_recipe(
                recipe, x, label, rows, Settings(a.cells, scale, "random"), epochs=n, progress=False
            )
        )
        train = Batches(
            x,
            label,
            rows["train"],
            scale.batch,
            shuffle=True,
            augment=AUGMENT[recipe.augment],
        )
        alone = timed(lambda: deque((train[i] for i in range(len(train))), maxlen=0))[1] * len(
            history
        )
        found[f"{name}, {policy}"] = {
            "epochs": len(history),
            "seconds": seconds,
            "seconds of the last epoch": history["seconds"].iloc[-1],
            "of its batches alone": alone / seconds,
            "accuracy of validation cells": history["val_accuracy"].iloc[-1],
        }
    return pd.DataFrame(found).T.rename_axis("recipe")


def on_one_core(f, cells):
    "Return cells a second."
    f(cells[:16])
    return len(cells) / timed(lambda: f(cells))[1]


def litert(path):
    i = Interpreter(str(path), num_threads=1)
    where, shape = (i.get_input_details()[0][k] for k in ("index", "shape"))

    def score(x):
        assert x.shape[1:] == tuple(shape[1:]), f"cells of {x.shape[1:]} for a network of {shape}"
        for batch in np.array_split(x, -(-len(x) // 64)):
            i.resize_tensor_input(where, batch.shape)
            i.allocate_tensors()
            i.set_tensor(where, batch)
            i.invoke()

    return score


def onnx(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda x: [
        session.run(None, {session.get_inputs()[0].name: batch})
        for batch in np.array_split(x, -(-len(x) // 64))
    ]


def keras_model(model):
    step = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    return lambda x: [step(tf.constant(batch)) for batch in np.array_split(x, -(-len(x) // 64))]


def reading(small, larger, images, rows, a):
    """Return a row a way to read: bytes of its file, cells a second, ratio to the slowest by turn.

    Each reads cells of its own side: `small` compact and the student, `larger` what is shipped."""
    with tempfile.TemporaryDirectory() as folder:
        model, student = (
            compact_cnn(RECIPES[name].size, **RECIPES[name].options.get("network", {}))
            for name in ("compact", "compact_student")
        )
        shown = small[rows["train"][:: max(1, len(rows["train"]) // 300)]]
        files = {
            f"LiteRT {p}": export_litert(model, Path(folder, f"{p}.tflite"), p, shown)
            for p in PRECISIONS
        }
        files[STUDENT] = export_litert(student, Path(folder, "student.tflite"), "int8", shown)
        files["ONNX"] = export_onnx(model, Path(folder, "compact.onnx"))
        ways = {
            name: (onnx(file) if name == "ONNX" else litert(file), small)
            for name, file in files.items()
        }
        short = lite0_short(RECIPES["lite0_short"].size)
        files[HALF] = export_litert(short, Path(folder, "half.tflite"), "float16")
        files[SHIPPED] = MODEL
        ways |= {name: (litert(files[name]), larger) for name in (HALF, SHIPPED)}
        ways |= {
            "Keras, compact": (keras_model(model), small),
            "Keras, article's basic CNN": (keras_model(basic_cnn(a.size)), images),
            SLOWEST: (keras_model(transfer.vgg19_finetuned(a.weights, a.size)), images),
        }
        rates = pd.DataFrame(
            [
                {
                    name: on_one_core(f, np.asarray(x[: CELLS.get(name, 2048)], np.float32))
                    for name, (f, x) in ways.items()
                }
                for _ in range(a.repeat)
            ]
        )
        ratio = rates.div(rates[SLOWEST], axis=0)
        return pd.DataFrame(
            {
                "bytes": {name: file.stat().st_size for name, file in files.items()},
                "cells a second": rates.median(),
                "ratio": ratio.median(),
                "lowest": ratio.min(),
                "highest": ratio.max(),
            }
        ).loc[list(ways)]


KERAS = """
import keras, sys, numpy as np
from malaria_nb.images import decode_cell

model = keras.models.load_model(sys.argv[1])
cell = decode_cell(sys.argv[2], model.input_shape[1])[None].astype("float32")
print(model.predict_on_batch(cell))
"""


def starting(a):
    "Return a row a command: seconds of the whole process, and the ratio to the first, by turn."
    files = [
        str(class_root(a.cells) / file) for file in sample_cells(index_cells(a.cells), 1000)["file"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        network = lite0_short(RECIPES["lite0_short"].size)  # what `predict` reads, in Keras
        network.save(model := f"{folder}/network.keras")
        ours = [str(Path(sys.executable).absolute().with_name("malaria-nb")), "predict"]
        ways = {
            "malaria-nb predict, 1 file": [*ours, files[0]],
            "malaria-nb predict, 1,000 files": [*ours, *files],
            "Keras, 1 file": [sys.executable, "-c", KERAS, model, files[0]],
            "import tensorflow": [sys.executable, "-c", "import tensorflow"],
        }

        def turn():
            return {
                name: timed(lambda: subprocess.run(way, check=True, capture_output=True))[1]
                for name, way in ways.items()
            }

        turn()  # the files of the programs are in memory from here on
        seconds = pd.DataFrame([turn() for _ in range(a.repeat)])
    ratio = seconds.div(seconds.iloc[:, 0], axis=0)
    return pd.DataFrame(
        {
            "seconds": seconds.median(),
            "ratio": ratio.median(),
            "lowest": ratio.min(),
            "highest": ratio.max(),
        }
    ).rename_axis("command")


def main():
    a, images, label, rows = prepare(
        __doc__,
        repeat=(5, "times each way is timed, of which the median is shown"),
        what=("reading", "reading, training or starting"),
        record=("no", "yes: keep the table among the records"),
    )
    cells = index_cells(a.cells)
    cells = sample_cells(cells, a.limit) if a.limit else cells
    small = load_images(cells, a.cells, RECIPES["compact"].size, cache=a.images)
    if a.what == "training":
        table, about = (
            training(small, images, label, rows, a),
            dict(
                training_cells=len(rows["train"]),
                validation_cells=len(rows["valid"]),
                split="cell",
                seed=42,
            ),
        )
    elif a.what == "starting":
        table, about = (
            starting(a),
            dict(
                repeat=a.repeat,
                note="whole processes, their files in memory; medians, ratios turn by turn",
            ),
        )
    else:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        larger = load_images(cells, a.cells, RECIPES["lite0_short"].size, cache=a.images)
        table = reading(small, larger, images, rows, a).rename_axis("way")
        about = dict(
            repeat=a.repeat,
            weights=weights_name(a.weights),
            note="decoded cells in batches of 64, one thread; medians, ratios turn by turn; random "
            "weights, but for what is shipped (bytes of a trained file differ a little)",
        )
    print(about, table.round(3).to_string(), sep="\n")
    if a.record == "yes":
        print(
            write_table(
                f"16_compact-{a.what}", table, Settings("nih", SCALES["full"], a.asked), **about
            )
        )


if __name__ == "__main__":
    main()
