"""Compare intervals by patient: how often does each contain the true value?

Writes chapter 18's tables.

python tools/coverage.py --parts FOLDER        about ten minutes of processor time

Patients are drawn from the recorded folds of every model, from pairs of them, and from simulated
patients. Each population and sample size leaves a part in FOLDER, so that a second start goes on
where the first one ended; a part depends on nothing but the seed and the records.
"""

import argparse
import zlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from malaria_nb.coverage import (
    Draws,
    by_row,
    coverage,
    draw_patients,
    formula_intervals,
    resampled_intervals,
    simulated_patients,
    summarise,
    tally,
)
from malaria_nb.files import whole_file
from malaria_nb.leakage import out_of_fold
from malaria_nb.records import load, write_table
from malaria_nb.settings import SCALES, Settings

SIZES = (10, 20, 40, 60, 100)  # patients in a sample
DRAWS, RESAMPLED, N_BOOT = 2000, 500, 999
SEED = 42
MODELS = {
    "compact": ("compact", 42),
    "purple_threshold": ("purple_threshold", 42),
    "vgg19_frozen": ("vgg19_frozen", 42),
    "vgg19_frozen 43": ("vgg19_frozen", 43),
}
HEAVIEST = "C116"  # the patient who carries most of the threshold's variance


def folds(recipe: str, seed: int) -> pd.DataFrame:  # each cell once, by a model that never met it
    tables = [load(recipe, f"patient-fold{k}", seed).predictions for k in range(1, 6)]
    return out_of_fold(tables)


def real() -> dict:  # model -> predictions of all cells out of fold
    return {name: folds(*which) for name, which in MODELS.items()}


def summed(table: pd.DataFrame):
    return summarise(table["label"], table["score"], table["patient"])


def simulated() -> dict:  # name -> one model's patients
    found = {}
    for sizes in ("equal", "uneven"):
        for without, all_or_not in ((0, "all infected"), (0.25, "a quarter uninfected")):
            for how, spread in (("weak", 0.18), ("strong", 0.6)):
                table = simulated_patients(sizes == "uneven", without, spread)
                found[f"simulated: {sizes}, {all_or_not}, {how}"] = (summed(table),)
    found["simulated: near 1"] = (summed(simulated_patients(distance=3.0)),)
    return found


def populations() -> dict:  # name -> one model's patients, or two models' for their difference
    models = {name: summed(table) for name, table in real().items()}
    pairs = {f"{a} − {b}": (models[a], models[b]) for a, b in combinations(models, 2)}
    return {name: (patients,) for name, patients in models.items()} | pairs | simulated()


def seed_of(name: str, patients: int) -> tuple[int, ...]:
    return SEED, zlib.crc32(name.encode()), patients


def counted(models: tuple, name: str, patients: int, parts: Path) -> pd.DataFrame:
    "Read a part, or make it."
    path = parts / f"{name} {patients}.csv".replace(":", "")
    if not path.exists():
        made = coverage(models, patients, DRAWS, RESAMPLED, N_BOOT, seed_of(name, patients))
        with whole_file(path) as part:
            made.to_csv(part)
    return pd.read_csv(path, index_col=["metric", "method"])


def with_and_without(table: pd.DataFrame) -> pd.DataFrame:
    "Count the threshold's samples with the patient who matters most and those without, apart."
    patients = summed(table)
    number = sorted(table["patient"].astype(str).unique()).index(HEAVIEST)
    found = {}
    for n in SIZES[2:]:
        rng = np.random.default_rng(seed_of(HEAVIEST, n))
        every = draw_patients((patients,), n, DRAWS, rng)
        there = (every.drawn == number).any(1)
        for said, rows in (("drawn", there), ("not drawn", ~there)):
            draws = Draws(every.models, every.drawn[rows])
            ends = formula_intervals(draws) | resampled_intervals(draws, N_BOOT, rng)
            for method in ("percentile", "jackknife, log-odds, t", "course"):
                one = tally(draws.truth(), ends[method]).round(
                    {"below": 1, "above": 1, "none": 1, "width": 4}
                )
                found[n, said, method] = one.assign(samples=rows.sum())
    return pd.concat(found, names=["patients", HEAVIEST, "method"]).reset_index(level=[1, 2, 3])


def main():
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--parts", type=Path, required=True, help="folder for what is done so far")
    asked = asked.parse_args()
    asked.parts.mkdir(parents=True, exist_ok=True)
    found, settings = {}, Settings("nih", SCALES["full"])
    about = {
        "draws": f"{DRAWS} of each size, with replacement; {RESAMPLED} for the intervals that "
        f"resample, {N_BOOT} times each; seed {SEED}",
        "unit": "per cent of the samples that have an interval, `none` of all; width: the median",
    }
    every = [(n, name, models) for name, models in populations().items() for n in SIZES]
    for n, name, models in tqdm(every, unit="sample size"):
        found[name, n] = counted(models, name, n, asked.parts)
    table = by_row(pd.concat(found, names=["population", "patients"]))
    note = "200 real patients by the recorded folds, and, where it says so, simulated patients"
    write_table("18_intervals-coverage", table, settings, note=f"partly synthetic: {note}", **about)
    threshold = with_and_without(real()["purple_threshold"])
    note = f"purple_threshold, five folds: samples in which patient {HEAVIEST} was drawn, or not"
    about["draws"] = (
        f"{DRAWS} of each size, with replacement, {N_BOOT} resamples of each; seed {SEED}"
    )
    write_table("18_intervals-c116", threshold, settings, note=note, **about)


if __name__ == "__main__":
    main()
