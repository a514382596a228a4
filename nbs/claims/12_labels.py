"""What chapter 12 says of the lists of corrections, and of models beside them."""

import numpy as np
import pandas as pd

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.intervals import patient_interval
from malaria_nb.labels import confident_joint, true_accuracy
from malaria_nb.records import load, read_table

complete = True
given("Only 50 are wrong, so it can't exceed 50/*k*.", "the readers' errors")

ALL = 27_558
given(
    """Fuhad et al. (2020) list 647 parasitized and 750 uninfected cells of our data set as
    mislabelled: 5.07 % of all labels.""",
    "the two lists that they published",
)
claim(
    "A paper reports an accuracy of 99.5 % on the published labels.",
    rounded(100 * np.array(true_accuracy(0.995, 1397 / ALL)), 1) == [94.4, 95.4],
)
claim(
    "If those 5.07 % are wrong, what follows?",
    rounded(100 * 1397 / ALL, 2) == 5.07,
)
claim(
    "it is wrong about at least 4.5 % of the cells",
    100 * (1 - max(true_accuracy(0.995, 1397 / ALL))) > 4.5,
)

# whose cells are on the lists
patients = read_table("12_labels-patients")
none = patients[patients["parasitized"] == 0]
some = patients[patients["parasitized"] > 0]
ten = patients.nlargest(10, "disputed parasitized")
most = patients.loc[patients["disputed parasitized"].idxmax()]
claim(
    """Ten of the 200 patients, with 26 % of the cells labelled parasitized, have 53 % of those
    that the list calls uninfected, and one, C116, has 90 of them.""",
    rounded(100 * ten["parasitized"].sum() / patients["parasitized"].sum(), 0) == 26,
    rounded(100 * ten["disputed parasitized"].sum() / 647, 0) == 53,
    most.name == "C116",
    most["disputed parasitized"] == 90,
)
claim(
    """But 50 patients have no parasitized cell at all, and 153 of the 750 are theirs, in 48 of
    the 50.""",
    (len(none), len(patients)) == (50, 200),
    none["disputed uninfected"].sum() == 153,
    (none["disputed uninfected"] > 0).sum() == 48,
)


def disputed_shares(t):
    "Of the uninfected cells of patients without and with parasitized ones, and the difference."
    groups = t[t["parasitized"] == 0], t[t["parasitized"] > 0]
    a, b = (g["disputed uninfected"].sum() / g["uninfected"].sum() for g in groups)
    return pd.Series({"none": a, "some": b, "difference": b - a})


share = disputed_shares(patients)
without = pd.DataFrame([disputed_shares(patients.drop(p)) for p in patients.index])
apart = patient_interval(share, without, bounds=(-np.inf, np.inf)).loc["difference"]
claim(
    """4.5 % in the controls, 5.8 % in the others; the interval of the difference just
    includes zero.""",
    rounded([100 * share["none"], 100 * share["some"]], 1) == [4.5, 5.8],
    rounded(share["difference"]) == 0.013,
    -0.002 < apart["low"] < 0 < apart["high"],
)
claim(
    """At the controls' rate, about 460 of the 597 disputed uninfected cells of the other patients
    would be on the list even if none of them held a parasite""",
    round(share["none"] * some["uninfected"].sum(), -1) == 460,
    some["disputed uninfected"].sum() == 597,
)

# confident learning
folds = [load("vgg19_frozen", f"patient-fold{k}").predictions for k in range(1, 6)]
folds = pd.concat([t[t["split"] == "test"] for t in folds], ignore_index=True)
joint = confident_joint(folds["label"], folds["score"]).to_numpy()
claim(
    """so that every one of the 27,558 cells has a score by a model that has not met its
    patient.""",
    len(folds) == ALL,
    folds["file"].is_unique,
    folds["patient"].nunique() == 200,
)
claim(
    "If the table is believed, 3.3 % of the labels are wrong.",
    rounded(50 * (joint[0, 1] / joint[0].sum() + joint[1, 0] / joint[1].sum()), 1) == 3.3,
)
claim(
    "But the model agrees with only 92.1 % of the labels",
    rounded(100 * ((folds["score"] >= 0.5) == folds["label"]).mean(), 1) == 92.1,
)

