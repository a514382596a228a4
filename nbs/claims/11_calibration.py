"""What chapter 11 says of seven recorded runs: scores, thresholds, costs and sets."""

import numpy as np
import pandas as pd

from malaria_nb.brier import brier_parts
from malaria_nb.calibration import (
    calibration_error,
    null_errors,
    reliability,
    shift_prior,
    temper,
)
from malaria_nb.claims import claim, rounded, shown
from malaria_nb.conformal import conformal_limits, conformal_sets, coverage
from malaria_nb.decisions import cost_curve, refer, threshold_for_specificity
from malaria_nb.evaluation import at_prevalence, metrics
from malaria_nb.intervals import patient_interval
from malaria_nb.records import load
from malaria_nb.temperature import fit_temperature, temperature_interval

RECIPES = {
    "basic CNN": ("basic_cnn", (42,)),
    "VGG-19 frozen": ("vgg19_frozen", (42, 43, 44)),
    "purple threshold": ("purple_threshold", (42, 43, 44)),
}
tables = {
    f"{model}, {seed}": load(recipe, "patient", seed).predictions
    for model, (recipe, seeds) in RECIPES.items()
    for seed in seeds
}
test = {name: t[t["split"] == "test"] for name, t in tables.items()}
valid = {name: t[t["split"] == "valid"] for name, t in tables.items()}
FIRST = [f"{model}, 42" for model in RECIPES]
CNN, VGG, PURPLE = FIRST
FROZEN = [f"VGG-19 frozen, {seed}" for seed in (42, 43, 44)]
cnn = test[CNN]
ODD = ["C13", "C38", "C92"]


def y_p(t):
    "Labels and scores of a table."
    return t["label"], t["score"]


def cross_entropy(label, score):
    return float(-np.log(np.where(label == 1, score, 1 - score)).mean())


def tempered(name):
    "The test cells' scores, tempered on the validation cells."
    return temper(test[name]["score"], fit_temperature(*y_p(valid[name])))


# the cells
claim(
    "nearly 2,000 validation cells, of only **14 patients**.",
    {len(t) for t in valid.values()} <= {1928, 1929},
    {t["patient"].nunique() for t in valid.values()} == {14},
)
claim(
    "whatever is *reported* is reported on the 60 test patients.",
    {t["patient"].nunique() for t in test.values()} == {60},
    all(8267 <= len(t) <= 8269 for t in test.values()),
    {rounded(t["label"].mean(), 2) for t in (*valid.values(), *test.values())} == {0.5},
)

# reliability
surest = [reliability(*y_p(test[name]), test[name]["patient"]).iloc[-1] for name in FROZEN]
promised = [round(1000 * (1 - r["score"])) for r in surest]
false = [round(1000 * (1 - r["share"])) for r in surest]
claim(
    """The frozen VGG-19 calls 92 % of the test cells rightly. Take its surest alarms, those
    with a score of 0.9 or more; the mean of these scores is 0.991.""",
    rounded(metrics(*y_p(test[VGG]))["accuracy"], 2) == 0.92,
    rounded(surest[0]["score"]) == 0.991,
)
claim("Yes: about four times as many as it says.", rounded(false[0] / promised[0], 0) == 4)
claim(
    """Of 1,000 such alarms 35 are false (95 % interval by patient 17 to 75), where the scores
    promise 9. The other two seeds say the same: 7 promised and 33 false, 8 promised and 23
    false, and no interval reaches its promise.""",
    false == [35, 33, 23],
    promised == [9, 7, 8],
    [round(1000 * (1 - surest[0][end])) for end in ("high", "low")] == [17, 75],
    all(r["high"] < r["score"] for r in surest),
)
dent = cnn[cnn["score"].between(0.4, 0.5)]
lower = cnn[cnn["score"].between(0.2, 0.3)]
most = dent["patient"].value_counts()
claim(
    """of the cells scored 0.4 to 0.5 only 16 % are parasitized, fewer than of those scored 0.2
    to 0.3.""",
    rounded(dent["label"].mean(), 2) == 0.16,
    lower["label"].mean() > dent["label"].mean(),
)
claim(
    "Three of 60 patients gave 89 of those 148 cells.",
    (int(most.iloc[:3].sum()), len(dent)) == (89, 148),
    list(most.index[:3]) == ODD,
    most.iloc[3] < 10,
)
c13 = cnn[cnn["patient"] == "C13"]
claim(
    """One of them, C13, has no parasitized cell; all of its 69 cells were scored between 0.36
    and 0.92, half of them below 0.47.""",
    len(c13) == 69,
    not c13["label"].any(),
    c13["score"].between(0.36, 0.92).all(),
    rounded(c13["score"].median(), 2) == 0.47,
)
claim(
    """Without the three patients 39 % of the bin's cells are parasitized, and the dent is
    nearly gone""",
    rounded(dent["label"][~dent["patient"].isin(ODD)].mean(), 2) == 0.39,
)

