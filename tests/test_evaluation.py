"""Evaluation against scikit-learn as the oracle, against studies whose truth is known,
and against what people hand in by mistake."""

import numpy as np
import pandas as pd
import pytest

from malaria_nb.article import ARTICLE, article_table
from malaria_nb.charts import (
    plot_comparison,
    plot_confusion,
    plot_precision_recall,
    plot_roc,
    plot_thresholds,
)
from malaria_nb.evaluation import (
    at_prevalence,
    compare,
    confusion,
    evaluate,
    hardest,
    metrics,
    threshold_for,
)
from malaria_nb.stats import METRICS, bootstrap, difference, mcnemar, percentile_interval, rates


def made_up(n=400, patients=20, seed=0, ties=False):
    "Return predictions of `n` test cells: good scores, not perfect, that shift between patients."
    rng = np.random.default_rng(seed)
    code = rng.integers(patients, size=n)
    label = rng.integers(2, size=n)
    score = np.clip(
        0.3 + 0.4 * label + 0.15 * rng.normal(size=patients)[code] + 0.2 * rng.normal(size=n), 0, 1
    )
    if ties:
        score = score.round(1)
    return pd.DataFrame(
        {
            "file": [f"cell_{i:05}.png" for i in range(n)],
            "patient": [f"C{c}" for c in code],
            "smear": [f"C{c}P1" for c in code],
            "label": label,
            "score": score,
            "split": "test",
        }
    )


@pytest.fixture
def table():
    return made_up()


# ---- against scikit-learn


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_equal_scikit_learn(threshold, ties):
    from sklearn import metrics as sk

    t = made_up(ties=ties)
    y, call, m = (
        t["label"],
        (t["score"] >= threshold).astype(int),
        metrics(t["label"], t["score"], threshold),
    )
    assert (
        confusion(y, t["score"], threshold).to_list()
        == sk.confusion_matrix(y, call).ravel().tolist()
    )
    expected = dict(
        accuracy=sk.accuracy_score(y, call),
        sensitivity=sk.recall_score(y, call),
        specificity=sk.recall_score(y, call, pos_label=0),
        ppv=sk.precision_score(y, call),
        npv=sk.precision_score(y, call, pos_label=0),
        f1=sk.f1_score(y, call),
        mcc=sk.matthews_corrcoef(y, call),
        auc=sk.roc_auc_score(y, t["score"]),
    )
    assert m.index.to_list() == list(METRICS), "METRICS and evaluation.metrics() differ in order"
    assert list(METRICS) == list(expected), "give a new metric its oracle above"
    assert m.to_dict() == pytest.approx(expected, abs=1e-12)


