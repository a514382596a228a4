"""What chapter 19 says of 200 patients, from recorded out-of-fold scores of the small network."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.evaluation import evaluate
from malaria_nb.intervals import ratio_interval
from malaria_nb.leakage import out_of_fold
from malaria_nb.parasitaemia import parasitaemia
from malaria_nb.patients import at_parasitaemia, patient_scores
from malaria_nb.records import load, read_table
from malaria_nb.screening import limit_of_detection
from malaria_nb.spread import fit_spread, log_likelihood

complete = True

folds = [load("compact", f"patient-fold{k}").predictions for k in range(1, 6)]
patients = patient_scores(out_of_fold(folds))
well = patients["label"] == 0
sick = ~well


def auc(share):
    "With its interval: a row is a patient, so each patient is left out in turn."
    return rounded(evaluate(patients["label"], share).loc["auc"])


at = {p: auc(at_parasitaemia(patients, p)) for p in (0.05, 0.033, 0.01, 0)}
claim(
    "The AUC is 0.985 (0.957–0.992): in more than 98 of 100 pairs",
    auc(patients["share"]) == [0.985, 0.957, 0.992],
)
claim("The AUC over patients was 0.985.", auc(patients["share"])[0] == 0.985)

fold = pd.concat([f[f["split"] == "test"].assign(fold=k) for k, f in enumerate(folds)])
fold = fold.groupby("patient")["fold"].first().reindex(patients.index)
cuts = [patients.loc[well & (fold != k), "share"].max() for k in range(5)]
called = patients["share"] > fold.map(dict(enumerate(cuts)))
claim(
    """The rule finds 132 of 150 infected patients (Wilson's interval takes the thresholds as given)
    and raises a false alarm in one of the 50 uninfected.""",
    (called[sick].sum(), sick.sum(), called[well].sum(), well.sum()) == (132, 150, 1, 50),
    rounded(parasitaemia(132, 150)) == [0.88, 0.818, 0.923],
)


def alarms_of_random_scores(rng):
    "How many of the 50 lie above the highest of the other folds when the scores say nothing."
    score = rng.random(well.sum())
    whose = fold[well].to_numpy()
    return sum((score[whose == k] > score[whose != k].max()).sum() for k in range(5))


random_alarms = [alarms_of_random_scores(np.random.default_rng(i)) for i in range(2000)]
claim(
    """even random scores would rarely put more than two above the highest of the other folds.""",
    np.mean(np.isin(random_alarms, (1, 2))) > 0.95,
)
kept = patients.index != "C214"
less = [patients.loc[well & kept & (fold != k), "share"].max() for k in range(5)]
claim(
    "Without C214 the rule finds 142, beyond that interval.",
    (patients["share"] > fold.map(dict(enumerate(less))))[sick].sum() == 142,
    142 / 150 > 0.923,
)
parasitized = out_of_fold(folds).groupby("patient")["label"].mean().reindex(patients.index)
claim(
    """all 18 patients that it misses are among the 24 with under 10 %.""",
    (sick & ~called).sum() == 18,
    (parasitized[sick] < 0.1).sum() == 24,
    parasitized[sick & ~called].max() < 0.1,
)
claim(
    "10.4 % in four folds, 4.5 % in the one where C214 is tested.",
    sorted(rounded(100 * cut, 1) for cut in cuts) == [4.5, 10.4, 10.4, 10.4, 10.4],
    fold[patients["share"][well].idxmax()] == int(np.argmin(cuts)),
)
claim(
    """five folds by patient, seed 42, so that each of the 200 patients was scored by a network
    that had not met them.""",
    len(patients) == 200,
)
given(
    "in the data set half of the cells are parasitized, in the smears they came from 3.3 %",
    "Kassim 2021",
)
rates = patients["false_alarms"] / patients["uninfected"]
claim(
    "At 5 % the AUC is 0.961, at 1 % it is 0.730 (0.619–0.808).",
    at[0.05][0] == 0.961,
    at[0.01] == [0.73, 0.619, 0.808],
)
claim(
    "and the AUC is still 0.590. Its interval (0.494–0.669) just includes 0.5.",
    at[0] == [0.59, 0.494, 0.669],
)


def pooled(who):
    return ratio_interval(patients["false_alarms"][who], patients["uninfected"][who]).loc[0]


def rate_of(who):
    return patients["false_alarms"][who].sum() / patients["uninfected"][who].sum()


deal = np.random.default_rng(0)
deals = [deal.permutation(well.to_numpy()) for _ in range(5000)]
dealt = [rate_of(~some) - rate_of(some) for some in deals]

claim(
    """in 2.3 % of their uninfected cells (1.9–3.2) against 1.4 % (1.0–2.3), but a permutation test
    can't exclude chance: with the 200 patients' labels shuffled, so large a difference comes in 9
    of 100 shuffles.""",
    len(patients) == 200,
    0.08 < np.mean(np.abs(dealt) >= pooled(sick)["value"] - pooled(well)["value"]) < 0.095,
    rounded(100 * pooled(sick), 1) == [2.3, 1.9, 3.2],
    rounded(100 * pooled(well), 1) == [1.4, 1.0, 2.3],
    well.sum() == 50,
)
claim("<details><summary>about 0.7</summary>", 0.65 < at[0.01][0] < 0.75)
claim(
    "false alarms that number none in some patients and ten in others.",
    rates.min() == 0,
    (rates >= 0.1).sum() >= 2,
)
claim(
    "63 to 134 uninfected ones.",
    (patients["uninfected"].min(), patients["uninfected"].max()) == (63, 134),
)
claim("A rate of 1.4 % means one false alarm in 70 cells", rounded(1 / 70, 3) == rounded(0.014, 3))

rng = np.random.default_rng(19)
rate_all, found_rate = (
    patients["false_alarms"].sum() / patients["uninfected"].sum(),
    patients["found"].sum() / patients["parasitized"].sum(),
)
luck = shown("ax.bar(places, width")


def null(p, draws=500):
    "Draw the patients again with the same two rates, as the chapter does, with another seed."
    found = []
    for _ in range(draws):
        drawn = patients.assign(
            false_alarms=rng.binomial(patients["uninfected"], rate_all),
            found=rng.binomial(patients["parasitized"], found_rate),
        )
        score = at_parasitaemia(drawn, p)
        lead = score[sick].to_numpy()[:, None] - score[well].to_numpy()
        found.append(np.mean((lead > 0) + (lead == 0) / 2))
    return np.quantile(found, [0.5, 0.025, 0.975])


nulls = {p: null(p) for p in at}
claim(
    """Even with no differences the median AUC falls, to 0.917 at 3.3 % and 0.630 (0.531–0.726) at 1
    %""",
    abs(nulls[0.033][0] - 0.917) < 0.01,
    np.abs(nulls[0.01] - [0.63, 0.531, 0.726]).max() < 0.015,
)
claim(
    """At 1 % the recorded AUC lies just above the bar, at zero at its edge: there, the infected
    patients' higher rate of false alarms counts most.""",
    at[0.01][0] > nulls[0.01][2],
    abs(at[0][0] - nulls[0][2]) < 0.02,
    all(nulls[p][1] < at[p][0] < nulls[p][2] for p in (0.05, 0.033)),
)
claim(
    "The grey bars contain the middle 95 % of such AUCs.",
    "just above" in luck,
)