# the Brier score and the calibration error
exact = brier_parts(*y_p(cnn))
binned = {name: brier_parts(*y_p(test[name]), 15, "count") for name in FIRST}
claim(
    "(*Uncertainty*, 0.25 in all rows, is left out.)",
    {rounded(b["uncertainty"]) for b in binned.values()} == {0.25},
)
claim(
    """Exact, the CNN's is almost its whole Brier score; in 15 bins it is a thirty-seventh of
    that.""",
    exact["reliability"] > 0.95 * exact["brier"],
    round(exact["reliability"] / binned[CNN]["reliability"]) == 37,
)
claim(
    "With every score a bin, most of the CNN's bins hold one cell",
    (cnn["score"].value_counts() == 1).mean() > 0.9,
)
distinct = {name: test[name]["score"].nunique() for name in FIRST}
claim(
    "(The purple threshold has few distinct scores, so it suffers least.)",
    min(distinct, key=distinct.get) == PURPLE,
    distinct[PURPLE] == 980,
)
claim(
    "the remainder (in size larger than the reliability of two of the three models)",
    [n for n, b in binned.items() if abs(b["remainder"]) > b["reliability"]] == [VGG, PURPLE],
)
claim(
    """With more than 8,000 test cells the bias is small, and all seven runs lie far beyond what
    chance would give.""",
    min(map(len, test.values())) > 8000,
    all(
        calibration_error(*y_p(t)) > np.quantile(null_errors(t["score"].to_numpy()), 0.975)
        for t in test.values()
    ),
)

# temperature
before = {name: temper(t["score"], 1) for name, t in test.items()}
after = {name: tempered(name) for name in test}
fall = pd.Series(
    {
        name: cross_entropy(t["label"], before[name]) - cross_entropy(t["label"], after[name])
        for name, t in test.items()
    }
)
rise = pd.Series(
    {
        name: calibration_error(t["label"], after[name]) - calibration_error(*y_p(t))
        for name, t in test.items()
    }
)
claim(
    "Accuracy and AUC stay as they are.",
    all(
        np.allclose(
            metrics(t["label"], before[name])[["accuracy", "auc"]],
            metrics(t["label"], after[name])[["accuracy", "auc"]],
            atol=1e-12,
        )
        for name, t in test.items()
    ),
)
claim(
    "Cross-entropy falls in six of seven runs, most for the three frozen VGG-19.",
    list(fall.index[fall < 0]) == ["purple threshold, 43"],
    set(fall.nlargest(3).index) == set(FROZEN),
)
of_43 = test["purple threshold, 43"]
cut = np.clip(after["purple threshold, 43"], 1e-7, 1 - 1e-7)
claim(
    """Cut off after it, too, it falls as well, and the difference is made by 14 uninfected
    cells of 8,267.""",
    rounded(cross_entropy(of_43["label"], before["purple threshold, 43"]), 4) == 0.1787,
    rounded(cross_entropy(of_43["label"], after["purple threshold, 43"]), 4) == 0.1841,
    rounded(cross_entropy(of_43["label"], cut), 4) == 0.1779,
    int(((after["purple threshold, 43"] != cut) & (of_43["label"] == 0)).sum()) == 14,
    len(of_43) == 8267,
)
claim(
    "The ECE falls in five; for the basic CNN and for one purple threshold it rises a little.",
    list(rise.index[rise > 0]) == [CNN, PURPLE],
    rise.max() < 0.002,
)


