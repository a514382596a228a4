"""Train classifiers that see only a shortcut, on all real cells. Writes chapter 13's table.

MALARIA_NB_CELLS=nih python tools/shortcuts.py    (some minutes, 3 GB of memory)

Mask, size, mean and median colour; split by cell and by patient, three seeds. The AUC is computed
over all pairs of cells, within patients, and within photographs.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from malaria_nb.cells import course_cells
from malaria_nb.course import read_variables
from malaria_nb.dataset import split_cells
from malaria_nb.evaluation import evaluate
from malaria_nb.images import load_images
from malaria_nb.intervals import ratio_interval
from malaria_nb.records import write_table
from malaria_nb.settings import SCALES, read_settings
from malaria_nb.shortcuts import median_colours, only_colour, only_mask, only_size, within_patients


def tested(model, x: np.ndarray, split: pd.DataFrame) -> pd.DataFrame:  # test cells with a score
    train, test = ((split["split"] == part).to_numpy() for part in ("train", "test"))
    model.fit(x[train], split["label"][train])
    return split[test].assign(score=model.predict_proba(x[test])[:, 1])


def within_interval(t: pd.DataFrame) -> pd.Series:  # 95 %, by patient
    both = [g for _, g in t.groupby("patient") if g["label"].nunique() == 2]
    pairs = np.array([g["label"].sum() * (1 - g["label"]).sum() for g in both])
    wins = pairs * [within_patients(g["label"], g["score"], g["patient"]) for g in both]
    return ratio_interval(wins, pairs).loc[0]


def row(name: str, by: str, seed: int, t: pd.DataFrame) -> dict:
    e, ends = evaluate(t["label"], t["score"], t["patient"]), within_interval(t)
    return {
        "sees": name,
        "split": by,
        "seed": seed,
        "accuracy": e.loc["accuracy", "value"],
        "auc": e.loc["auc", "value"],
        "low": e.loc["auc", "low"],
        "high": e.loc["auc", "high"],
        "within": within_patients(t["label"], t["score"], t["patient"]),
        "within_low": ends["low"],
        "within_high": ends["high"],
        "within_photo": within_patients(t["label"], t["score"], t["photo"]),
        "cells": len(t),
        "patients": t["patient"].nunique(),
    }


def linear():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def main():
    settings = replace(read_settings(read_variables()), scale=SCALES["full"])
    cells, root = course_cells(settings)
    images = load_images(cells, root, 125, settings.home / "images")
    every = {
        "mask": only_mask(images),
        "size": only_size(cells),
        "mean colour": only_colour(images),
        "median colour": median_colours(images),
    }
    rows = []
    for by in ("cell", "patient"):
        for seed in (42, 43, 44):
            split = split_cells(cells, by=by, seed=seed)
            found = {name: tested(linear(), x, split) for name, x in every.items()}
            if seed == 42:
                trees = HistGradientBoostingClassifier(max_iter=100, random_state=42)
                found["mask, trees"] = tested(trees, every["mask"], split)
            rows += [row(name, by, seed, t) for name, t in found.items()]
    note = "95 % intervals by patient; within: AUC over pairs of cells of one patient only; "
    note += "within_photo: of one photograph only"
    table = pd.DataFrame(rows).set_index("sees")
    write_table("13_explain-shortcuts", table, settings, note=note)


if __name__ == "__main__":
    main()
