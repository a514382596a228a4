"""Intervals by patient against SciPy, statsmodels, scikit-learn and Obuchowski's formula, against
what must not change them, and against worlds whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from malaria_nb import intervals
from malaria_nb.attribution import mean_by_patient
from malaria_nb.calibration import reliability
from malaria_nb.evaluation import evaluate, metrics
from malaria_nb.external import evaluate_external
from malaria_nb.intervals import patient_interval, ratio_interval
from malaria_nb.parasitaemia import parasitaemia_by_field, rogan_gladen_interval
from malaria_nb.recalibration import recalibrate
from malaria_nb.stats import METRICS, SIGNED, difference, leave_out, metric_intervals
from malaria_nb.temperature import fit_temperature, temperature_interval

PLAIN = (-np.inf, np.inf)


def made_up(seed=0, patients=25, ties=False, uninfected=0.25):
    "Return label, score, patient: uneven numbers of cells, patients that differ, some uninfected."
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 2 + rng.geometric(1 / 15, patients))
    sick = rng.random(patients) >= uninfected
    label = (rng.random(len(patient)) < 0.5 * sick[patient]).astype(int)
    z = 1.5 * (2 * label - 1) + rng.normal(size=patients)[patient] + rng.normal(size=len(label))
    score = stats.norm.cdf(z)
    return label, score.round(1) if ties else score, patient


@pytest.fixture
def textbook(monkeypatch):
    "Set the extra weight of the furthest pulls aside, which no other implementation has."
    monkeypatch.setattr(intervals, "_EXTREMES", 0)


def one(value, without, level=0.95, bounds=(0, 1)):
    "Return low and high of a single quantity."
    value, without = pd.Series({"x": value}), pd.DataFrame({"x": np.asarray(without, float)})
    return patient_interval(value, without, level, bounds).loc["x"].to_numpy()


# ---- against others


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_of_equal_patients_it_is_students_interval_of_their_mean(textbook, level):
    x = np.random.default_rng(0).normal(3, 2, 15)
    # a hair wider: the squared pulls are summed, without the jackknife's factor of (n - 1) / n
    sure = stats.t.interval(level, 14, x.mean(), stats.sem(x) * (15 / 14) ** 0.5)
    without = (x.sum() - x) / 14
    np.testing.assert_allclose(one(x.mean(), without, level, PLAIN), sure, rtol=1e-9)
    found = ratio_interval(7 * x, np.full(15, 7), level, PLAIN).loc[0, ["low", "high"]]
    np.testing.assert_allclose(found.astype(float), sure, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_ratios_error_is_that_of_statsmodels_by_cluster(textbook, seed):
    import statsmodels.api as sm

    label, score, patient = made_up(seed, patients=60)
    right = ((score >= 0.5) == label).astype(float)
    fit = sm.OLS(right, np.ones(len(right)))
    # the jackknife differs from the linearised error by terms of the order of 1 / patients
    robust = fit.fit(cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False})
    low, high = ratio_interval(np.bincount(patient, right), np.bincount(patient), 0.95, PLAIN).loc[
        0, ["low", "high"]
    ]
    error = (high - low) / 2 / stats.t.ppf(0.975, 59)
    assert error == pytest.approx(robust.bse[0], rel=0.1)
    assert (low + high) / 2 == pytest.approx(right.mean())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_without_a_patient_are_scikit_learns(seed, ties):
    from sklearn import metrics as sk

    label, score, patient = made_up(seed, 12, ties)
    without = leave_out(label, score, patient)
    assert list(without) == list(METRICS) and len(without) == 12
    # a row a patient, in the order of their names as text
    for p, (_, row) in zip(np.unique(patient.astype(str)), without.iterrows()):
        y, s = label[patient.astype(str) != p], score[patient.astype(str) != p]
        call = (s >= 0.5).astype(int)
        expected = dict(
            accuracy=sk.accuracy_score(y, call),
            sensitivity=sk.recall_score(y, call),
            specificity=sk.recall_score(y, call, pos_label=0),
            ppv=sk.precision_score(y, call),
            npv=sk.precision_score(y, call, pos_label=0),
            f1=sk.f1_score(y, call),
            mcc=sk.matthews_corrcoef(y, call),
            auc=sk.roc_auc_score(y, s),
        )
        assert row.to_dict() == pytest.approx(expected, abs=1e-12)


def obuchowski(label, score, patient):
    "Return the AUC and its variance for clustered data from placements, Obuchowski (1997)."
    x, y = score[label == 1], score[label == 0]
    of_x, of_y = patient[label == 1], patient[label == 0]
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    auc, groups = wins.mean(), np.unique(patient)
    g10 = np.array([(wins.mean(1) - auc)[of_x == g].sum() for g in groups])
    g01 = np.array([(wins.mean(0) - auc)[of_y == g].sum() for g in groups])
    both = np.isin(groups, of_x).sum(), np.isin(groups, of_y).sum(), len(groups)
    m, n = len(x), len(y)
    s10, s01 = (g10**2).sum() * both[0] / (both[0] - 1), (g01**2).sum() * both[1] / (both[1] - 1)
    s11 = (g10 * g01).sum() * both[2] / (both[2] - 1)
    return auc, s10 / m**2 + s01 / n**2 + 2 * s11 / (m * n)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_aucs_error_is_obuchowskis(textbook, seed, ties):
    label, score, patient = made_up(seed, 80, ties)
    auc, variance = obuchowski(label, score, patient)
    value, without = metrics(label, score)[["auc"]], leave_out(label, score, patient)[["auc"]]
    assert value["auc"] == pytest.approx(auc, abs=1e-12)
    low, high = patient_interval(value, without, bounds=PLAIN).loc["auc"]
    error = (high - low) / 2 / stats.t.ppf(0.975, 79)
    assert error == pytest.approx(variance**0.5, rel=0.1)


def test_every_metrics_interval_is_the_jackknifes_by_brute_force():
    label, score, patient = made_up(3)
    value = metrics(label, score)
    table = evaluate(label, score, patient)
    for name in METRICS:
        keep = [patient != p for p in np.unique(patient)]
        without = [metrics(label[k], score[k])[name] for k in keep]
        bounds = (-1, 1) if name in SIGNED else (0, 1)
        np.testing.assert_allclose(
            table.loc[name, ["low", "high"]], one(value[name], without, bounds=bounds), rtol=1e-9
        )


def test_the_worst_models_metrics_are_within_the_bounds_of_their_intervals():
    for name, value in metrics([0, 0, 1, 1], [0.9, 0.8, 0.1, 0.2]).items():
        assert (-1 if name in SIGNED else 0) <= value <= 1, f"name {name} in stats.SIGNED"


# ---- what must not change it


@pytest.mark.parametrize("seed", range(5))
def test_neither_order_nor_names_nor_copies_of_all_cells_change_it(seed):
    label, score, patient = made_up(seed, ties=seed % 2 == 0)
    plain = evaluate(label, score, patient)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(label)), rng.permutation(patient.max() + 1)
    twice = np.repeat(np.arange(len(label)), 2)
    for other in (
        evaluate(label[order], score[order], patient[order]),
        evaluate(label, score, [f"P{names[p]}" for p in patient]),
        evaluate(label[twice], score[twice], patient[twice]),
    ):
        pd.testing.assert_frame_equal(plain, other, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_aucs_depends_on_the_order_of_scores_alone(seed):
    label, score, patient = made_up(seed, ties=seed % 2 == 0)
    plain, cubed = (evaluate(label, s, patient).loc["auc"] for s in (score, score**3))
    np.testing.assert_allclose(plain, cubed, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_swapping_the_classes_swaps_their_rates_and_keeps_the_rest(seed):
    label, score, patient = made_up(seed)
    a, b = evaluate(label, score, patient), evaluate(1 - label, 1 - score, patient)
    swapped = {"sensitivity": "specificity", "ppv": "npv"}
    swapped |= {v: k for k, v in swapped.items()}
    for name in a.index.drop("f1"):
        np.testing.assert_allclose(a.loc[name], b.loc[swapped.get(name, name)], rtol=1e-9)
    inverted = evaluate(label, 1 - score, patient).loc["auc"].to_numpy()
    np.testing.assert_allclose(inverted, 1 - a.loc["auc"].to_numpy()[[0, 2, 1]], rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_swapping_models_turns_the_differences_interval_round(seed):
    label, score, patient = made_up(seed)
    noise = np.random.default_rng(seed).normal(0, 0.2, len(score))
    table = {"file": [f"{i}.png" for i in range(len(label))], "patient": patient, "label": label}
    a, b = (pd.DataFrame(table | {"score": s}) for s in (score, np.clip(score + noise, 0, 1)))
    there, back = difference(a, b, split=None), difference(b, a, split=None)
    columns = ["value", "low", "high"]
    np.testing.assert_allclose(there[columns], -back[["value", "high", "low"]], rtol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_it_lies_in_its_bounds_around_the_value_and_grows_with_the_level(seed):
    label, score, patient = made_up(seed, patients=10 + 2 * seed)
    value, without = metrics(label, score), leave_out(label, score, patient)
    before = None
    for level in (0.5, 0.8, 0.95, 0.999):
        t = metric_intervals(value, without, level).dropna()
        assert len(t) and (t["low"] < t["high"]).all()
        assert (t["low"] > np.where(t.index.isin(SIGNED), -1, 0)).all() and (t["high"] < 1).all()
        # the furthest pulls shift the middle, so only a usual level is sure to hold the value
        if level >= 0.8:
            assert (t["low"] <= value[t.index]).all() and (value[t.index] <= t["high"]).all()
        if before is not None:
            assert (t["low"] < before["low"]).all() and (t["high"] > before["high"]).all()
        before = t


def test_a_patient_without_cells_is_as_if_not_there():
    rng = np.random.default_rng(0)
    cells = rng.integers(5, 30, 20)
    errors = rng.binomial(cells, 0.2)
    more = [np.r_[x, np.zeros(30, int)] for x in (errors, cells)]
    pd.testing.assert_frame_equal(ratio_interval(errors, cells), ratio_interval(*more), rtol=1e-9)


# ---- where there is none


def pulls(down, up, none=0):
    "Return values without each patient, of so many patients that pull down, up or not at all."
    return 0.5 + np.r_[np.full(down, 0.01 / down), np.full(up, -0.01 / up), np.zeros(none)]


@pytest.mark.parametrize(
    "down, up, told",
    [(5, 5, True), (5, 4, False), (7, 3, True), (3, 7, True), (8, 2, False), (2, 80, False)],
)
@pytest.mark.parametrize("none", [0, 50])
def test_ten_patients_pull_and_three_either_way_or_there_is_none(down, up, told, none):
    assert np.isfinite(one(0.5, pulls(down, up, none))).all() == told


def test_a_rounding_error_is_no_pull():
    without = 0.5 + 1e-15 * np.random.default_rng(0).normal(size=40)
    assert np.isnan(one(0.5, without)).all()


@pytest.mark.parametrize("rate", [0, 1])
def test_a_rate_of_0_or_1_has_none(rate):
    table = ratio_interval(rate * np.full(30, 20), np.full(30, 20))
    assert table.loc[0, "value"] == rate and table.loc[0, ["low", "high"]].isna().all()


def test_a_rate_with_one_patients_errors_alone_has_none():
    table = ratio_interval(np.r_[5, np.zeros(29)], np.full(30, 20))
    assert table.loc[0, "value"] == 5 / 600 and table.loc[0, ["low", "high"]].isna().all()


def test_a_value_undefined_without_a_patient_has_none():
    without = pulls(20, 20)
    without[7] = np.nan
    assert np.isnan(one(0.5, without)).all()
    assert np.isnan(one(np.nan, pulls(20, 20))).all()


def test_half_an_interval_or_one_without_width_is_none():
    # a total of exactly 0 is no log-odds; at a level of next to nothing nothing is reached
    table = ratio_interval(np.r_[np.ones(6), -np.ones(6)], np.full(12, 10))
    assert table[["low", "high"]].isna().all(axis=None)
    assert np.isnan(one(0.5, pulls(20, 20), level=1e-300)).all()


def test_no_cells_at_all_have_no_value():
    assert ratio_interval(np.zeros(20), np.zeros(20)).isna().all(axis=None)


def test_nothing_warns(recwarn):
    ratio_interval(np.zeros((20, 3)), np.c_[np.zeros(20), np.ones(20), np.arange(20)])
    one(1.0, np.ones(20))
    assert not recwarn.list


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: one(0.5, pulls(9, 9), level=95), "level=95"),
        (lambda: one(0.5, pulls(9, 9), level=0), "level=0"),
        (
            lambda: patient_interval(pd.Series({"a": 1.0}), pd.DataFrame({"b": [1.0]})),
            r"\['a'\] and without has \['b'\]",
        ),
        (lambda: one(0.5, []), "without has no rows"),
        (lambda: ratio_interval([1, 2], [3]), "give a row a patient in both"),
        (lambda: ratio_interval([], []), "at least one"),
        (lambda: mean_by_patient([1, 2], ["a", "a"]), "one patient"),
        (lambda: mean_by_patient([1, 2], ["a", "b"], bounds=(0, 1)), "1 values are not from 0"),
        (lambda: mean_by_patient([1, np.inf], ["a", "b"]), "the first is inf in row 1"),
        (lambda: reliability([0, 1], [0.1, 0.9], ["a", "a"]), "one patient"),
        (lambda: temperature_interval([0, 1, 1], [0.6, 0.7, 0.4], list("aaa")), "one patient"),
        (lambda: evaluate([1, 1], [0.6, 0.7], list("ab")), "all 2 cells are parasitized"),
        (lambda: recalibrate([1] * 4, [0.6] * 4, list("abcd"), local=(2,)), "a threshold compares"),
        (
            lambda: recalibrate([0, 1] * 2, [0.6] * 4, list("abcd"), local=(2,), repeats=1),
            "repeats",
        ),
        (
            lambda: recalibrate([0, 1] * 2, [0.6] * 4, list("abcd"), local=(2,), level=95),
            "level=95",
        ),
        (lambda: parasitaemia_by_field([3], [100]), "1 field"),
    ],
)
def test_what_has_no_answer_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_one_group_or_one_class_of_an_external_test_has_values_without_intervals():
    score = np.random.default_rng(0).random(60)
    table = evaluate_external([0, 1] * 30, score, ["a"] * 60, 0.5)
    assert table["value"].notna().all() and table[["low", "high"]].isna().all(axis=None)
    table = evaluate_external([1] * 60, score, ["a"] * 60, 0.5).dropna(how="all")
    assert table.index.to_list() == ["sensitivity"] and table["low"].isna().all()


def test_parasites_in_two_fields_only_have_no_interval_by_field():
    k = np.r_[3, 1, np.zeros(28, int)]
    found = parasitaemia_by_field(k, np.full(30, 100))
    assert found["value"] == 4 / 3000 and found[["low", "high"]].isna().all()


def test_a_corrected_proportion_that_contradicts_its_rates_has_no_interval():
    # none of 5,000 cells is called, though 5 % of uninfected cells should be
    found = rogan_gladen_interval(0, 5000, tn=950, fp=50, fn=10, tp=90)
    assert found["value"] == 0 and found[["low", "high"]].isna().all()
    # a single uninfected cell says next to nothing of the false alarms
    found = rogan_gladen_interval(5, 50, tn=1, fp=0, fn=5, tp=95)
    assert found["value"] > 0.1 and found[["low", "high"]].isna().all()


# ---- coverage, where the truth is known


def studies(n, patients, seed=1):
    "Yield errors and cells of patients whose mean error rate is 5 %, some much worse than others."
    rng = np.random.default_rng(seed)
    for _ in range(n):
        cells = 5 + rng.geometric(1 / 40, patients)
        yield rng.binomial(cells, rng.beta(0.7, 13.3, patients)), cells


def by_cell(errors, cells):
    "Return label, score and patient, a row a cell: wrong ones are called uninfected."
    right = [np.arange(n) >= k for k, n in zip(errors, cells)]
    score = np.where(np.concatenate(right), 0.9, 0.1)
    return np.ones(cells.sum(), int), score, np.repeat(np.arange(len(cells)), cells)


def called(errors, cells):
    label, score, patient = by_cell(errors, cells)
    return 1 - evaluate_external(label, score, patient, 0.5).loc["sensitivity", ["high", "low"]]


def in_a_bin(errors, cells):
    _, score, patient = by_cell(errors, cells)
    return reliability(score < 0.5, np.full(len(score), 0.05), patient, 1).loc[0, ["low", "high"]]


def mean(errors, cells):
    _, score, patient = by_cell(errors, cells)
    return mean_by_patient(score < 0.5, patient, bounds=(0, 1))[["low", "high"]]


def in_fields(errors, cells):
    return parasitaemia_by_field(errors, cells)[["low", "high"]]


# the bootstrap's percentile intervals held the truth in 87 to 88 of 100 of these studies
@pytest.mark.parametrize("interval", [called, in_a_bin, mean, in_fields])
def test_intervals_by_patient_hold_the_truth(interval):
    held = [low <= 0.05 <= high for low, high in (interval(*s) for s in studies(300, 20))]
    assert 0.92 < np.mean(held) < 0.98


def test_the_interval_of_a_temperature_holds_the_truth():
    rng = np.random.default_rng(2)

    def study(patients, cells):
        patient = np.repeat(np.arange(patients), cells)
        z = rng.normal(0, 2, len(patient)) + rng.normal(size=patients)[patient]
        sure = np.exp(0.5 * rng.normal(size=patients))[patient]
        return (rng.random(len(z)) < expit(sure * z)).astype(int), expit(1.5 * z), patient

    truth = fit_temperature(*study(20_000, 20)[:2])
    told = [temperature_interval(*study(20, 20)) for _ in range(150)]
    held = np.mean([t["low"] <= truth <= t["high"] for t in told])
    assert 0.9 < held < 0.99