def ends(t, by):
    return temperature_interval(*y_p(t), by)


by_patient = {name: ends(t, t["patient"]) for name, t in valid.items()}
by_cell = {name: ends(t, None) for name, t in valid.items()}
claim(
    "The intervals by patient are the wider ones.",
    all(
        by_patient[n]["high"] - by_patient[n]["low"] > by_cell[n]["high"] - by_cell[n]["low"]
        for n in valid
    ),
)
claim(
    """The temperature of the frozen VGG-19 may be 1.3 or 2.1, and with one seed of three the
    interval reaches below 1.""",
    rounded(min(fit_temperature(*y_p(valid[n])) for n in FROZEN), 1) == 1.3,
    rounded(by_patient[VGG]["high"], 1) == 2.1,
    sum(by_patient[n]["low"] < 1 for n in FROZEN) == 1,
)
outside = [
    name
    for name, t in test.items()
    if not by_patient[name]["low"] <= fit_temperature(*y_p(t)) <= by_patient[name]["high"]
]
claim(
    "In one of seven runs they lie outside the interval",
    outside == ["purple threshold, 43"],
)


# a threshold for a specificity
def chosen(name, confidence=None):
    v = valid[name]
    return threshold_for_specificity(*y_p(v), 0.95, v["patient"], confidence)


def kept(name, confidence=None):
    return metrics(*y_p(test[name]), chosen(name, confidence))


plain = {name: kept(name) for name in test}
cautious = {name: kept(name, 0.95) for name in test}
plain_kept, cautious_kept = (
    [m["specificity"] for m in found.values()] for found in (plain, cautious)
)
healthy = cnn.groupby("patient").filter(lambda t: not t["label"].any())
alarmed = healthy.groupby("patient")["score"].max() >= chosen(CNN)
claim(
    """with the threshold found below the CNN still raises an alarm in 18 of the 20 test
    patients without a parasitized cell.""",
    (int(alarmed.sum()), len(alarmed)) == (18, 20),
)
claim(
    """Two of seven keep it; with the cautious threshold five do. The worst falls to 87 % and,
    cautiously, to 94 %.""",
    [sum(s >= 0.95 for s in found) for found in (plain_kept, cautious_kept)] == [2, 5],
    rounded(100 * min(plain_kept), 0) == 87,
    rounded(100 * min(cautious_kept), 0) == 94,
)
claim(
    """The lower limit of an interval from 14 patients covers only what those 14 can show; two of
    seven runs miss the promise nevertheless.""",
    sum(s < 0.95 for s in cautious_kept) == 2,
)
claim(
    """What caution costs stands in the column beside it: in every run fewer parasites are
    found.""",
    all(cautious[n]["sensitivity"] < plain[n]["sensitivity"] for n in test),
)

# a threshold for a cost
SHARES = np.linspace(0.01, 0.99, 99)


def costs_of(name):
    y, p = y_p(test[name])
    searched = cost_curve(*y_p(valid[name]), shares=SHARES)["threshold"]
    return pd.DataFrame(
        {
            "always 0.5": cost_curve(y, p, 0.5, SHARES)["cost"],
            "believed": cost_curve(y, p, 1 - SHARES, SHARES)["cost"],
            "tempered": cost_curve(y, after[name], 1 - SHARES, SHARES)["cost"],
            "searched": cost_curve(y, p, searched, SHARES)["cost"],
            "hindsight": cost_curve(y, p, shares=SHARES)["cost"],
        }
    )


