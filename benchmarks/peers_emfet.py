"""The part of `peers.py` that runs in an environment of its own, where `emfet` is installed.

    python benchmarks/peers_emfet.py features|forest|search|speed JOB [--quick]

JOB is a folder. `cells.csv` in it has a row a cell: path, label, whose (the patient), and a column
for each split, with "test" for the cells that are scored. emfet's feature functions and the
definitions of its classifiers are imported; the trained model in its package is never opened.

features: the five numbers of every cell, kept 2,000 cells at a time: a second start goes on.
forest:   the random forest with the published settings, for every split.
search:   the settings searched as `emfet.evaluate.nested_patient_cv` does, inside each of the
          five folds: 15 trials on three folds by patient, then the best one on all its training
          cells.
speed:    decodes the cells of `speed.csv`, then answers each line read with the CPU seconds that
          all of them took.

--quick:  forests of a tenth of the trees, for tests.
"""

import io
import json
import sys
import time
from pathlib import Path

import cv2
import joblib
import numpy as np
from emfet.features import extract_features_from_array
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

# emfet/best_model_model_card.json, "best_params"
TREES = 20 if "--quick" in sys.argv else 202
PUBLISHED = {"max_depth": 16, "min_samples_split": 5, "n_estimators": TREES}
# the package leaves its forest's random state open
SEED = 42
PART = 2_000


def read_table(path):
    "Return the columns of a CSV file without quotes as arrays of text."
    head, *rows = [line.split(",") for line in path.read_text("utf-8").splitlines()]
    return dict(zip(head, np.array(rows).T))


def write_json(path, value):
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value))
    part.replace(path)


def features_of(picture):
    found = extract_features_from_array(picture)
    if found is None:
        raise ValueError("emfet gives no features for a cell")
    return found


def features(job):
    "Compute the features of all cells; CPU seconds, with reading and decoding, add up in a note."
    paths = read_table(job / "cells.csv")["path"]
    (job / "features").mkdir(exist_ok=True)
    for start in range(0, len(paths), PART):
        kept = job / "features" / f"{start:06}.npy"
        if kept.exists():
            continue
        began, computed, rows = time.process_time(), 0.0, []
        for path in paths[start : start + PART]:
            picture = cv2.imread(str(path))
            then = time.process_time()
            rows.append(features_of(picture))
            computed += time.process_time() - then
        seconds = {"whole": time.process_time() - began, "features": computed}
        write_json(kept.with_suffix(".json"), seconds)
        with open(kept.with_suffix(".part"), "wb") as f:
            np.save(f, np.array(rows))
        kept.with_suffix(".part").replace(kept)
        print(f"features of {start + len(rows):,} of {len(paths):,} cells", flush=True)


def read_features(job):
    return np.concatenate([np.load(p) for p in sorted((job / "features").glob("*.npy"))])


def published(seed=SEED):
    "Build the published pipeline: standardised features and a random forest."
    forest = RandomForestClassifier(**PUBLISHED, random_state=seed)
    return Pipeline([("scaler", StandardScaler()), ("classifier", forest)])


def packed_bytes(model):
    "Count the bytes of a model as its authors store it: joblib, compression level 3."
    packed = io.BytesIO()
    joblib.dump(model, packed, compress=3)
    return packed.tell()


def score(model, x):
    "Return the probability of emfet's class 0, parasitized."
    return model.predict_proba(x)[:, list(model.classes_).index(0)]


def fitted(model, x, y, **more):
    began = time.process_time()
    model.fit(x, y, **more)
    return time.process_time() - began


def searched(x, y, patient):
    "Search the settings on the training patients alone; return the best pipeline and the seconds."
    from emfet.evaluate import MODEL_SPECS
    from skopt import BayesSearchCV

    forest, space = MODEL_SPECS["RandomForest"]
    forest = clone(forest).set_params(random_state=SEED)
    search = BayesSearchCV(
        Pipeline([("scaler", StandardScaler()), ("classifier", forest)]),
        space,
        n_iter=15,
        cv=StratifiedGroupKFold(3, shuffle=True, random_state=42),
        scoring="accuracy",
        random_state=42,
        n_points=5,
        n_jobs=1,
    )
    seconds = fitted(search, x, y, groups=patient)
    return search.best_estimator_, seconds, {k: int(v) for k, v in search.best_params_.items()}


def train(job, how):
    "Train on the cells that a split doesn't test, and keep the scores of those that it does."
    cells, x = read_table(job / "cells.csv"), read_features(job)
    # emfet's labels: 0 parasitized, 1 uninfected
    y, patient = 1 - cells["label"].astype(int), cells["whose"]
    for split in list(cells)[3:]:
        note = job / f"{how}-{split}.json"
        if note.exists() or (how == "search" and "-fold" not in split):
            continue
        test = cells[split] == "test"
        if how == "search":
            model, seconds, settings = searched(x[~test], y[~test], patient[~test])
            others, fewer = [], None
        else:
            model, settings = published(), PUBLISHED
            seconds = fitted(model, x[~test], y[~test])
            others = [published(seed) for seed in (43, 44) if "-fold" in split]
            for other in others:
                fitted(other, x[~test], y[~test])
            # the cells that the networks learn from; they keep a tenth for validation
            fewer, taught = published(), cells[split] == "train"
            fitted(fewer, x[taught], y[taught])
        about = {
            "seconds": seconds,
            "settings": settings,
            "bytes": packed_bytes(model),
            "score": score(model, x[test]).tolist(),
            "other seeds": [score(other, x[test]).tolist() for other in others],
            "training cells only": None if fewer is None else score(fewer, x[test]).tolist(),
        }
        write_json(note, about)
        print(f"{how}, {split}: {seconds:.0f} s of CPU time", flush=True)


def speed(job):
    "Time decoded pictures to scores, once for each line read."
    paths = read_table(job / "speed.csv")["path"]
    pictures = [cv2.imread(str(path)) for path in paths]
    # a forest of a fold; how fast it is depends on what it was trained on
    cells, x = read_table(job / "cells.csv"), read_features(job)
    taught = cells[list(cells)[3]] != "test"
    model = published().fit(x[taught], 1 - cells["label"][taught].astype(int))

    def whole(some):
        for start in range(0, len(some), 64):
            score(model, np.array([features_of(p) for p in some[start : start + 64]]))

    whole(pictures[:64])
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        whole(pictures)
        print(time.process_time() - began, flush=True)


def main():
    cv2.setNumThreads(1)
    what, job = sys.argv[1], Path(sys.argv[2])
    if what == "features":
        features(job)
    elif what == "speed":
        speed(job)
    else:
        train(job, what)


if __name__ == "__main__":
    main()