# three models' suspects
scores, at = read_table("12_labels-ranking"), read_table("12_labels-at-k")
sick, well, every = (
    scores[scores["label"] == kind] for kind in ("parasitized", "uninfected", "both")
)
NETWORKS = ("basic CNN", "VGG-19 frozen")
told = [
    load(name).metrics.loc["accuracy", "value"]
    for name in ("vgg19_frozen", "basic_cnn", "purple_threshold")
]
claim("It was the least accurate of the three in chapter 06", told[0] == min(told))
claim(
    "One number on purple finds the disputed cells better than either network",
    all(every.loc[f"purple threshold − {n}", "low"] > 0 for n in NETWORKS),
)
claim(
    """0.91 among the cells labelled parasitized, against 0.75 and 0.57 for the networks.""",
    rounded(sick.loc[["purple threshold", *NETWORKS], "value"], 2) == [0.91, 0.75, 0.57],
)
claim(
    "Over all cells, both intervals of the differences exclude zero.",
    all(every.loc[f"purple threshold − {n}", "low"] > 0 for n in NETWORKS),
)
claim(
    "which would have about 0.05",
    rounded(every.loc[["purple threshold", *NETWORKS], "by lot"].mean(), 2) == 0.05,
)

# whom the models side with
sides = read_table("12_labels-sides")
MODELS = ("VGG-19 frozen", "purple threshold")


def sided(t):
    "Of the disputed uninfected cells of controls and others, those where the score is against."
    groups = t[t["parasitized"] == 0], t[t["parasitized"] > 0]
    found = {}
    for model in MODELS:
        a, b = (g[model].sum() / g["named"].sum() for g in groups)
        found |= {f"{model}: controls": a, f"{model}: others": b, f"{model}: difference": a - b}
    return pd.Series(found)


siding = sided(sides)
gaps = [f"{model}: difference" for model in MODELS]
without = pd.DataFrame([sided(sides.drop(p)) for p in sides.index])
ends = patient_interval(siding[gaps], without[gaps], bounds=(-np.inf, np.inf))
claim(
    """The VGG-19 sides with the list for 63 % of the controls' disputed cells and for 50 % of the
    others', a difference of 0.13 (0.03–0.24); the threshold for 56.2 % and 29.6 %, a difference of
    0.27 (0.15–0.38).""",
    rounded(100 * siding.drop(gaps), 0) == [63, 50, 56, 30],
    rounded(siding[gaps], 2) == [0.13, 0.27],
    rounded(ends.to_numpy().ravel(), 2) == [0.03, 0.24, 0.15, 0.38],
    sides.loc[sides["parasitized"] == 0, "named"].sum() == 153,
)

# all ways round
nine = read_table("12_labels-nine").reset_index()
gaps = nine[nine["what"] != "accuracy"]


def points(what, trained, scored):
    "Value, low and high of the three seeds, in points."
    t = gaps[
        (gaps["what"] == what) & (gaps["trained"] == trained) & (gaps["scored"] == scored)
    ].sort_values("seed")
    return (100 * t[["value", "low", "high"]]).to_numpy()