costs = {name: costs_of(name) for name in test}
cost = pd.DataFrame({name: c.mean() for name, c in costs.items()}).T
claim(
    """Where a curve is above the tent, the model at that threshold is worse than none; that
    happens to 0.5 at both ends.""",
    all(
        costs[n]["always 0.5"].iloc[0] > 0.01 and costs[n]["always 0.5"].iloc[-1] > 0.01
        for n in FIRST
    ),
)
saved = 1 - cost[["believed", "tempered"]].div(cost["always 0.5"], axis=0).to_numpy()
claim(
    """Searched or believed, the costs are close: within some 3 % of each other in all seven
    runs, now one ahead and now the other, and 13 to 24 % below those of 0.5.""",
    (cost["tempered"] / cost["searched"] - 1).abs().max() < 0.03,
    (cost["believed"] / cost["searched"] - 1).abs().max() < 0.033,
    (cost["tempered"] < cost["searched"]).sum() == 4,
    rounded([saved.min(), saved.max()], 2) == [0.13, 0.24],
    (cost["always 0.5"] == cost.max(axis=1)).all(),
    (cost["hindsight"] == cost.min(axis=1)).all(),
)
by_mending = 1 - cost["tempered"] / cost["believed"]
claim(
    "Mending them saves at most another 2.4 %.",
    rounded(100 * by_mending.max(), 1) == 2.4,
    (by_mending > 0).sum() == 6,
)
fine = np.linspace(0, 1, 20_001)
whole = {n: cost_curve(*y_p(test[n]), 1 - fine, fine)["cost"].mean() for n in FIRST}
claim(
    """They are the same (and slightly below the column above, which averages $w$ from 0.01 to
    0.99, this one from 0 to 1).""",
    all(abs(whole[n] - brier_parts(*y_p(test[n]))["brier"]) < 2e-4 for n in FIRST),
    all(0 < cost.loc[n, "believed"] - whole[n] < 0.001 for n in FIRST),
)


# another prevalence
def worth(name, prevalence):
    m = metrics(*y_p(test[name]))
    return at_prevalence(m["sensitivity"], m["specificity"], prevalence)


claim(
    """Of the alarms that are right 19 times in 20 here, four in ten are right at 3.3 % (basic
    CNN), and at 1 % most alarms are false, whichever model raises them.""",
    rounded(worth(CNN, 0.5)["ppv"], 2) == 0.95,
    [rounded(worth(n, 0.033)["ppv"], 2) for n in FIRST] == [0.41, 0.30, 0.56],
    all(worth(n, 0.01)["ppv"] < 0.28 for n in FIRST),
)
claim(
    "All-clears gain what alarms lose, and say little",
    all(worth(n, 0.01)["npv"] > 0.999 for n in FIRST),
)
claim(
    "0.235. In general, odds are multiplied by the ratio of the odds there and here",
    rounded(shift_prior([0.9], 0.033)[0]) == 0.235,
)
healthy_cells = cnn[cnn["label"] == 0]
n_rare = round(len(healthy_cells) * 0.033 / 0.967)
rare = pd.concat([healthy_cells, cnn[cnn["label"] == 1].sample(n_rare, random_state=0)])
rare = rare.assign(raw=temper(rare["score"], fit_temperature(*y_p(valid[CNN]))))
rare["score"] = shift_prior(rare["raw"], 0.033)
shifted = reliability(*y_p(rare), rare["patient"])
claim(
    "Shifted, nearly all of the error is gone",
    0.09 < calibration_error(rare["label"], rare["raw"], 10, "width") < 0.11,
    calibration_error(*y_p(rare), 10, "width") < 0.015,
)
claim(
    "where the shifted score says 0.96, 70 % are parasitized (0.50 to 0.85).",
    rounded(shifted.iloc[-1][["score", "share", "low", "high"]], 2) == [0.96, 0.70, 0.50, 0.85],
)
claim(
    """(Before it, eight of the ten squares are of 11 to 31 cells, so little can be said of
    them.)""",
    len(shifted) == 10,
    shifted["cells"].iloc[1:-1].agg(["min", "max"]).tolist() == [11, 31],
)
sure = (rare["label"] == 0) & (rare["score"] >= 0.9)
claim(
    """a shifted score of 0.9 is a tempered one of 0.996, only 21 of 4,134 uninfected cells are
    above it""",
    rounded(rare["raw"][rare["score"] >= 0.9].min()) == 0.996,
    (int(sure.sum()), len(healthy_cells)) == (21, 4134),
)
claim(
    "A threshold of 0.5 on the shifted score is one of 0.967 on the raw one",
    rounded(shift_prior([0.967], 0.033)[0]) == 0.5,
)