def test_a_constant_call_has_mcc_zero_and_no_ppv():
    from sklearn.metrics import matthews_corrcoef

    m = metrics([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    assert m["mcc"] == matthews_corrcoef([0, 0, 1, 1], [0] * 4) == 0
    assert np.isnan(m["ppv"]) and m["auc"] == 1


def test_mcc_does_not_overflow():
    assert rates(tn=10**8, fp=0, fn=0, tp=10**8)["mcc"] == pytest.approx(1)


@pytest.mark.parametrize("by", ["patient", "cell"])
def test_each_resample_equals_scikit_learn_on_the_cells_it_repeats(by):
    from sklearn.metrics import matthews_corrcoef, roc_auc_score

    t = made_up(120, 8, ties=True)
    code = np.unique(t["patient"], return_inverse=True)[1] if by == "patient" else np.arange(len(t))
    draws = bootstrap(
        t["label"], t["score"], t["patient"] if by == "patient" else None, n_boot=5, seed=3
    )
    groups = code.max() + 1
    for drawn, got in zip(
        np.random.default_rng(3).integers(groups, size=(5, groups)), draws.itertuples()
    ):
        rows = np.concatenate([np.flatnonzero(code == g) for g in drawn])
        y, score = t["label"].to_numpy()[rows], t["score"].to_numpy()[rows]
        assert got.auc == pytest.approx(roc_auc_score(y, score), abs=1e-12)
        assert got.mcc == pytest.approx(matthews_corrcoef(y, score >= 0.5), abs=1e-12)
        assert got.accuracy == pytest.approx((y == (score >= 0.5)).mean(), abs=1e-12)


@pytest.mark.parametrize("patients", [3, 20, 400])
def test_the_quick_way_to_the_auc_is_the_plain_one(
    patients,
):  # ties, a patient of one class, resamples of one class
    from malaria_nb.stats import _auc_by_cell, _auc_by_group, draw_groups

    t = made_up(patients=patients, ties=True)
    code = np.unique(t["patient"], return_inverse=True)[1]
    label = np.where(code == 0, 1, t["label"])
    weights = draw_groups(code.max() + 1, 200, 0)
    weights[0], weights[1] = (
        code.max() * (np.arange(code.max() + 1) == 0),
        1,
    )  # only positives; everybody once
    quick, plain = (
        way(label, t["score"].to_numpy(), code)(weights) for way in (_auc_by_group, _auc_by_cell)
    )
    assert np.isnan(plain[0]) and plain[1] == pytest.approx(metrics(label, t["score"])["auc"])
    np.testing.assert_allclose(quick, plain, rtol=1e-12)


# ---- the article's figures


def test_the_articles_table():
    t = article_table()
    facts = {
        "accuracy": [0.9497, 0.9376, 0.9600],
        "sensitivity": [0.9463, 0.9256, 0.9380],
        "specificity": [0.9531, 0.9499, 0.9826],
    }
    for metric, expected in facts.items():
        assert t.loc[metric].to_list() == pytest.approx(expected, abs=5e-5)
    assert t.loc["mcc"].to_list() == pytest.approx([0.899, 0.876, 0.921], abs=5e-4)
    assert t.loc["weighted recall"].to_list() == pytest.approx(
        t.loc["accuracy"].to_list(), abs=1e-12
    )
    assert {sum(c.values()) for c in ARTICLE.values()} == {8268}


def test_the_articles_metric_is_what_scikit_learn_calls_weighted_recall():
    from sklearn.metrics import recall_score

    c = ARTICLE["basic CNN"]
    y = np.repeat([0, 0, 1, 1], [c["tn"], c["fp"], c["fn"], c["tp"]])
    call = np.repeat([0, 1, 0, 1], [c["tn"], c["fp"], c["fn"], c["tp"]])
    assert article_table().loc["weighted recall", "basic CNN"] == pytest.approx(
        recall_score(y, call, average="weighted")
    )


def test_ppv_where_three_percent_are_infected():
    t = article_table()
    got = at_prevalence(t.loc["sensitivity"].to_numpy(), t.loc["specificity"].to_numpy(), 0.033)[
        "ppv"
    ]
    assert got[[0, 2]] == pytest.approx([0.41, 0.65], abs=0.006)
    assert at_prevalence(0.9, 0.6, 0.5)["npv"] == pytest.approx(0.6 / 0.7)


# ---- intervals


def studies(n, patients=40, cells=15, personal=True):
    "Yield made-up studies whose true accuracy is 0.9."
    rng = np.random.default_rng(11)
    for _ in range(n):
        error = (
            rng.beta(1, 9, patients).repeat(cells) if personal else np.full(patients * cells, 0.1)
        )
        label = np.arange(patients * cells) % 2
        right = rng.random(label.size) >= error
        yield label, np.where(label == right, 0.9, 0.1), np.arange(patients).repeat(cells)


def accuracy_intervals(by_patient, n=200, **kw):
    return pd.DataFrame(
        [
            percentile_interval(
                bootstrap(y, score, p if by_patient else None, n_boot=200)[["accuracy"]]
            ).loc["accuracy"]
            for y, score, p in studies(n, **kw)
        ]
    )


def coverage(t):
    return ((t["low"] <= 0.9) & (t["high"] >= 0.9)).mean()


@pytest.mark.weekly  # test_coverage asks the same of the interval itself, more sharply
def test_clustered_cells_need_the_interval_by_patient():
    patient, cell = accuracy_intervals(True), accuracy_intervals(False)
    width = {k: (t["high"] - t["low"]).mean() for k, t in (("patient", patient), ("cell", cell))}
    assert width["patient"] > 1.3 * width["cell"]
    assert 0.89 <= coverage(patient) <= 0.99
    assert coverage(cell) < 0.85


def test_independent_cells_get_the_same_interval_either_way():
    patient, cell = (accuracy_intervals(b, n=60, personal=False) for b in (True, False))
    assert (patient["high"] - patient["low"]).mean() == pytest.approx(
        (cell["high"] - cell["low"]).mean(), rel=0.1
    )


def test_the_interval_is_the_same_whatever_the_order_of_rows(table):
    a = evaluate(table["label"], table["score"], table["patient"])
    t = table.sample(frac=1, random_state=1)
    b = evaluate(t["label"], t["score"], t["patient"])
    pd.testing.assert_frame_equal(a, b, check_exact=False, rtol=1e-9)


def test_evaluate_says_whose_intervals_they_are(table):
    by_patient = evaluate(table["label"], table["score"], table["patient"])
    assert by_patient.attrs["unit"] == "patients"
    assert by_patient.attrs["groups"] == table["patient"].nunique()
    by_cell = evaluate(table["label"], table["score"])
    assert by_cell.attrs["unit"] == "cells" and by_cell.attrs["groups"] == len(table)


def test_the_percentile_interval_leaves_out_as_much_on_either_side():
    draws = pd.DataFrame(
        {"x": np.arange(1001.0), "y": [np.nan] * 40 + [1.0] * 961, "z": [np.nan] * 60 + [1.0] * 941}
    )
    assert percentile_interval(draws, 0.9).loc["x"].to_list() == pytest.approx([50, 950])
    assert (
        percentile_interval(draws).loc["y"].to_list() == [1, 1]
        and percentile_interval(draws).loc["z"].isna().all()
    )


def test_any_number_of_resamples(table):
    for n in (1, 49, 50, 51, 120):
        assert len(bootstrap(table["label"], table["score"], table["patient"], n_boot=n)) == n


def test_a_wider_level_gives_a_wider_interval(table):
    narrow, wide = (
        evaluate(table["label"], table["score"], table["patient"], level=level)
        for level in (0.8, 0.99)
    )
    assert ((wide["low"] < narrow["low"]) & (wide["high"] > narrow["high"])).all()


def test_a_metric_that_one_patient_decides_has_a_value_and_no_interval():
    # without the third patient there is no parasitized cell
    few = evaluate(
        [0, 0, 0, 0, 1, 1], [0.1, 0.6, 0.2, 0.1, 0.9, 0.8], ["a", "a", "b", "b", "c", "c"]
    )
    assert few["value"].notna().all() and few[["low", "high"]].isna().all(axis=None)
    # the same among twenty patients: what needs no parasitized cell keeps its interval
    label, score = np.tile([0, 0, 0, 0, 1], 20), np.tile([0.1, 0.2, 0.3, 0.6, 0.9], 20)
    patient, rng = np.arange(20).repeat(5), np.random.default_rng(0)
    label = np.where(patient == 0, label, 0)
    some = evaluate(label, np.where(rng.random(100) < 0.3, 0.7, score * 0.5), patient)
    assert some.loc[["sensitivity", "auc"], ["low", "high"]].isna().all(axis=None)
    assert some.loc[["accuracy", "specificity"], ["low", "high"]].notna().all(axis=None)


# ---- several models


def test_compare_formats_and_gives_numbers(table):
    other = table.assign(score=1 - table["score"])
    text, numbers = (
        compare({"a": table, "b": other}),
        compare({"a": table, "b": other}, formatted=False),
    )
    assert text.index.to_list() == list(METRICS) and text.columns.to_list() == ["a", "b"]
    v, low, high = numbers.loc["auc", "a"]
    assert text.loc["auc", "a"] == f"{v:.3f} ({low:.3f}–{high:.3f})"
    assert numbers.loc["auc", ("b", "value")] == pytest.approx(1 - v)


def test_compare_uses_the_split_it_is_told(table):
    both = pd.concat([table, made_up(seed=5).assign(split="valid")])
    assert compare({"a": both}).equals(compare({"a": table}))
    assert not compare({"a": both}, split="valid").equals(compare({"a": table}))


def test_an_undefined_metric_is_a_dash(table):
    never = table.assign(score=0.1)
    assert compare({"a": never}).loc["ppv", "a"] == "–"


def test_models_scored_on_other_cells_are_refused(table):
    with pytest.raises(ValueError, match="'a' and 'b' were scored on different test cells"):
        compare({"a": table, "b": table.iloc[1:]})
    with pytest.raises(ValueError, match="different test cells"):
        difference(table, table.assign(label=1 - table["label"]))
    compare({"a": table, "b": table.iloc[::-1]})  # the order of rows does not matter


def test_pairing_cancels_the_luck_that_models_share():
    t = made_up(600, 20)
    rng = np.random.default_rng(0)
    a, b = (
        t.assign(score=np.clip(t["score"] + rng.normal(0, 0.03, len(t)), 0, 1)) for _ in range(2)
    )
    d = difference(a, b)
    single = compare({"a": a}, formatted=False)["a"]
    assert (d["high"] - d["low"])["auc"] < 0.5 * (single["high"] - single["low"])["auc"]
    assert not d.loc["auc", "survives"]


def test_differences_survive_when_they_are_real_and_not_otherwise(table):
    blind = table.assign(score=np.random.default_rng(2).random(len(table)))
    d = difference(table, blind)
    assert (
        d.loc[["accuracy", "auc"], "survives"].all()
        and (d.loc[["accuracy", "auc"], "low"] > 0).all()
    )
    assert not difference(table, table)["survives"].any()
    reverse = difference(blind, table)
    pd.testing.assert_series_equal(reverse["value"], -d["value"])
    pd.testing.assert_series_equal(reverse["survives"], d["survives"])


# ---- threshold and mistakes


def test_threshold_for_is_the_highest_that_reaches_the_sensitivity():
    t = made_up(ties=True)

    def found(threshold):
        return confusion(t["label"], t["score"], threshold)["tp"] / t["label"].sum()

    for goal in (0.5, 0.9, 0.95, 1):
        chosen = threshold_for(t["label"], t["score"], goal)
        assert found(chosen) >= goal > found(np.nextafter(chosen, 2)) - (goal == 1)
    with pytest.raises(ValueError, match="no parasitized cells"):
        threshold_for([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="sensitivity=95"):
        threshold_for([0, 1], [0.1, 0.2], 95)


def test_hardest_are_wrong_and_the_surest_come_first(table):
    h = hardest(table, 5)
    assert ((h["score"] >= 0.5) != h["label"]).all() and h["wrong_by"].is_monotonic_decreasing
    all_wrong = (table["score"] - table["label"]).abs()[(table["score"] >= 0.5) != table["label"]]
    assert h["wrong_by"].iloc[0] == all_wrong.max() and len(hardest(table, 10**6)) == len(all_wrong)
    assert hardest(table.assign(score=table["label"] * 1.0)).empty
    assert hardest(table[table["label"] == 1], 3)["label"].eq(1).all()  # one class is enough
    pd.testing.assert_frame_equal(
        h.reset_index(drop=True), hardest(table.iloc[::-1], 5).reset_index(drop=True)
    )


# ---- what people hand in by mistake

GOOD = dict(label=[0, 1, 0, 1], score=[0.1, 0.9, 0.6, 0.8], patient=["C1", "C2", "C1", "C2"])


@pytest.mark.parametrize(
    "bad, says",
    [
        (dict(score=[0.1, 0.9, 0.6]), "4 labels but 3 scores"),
        (dict(score=[[0.1], [0.9], [0.6], [0.8]]), r"score has shape \(4, 1\).*ravel"),
        (dict(score=[0.1, 0.9, 0.6, float("nan")]), "1 are not, the first is nan in row 3"),
        (dict(score=[-2.1, 0.9, 3.6, 0.8]), "2 are not, the first is -2.1 in row 0.*sigmoid"),
        (dict(score=[0.1, 0.9, 0.6, np.inf]), "first is inf"),
        (dict(score=["a", "b", "c", "d"]), "scores must be numbers"),
        (dict(label=[1, 2, 1, 2]), "must be 0 .uninfected. or 1 .parasitized., found 2"),
        (dict(label=["malaria", "healthy"] * 2), "found 'malaria', 'healthy'"),
        (dict(label=[0, 1, None, 1]), "found None"),
        (dict(label=[1, 1, 1, 1]), "all 4 cells are parasitized.*both"),
        (dict(label=[], score=[], patient=[]), "no cells"),
        (dict(patient=["C1", "C2"]), "4 cells but 2 patients"),
        (dict(patient=["C1", None, "C1", "C2"]), "1 cells have no patient, the first is row 1"),
        (dict(patient=["C1", "", float("nan"), "C2"]), "2 cells have no patient"),
        (dict(patient=["C1"] * 4), "all cells are of one patient"),
        (dict(level=95), "level=95.*0.95"),
        (dict(threshold=50), "threshold=50"),
    ],
)
def test_bad_input_is_named(bad, says):
    with pytest.raises(ValueError, match=says):
        evaluate(**(GOOD | bad))


def test_good_input_in_other_clothes():
    plain = evaluate(**GOOD)
    dressed = evaluate(
        np.array(GOOD["label"], bool),
        pd.Series(GOOD["score"], index=list("wxyz"), dtype="float32"),
        pd.Categorical(GOOD["patient"]),
    )
    pd.testing.assert_frame_equal(plain, dressed)


def test_predictions_that_are_not_whole_are_named(table):
    with pytest.raises(ValueError, match="'a' lack patient, score"):
        compare({"a": table.drop(columns=["patient", "score"])})
    with pytest.raises(ValueError, match="no 'test' rows, only 'valid'"):
        compare({"a": table.assign(split="valid")})
    with pytest.raises(ValueError, match="no predictions"):
        compare({})


# ---- figures


def test_figures_say_what_they_show(table):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    models = {"one": table, "two": table.assign(score=table["score"] ** 2)}
    figures = [
        plot_confusion(models, title="found"),
        plot_thresholds(models, title="found"),
        plot_roc(models, title="found"),
        plot_precision_recall(models, (None, 0.033), title="found"),
        plot_comparison(compare(models, formatted=False), title="found"),
    ]
    for fig in figures:
        words = [t.get_text() for t in fig.findobj(matplotlib.text.Text)]
        assert "found" in words
        assert {"one", "two"} <= {w.split(",")[0] for w in words}
        assert all(ax.get_xlabel() for ax in fig.axes)
        plt.close(fig)


# ---- McNemar


def test_mcnemar_counts_what_only_one_gets_right():
    label = np.r_[np.ones(50, int), np.zeros(50, int)]
    right, wrong = np.where(label, 0.9, 0.1), np.where(label, 0.1, 0.9)
    only_b, only_a = np.arange(100) < 15, np.arange(100) >= 95
    plain = {"file": [f"{i}.png" for i in range(100)], "patient": "C1", "split": "test"}

    def table(score):
        return pd.DataFrame(plain | {"label": label, "score": score})

    a, b = table(np.where(only_b, wrong, right)), table(np.where(only_a, wrong, right))
    assert mcnemar(a, b) == (
        5,
        15,
        pytest.approx(0.04138947),
    )  # 2 · Σ C(20, k) / 2²⁰ for k = 0 to 5
    assert mcnemar(b, a) == (15, 5, pytest.approx(0.04138947))
    with pytest.raises(ValueError):
        mcnemar(a, b[1:])