on_published = np.stack([points("training", how, "published") for how in ("corrected", "dropped")])
taught = points("training", "corrected", "corrected")
on_corrected = points("scoring", "published", "corrected")
on_dropped = points("scoring", "published", "dropped")
both = np.concatenate([points("both", how, how) for how in ("corrected", "dropped")])
claim(
    "… moves by less than one point",
    np.abs(points("training", "corrected", "published")[:, 0]).max() < 1,
)
claim(
    """*Scored on the published labels*, training on other ones moves the accuracy by −0.3 to
    +0.7 points, and five of the six intervals include zero.""",
    rounded([on_published[..., 0].min(), on_published[..., 0].max()], 1) == [-0.3, 0.7],
    (on_published[..., 2] > 0).all(),
    (on_published[..., 1] < 0).sum() == 5,
    0 < on_published[..., 1].max() < 0.1,
)
claim(
    """training on them is worth 1.1, 1.3 and 2.0 points, and each of these excludes zero.""",
    rounded(taught[:, 0], 1) == [1.1, 1.3, 2.0],
    (taught[:, 1] > 0).all(),
)
claim(
    """the same model gains 0.8 to 1.4 points on corrected labels and 2.4 to 2.8 on dropped
    ones.""",
    rounded(sorted(on_corrected[:, 0]), 1) == [0.8, 0.8, 1.4],
    (on_corrected[:, 1] < 0).sum() == 1,
    rounded(sorted(on_dropped[:, 0]), 1) == [2.4, 2.7, 2.8],
    (on_dropped[:, 1] > 0).all(),
)
claim(
    "*Both together* give 2.1 to 3.4 points.",
    rounded([both[:, 0].min(), both[:, 0].max()], 1) == [2.1, 3.4],
    (both[:, 1] > 0).all(),
)

# made-up readers, on synthetic cells
read = shown("rows[name] = {")
claim("On correct labels it scores about 96 %.", "no errors 0.956 0.956" in read)
claim(
    """On the careless reader's labels the measured accuracy falls by about 5 points, the true
    accuracy hardly at all, though 38 of the 50 faintest are missed, not 23.""",
    "careless 0.907 0.951 38.0" in read,
)
claim(
    """On the short-sighted reader's labels it is 99.8 %, higher than on correct labels, while
    the model has learned not to see faint parasites: it misses all 50.""",
    "short-sighted 0.998 0.948" in read,
    "short-sighted 0.998 0.948 50.0 1.0" in read,
    "no errors 0.956 0.956 23.0 21.0" in read,
)
claim("<details><summary>higher than before: over 99 %</summary>", "short-sighted 0.998" in read)
claim(
    """Confident learning names 46 suspects on the careless reader's labels, and of the
    short-sighted reader's 50 errors it suspects none""",
    "{'careless': 46, 'short-sighted': 0, 'no errors': 3}" in shown("first_50 = {name"),
)
claim(
    "Her errors lie nearer the top than at random (a third of the first 50)",
    0.3 <= float(shown("first_50 = {name").split("'short-sighted': ")[-1].strip("})")) <= 0.36,
)

# settings and answers to choose
given(
    """Take 10,000 imaginary cells whose truth we know, and a reader who writes down the [wrong
    label](glossary.md#label-noise) for 5 % of them, at random.""",
    "the chapter's setting",
)
given("it is right about at least 99.5 %: some of its", "an answer to choose")
given(
    "At 90 % a model may be better than its score.",
    "the bounds: up to 1 − q it may be right about more",
)
claim("Yes. It disagrees with 0.5 % of the labels.", rounded(100 - 99.5, 1) == 0.5)
claim("Up to the dotted line, at 94.9 %", rounded(100 * (1 - 1397 / ALL), 1) == 94.9)
given("So a report of 99.5 % means", "the chapter's setting")
given("1,000 synthetic cells of chapter", "the chapter's setting")
given("Two readers each get 50 of the 1,000 cells wrong.", "the chapter's setting")
given("she labels the 50 faintest parasites as uninfected", "the chapter's setting")
given("<details><summary>about 91 %: 5 % of the labels are wrong</summary>", "an answer to choose")
given("Take the 50 as a", "the claim on 50 patients")
claim(
    "Three models scored the same 60 test patients (split by patient, seed 42).",
    load("basic_cnn").predictions.query("split == 'test'")["patient"].nunique() == 60,
)
given("in the 50 controls and in the other patients?", "the claim on 50 patients")
claim("95 % of them are the same in both", rounded(100 * (1 - 1397 / ALL), 0) == 95)
given("Yes: 95 % of the training labels are unchanged", "5.07 % are disputed")