# refer the doubtful
def referred(name, share):
    "Share of the test cells referred, at the margin that refers this share of validation cells."
    r = refer(*y_p(valid[name]))
    margin = r.index[r["referred"] <= share].max()
    on_test = refer(*y_p(test[name]))
    return on_test[on_test.index >= margin].iloc[0]["referred"]


def accuracy_with(share, t):
    r = refer(*y_p(t))
    return r["accuracy"][r["referred"] <= share].iloc[-1]


tied = refer(*y_p(test[PURPLE]))["referred"]
claim(
    """(The purple threshold's line ends at 43 %: the next 9 % of its cells all lie equally near
    to 0.5""",
    rounded(tied[tied <= 0.5].max(), 2) == 0.43,
    rounded(tied[tied > 0.5].min() - tied[tied <= 0.5].max(), 2) == 0.09,
)
claim(
    "for one tenth on validation it is 11 %, 8 % and 4 % on the test cells.",
    [rounded(100 * referred(n, 0.1), 0) for n in FIRST] == [11, 8, 4],
)
claim("No curve reaches 100 %", accuracy_with(0.5, cnn) < 0.99)


def lead(share):
    "Of the CNN over the threshold in accuracy, and its interval."
    a, b = (test[k].sort_values("file", ignore_index=True) for k in (CNN, PURPLE))
    value = pd.Series({"lead": accuracy_with(share, a) - accuracy_with(share, b)})
    kept = [a["patient"] != p for p in a["patient"].unique()]
    without = [accuracy_with(share, a[k]) - accuracy_with(share, b[k]) for k in kept]
    without = pd.DataFrame({"lead": without})
    return patient_interval(value, without, bounds=(-np.inf, np.inf)).loc["lead"]


alone, helped = lead(0), lead(0.2)
claim(
    """alone, no difference can be shown; with a fifth referred, the CNN is ahead by nearly a
    point, but the interval still includes zero.""",
    alone["low"] < 0 < alone["high"],
    helped["low"] < 0 < helped["high"],
    0.0075 < accuracy_with(0.2, test[CNN]) - accuracy_with(0.2, test[PURPLE]) < 0.0095,
)
r = refer(*y_p(cnn))
doubted = (cnn["score"] - 0.5).abs() < r.index[r["referred"] <= 0.2].max()
mistaken = ((cnn["score"] >= 0.5) != cnn["label"]) & cnn["patient"].isin(ODD)
claim(
    "of the 86 that it makes on the cells of C13, C38 and C92, a person would now see 79.",
    (int(mistaken.sum()), int((mistaken & doubted).sum())) == (86, 79),
)


# sets with a guarantee
def sets_of(name, by_label=False):
    return conformal_sets(
        test[name]["score"], conformal_limits(*y_p(valid[name]), 0.1, by_label=by_label)
    )


def of_classes(name, by_label):
    t = test[name]
    return coverage(t["label"], sets_of(name, by_label), t["label"])["coverage"].to_numpy()