alarms, counted = patients["false_alarms"][well], patients["uninfected"][well]
rate = alarms.sum() / counted.sum()
percentile = np.quantile(alarms / counted, 0.95)
same = rng.binomial(counted, rate, (4000, len(counted))) / counted.to_numpy()
worst = np.quantile(same, 0.95, axis=1)
claim(
    """Their mean rate of false alarms is 1.4 %. The 95th percentile of the 50 rates is 4.4 %,
    three times as high.""",
    rounded(100 * rate, 1) == 1.4,
    rounded(100 * percentile, 1) == 4.4,
    round(percentile / rate) == 3,
)
claim("Their *own* rates would all be 1.4 %.", rounded(100 * rate, 1) == 1.4)
claim("rates measured on about 68 cells", round(counted.mean()) == 68)
claim("With 68, three false alarms already make 4.4 %.", rounded(300 / 68, 1) == 4.4)
claim(
    """With one rate for all, the 95th percentile is 3.9 % on average, and lies between 2.9 and
    5.2 % in 95 of 100 draws. The recorded 4.4 % is well inside.""",
    rounded(100 * worst.mean(), 1) == 3.9,
    [rounded(100 * x, 1) for x in np.quantile(worst, [0.025, 0.975])] == [2.9, 5.2],
)

fit = fit_spread(alarms, counted, found_rate)
whose = fold[well]
by_network = [whose == k for k in range(5)]


