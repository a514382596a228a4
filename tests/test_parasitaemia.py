"Counts and patients against statsmodels, simulation, and patients whose truth is known."

import numpy as np
import pandas as pd
import pytest

from malaria_nb.parasitaemia import (
    parasitaemia,
    parasitaemia_by_field,
    rogan_gladen,
    rogan_gladen_interval,
)
from malaria_nb.patients import at_parasitaemia, patient_scores
from malaria_nb.screening import apparent_parasitaemia

# ---- counts and intervals


@pytest.mark.parametrize("k, n", [(0, 10), (1, 10), (10, 10), (3, 1000), (0, 5000), (123, 456)])
@pytest.mark.parametrize("method, theirs", [("wilson", "wilson"), ("exact", "beta")])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_parasitaemia_equals_statsmodels(k, n, method, theirs, confidence):
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(k, n, 1 - confidence, theirs)
    assert parasitaemia(k, n, confidence, method).to_list() == pytest.approx(
        [k / n, low, high], abs=1e-9
    )


def studies(correlation, n=150, fields=30, p=0.04):
    rng = np.random.default_rng(4)
    for _ in range(n):
        total = 1 / correlation - 1 if correlation else 0
        share = rng.beta(p * total, (1 - p) * total, fields) if correlation else p
        k = rng.binomial(100, share, fields)
        yield (
            parasitaemia(k.sum(), 100 * fields),
            parasitaemia_by_field(k, [100] * fields),
        )


def test_the_interval_by_field_holds_where_parasites_gather_and_the_one_by_cell_does_not():
    held = np.mean([[t["low"] <= 0.04 <= t["high"] for t in both] for both in studies(0.03)], 0)
    assert held[0] < 0.8 and held[1] > 0.86


def test_the_interval_by_field_is_as_wide_as_the_one_by_cell_where_cells_are_independent():
    by_cell, by_field = np.mean(
        [[t["high"] - t["low"] for t in both] for both in studies(0, 60)], 0
    )
    ratio = by_field / by_cell
    assert 1 < ratio < 1.2


def test_no_parasites_in_any_field_still_leave_an_upper_limit():
    assert parasitaemia_by_field([0, 0, 0], [100] * 3).equals(parasitaemia(0, 300, method="exact"))
    assert parasitaemia_by_field([2, 0], [100, 0])["value"] == 0.02  # a field without cells


# ---- correction


def test_correction_undoes_what_the_rates_do():
    p, sens, spec = (
        np.linspace(0, 1, 11)[:, None, None],
        np.array([0.6, 0.9, 1])[:, None],
        np.array([0.7, 0.97, 1]),
    )
    assert rogan_gladen(apparent_parasitaemia(p, sens, spec), sens, spec) == pytest.approx(
        np.broadcast_to(p, (11, 3, 3)), abs=1e-12
    )


def test_correction_by_hand():
    assert rogan_gladen(0.10, 0.9, 0.95) == pytest.approx(0.0588235294)
    assert rogan_gladen(0.02, 0.9, 0.95) == 0 and rogan_gladen(
        0.02, 0.9, 0.95, clip=False
    ) == pytest.approx(-0.0352941176)
    assert rogan_gladen(0.99, 0.9, 0.95) == 1


@pytest.mark.parametrize(
    "sens, spec, sick, well", [(0.92, 0.97, 100, 400), (0.8, 0.95, 60, 200), (0.95, 0.99, 200, 600)]
)
@pytest.mark.parametrize("p", [0.0, 0.01, 0.1, 0.4])
def test_corrected_intervals_hold_as_often_as_they_say(p, sens, spec, sick, well):
    rng, held, n = np.random.default_rng(2), 0, 200
    for _ in range(n):
        tp, tn = rng.binomial(sick, sens), rng.binomial(well, spec)
        t = rogan_gladen_interval(
            rng.binomial(500, p * sens + (1 - p) * (1 - spec)), 500, tn, well - tn, sick - tp, tp
        )
        held += t["low"] <= p <= t["high"]
    assert 0.915 < held / n <= 1


