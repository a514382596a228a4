"""The compact network beside the article's: training, and cells a second on one core.

    python benchmarks/compact.py --cells FOLDER --weights FILE --limit 4000

Each way to read a cell is timed in turn on one core, and the median taken. With --train 1: the compact network is trained for all
of its epochs and the basic CNN for one, on the same training cells of the article's split.
"""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from frozen import prepare, timed

from malaria_nb import transfer
from malaria_nb.cnn import basic_cnn
from malaria_nb.compact import PRECISIONS, compact_cnn, export_litert, export_onnx
from malaria_nb.course import SCALES, Settings
from malaria_nb.dataset import index_cells, sample_cells
from malaria_nb.experiments import RECIPES, fit_recipe
from malaria_nb.images import load_images

SLOWEST = "Keras, article's fine-tuned VGG-19"
CELLS = {SLOWEST: 64, "Keras, article's basic CNN": 256}  # that are timed; 2,048 of the others

def training(small, images, label, rows, a):
    "Return a row a recipe: epochs, seconds in all, seconds of the last epoch, and the accuracy of validation cells."
    found = {}
    for name, x, n in (("compact", small, None), ("basic_cnn", images, 1)):
        recipe = RECIPES[name]
        scale = replace(SCALES["full"], size=x.shape[1], batch=recipe.batch or SCALES["full"].batch)
        (_, history), seconds = timed(lambda: fit_recipe(recipe, x, label, rows, Settings(a.cells, scale, "random"), epochs=n, progress=False))
        found[name] = {"epochs": len(history), "seconds": seconds, "seconds of the last epoch": history["seconds"].iloc[-1],
                       "accuracy of validation cells": history["val_accuracy"].iloc[-1]}
    return pd.DataFrame(found).T


def on_one_core(f, cells):
    "Return cells a second."
    f(cells[:16])
    return len(cells)/timed(lambda: f(cells))[1]


def litert(path):
    i = Interpreter(str(path), num_threads=1)
    where = i.get_input_details()[0]["index"]
    def score(x):
        for batch in np.array_split(x, -(-len(x)//64)):
            i.resize_tensor_input(where, batch.shape)
            i.allocate_tensors()
            i.set_tensor(where, batch)
            i.invoke()
    return score


def onnx(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda x: [session.run(None, {session.get_inputs()[0].name: batch}) for batch in np.array_split(x, -(-len(x)//64))]


def keras_model(model):
    step = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    return lambda x: [step(tf.constant(batch)) for batch in np.array_split(x, -(-len(x)//64))]


def reading(small, images, rows, a):
    "Return a row a way to read a cell: its file's bytes, cells a second, and the ratio to the fine-tuned VGG-19, turn by turn."
    with tempfile.TemporaryDirectory() as folder:
        model, shown = compact_cnn(RECIPES["compact"].size, **RECIPES["compact"].network or {}), small[rows["train"][:300]]
        files = {f"LiteRT {p}": export_litert(model, Path(folder, f"{p}.tflite"), p, shown) for p in PRECISIONS}
        files["ONNX"] = export_onnx(model, Path(folder, "compact.onnx"))
        ways = {name: (onnx(file) if name == "ONNX" else litert(file), small) for name, file in files.items()}
        ways |= {"Keras, compact": (keras_model(model), small), "Keras, article's basic CNN": (keras_model(basic_cnn(a.size)), images),
                 SLOWEST: (keras_model(transfer.vgg19_finetuned(a.weights, a.size)), images)}
        rates = pd.DataFrame([{name: on_one_core(f, np.asarray(x[:CELLS.get(name, 2048)], np.float32)) for name, (f, x) in ways.items()}
                              for _ in range(a.repeat)])
        ratio = rates.div(rates[SLOWEST], axis=0)
        return pd.DataFrame({"bytes": {name: file.stat().st_size for name, file in files.items()}, "cells a second": rates.median(),
                             "ratio": ratio.median(), "lowest": ratio.min(), "highest": ratio.max()}).loc[list(ways)]


def main():
    a, images, label, rows = prepare(__doc__, repeat=(5, "times each way is timed, of which the median is shown"),
                                     train=(0, "1: time the training, on all cores, and not the reading"))
    cells = index_cells(a.cells)
    small = load_images(sample_cells(cells, a.limit) if a.limit else cells, a.cells, RECIPES["compact"].size)
    if a.train:
        print(f"{len(rows['train']):,} cells to train on, {len(rows['valid']):,} to validate, {os.cpu_count()} cores")
        print(training(small, images, label, rows, a).round(3).to_string())
    else:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        print(f"decoded cells in batches of 64, one thread, {transfer.weights_name(a.weights)}")
        print(reading(small, images, rows, a).round(1).to_string())


if __name__ == "__main__": main()
