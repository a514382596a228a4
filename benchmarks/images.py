"""Chapter 02 beside what a user would pick instead: time, memory and input rate, all in one run.

    python benchmarks/images.py --cells FOLDER [--limit 4000]

Every way of decoding runs in a process of its own, so that its peak memory (ru_maxrss, with the
imports) is its own.
Times leave imports out. All PNGs are read once beforehand, so that nobody pays for a cold disk.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# of the process that measures one way; the first process says where
CACHE = os.environ.get("BENCHMARK_CACHE", "")
WAYS = {
    "load": "load_images, area: uint8, on disk",
    "again": "load_images, second start",
    "load-linear": "load_images, bilinear",
    "keras": "image_dataset_from_directory, bilinear",
    "keras-area": "image_dataset_from_directory, area",
    "article": "the article: float32 list, scaled copy",
}
INPUTS = {
    "plain": "Batches",
    "eight": "Batches + eight_symmetries",
    "affine": "Batches + affine",
    "layers": "Batches + affine_layers",
    "tfdata": "tf.data + affine_layers",
    "train": "basic CNN, training",
}


def seconds(f):
    began = time.perf_counter()
    f()
    return time.perf_counter() - began


def load(root, size, interpolation="area"):
    from malaria_nb.dataset import index_cells
    from malaria_nb.images import load_images

    cells = index_cells(root)
    how = {"progress": False, "interpolation": interpolation}
    return seconds(lambda: load_images(cells, root, size, CACHE, **how))


def from_directory(root, size, interpolation="bilinear"):
    import keras

    def decode_all():
        data = keras.utils.image_dataset_from_directory(
            root,
            image_size=(size, size),
            batch_size=64,
            interpolation=interpolation,
            shuffle=False,
            verbose=False,
        )
        for _ in data:
            pass

    return seconds(decode_all)


def article(root, size):
    from concurrent.futures import ThreadPoolExecutor

    import cv2
    import numpy as np

    def read(path):
        return cv2.resize(cv2.imread(path), (size, size), interpolation=cv2.INTER_CUBIC).astype(
            np.float32
        )

    def keep_all():
        with ThreadPoolExecutor() as pool:
            images = np.array(list(pool.map(read, map(str, root.glob("*/*.png")))))
        return images / 255.0

    return seconds(keep_all)


def rate(kind, root, size, rows=1280):
    "Cells a second that one kind of input gives, or that training takes."
    import numpy as np

    from malaria_nb.augment import affine, affine_layers
    from malaria_nb.batches import Batches
    from malaria_nb.cnn import basic_cnn
    from malaria_nb.dataset import index_cells
    from malaria_nb.images import eight_symmetries, load_images

    cells = index_cells(root)
    images = load_images(cells, root, size, CACHE, progress=False)
    rows = np.random.default_rng(42).permutation(len(cells))[:rows]
    layers = affine_layers(seed=1)
    if kind == "train":
        model = basic_cnn(size)
        model.compile("adam", "binary_crossentropy")
        batches = list(Batches(images, cells["label"], rows[: 64 * 8]))
        for x, y in batches[:2]:
            model.train_on_batch(x, y)
        return sum(len(y) for _, y in batches) / seconds(
            lambda: [model.train_on_batch(x, y) for x, y in batches]
        )
    if kind == "tfdata":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices(images[np.sort(rows)]).batch(64)
        data = data.map(
            lambda x: layers(x, training=True), num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(2)
    else:
        augment = {
            "plain": None,
            "eight": eight_symmetries,
            "affine": affine,
            "layers": lambda x, rng: np.asarray(layers(x, training=True)),
        }[kind]
        data = Batches(images, cells["label"], rows, shuffle=True, augment=augment)
        data[0]
    return len(rows) / seconds(lambda: [None for _ in data])


def one(what, root, size):
    "Measure one thing in this process and print it as JSON."
    ways = {
        "load": load,
        "again": load,
        "load-linear": partial(load, interpolation="linear"),
        "keras": from_directory,
        "keras-area": partial(from_directory, interpolation="area"),
        "article": article,
    }
    found = (
        {"seconds": ways[what](root, size)} if what in ways else {"rate": rate(what, root, size)}
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    print(json.dumps({**found, "GB": peak / 1e9}))


def measure(what, args, root, home):
    command = [
        sys.executable,
        __file__,
        "--one",
        what,
        "--cells",
        str(root),
        "--size",
        str(args.size),
    ]
    done = subprocess.run(
        command, env={**os.environ, "BENCHMARK_CACHE": home}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{what} failed:\n{done.stderr[-3000:]}")
    print(".", end="", file=sys.stderr, flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    from malaria_nb.archive import class_root
    from malaria_nb.dataset import index_cells, sample_cells
    from malaria_nb.settings import default_home

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cells",
        type=Path,
        default=default_home() / "nih",
        help="folder laid out like the official archive",
    )
    parser.add_argument("--limit", type=int, help="use only so many cells (default: all)")
    parser.add_argument(
        "--size", type=int, default=125, help="side of a decoded image, pixels (default: 125)"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="take the best of so many runs (default: 1)"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    root = class_root(args.cells)
    if args.one:
        return one(args.one, root, args.size)

    cells = index_cells(root)
    with tempfile.TemporaryDirectory() as folder:
        if args.limit and args.limit < len(cells):
            cells = sample_cells(cells, args.limit)
            for file in cells["file"]:
                link = Path(folder) / "cells" / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((root / file).resolve())
            root = Path(folder) / "cells"
        for file in cells["file"]:
            (root / file).read_bytes()
        decoded, rates = {}, {}
        for i in range(args.repeat):
            home = f"{folder}/home-{i}"
            for what in WAYS:
                new = measure(what, args, root, home)
                old = decoded.get(what, new)
                decoded[what] = {
                    "seconds": min(old["seconds"], new["seconds"]),
                    "GB": max(old["GB"], new["GB"]),
                }
            for what in INPUTS:
                rates[what] = max(rates.get(what, 0), measure(what, args, root, home)["rate"])
    keras, train = decoded["keras"], rates["train"]
    n = len(cells)
    print(
        f"\n\n{n:,} cells to {args.size} × {args.size} px, {os.cpu_count()} cores, "
        f"best of {args.repeat}\n"
    )
    print(f"{'decoding':40} {'seconds':>8} {'ratio':>6} {'cells/s':>9} {'peak GB':>8} {'ratio':>6}")
    for what, name in WAYS.items():
        d = decoded[what]
        print(
            f"{name:40} {d['seconds']:8.2f} {d['seconds'] / keras['seconds']:6.2f} "
            f"{n / d['seconds']:9,.0f} {d['GB']:8.2f} {d['GB'] / keras['GB']:6.2f}"
        )
    print(f"\n{'input, batches of 64':40} {'cells/s':>8} {'× training':>11}")
    for what, name in INPUTS.items():
        print(f"{name:40} {rates[what]:8,.0f} {rates[what] / train:11.1f}")


if __name__ == "__main__":
    main()