def test_with_rates_known_exactly_the_interval_is_wilsons_moved():
    exact = dict(tn=950 * 10**7, fp=50 * 10**7, fn=10**8, tp=9 * 10**8)
    t, w = rogan_gladen_interval(120, 1000, **exact), parasitaemia(120, 1000)
    assert t["value"] == pytest.approx(rogan_gladen(0.12, 0.9, 0.95), abs=1e-9)
    assert t[["low", "high"]].to_list() == pytest.approx(
        [rogan_gladen(w[e], 0.9, 0.95) for e in ("low", "high")], abs=0.002
    )
    few = rogan_gladen_interval(120, 1000, tn=95, fp=5, fn=10, tp=90)
    assert few["high"] - few["low"] > 1.5 * (t["high"] - t["low"])


# ---- patients


def table():
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "patient": rng.choice(list("abcde"), 300),
            "label": rng.integers(2, size=300),
            "score": rng.random(300).round(2),
        }
    ).assign(label=lambda t: t["label"].where(t["patient"] != "e", 0))


def test_patients_are_counted_like_with_scikit_learn():
    from sklearn.metrics import confusion_matrix

    for patient, t in (p := table()).groupby("patient"):
        row = patient_scores(p).loc[patient]
        tn, fp, fn, tp = confusion_matrix(t["label"], t["score"] >= 0.5, labels=[0, 1]).ravel()
        assert row[
            ["cells", "called", "uninfected", "false_alarms", "parasitized", "found"]
        ].tolist() == [len(t), fp + tp, tn + fp, fp, fn + tp, tp]
        assert row["label"] == t["label"].max() and row["share"] == pytest.approx(
            (t["score"] >= 0.5).mean()
        )


def test_at_its_own_parasitaemia_a_patients_share_is_what_it_was():
    patients = patient_scores(table())
    for name, row in patients.iterrows():
        assert at_parasitaemia(patients, row["parasitized"] / row["cells"])[name] == pytest.approx(
            row["share"]
        )


# ---- what people hand in by mistake


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: parasitaemia(5, 0), "at least one cell"),
        (lambda: parasitaemia(6, 5), "no more parasitized"),
        (lambda: parasitaemia(-1, 5), "parasitized=-1"),
        (lambda: parasitaemia(0.3, 5), "parasitized=0.3"),
        (lambda: parasitaemia(1, 5, 95), "confidence=95"),
        (lambda: parasitaemia(1, np.inf), "cells=inf"),
        (lambda: parasitaemia("1", 5), "parasitized='1'"),
        (lambda: parasitaemia(None, 5), "parasitized=None"),
        (lambda: parasitaemia(np.array([1]), 5), "expected a number of cells"),
        (lambda: parasitaemia(1, 10**30), "expected a number of cells"),
        (lambda: parasitaemia_by_field(["1", "2"], ["5", "5"]), "expected a number of cells"),
        (lambda: parasitaemia(1, 5, method="wald"), "'wald'"),
        (lambda: parasitaemia_by_field([1], [5]), "10 or more"),
        (lambda: parasitaemia_by_field([1, 2], [5]), "two numbers a field"),
        (lambda: parasitaemia_by_field([6, 2], [5, 9]), "6 parasitized of 5"),
        (lambda: rogan_gladen(5, 0.9, 0.9), "apparent=5"),
        (lambda: rogan_gladen(0.1, 0.5, 0.5), "add up to more than 1"),
        (lambda: rogan_gladen_interval(1, 5, 5, 0, 0, 0), "no cells of one class"),
        (lambda: rogan_gladen_interval(9, 5, 5, 0, 0, 5), "no more parasitized"),
        (lambda: patient_scores(table().assign(label="x")), "labels must be 0"),
        (
            lambda: patient_scores(table().assign(split=["valid"] * 150 + ["test"] * 150)),
            "choose one split",
        ),
        (lambda: patient_scores(table().iloc[:0]), "no cells"),
        (lambda: at_parasitaemia(patient_scores(table()), 5), "parasitaemia=5"),
    ],
)
def test_bad_input_is_refused_with_what_mends_it(call, says):
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        call()
