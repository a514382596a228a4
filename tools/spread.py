"""Try `spread.fit_spread` on patients whose truth is known. Writes chapter 19's table.

python tools/spread.py        about ten minutes of processor time

Each patient's rate of false alarms is drawn from a beta distribution, the counts from a binomial;
68 uninfected cells a patient, as in the data set. Counted: how often the interval contains the
true value.
"""

import numpy as np
import pandas as pd
from scipy.stats import beta
from tqdm import tqdm

from malaria_nb.records import write_table
from malaria_nb.settings import SCALES, Settings
from malaria_nb.spread import fit_spread

STUDIES, CELLS, SEED = 1000, 68, 42
PATIENTS = (20, 50, 150)
# mean rate and standard deviation between patients, in per cent
TRUTHS = ((1.4, 0.0), (1.4, 0.7), (1.4, 1.4), (5.0, 2.5), (5.0, 5.0))
# an end that the grid rounds by half a step isn't a miss
STEP = 1.02


def true_values(mean: float, spread: float) -> dict[str, float]:
    "Return what `fit_spread` should find for patients with this mean and spread, 0–1."
    if spread == 0:
        return {"rate": mean, "spread": 0.0, "line": mean, "limit": 0.0}
    strength = mean * (1 - mean) / spread**2 - 1
    low, line = beta.ppf([0.05, 0.95], mean * strength, (1 - mean) * strength)
    return {"rate": mean, "spread": spread, "line": line, "limit": (line - low) / (1 - low)}


def draw(mean: float, spread: float, patients: int, rng) -> np.ndarray:
    "Draw each patient's false alarms."
    own = np.full(patients, mean)
    if spread:
        strength = mean * (1 - mean) / spread**2 - 1
        own = rng.beta(mean * strength, (1 - mean) * strength, patients)
    return rng.binomial(CELLS, own)


def tried(mean: float, spread: float, patients: int) -> dict[str, float]:
    "Count in how many per cent of the studies each interval contains the true value."
    rng = np.random.default_rng((SEED, round(1000 * mean), round(1000 * spread), patients))
    truth, held, percentile = true_values(mean, spread), [], []
    for _ in range(STUDIES):
        alarms = draw(mean, spread, patients, rng)
        percentile.append(np.quantile(alarms / CELLS, 0.95))
        if alarms.sum() == 0:
            continue
        fit = fit_spread(alarms, np.full(patients, CELLS))
        low, high = fit["low"] / STEP, fit["high"] * STEP
        held.append({k: low[k] <= v <= high[k] for k, v in truth.items()})
    found = (100 * pd.DataFrame(held).mean()).round(1).to_dict()
    line = 100 * truth["line"], 100 * float(np.mean(percentile))
    return found | {"true line, %": round(line[0], 2), "observed percentile, %": round(line[1], 2)}


def main():
    rows = []
    for mean, spread in tqdm(TRUTHS, unit="truth"):
        for n in PATIENTS:
            known = {"mean, %": mean, "spread, points": spread, "patients": n}
            rows.append(known | tried(mean / 100, spread / 100, n))
    table = pd.DataFrame(rows).set_index("mean, %")
    about = {
        "unit": "rate, spread, line, limit: per cent of the studies whose interval holds the truth",
        "draws": f"{STUDIES} studies a row, {CELLS} cells a patient, seed {SEED}",
    }
    note = "synthetic: patients whose rates of false alarms were drawn"
    write_table("19_patients-spread", table, Settings("nih", SCALES["full"]), note=note, **about)


if __name__ == "__main__":
    main()
