"""What the chapter on cards says of the checklists, and that the data sheet counts the cells."""

from pathlib import Path

from malaria_nb.cards import data_sheet, read_checklists
from malaria_nb.claims import claim
from malaria_nb.leakage import out_of_fold
from malaria_nb.recipes import FOLDS
from malaria_nb.records import load

first = load("purple_threshold")
table = read_checklists(Path(first.folder).parents[1] / "checklists.csv")
claim(
    """TRIPOD+AI asks 52 things of a study that makes or tests a prediction model, CLAIM 44 of
    one that reads medical images.""",
    table.groupby("guideline").size().to_dict()
    == {"TRIPOD+AI (Collins et al. 2024)": 52, "CLAIM, 2024 update (Tejani et al. 2024)": 44},
)
every = out_of_fold([load("purple_threshold", split).predictions for split in FOLDS[:5]])
sheet = data_sheet(every, "real (NIH/NLM)")
claim(
    "Counts are computed from the cells",
    all(
        f"| {name} | {count} |" in sheet
        for name, count in {
            "cells": "27,558",
            "patients": "200",
            "patients with no parasitized cell": "50",
            "smears": "201",
            "photographs": "1,408",
        }.items()
    ),
)
