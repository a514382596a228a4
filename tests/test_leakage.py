"""What would spoil chapter 10: folds that overlap, a baseline that votes for itself,
patients that lean where they shouldn't."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import LeaveOneOut

from malaria_nb.dataset import group_folds
from malaria_nb.leakage import fold_scores, out_of_fold, patient_alone, stained_patients
from malaria_nb.recipes import FOLDS, split_as
from malaria_nb.synthetic import synthetic_cells


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    from malaria_nb.dataset import index_cells

    return index_cells(synthetic_cells(tmp_path_factory.mktemp("cells") / "cells", 200))


def test_patient_alone_agrees_with_leaving_each_cell_out():
    rng = np.random.default_rng(1)
    patient, label = rng.integers(0, 7, 60), rng.integers(0, 2, 60)
    right = []
    for others, (i,) in LeaveOneOut().split(label):
        votes = label[others][patient[others] == patient[i]]
        right.append(
            0.5 if len(votes) == 0 or votes.mean() == 0.5 else (votes.mean() > 0.5) == label[i]
        )
    assert patient_alone(label, patient) == pytest.approx(np.mean(right))


def test_stained_patients_have_the_asked_for_spread_and_lean():
    even, lean = (
        stained_patients(3, 0, patients=400, cells=100),
        stained_patients(3, 1, patients=400, cells=100),
    )
    assert even.groupby("patient")["stain_1"].mean().std() == pytest.approx(3, rel=0.15)

    def share(t):
        return t.groupby("patient")["label"].mean()

    assert share(even).std() == pytest.approx(0.05, rel=0.15)  # a coin tossed a hundred times
    assert share(lean).std() == pytest.approx(
        0.354, rel=0.15
    )  # of the arcsine distribution: the root of 1/8
    assert roc_auc_score(even["label"], even["purple"]) == pytest.approx(
        0.921, abs=0.01
    )  # two standard deviations apart


@pytest.mark.parametrize("dials", [dict(spread=-1), dict(lean=1.1), dict(lean=-0.1)])
def test_dials_have_ends(dials):
    with pytest.raises(ValueError, match="lean is 0 to 1"):
        stained_patients(**dials)


def test_fold_scores_and_out_of_fold():
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "file": [f"{i:02}" for i in range(40)],
            "label": rng.integers(0, 2, 40),
            "score": rng.random(40),
            "split": "test",
        }
    )
    valid = table.assign(split="valid")
    folds = [pd.concat([valid, table[k::2]]) for k in (0, 1)]
    assert list(fold_scores(folds)) == [
        accuracy_score(t["label"], t["score"] >= 0.5) for t in (table[::2], table[1::2])
    ]
    pd.testing.assert_frame_equal(out_of_fold(folds), table)
    with pytest.raises(ValueError, match="two test sets"):
        out_of_fold([folds[0], folds[0]])


@pytest.mark.parametrize("by", ["patient", "photo", "cell"])
def test_five_folds_test_each_cell_once_and_keep_groups_whole(cells, by):
    column = {"cell": "file"}.get(by, by)
    parts = [split_as(cells, name) for name in FOLDS if name.startswith(by)]
    assert len(parts) == 5
    assert sorted(f for p in parts for f in p.loc[p["split"] == "test", "file"]) == sorted(
        cells["file"]
    )
    for k, p in enumerate(parts):
        assert p.groupby(column)["split"].nunique().max() == 1
        assert (p["split"] == "test").equals(group_folds(cells, 5, by)["fold"] == k)
        assert 0.05 < (p["split"] == "valid").sum() / (p["split"] != "test").sum() < 0.16


def test_a_split_that_means_nothing(cells):
    for split in ("patient-fold0", "patient-fold6", "patient-foldx", "smear-fold1"):
        with pytest.raises(ValueError, match="patient-fold1"):
            split_as(cells, split)
    with pytest.raises(ValueError, match="expected one of"):
        split_as(cells, "smear")