found = pd.Series(
    {n: coverage(t["label"], sets_of(n))["coverage"].iloc[0] for n, t in test.items()}
)
claim("90 % was promised, and about 90 % came out.", 0.89 < found[CNN] < 0.91)
claim(
    "With one limit, over all cells, [coverage](glossary.md#coverage) runs from 84 % to 94 %.",
    rounded(100 * found.min(), 0) == 84,
    rounded(100 * found.max(), 0) == 94,
)
claim(
    """independent ones would have kept it within 1.5 points of 90 % in 19 of 20 runs; here
    three of seven are farther off.""",
    rounded(100 * 1.96 * (0.9 * 0.1 * (1 / 1928 + 1 / 8268)) ** 0.5, 1) == 1.5,
    (~found.between(0.885, 0.915)).sum() == 3,
)
one, own = ({n: of_classes(n, by_label) for n in test} for by_label in (False, True))
claim(
    """in four of seven runs they are farther apart then (the CNN's at 0.859 and 0.924, in place
    of 0.892 and 0.903).""",
    sum(abs(np.diff(own[n])[0]) > abs(np.diff(one[n])[0]) for n in test) == 4,
    rounded(own[CNN]) == [0.859, 0.924],
    rounded(one[CNN]) == [0.892, 0.903],
)
limits = conformal_limits(*y_p(valid[CNN]), 0.1, by_label=False)
per_patient = coverage(cnn["label"], sets_of(CNN), cnn["patient"]).sort_values("coverage")
claim(
    """The first three lines are old acquaintances, and 0 % is no slip of the program: the limit
    leaves no label to a score between 0.16 and 0.84, and that is where nearly all scores of C13
    lie.""",
    set(per_patient.index[:3]) == set(ODD),
    per_patient.loc["C13", "coverage"] == 0,
    rounded(limits.iloc[0], 2) == 0.16,
    per_patient.loc["C13", "none"] > 0.9,
)
claim(
    "Over all cells the promise is kept, and for some patients it is broken badly.",
    (per_patient["coverage"] < 0.8).sum() == 5,
    len(per_patient) == 60,
)
claim(
    "most of their sets are empty, as the column *none* said.",
    per_patient["none"].iloc[:3].min() > 0.65,
    per_patient["coverage"].corr(per_patient["none"], method="spearman") < -0.88,
)


def repeated(t, by, n=300):
    "Coverage in the other patients (or cells) when 14 patients' cells are drawn for calibration."
    rng, patients, found = np.random.default_rng(1), t["patient"].unique(), []
    for _ in range(n):
        drawn = t["patient"].isin(rng.choice(patients, 14, replace=False)).to_numpy()
        if by == "cell":
            drawn = rng.permutation(drawn)
        limit = conformal_limits(*y_p(t[drawn]), 0.1, by_label=False).iloc[0]
        rest = t[~drawn]
        strange = np.where(rest["label"] == 1, 1 - rest["score"], rest["score"])
        found.append((strange <= limit).mean())
    return np.array(found)


many = {by: repeated(cnn, by) for by in ("cell", "patient")}
claim(
    """Drawn cell by cell, calibration cells and new cells share their patients, and the promise
    is kept to within 2.5 percentage points in every study.""",
    np.abs(many["cell"] - 0.9).max() < 0.025,
)
claim(
    "the mean is 89 %, and the single study may be six points off.",
    rounded(100 * many["patient"].mean(), 0) == 89,
    np.quantile(many["patient"], 0.05) < 0.84,
)
claim(
    "The studies scatter as if some 85 independent cells had been drawn, and not 1,928.",
    abs(0.9 * 0.1 / many["patient"].var() - 85) < 5,
    len(valid[CNN]) == 1928,
)


# a perfect model, simulated
def perfect_error(bins, n=200, repeats=60):
    "Mean calibration error of scores that are right by construction."
    rng, found = np.random.default_rng(11), []
    for _ in range(repeats):
        score = rng.beta(0.3, 0.3, n)
        found.append(calibration_error((rng.random(n) < score).astype(int), score, bins))
    return np.mean(found)


claim(
    "Nearly 0.06, though nothing is wrong with the model; with 50 bins almost 0.10.",
    "an error of 0.057 on 200 cells in 15 bins" in shown("sizes_tried, bins_tried = ("),
    0.09 < perfect_error(50) < 0.10,
)