def lost_without_spread(groups):
    "How much lower the log-likelihood is without a spread; each group has a mean of its own."
    correlations, total = np.r_[1e-6, np.geomspace(5e-4, 0.5, 100)], 0
    for group in groups:
        pairs = np.meshgrid(np.geomspace(0.001, 0.1, 200), correlations, indexing="ij")
        total = total + log_likelihood(alarms[group], counted[group], *pairs).max(0)
    return total.max() - total[0]


percent = {name: [rounded(100 * x, 1) for x in row] for name, row in fit.T.items()}
claim(
    """The mean is 1.4 % (1.0–2.1), the standard deviation between patients 1.4 points (0.7–2.6),
    and the 95th percentile lies at 4.1 % (2.5–7.2).""",
    percent["rate"] == [1.4, 1.0, 2.1],
    percent["spread"] == [1.4, 0.7, 2.6],
    percent["line"] == [4.1, 2.5, 7.2],
)
claim(
    """The region reaches down to a standard deviation of 0.7 points between patients, and not to
    zero: patients differ, or the five networks that scored them do.""",
    percent["spread"][1] == 0.7,
    well.sum() == 50,
    lost_without_spread([well[well]]) > 1.92,
)
others = alarms.index != "C214"
without = (100 * fit_spread(alarms[others], counted[others], found_rate)).round(1)
claim(
    """C214 has 7 false alarms in 67 cells, no other patient more than 3. **Without C214 zero fits,
    too** (0.9 points, 0.0–1.9), and likewise if each network has a mean of its own.""",
    (alarms["C214"], counted["C214"], alarms[others].max()) == (7, 67, 3),
    without.loc["spread"].tolist() == [0.9, 0.0, 1.9],
    1.92 > lost_without_spread(by_network) > 0,
)
claim("But half of the uninfected patients have none.", (alarms == 0).mean() == 0.5)
given(
    "Chapter 07 guessed half a point; there, 20 uninfected patients give 0.6 (0.0–2.7).",
    "chapter 07's ledger",
)

tried = read_table("19_patients-spread")
claim(
    "1,000 studies for each pair of values, with 68 cells per patient",
    "1000 studies a row, 68 cells a patient" in tried.attrs["about"]["draws"],
)
held = tried[["rate", "spread", "line", "limit"]]
fifty = tried[tried["patients"] == 50]
claim(
    """With 50 patients, the intervals contain them in 94.6 to 98.9 % of the studies; with 20 and
    150 patients (in the record) in 93.4 to 99.5 %.""",
    (held[tried["patients"] == 50].min().min(), held[tried["patients"] == 50].max().max())
    == (94.6, 98.9),
    (held[tried["patients"] != 50].min().min(), held[tried["patients"] != 50].max().max())
    == (93.4, 99.5),
)
claim(
    """where nobody differs, the true 95th percentile is the rate itself, 1.4 %, and the 95th
    percentile of the observed rates is 3.8 %.""",
    fifty[fifty["spread, points"] == 0]["true line, %"].item() == 1.4,
    rounded(fifty[fifty["spread, points"] == 0]["observed percentile, %"].item(), 1) == 3.8,
)

claim(
    "With the same rate for all patients, 5,000 cells show a parasitaemia of 0.7 %.",
    rounded(100 * limit_of_detection(1 - rate, found_rate, 5000), 1) == 0.7,
)
limits = shown("limits.loc[[100, 1_000, 5_000, 50_000]].round(2)")
claim(
    """With the same rate for all, the limit falls from 1.61 % at 1,000 cells to 0.66 % at 5,000
    and 0.20 % at 50,000. With patients who differ it is 5.10 %, 4.50 % and 4.32 %: seven times
    as high at 5,000 cells, and close to a floor of 4.3 % (2.3–7.6, the grey band) that no number
    of cells gets below.""",
    "1000 1.61 5.10 5000 0.66 4.50 50000 0.20 4.32" in limits,
    round(4.50 / 0.66) == 7,
    percent["limit"] == [4.3, 2.3, 7.6],
)
claim(
    "without C214 it begins at zero (3.0 %, 0.0–5.8).",
    without.loc["limit"].tolist() == [3.0, 0.0, 5.8],
)
there = patients["parasitized"][sick]
missed = fit_spread(there - patients["found"][sick], there)
claim(
    "it assumes one sensitivity for all patients, and theirs vary, too.",
    missed.loc["spread", "low"] > 0.05,
)
claim(
    "<details><summary>about 4.5 %, and hardly less</summary>",
    "5000 0.66 4.50 50000 0.20 4.32" in limits,
)
claim(
    """Over five networks the false-alarm rate is 1.4 %, with a standard deviation of 1.4 points
    between patients: the limit of detection at 5,000 cells rises from 0.7 % to about 4.5 % (its
    floor: 2.3 to 7.6 %, but from 0 without one patient).""",
    percent["limit"][1:] == [2.3, 7.6],
    (percent["rate"][0], percent["spread"][0]) == (1.4, 1.4),
    "5000 0.66 4.50" in limits,
)

