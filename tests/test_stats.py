"The checks that every table of predictions passes, and what is resampled by patient."

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from malaria_nb.evaluation import confusion, evaluate
from malaria_nb.stats import (
    bootstrap,
    check_labels_scores,
    check_pair,
    check_predictions,
    difference,
    draw_groups,
    mcnemar,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=60)
    return pd.DataFrame(
        {
            "file": [f"{i:02}.png" for i in range(60)],
            "patient": [f"C{i % 6}" for i in range(60)],
            "label": label,
            "score": np.clip(0.3 + 0.4 * label + 0.2 * rng.normal(size=60), 0, 1),
            "split": "test",
        }
    )


def test_a_paired_difference_needs_the_same_patients(table):
    other = table.assign(patient=[f"C{i // 10}" for i in range(60)])
    with pytest.raises(ValueError, match="another patient, the first is 01.png"):
        difference(table, other)


def test_a_paired_difference_refuses_a_file_that_occurs_twice(table):
    twice = pd.concat([table, table])
    with pytest.raises(ValueError, match="'a' have 60 rows too many, the first of 00.png"):
        difference(twice, twice)


def test_a_paired_difference_takes_any_type_that_means_the_same(table):
    assert not difference(table, table.astype({"label": "int8"}))["survives"].any()
    number = table["patient"].str[1:].astype(int)
    a, b = table.assign(patient=number), table.assign(patient=number.astype(str))
    assert not difference(a, b)["survives"].any()


def test_mcnemar_and_confusion_agree_about_float32_at_a_threshold(table):
    # 0.7 as float32 is 0.69999999, below 0.7
    single = table.assign(score=np.float32(0.7), label=1)
    counts = confusion(single["label"], single["score"], 0.7)
    never = table.assign(score=0.0, label=1)
    assert mcnemar(single, never, 0.7)[0] == counts["tp"]


def test_columns_in_another_order_are_refused(table):
    mixed = table["score"].sample(frac=1, random_state=1)
    with pytest.raises(ValueError, match="label and score are pandas columns with different"):
        evaluate(table["label"], mixed)
    with pytest.raises(ValueError, match="label and patient"):
        bootstrap(table["label"], table["score"], table["patient"].iloc[::-1], n_boot=20)
    label, score, number = check_labels_scores(table["label"], mixed.to_numpy())
    assert (score == mixed.to_numpy()).all()


def test_a_predictions_table_is_returned_sorted_and_with_plain_types(table):
    worn = table.iloc[::-1].astype({"label": "int8", "score": "float32"})
    rows = check_predictions(worn, "test")
    assert rows["file"].is_monotonic_increasing and list(rows) == list(table)
    assert rows["label"].dtype == int and rows["score"].dtype == float
    assert check_predictions(table.drop(columns="split"))["file"].equals(table["file"])


@pytest.mark.parametrize(
    "change, says",
    [
        (dict(score=1.5), "scores must be from 0 to 1"),
        (dict(label=2), "labels must be 0"),
        (dict(patient=None), "60 cells have no patient"),
        (dict(split="valid"), "no 'test' rows, only 'valid'"),
        (dict(file="00.png"), "59 rows too many"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(table, change, says):
    with pytest.raises(ValueError, match=says):
        check_predictions(table.assign(**change), "test")


def test_an_empty_table_is_refused(table):
    with pytest.raises(ValueError, match="the predictions have no rows"):
        check_predictions(table.iloc[:0])


@pytest.mark.parametrize(
    "odd, says",
    [
        (lambda y, s, p: (y, s, "C1"), "one value a cell"),
        (lambda y, s, p: (y, s, 5), "one value a cell"),
        (lambda y, s, p: (y, [10**400, *s[1:]], p), "scores must be numbers"),
        (lambda y, s, p: (y, s.astype(complex), p), "score is complex"),
        (lambda y, s, p: (y, np.ma.array(s, mask=s > 0.9), p), "score is masked"),
        (lambda y, s, p: (np.ma.array(y, mask=s > 0.9), s, p), "label is masked"),
    ],
)
def test_columns_that_are_no_plain_numbers_are_refused(table, odd, says):
    columns = (table[name].to_numpy() for name in ("label", "score", "patient"))
    with pytest.raises(ValueError, match=says):
        evaluate(*odd(*columns))


def test_numbers_in_another_order_of_bytes_mean_the_same(table):
    label, score, patient = (table[name].to_numpy() for name in ("label", "score", "patient"))
    turned = evaluate(label.astype(">i4"), score.astype(">f8"), patient)
    assert turned.equals(evaluate(label, score, patient))


def test_a_pair_is_returned_row_by_row(table):
    a, b = check_pair(table, table.iloc[::-1].assign(score=0.5))
    assert a["file"].equals(b["file"]) and b["score"].eq(0.5).all()


def test_draws_are_the_same_in_one_go_or_in_blocks():
    whole, rng = draw_groups(7, 100, seed=5), np.random.default_rng(5)
    blocks = [draw_groups(7, 50, rng) for _ in range(2)]
    assert (np.concatenate(blocks) == whole).all() and (whole.sum(1) == 7).all()


@pytest.mark.parametrize(
    "bad, says", [((1, 10), "one patient"), ((5, 0), "n_boot=0"), ((5, 20.5), "n_boot=20.5")]
)
def test_nothing_to_draw_is_refused(bad, says):
    with pytest.raises(ValueError, match=says):
        draw_groups(*bad)


COMPUTES = (
    *("stats", "screening", "evaluation", "leakage", "calibration", "labels", "article"),
    *("brier", "temperature", "decisions", "conformal", "corrections", "charts"),
)


def test_what_only_computes_waits_for_no_framework_and_no_plots():
    code = (
        f"import importlib, sys\nfor m in {COMPUTES}: importlib.import_module('malaria_nb.' + m)\n"
        "heavy = ('tensorflow', 'keras', 'torch', 'matplotlib', 'sklearn', 'cv2', 'scipy.stats')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
