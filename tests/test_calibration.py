"""Calibration against scikit-learn, SciPy and MAPIE, against sums done by hand,
and against worlds whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from malaria_nb.brier import brier_parts
from malaria_nb.calibration import (
    calibration_error,
    calibration_line,
    null_errors,
    patient_null_errors,
    reliability,
    smooth_curve,
    temper,
)
from malaria_nb.charts import plot_reliability
from malaria_nb.conformal import conformal_limits, conformal_sets, coverage
from malaria_nb.decisions import cost_curve, refer, threshold_for_specificity
from malaria_nb.evaluation import confusion, evaluate, metrics
from malaria_nb.stats import rates
from malaria_nb.temperature import fit_temperature, temperature_interval
from malaria_nb.thresholds import net_benefit, shift_prior


def made_up(n=600, patients=20, seed=0, sure=1.0, scatter=0.8, ties=False):
    "Return label, score, patient: calibrated, but for `sure` on the logit and a shift a patient."
    rng = np.random.default_rng(seed)
    patient = rng.integers(patients, size=n)
    z = rng.normal(0, 2, n)
    label = (rng.random(n) < expit(z + scatter * rng.normal(size=patients)[patient])).astype(int)
    score = expit(sure * z)
    return label, score.round(1) if ties else score, np.array([f"C{p}" for p in patient])


def perfect(rng, n):
    score = rng.beta(0.5, 0.5, n)
    return (rng.random(n) < score).astype(int), score


# ---- reliability


@pytest.mark.parametrize("strategy, theirs", [("width", "uniform"), ("count", "quantile")])
@pytest.mark.parametrize("bins", [1, 7, 12])
def test_reliability_equals_scikit_learn(strategy, theirs, bins):
    from sklearn.calibration import calibration_curve

    label, score, patient = made_up(1004)
    share, said = calibration_curve(label, score, n_bins=bins, strategy=theirs)
    r = reliability(label, score, patient, bins, strategy)
    np.testing.assert_allclose(r["share"], share, atol=1e-12)
    np.testing.assert_allclose(r["score"], said, atol=1e-12)
    assert (
        r["cells"].sum() == 1004 and ((r["start"] <= r["score"]) & (r["score"] <= r["end"])).all()
    )
    if strategy == "count":
        assert np.ptp(r["cells"]) <= 1


def test_a_score_on_an_edge_is_counted_once_and_above():
    r = reliability([0, 1, 1, 0, 1], [0, 0.5, 1, 0.5, 0.1], bins=2)
    assert r["cells"].to_list() == [2, 3] and r["share"].to_list() == [0.5, 2 / 3]


@pytest.mark.parametrize("score, bins", [([0.3] * 4, 1), ([0, 0, 0, 1], 2), ([1] * 4, 1)])
def test_equal_scores_merge_bins(score, bins):
    assert len(reliability([0, 1, 0, 1], score, bins=10, strategy="count")) == bins


def test_reliability_intervals_cover_by_patient_and_not_by_cell():
    rng, held = np.random.default_rng(3), {"patient": 0, "cell": 0}
    for _ in range(
        120
    ):  # 40 patients of 25 cells, each with a rate of its own, 0.3 on average; one bin
        rate = rng.beta(3, 7, 40)
        patient = np.repeat(np.arange(40), 25)
        label = (rng.random(1000) < rate[patient]).astype(int)
        for kind, p in (("patient", patient), ("cell", None)):
            row = reliability(label, np.full(1000, 0.3), p, bins=1).iloc[0]
            held[kind] += row["low"] <= 0.3 <= row["high"]
    assert 0.88 < held["patient"] / 120 < 0.99 and held["cell"] / 120 < 0.8


def test_a_bin_of_few_patients_has_no_interval():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 20)
    score = np.full(400, 0.15)
    score[patient < 3] = 0.95
    label = (rng.random(400) < np.where(score > 0.5, 0.7, 0.3)).astype(int)
    many, few = reliability(label, score, patient).itertuples()
    assert (many.patients, few.patients) == (17, 3)
    assert many.low < many.share < many.high
    assert 0 < few.share < 1 and np.isnan(few.low) and np.isnan(few.high)


def test_plot_reliability_draws_a_panel_a_model():
    import matplotlib

    matplotlib.use("agg")
    label, score, patient = made_up(200)
    table = pd.DataFrame(
        {
            "file": [f"{i}.png" for i in range(200)],
            "patient": patient,
            "label": label,
            "score": score,
            "split": "test",
        }
    )
    fig = plot_reliability({"a": table, "b": table.assign(score=0.5)}, title="finding")
    assert (
        len(fig.axes) == 4
        and fig.get_suptitle() == "finding"
        and all(ax.get_xlabel() for ax in fig.axes[2:])
    )
    with pytest.raises(ValueError, match="different test cells"):
        plot_reliability({"a": table, "b": table.iloc[1:]})


# ---- Brier score


def test_brier_parts_of_an_example_worked_by_hand():
    # ten forecasts: 0.2 five times (one event), 0.8 five times (three events); the base rate is 0.4
    label, score = [1, 0, 0, 0, 0, 1, 1, 1, 0, 0], [0.2] * 5 + [0.8] * 5
    parts = brier_parts(label, score)
    assert parts["brier"] == pytest.approx((0.64 + 4 * 0.04 + 3 * 0.04 + 2 * 0.64) / 10)  # 0.22
    assert parts["reliability"] == pytest.approx((5 * 0 + 5 * 0.04) / 10)  # 0.02
    assert parts["resolution"] == pytest.approx((5 * 0.04 + 5 * 0.04) / 10)  # 0.04
    assert parts["uncertainty"] == pytest.approx(0.24) and parts["remainder"] == pytest.approx(
        0, abs=1e-12
    )
    debiased = brier_parts(
        label, score, debias=True
    )  # Ferro and Fricker (2012): .02 − (5·.16/4 + 5·.24/4)/10
    assert debiased["reliability"] == pytest.approx(0.02 - 0.05) and debiased[
        "uncertainty"
    ] == pytest.approx(0.24 * 10 / 9)
    assert debiased["brier"] == pytest.approx(
        debiased["reliability"] - debiased["resolution"] + debiased["uncertainty"]
    )


@pytest.mark.parametrize("how", [{}, {"bins": 10}, {"bins": 15, "strategy": "count"}])
def test_brier_score_equals_scikit_learn_and_its_parts_add_up(how):
    from sklearn.metrics import brier_score_loss

    label, score, _ = made_up(ties=not how)
    p = brier_parts(label, score, **how)
    assert p["brier"] == pytest.approx(brier_score_loss(label, score))
    assert p["brier"] == pytest.approx(
        p["reliability"] - p["resolution"] + p["uncertainty"] + p["remainder"]
    )
    if not how:
        assert p["remainder"] == pytest.approx(0, abs=1e-12)


def test_the_remainder_is_the_scatter_within_bins():
    # Stephenson, Coelho and Jolliffe (2008): variance of the scores within bins less twice their
    # covariance with the labels
    label, score, _ = made_up()
    t = pd.DataFrame({"y": label, "p": score, "bin": np.minimum((10 * score).astype(int), 9)})
    within = t[["y", "p"]] - t.groupby("bin")[["y", "p"]].transform("mean")
    assert brier_parts(label, score, 10)["remainder"] == pytest.approx(
        (within["p"] ** 2 - 2 * within["p"] * within["y"]).mean()
    )


def test_debiased_parts_are_right_on_average():
    rng, found = np.random.default_rng(5), []
    grid = np.array([0.1, 0.3, 0.6, 0.9])
    for _ in range(400):
        score = rng.choice(grid, 80)
        label = (rng.random(80) < score**2).astype(int)  # too sure of parasites, by a known amount
        if np.bincount((score * 10).round().astype(int), minlength=10)[[1, 3, 6, 9]].min() > 1:
            found.append(
                [brier_parts(label, score, debias=d)["reliability"] for d in (False, True)]
            )
    plain, debiased = np.mean(found, axis=0)
    truth, error = np.mean((grid - grid**2) ** 2), np.std(found, axis=0)[1] / len(found) ** 0.5
    assert abs(debiased - truth) < 3 * error and plain > truth + 5 * error


# ---- calibration error


@pytest.mark.parametrize("strategy, theirs", [("width", "uniform"), ("count", "quantile")])
def test_calibration_error_equals_scikit_learns_curve(strategy, theirs):
    from sklearn.calibration import calibration_curve

    label, score, _ = made_up(1004, sure=2)
    share, said = calibration_curve(label, score, n_bins=12, strategy=theirs)
    cells = reliability(label, score, bins=12, strategy=strategy)["cells"]
    assert calibration_error(label, score, 12, strategy) == pytest.approx(
        np.average(np.abs(share - said), weights=cells)
    )


def test_null_errors_are_those_of_a_perfect_model():
    rng, beyond = np.random.default_rng(8), []
    for _ in range(200):
        label, score = perfect(rng, 200)
        beyond.append(
            calibration_error(label, score)
            > np.quantile(null_errors(score, n=60, seed=rng.integers(1e9)), 0.9)
        )
    assert 0.04 < np.mean(beyond) < 0.18 and null_errors(score).min() > 0


def test_the_error_of_a_perfect_model_grows_with_bins_and_falls_with_cells():
    def mean(n, bins):
        return np.mean([calibration_error(*perfect(rng, n), bins) for _ in range(60)])

    rng = np.random.default_rng(2)
    assert mean(200, 30) > 1.5 * mean(200, 5) and 2.4 < mean(100, 10) / mean(1000, 10) < 3.9


# ---- temperature


@pytest.mark.parametrize("sure", [0.5, 1, 3])
def test_temperature_equals_logistic_regression_and_another_optimiser(sure):
    from scipy.optimize import minimize_scalar
    from sklearn.linear_model import LogisticRegression

    label, score, _ = made_up(sure=sure)
    z = logit(np.clip(score, 1e-7, 1 - 1e-7))
    slope = (
        LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
        .fit(z[:, None], label)
        .coef_[0, 0]
    )
    other = minimize_scalar(
        lambda t: np.logaddexp(0, np.where(label == 1, -z, z) / t).sum(),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-8},
    ).x
    assert (
        fit_temperature(label, score)
        == pytest.approx(1 / slope, rel=1e-4)
        == pytest.approx(other, rel=1e-4)
    )


def test_a_known_temperature_is_found_again():
    label, score, _ = made_up(40_000, sure=2.5, scatter=0)
    assert fit_temperature(label, score) == pytest.approx(2.5, rel=0.04)
    assert calibration_error(label, temper(score, 2.5)) < 0.02 < calibration_error(label, score)


def test_weights_count_cells():
    label, score, _ = made_up(200)
    times = np.random.default_rng(1).integers(0, 4, 200)
    assert fit_temperature(label, score, weight=times) == pytest.approx(
        fit_temperature(np.repeat(label, times), np.repeat(score, times))
    )


def test_tempering_changes_no_call_and_no_order():
    label, score, _ = made_up(ties=True)  # 0 and 1 are among the scores
    for t in (0.2, 1, 5):
        p = temper(score, t)
        assert (t < 1 or (p > 0).all() and (p < 1).all()) and ((p >= 0.5) == (score >= 0.5)).all()
        assert metrics(label, p)["auc"] == pytest.approx(metrics(label, score)["auc"])
    np.testing.assert_allclose(temper(temper([0.2, 0.6], 3), 1 / 3), [0.2, 0.6])


def test_the_temperatures_interval_is_wider_by_patient_where_patients_differ():
    label, score, patient = made_up(1200, patients=12, scatter=2.5)
    by_patient, by_cell = (temperature_interval(label, score, p) for p in (patient, None))
    assert by_patient["value"] == by_cell["value"] == fit_temperature(label, score)
    assert np.ptp(by_patient[["low", "high"]]) > 1.3 * np.ptp(by_cell[["low", "high"]])
    assert 0 < by_patient["low"] < by_patient["value"] < by_patient["high"]


def test_a_temperature_that_hangs_on_one_patients_mistakes_has_no_interval():
    label, score = np.tile([0, 1], 20), np.tile([0.1, 0.9], 20)
    patient = np.repeat(np.arange(20), 2)
    score[:2] = 0.6, 0.9
    found = temperature_interval(label, score, patient)
    assert found["value"] > 0 and found[["low", "high"]].isna().all()


# ---- thresholds


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("specificity", [0.3, 0.55, 0.9, 1.0])
def test_threshold_is_the_lowest_that_reaches_the_specificity(ties, specificity):
    label, score, _ = made_up(300, ties=ties)
    score = 0.9 * score  # so that there is room above
    t = threshold_for_specificity(label, score, specificity)

    def reached(t):
        return (score[label == 0] < t).mean() >= specificity - 1e-12

    lower = score[score < t].max()  # one score down the call changes
    assert (
        reached(t)
        and not reached(lower)
        and rates(**confusion(label, score, t))["specificity"] >= specificity
    )


def test_the_cautious_threshold_keeps_its_promise_for_other_patients():
    # the old way, the bootstrap's 95 % quantile, broke it in 11 of 100 of these studies
    rng, broken = np.random.default_rng(0), 0
    for _ in range(200):
        code = np.repeat(np.arange(40), rng.integers(5, 40, 40))
        score = expit(-2 + rng.normal(size=40)[code] + rng.normal(size=len(code)))
        try:
            t = threshold_for_specificity(0 * code, score, 0.9, code, 0.95)
        except ValueError:
            continue
        broken += norm.cdf((logit(t) + 2) / 2**0.5) < 0.9
    assert broken < 0.08 * 200


def test_the_cautious_threshold_is_the_lowest_with_its_limit_there():
    label, score, patient = made_up(400, patients=20)
    plain, cautious = (
        threshold_for_specificity(label, score, 0.8, patient, c) for c in (None, 0.95)
    )

    def limit(t):
        return evaluate(label, score, patient, t, level=0.9).loc["specificity", "low"]

    assert cautious > plain and limit(cautious) >= 0.8 > limit(score[score < cautious].max())


def test_too_few_patients_promise_no_specificity():
    label, score, patient = made_up(400, patients=8)
    with pytest.raises(ValueError, match="no threshold promises it on 8 patients"):
        threshold_for_specificity(label, score, 0.9, patient, 0.95)
    with pytest.raises(ValueError, match="one patient"):
        threshold_for_specificity(label, score, 0.9, ["C1"] * 400, 0.95)


def test_uninfected_cells_scored_one_leave_only_a_threshold_above_one():
    label, score = [0, 0, 1], [0.2, 1, 1]
    threshold = threshold_for_specificity(label, score, 1)
    assert threshold > 1
    # and whatever takes a threshold takes that one
    assert confusion(label, score, threshold).to_list() == [2, 0, 1, 0]
    assert metrics(label, score, threshold)["specificity"] == 1
    for nonsense in (1.1, 50, -0.1, np.nan):
        with pytest.raises(ValueError, match="threshold="):
            confusion(label, score, nonsense)


# ---- costs


def test_cost_curve_equals_counting_and_none_is_cheaper():
    label, score, _ = made_up(150, ties=True)
    shares = np.array([0, 0.1, 0.5, 0.83, 1])
    best = cost_curve(label, score, shares=shares)

    def cost(t, w):
        return w * (score[label == 1] < t).mean() + (1 - w) * (score[label == 0] >= t).mean()

    for w, row in best.iterrows():
        assert (
            row["cost"]
            == pytest.approx(cost(row["threshold"], w))
            == pytest.approx(min(cost(t, w) for t in (*score, np.inf)))
        )
    fixed = cost_curve(label, score, 0.5, shares)
    r = rates(**confusion(label, score))
    np.testing.assert_allclose(
        fixed["cost"], shares * (1 - r["sensitivity"]) + (1 - shares) * (1 - r["specificity"])
    )
    np.testing.assert_allclose(
        cost_curve(label, score, 1 - shares, shares)["cost"], [cost(1 - w, w) for w in shares]
    )


def test_to_call_nothing_is_among_the_choices():
    curve = cost_curve(
        [0, 1], [0.9, 0.2], shares=[0, 0.1]
    )  # the highest score is an uninfected cell's
    assert curve["cost"].to_list() == [0, 0.1] and np.isinf(curve["threshold"]).all()


def test_the_mean_cost_of_believing_the_scores_is_the_brier_score():
    label, score, _ = made_up(500, sure=2)
    w = np.linspace(0, 1, 40_001)
    halves = [
        ((score - label) ** 2)[label == c].mean() for c in (0, 1)
    ]  # as if both classes were equally large
    assert cost_curve(label, score, 1 - w, w)["cost"].mean() == pytest.approx(
        np.mean(halves), abs=1e-4
    )


# ---- prevalence


@pytest.mark.parametrize("here, there", [(0.5, 0.033), (0.2, 0.7), (0.3, 0.3)])
def test_shifted_scores_are_the_posterior_of_two_normal_classes(here, there):
    from scipy.stats import norm

    x = np.linspace(-3, 4, 41)

    def posterior(prior):
        return prior * norm.pdf(x, 1.5) / (prior * norm.pdf(x, 1.5) + (1 - prior) * norm.pdf(x))

    np.testing.assert_allclose(
        shift_prior(posterior(here), there, here), posterior(there), rtol=1e-6
    )


def test_shifted_scores_are_calibrated_where_parasites_are_rare():
    rng = np.random.default_rng(4)
    label = (rng.random(60_000) < 0.05).astype(int)
    score = expit(1.5 * (rng.normal(1.5 * label) - 0.75))  # posterior at one half
    assert (
        calibration_error(label, shift_prior(score, 0.05))
        < 0.01
        < 0.1
        < calibration_error(label, score)
    )


# ---- referral


def test_refer_equals_leaving_cells_out():
    label, score, _ = made_up(120, ties=True)
    for margin, row in refer(label, score).iterrows():
        kept = np.abs(score - 0.5) >= margin - 1e-9
        assert row["kept"] == kept.sum() and row["referred"] == pytest.approx(1 - kept.mean())
        right = (score[kept] >= 0.5) == label[kept]
        assert row["accuracy"] == pytest.approx(right.mean()) and row["mistakes"] == (~right).sum()
        if label[kept].any():
            assert row["sensitivity"] == pytest.approx(
                (score[kept] >= 0.5)[label[kept] == 1].mean()
            )


# ---- conformal sets


class Given:
    "A classifier that returns the score it is given, for MAPIE."

    classes_, n_features_in_ = np.array([0, 1]), 1

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.column_stack([1 - X[:, 0], X[:, 0]])

    def predict(self, X):
        return (X[:, 0] >= 0.5).astype(int)

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.filterwarnings("ignore:WARNING:UserWarning")  # that MAPIE sees one class
@pytest.mark.parametrize("alpha", [0.3, 0.1, 0.03])
def test_sets_equal_mapies(alpha):
    from mapie.classification import SplitConformalClassifier
    from sklearn.base import BaseEstimator, ClassifierMixin

    classifier = type("Classifier", (Given, ClassifierMixin, BaseEstimator), {})()
    label, score, _ = made_up(157)
    new = made_up(300, seed=1)[1]

    def mapie(rows):
        m = SplitConformalClassifier(
            classifier, confidence_level=1 - alpha, conformity_score="lac", prefit=True
        )
        return m.conformalize(score[rows, None], label[rows]).predict_set(new[:, None])[1][:, :, 0]

    np.testing.assert_array_equal(
        conformal_sets(new, conformal_limits(label, score, alpha, by_label=False)).to_numpy(),
        mapie(label >= 0),
    )
    if alpha < 0.1:
        return  # of one class there are too few
    mine = conformal_sets(new, conformal_limits(label, score, alpha)).to_numpy()
    for c in (0, 1):
        np.testing.assert_array_equal(mine[:, c], mapie(label == c)[:, c])


@pytest.mark.parametrize("by_label", [False, True])
def test_coverage_holds_for_exchangeable_cells(by_label):
    rng, found = np.random.default_rng(12), []
    for _ in range(250):
        label, score = perfect(rng, 260)
        label = np.where(
            rng.random(260) < 0.3, 1, label
        )  # far from calibrated: the guarantee doesn't ask for it
        limits = conformal_limits(label[:60], score[:60], 0.2, by_label)
        found.append(
            coverage(label[60:], conformal_sets(score[60:], limits), label[60:])["coverage"]
        )
        if not by_label:
            found[-1] = [
                coverage(label[60:], conformal_sets(score[60:], limits))["coverage"].iloc[0]
            ]
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / 250**0.5
    assert (mean > 0.8 - 3 * error).all() and (
        mean < 0.8 + (1 / 61 if not by_label else 1 / 15) + 3 * error
    ).all()


def test_coverage_scatters_more_where_calibration_cells_share_patients():
    rng = np.random.default_rng(9)

    def study(cluster):
        patient = np.repeat(np.arange(110), 20) if cluster else np.arange(2200)
        shift = rng.normal(0, 1.5, 2200)
        label = rng.integers(2, size=2200)
        score = expit((2 * label - 1) * 2 + shift[patient] + rng.normal(size=2200))
        limits = conformal_limits(label[:200], score[:200], 0.1, by_label=False)
        return coverage(label[200:], conformal_sets(score[200:], limits))["coverage"].iloc[0]

    spread = {cluster: np.std([study(cluster) for _ in range(150)]) for cluster in (False, True)}
    assert spread[True] > 1.4 * spread[False]


def test_too_few_calibration_cells_exclude_no_label():
    assert np.isinf(conformal_limits([0] * 8 + [1] * 20, [0.1] * 8 + [0.9] * 20, 0.1)["uninfected"])
    assert np.isfinite(conformal_limits([0] * 9 + [1] * 20, [0.1] * 9 + [0.9] * 20, 0.1)).all()
    assert conformal_sets([0, 0.5, 1], conformal_limits([1] * 20, [0.9] * 20, 0.1))[
        "uninfected"
    ].all()


def test_coverage_counts_sets_by_group():
    sets = pd.DataFrame(
        {"parasitized": [True, True, False, False], "uninfected": [False, True, True, False]}
    )  # the columns' order is free
    table = coverage([1, 0, 1, 0], sets, ["b", "b", "a", "a"])
    assert table.loc["b"].to_list() == [2, 1, 0.5, 0.5, 0] and table.loc["a"].to_list() == [
        2,
        0,
        0.5,
        0,
        0.5,
    ]


# ---- what people hand in by mistake

good = ([0, 1, 0, 1], [0.2, 0.7, 0.6, 0.9])


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: reliability([0, 2], [0.1, 0.9]), "labels must be 0"),
        (lambda: reliability([0, 1], [-3.0, 4.0]), "apply a sigmoid"),
        (lambda: reliability(*good, bins=2.5), "whole number"),
        (lambda: reliability(*good, strategy="quantile"), "'width'"),
        (lambda: brier_parts([0, 1], [0.1]), "2 labels but 1 scores"),
        (lambda: brier_parts(*good, debias=True), "4 bins hold a single cell"),
        (lambda: calibration_error([], []), "no cells"),
        (lambda: reliability(*good, ["C1"] * 4), "one patient"),
        (lambda: temperature_interval(*good, ["C1"] * 4), "one patient"),
        (lambda: threshold_for_specificity(*good, 0.9, confidence=0.5), "confidence=0.5"),
        (lambda: null_errors([0.1, np.nan]), "or drop them"),
        (lambda: temper([0.1], -1), "above 0"),
        (lambda: temper([0.1, 1.2], 1), "from 0 to 1"),
        (lambda: fit_temperature([0, 1, 1], [0.1, 0.8, 0.9]), "every prediction is correct"),
        (lambda: fit_temperature([1, 0, 1], [0.1, 0.9, 0.6]), "better than 0.5"),
        (lambda: fit_temperature(*good, weight=[1, 2]), "weights of shape"),
        (lambda: fit_temperature(*good, weight=[1, 1, np.nan, 1]), "weights must be"),
        (lambda: fit_temperature(*good, weight=[1, 1, np.inf, 1]), "weights must be"),
        (lambda: fit_temperature(*good, weight=[1, 1, -1, 1]), "weights must be"),
        (lambda: fit_temperature(*good, weight=[0, 0, 0, 0]), "weights must be"),
        (lambda: fit_temperature(*good, weight=["1", "a", "1", "1"]), "weights must be"),
        (lambda: fit_temperature([1, 1], [0.5, 0.5]), "better than 0.5"),
        (lambda: threshold_for_specificity(*good, 95), "such as 0.95"),
        (lambda: threshold_for_specificity([1, 1], [0.1, 0.2]), "no uninfected"),
        (lambda: threshold_for_specificity(*good, 0.9, confidence=95), "confidence=95"),
        (lambda: cost_curve([0, 0], [0.1, 0.2]), "give cells of both"),
        (lambda: cost_curve(*good, shares=[-0.1]), "from 0 to 1"),
        (lambda: cost_curve(*good, np.nan), "thresholds must be"),
        (lambda: shift_prior([0.1], 1), "between 0 and 1"),
        (lambda: shift_prior([0.1], 0.033, 50), "here=50"),
        (lambda: conformal_limits(*good, 90), "alpha=90"),
        (
            lambda: coverage([0, 1], conformal_sets([0.1], conformal_limits(*good))),
            "2 labels but 1 sets",
        ),
        (
            lambda: coverage([0, 1], conformal_sets([0.1, 0.2], conformal_limits(*good)), ["C1"]),
            "1 groups",
        ),
    ],
)
def test_bad_input_is_refused_with_a_reason(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# ---- the line, the curve, the null by patient and the net benefit, where the truth is known


def clustered(rng, patients=60, scatter=1.0, sure=1.0):
    "Return label, score, patient: right over all patients but for `sure`, and off in each one."
    cells = np.maximum(5, rng.lognormal(4, 0.6, patients)).astype(int)
    patient = np.repeat(np.arange(patients), cells)
    z = rng.normal(0, 1, patients)[patient] + rng.normal(0, 2, len(patient))
    label = rng.random(len(z)) < expit(z + scatter * rng.normal(size=patients)[patient])
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    score = expit(z[:, None] + scatter * nodes) @ weights / weights.sum()
    return label.astype(int), expit(sure * logit(score)), patient


def test_the_lines_and_curves_fit_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    label, score, patient = made_up(800, sure=1.7)
    line = calibration_line(label, score, patient)["value"]
    other = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000).fit(logit(score)[:, None], label)
    assert line["slope"] == pytest.approx(other.coef_[0, 0], abs=1e-4)
    mean = expit(logit(score) + line["intercept"]).mean()
    assert mean == pytest.approx(label.mean(), abs=1e-6)


def test_the_lines_curves_and_net_benefits_intervals_hold_the_truth_by_patient():
    rng, sure, at = np.random.default_rng(3), 1.6, np.array([0.1, 0.5, 0.9])
    label, score, _ = clustered(rng, 4000, sure=sure)
    found, false = ((score[label == c] >= 0.2).mean() for c in (1, 0))
    benefit = 0.033 * found - 0.967 * false / 4
    held = []
    for _ in range(40):
        label, score, patient = clustered(rng, sure=sure)
        slope = calibration_line(label, score, patient).loc["slope"]
        curve = smooth_curve(label, score, patient, at)
        truth = expit(logit(at) / sure)
        b = net_benefit(label, score, patient, 0.033, [0.2]).iloc[0]
        held.append(
            [
                slope["low"] <= 1 / sure <= slope["high"],
                *((curve["low"] <= truth) & (truth <= curve["high"])),
                b["low"] <= benefit <= b["high"],
            ]
        )
    assert (np.mean(held, axis=0) >= 0.85).all()  # 34 of 40; at 95 % one in 200 has fewer


def test_the_null_by_patient_rejects_no_more_than_promised_where_patients_differ():
    rng, by_patient, by_cell = np.random.default_rng(4), [], []
    for seed in range(120):
        label, score, patient = clustered(rng)
        error = calibration_error(label, score)
        null = patient_null_errors(label, score, patient, n=200, seed=seed)
        by_patient.append((null >= error).mean() < 0.05)
        by_cell.append((null_errors(score, n=200, seed=seed) >= error).mean() < 0.05)
    assert np.mean(by_patient) < 0.12 and np.mean(by_cell) > 0.25


def test_the_null_by_patient_sees_scores_that_are_too_sure():
    label, score, patient = clustered(np.random.default_rng(5), sure=1.6)
    null = patient_null_errors(label, score, patient, n=200)
    assert calibration_error(label, score) > null.max()


def test_net_benefit_equals_counting():
    label, score, patient = made_up(500)
    for chance in (0.1, 0.4):
        flagged = score >= chance
        true, false = (flagged & (label == 1)).sum(), (flagged & (label == 0)).sum()
        by_hand = (true - false * chance / (1 - chance)) / len(label)
        b = net_benefit(label, score, patient, label.mean(), [chance]).iloc[0]
        assert b["value"] == pytest.approx(by_hand)
        everything = net_benefit(label, score, patient, label.mean(), [chance], threshold=0.0)
        assert everything["value"].iloc[0] == pytest.approx(b["all"])


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: calibration_line([1, 1], [0.1, 0.9], [1, 2]), "both"),
        (lambda: calibration_line([0, 1], [0.1, 0.9], [1, 1]), "patient"),
        (lambda: smooth_curve([0, 1, 0], [0.5, 0.5, 0.5], [1, 2, 3]), "too few different"),
        (lambda: patient_null_errors([0, 1], [0.1, 0.9], [1, 1]), "patient"),
        (lambda: net_benefit([0, 1], [0.1, 0.9], [1, 2], 0.03, [1.0]), "chances="),
    ],
)
def test_the_new_functions_refuse_bad_input_with_a_reason(call, says):
    with pytest.raises(ValueError, match=says):
        call()