# settings, definitions, answers to choose, and what others report
given(
    "At a parasitaemia of 1 %, one cell in 100 is classified as parasitized at the first rate",
    "the definition",
)
given("if every infected patient has a parasitaemia of 1 %", "the chapter's setting")
given("Then raise the parasitaemia until 95 of 100 infected patients exceed it.", "the definition")
given("find the count that 95 of 100 stay within", "the definition")
given("the 95th percentile of the uninfected patients' own rates (`line`)", "the definition")
given("one uninfected patient in 20 lies above it", "the definition")
given("whose own rate is the 5th percentile (`low`)", "the definition")
given("*p*·sensitivity + (1 − *p*)·`low`", "the definition")
given("74.1 % (63.5–83.0) | 71.8 % (61.0–81.0)", "Yu 2023, abstract")
given("tried afterwards (85) | 91.8 % (83.8–96.6) | not in the abstract", "Yu 2023, abstract")
given("| 83.1 % (77.0–88.1) | 81.0 % (74.6–86.3)", "Yu 2023, abstract")
given(
    "Yu et al. (2023) took a phone application to two sites near Khartoum, with 190 patients",
    "Yu 2023, abstract",
)


def exact(k, n):
    "A proportion and its exact binomial interval, per cent."
    ends = binomtest(int(k), n).proportion_ci(method="exact")
    return tuple(rounded([100 * k / n, 100 * ends.low, 100 * ends.high], 1))


claim("another rule for the same patients gave 17.7 points more", rounded(91.8 - 74.1, 1) == 17.7)
claim(
    """after calibrating a threshold (85 patients)""",
    exact(63, 85) == (74.1, 63.5, 83.0),
    exact(61, 85) == (71.8, 61.0, 81.0),
)
claim("it will do so for the next 85", exact(78, 85) == (91.8, 83.8, 96.6))
claim(
    "tried afterwards (189)",
    exact(153, 189) == (81.0, 74.6, 86.3),
    # 76.95, which the abstract rounds up
    np.allclose(exact(157, 189), (83.1, 77.0, 88.1), atol=0.11),
)
given("the other 99 at the second.", "the definition")
given("we draw 200 that do not differ at all", "the chapter's setting")
given("we use only the 50 patients in whom no cell was marked", "the claim on 1 of 50")
given("The 95th percentile of the 50 rates", "the claim on 1 of 50")
given("What would it be if all 50 had the same rate?", "the claim on 1 of 50")
given("<details><summary>about 2.5 %</summary>", "an answer to choose")
claim(
    "That would be right for 300 cells or so.",
    abs(np.quantile(rng.binomial(300, rate, (4000, 50)) / 300, 0.95, axis=1).mean() - 0.025)
    < 0.002,
)
given("those whose log-likelihood is at most 1.92 lower", "the definition")
given("1.92 is half of 3.84, chi-square's 95 % point", "chi2.ppf(0.95, 1) / 2, as exported")
given("the ends of its 95 % interval (a *profile likelihood* interval", "the definition")
given("Read 5,000 cells instead of 68", "the chapter's setting")
given("what do 5,000 cells show, and what do 50,000?", "the chapter's setting")
given("<details><summary>about 1 %, and 0.3 %</summary>", "an answer to choose")
claim(
    "a true 3 % looks like a healthy patient with many",
    0.03 < fit.loc["limit", "value"],
)
given("<details><summary>about 4.5 %, and 1.4 %</summary>", "an answer to choose")
claim("since it comes from 50 patients", well.sum() == 50)
given("50 patients are too few to tell.", "the claim on 1 of 50")
