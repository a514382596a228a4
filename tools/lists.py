"""Hold recorded predictions against the lists of Fuhad et al. Writes chapter 12's tables.

MALARIA_NB_CELLS=nih MALARIA_NB_CORRECTIONS=FOLDER python tools/lists.py    (a minute or two)

The lists of disputed labels are not ours to pass on, so that what the chapter says of them is kept
as counts and scores. Where to get them: the message that one sees without them.
"""

from dataclasses import replace

import pandas as pd

from malaria_nb.cells import course_folder
from malaria_nb.corrections import corrections_folder, read_corrections
from malaria_nb.course import read_variables
from malaria_nb.dataset import index_cells
from malaria_nb.disputed import (
    against_lists,
    all_ways,
    at_round_k,
    counts_of,
    disputed_by_patient,
    ranking,
    sides_by_patient,
)
from malaria_nb.leakage import out_of_fold
from malaria_nb.records import load, write_table
from malaria_nb.settings import SCALES, read_settings
from malaria_nb.tables import CLASSES

MODELS = {
    "purple threshold": "purple_threshold",
    "basic CNN": "basic_cnn",
    "VGG-19 frozen": "vgg19_frozen",
}
TRAINED = {
    "published": "vgg19_frozen",
    "corrected": "frozen_labels_corrected",
    "dropped": "frozen_labels_dropped",
}
LISTS = "Fuhad et al. (2020)"


def tested(recipe: str, seed: int = 42) -> pd.DataFrame:  # its test cells
    t = load(recipe, seed=seed).predictions
    return t[t["split"] == "test"]


def all_cells(recipe: str) -> pd.DataFrame:  # every cell once, by a model without its patient
    return out_of_fold([load(recipe, f"patient-fold{k}").predictions for k in range(1, 6)])


def main():
    settings = replace(read_settings(read_variables()), scale=SCALES["full"])
    cells = index_cells(course_folder(settings), settings.home / "index")
    folder = corrections_folder(settings)
    lists = read_corrections(folder)

    def write(name, table, note):
        write_table(f"12_labels-{name}", table, settings, note=note)

    note = f"all 27,558 cells; disputed: on the lists of {LISTS}"
    write("patients", disputed_by_patient(cells, lists), note)
    by_model = {name: ranking(tested(recipe), lists) for name, recipe in MODELS.items()}
    note = f"against {LISTS}; test cells by patient, seed 42"
    note_ap = f"average precision {note}; intervals by patient"
    write("ranking", against_lists(by_model), note_ap)
    at = {
        f"{name}, {CLASSES[k]}": at_round_k(t[t["label"] == k])
        for name, t in by_model.items()
        for k in (1, 0)
    }
    rows = pd.concat(at, names=["ranking"]).reset_index("k")
    write("at-k", rows, f"precision and recall at k {note}")
    folds = {
        name: ranking(all_cells(MODELS[name]), lists)
        for name in ("purple threshold", "VGG-19 frozen")
    }
    note = f"five folds by patient, seed 42, all 27,558 cells, against {LISTS}"
    write("folds", pd.DataFrame({name: counts_of(t) for name, t in folds.items()}), note)
    note = f"{note}: uninfected cells that are named, and those whose score is against the label"
    write("sides", sides_by_patient(folds), note)
    seeds = {
        seed: {version: tested(recipe, seed) for version, recipe in TRAINED.items()}
        for seed in (42, 43, 44)
    }
    note = "VGG-19 frozen at full scale, test cells by patient, seeds 42 to 44; "
    write("nine", all_ways(seeds, lists), note + "intervals by patient")


if __name__ == "__main__":
    main()
