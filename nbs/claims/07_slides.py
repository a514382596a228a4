"""What chapter 07 works out from the article's confusion matrices, and from chance alone."""

import numpy as np
import pandas as pd
from scipy.stats import binom

from malaria_nb.claims import claim, given, rounded
from malaria_nb.evaluation import metrics
from malaria_nb.records import load
from malaria_nb.screening import (
    apparent_parasitaemia,
    critical_count,
    expected_false_parasites,
    limit_of_detection,
    npv,
    ppv,
)
from malaria_nb.spread import fit_spread

complete = True

# TN, FP, FN, TP of the article's notebook
article = pd.DataFrame(
    {
        "basic CNN": [3884, 191, 225, 3968],
        "VGG-19 frozen": [3871, 204, 312, 3881],
        "VGG-19 fine-tuned": [4004, 71, 260, 3933],
    },
    index=["TN", "FP", "FN", "TP"],
).T
sensitivity = article["TP"] / (article["TP"] + article["FN"])
specificity = article["TN"] / (article["TN"] + article["FP"])
BASIC, FROZEN, TUNED = article.index
CELLS, IN_A_MICROLITRE = 5_000, 5_000_000

claim(
    """One parasite in 5,000 cells, a [parasitaemia](glossary.md#parasitaemia) of 0.02 %, stands for
    about 1,000 parasites in each microlitre of blood.""",
    100 / CELLS == 0.02,
    IN_A_MICROLITRE / CELLS == 1_000,
)
none, one = binom.pmf([0, 1], CELLS, 0.0004)
claim("about one in seven", 6.5 < 1 / none < 7.5)
claim(
    """The counts below two are none and one, and one is the more frequent. Together they make up
    less than half.""",
    none < one,
    none + one < 0.5,
)
claim(
    "The curve for 5,000 cells crosses it at 0.06 %; with a tenth of the cells, it takes ten times",
    rounded(binom.pmf(0, CELLS, 0.0006), 2) == 0.05,
)
found, false = 33 * sensitivity[BASIC], 967 * (1 - specificity[BASIC])
claim(
    """the network classifies a parasitized cell as parasitized twenty times as often as an
    uninfected one.""",
    19.5 < sensitivity[BASIC] / (1 - specificity[BASIC]) < 20.5,
)
claim(
    "The network finds 31 of the 33 and raises 45 false alarms: 41 % of its alarms are right.",
    (round(found), round(false)) == (31, 45),
    rounded(100 * found / (found + false), 0) == 41,
)
rare = ppv(sensitivity, specificity, 0.001)
claim(
    """At 0.1 %, only one in twenty of even the best model's alarms is right. The NPV says little
    here: at 0.1 % it is above 0.9999 for all three, but calling *every* cell uninfected would
    reach 0.999.""",
    0.04 < rare.max() < 0.06,
    (npv(sensitivity, specificity, 0.001) > 0.9999).all(),
)
healthy = pd.Series(expected_false_parasites(specificity), article.index)
claim(
    """In a person who has no parasites, the most specific model reports 87 of them and the basic
    CNN 234. On paper, that is a parasitaemia of 1.7 % and 4.7 %.""",
    [round(healthy[name]) for name in (TUNED, BASIC)] == [87, 234],
    [rounded(100 * healthy[name] / CELLS, 1) for name in (TUNED, BASIC)] == [1.7, 4.7],
)
recorded = load("basic_cnn").predictions
test = recorded[recorded["split"] == "test"]
high = {t: metrics(test["label"], test["score"], t) for t in (0.5, 0.9, 0.99, 0.999, 0.9999)}
right = {t: ppv(m["sensitivity"], m["specificity"], 0.001) for t, m in high.items()}
claim(
    """There is none: even at 0.9999, about one alarm in ten is right (it rests on six false
    alarms), and more than eight in ten parasites are missed.""",
    (test["score"][test["label"] == 0] >= 0.9999).sum() == 6,
    max(right.values()) == right[0.9999],
    0.05 < right[0.9999] < 0.15,
    high[0.9999]["sensitivity"] < 0.2,
)
given("At 0.1 %, is there a threshold at which most alarms are right?", "a question")
critical = critical_count(specificity[TUNED])


def exceeds(parasitaemia):
    "Chance that a slide shows more than the critical count, with the fine-tuned network."
    share = apparent_parasitaemia(parasitaemia, sensitivity[TUNED], specificity[TUNED])
    return binom.sf(critical, CELLS, share)


claim(
    "At 0.3 %, six slides in ten pass as healthy",
    0.35 < exceeds(0.003) < 0.45,
    exceeds(0.008) > 0.95,
)
limit = pd.Series(limit_of_detection(specificity, sensitivity), article.index)
f = 1 - specificity[TUNED]
by_formula = 2 * 1.645 * np.sqrt(f * (1 - f) / CELLS) / (sensitivity[TUNED] - f)
claim(
    """Even with the best of the three, a patient must have 0.74 %, some 37,000 parasites per
    microlitre; with the basic CNN, more than 1.1 %.""",
    limit.idxmin() == TUNED,
    rounded(100 * limit[TUNED], 2) == 0.74,
    rounded(limit[TUNED] * IN_A_MICROLITRE, -3) == 37_000,
    rounded(100 * limit[BASIC], 2) == 1.15,
)
claim(
    "A perfect reader needs 0.06 %.",
    rounded(100 * limit_of_detection(1), 2) == 0.06,
)
rates = np.logspace(-5, np.log10(0.06), 2_000)
allowed = {n: rates[limit_of_detection(1 - rates, 0.95, n) <= 0.001].max() for n in (5_000, 50_000)}
claim(
    """To find 0.1 % on 5,000 cells, a model may make one false positive in 14,000 cells; on 50,000
    cells, one in 275. The fine-tuned network makes one in 57.""",
    13_000 < 1 / allowed[5_000] < 15_000,
    250 < 1 / allowed[50_000] < 300,
    round(1 / f) == 57,
)
rate, fewer = np.array([0.05, 0.01]), np.array([0.005, 0.001])
before = limit_of_detection(1 - rate, 0.95)
by_rate = before / limit_of_detection(1 - fewer, 0.95)
by_cells = before / limit_of_detection(1 - rate, 0.95, 50_000)
claim(
    """Half a point is 25 cells of 5,000, and the critical count lies only 16 above what a
    healthy slide shows on average.""",
    0.005 * CELLS == 25,
    round(critical - healthy[TUNED]) == 16,
)


def called_ill(spread, slides=20_000):
    "Share of healthy slides above the critical count when the specificity varies between them."
    mean, rng = specificity[TUNED], np.random.default_rng(42)
    strength = mean * (1 - mean) / spread**2 - 1
    varied = rng.beta(mean * strength, (1 - mean) * strength, slides)
    return (rng.binomial(CELLS, 1 - varied) > critical).mean()


claim("about one in four", 0.2 < called_ill(0.005) < 0.3, called_ill(0.0001) < 0.055)
claim(
    "the basic CNN's is 0.95 at 50 %, 0.41 at 3.3 %.",
    rounded(ppv(sensitivity[BASIC], specificity[BASIC], 0.5), 2) == 0.95,
    rounded(ppv(sensitivity[BASIC], specificity[BASIC], 0.033), 2) == 0.41,
    rounded(ppv(sensitivity[TUNED], specificity[TUNED], 0.033), 2) == 0.65,
)
claim(
    """At a specificity of 98.3 % a healthy slide shows 87 false parasites, and the limit of
    detection is 0.74 %, if that rate never varies.""",
    rounded(100 * specificity[TUNED], 1) == 98.3,
    round(healthy[TUNED]) == 87,
    rounded(100 * limit.min(), 2) == 0.74,
)
claim(
    "The fine-tuned network has the fewest false positives, but misses more parasites than the",
    article["FP"].idxmin() == TUNED,
    article.loc[TUNED, "FN"] > article.loc[BASIC, "FN"],
)
claim(
    "Three in 5,000 cells are 3,000 parasites per microlitre.",
    3 * IN_A_MICROLITRE / CELLS == 3_000,
)
claim("$e^{-3}$ is 5 %", rounded(np.exp(-3), 2) == 0.05)
claim(
    "0.1 % on 5,000 cells takes 250× fewer false positives than the best model",
    240 < (1 / allowed[5_000]) * f < 255,
)
claim("and on 95 % of the uninfected ones", rounded(specificity[BASIC], 2) == 0.95)
claim(
    "The basic CNN is right on 95 % of the parasitized cells and on 95 %",
    rounded(sensitivity[BASIC], 2) == 0.95,
)
claim(
    "From 50 % to 3.3 %, the basic CNN's PPV falls from 0.95 to 0.41",
    rounded(ppv(sensitivity[BASIC], specificity[BASIC], 0.5), 2) == 0.95,
    rounded(ppv(sensitivity[BASIC], specificity[BASIC], 0.033), 2) == 0.41,
)
ours = load("vgg19_finetuned").predictions.query("split == 'test'")
healthy = ours.groupby("patient")["label"].max() == 0
ours = ours.query("label == 0")
ours = ours.assign(alarm=ours["score"] >= 0.5).groupby("patient")["alarm"].agg(["sum", "size"])
theirs = ours[healthy.reindex(ours.index)]
claim(
    """between our own fine-tuned network's 60 test patients it is 1.7 points (1.0–2.8), between the
    20 uninfected ones 0.6 (0.0–2.7).)""",
    (len(ours), len(theirs)) == (60, 20),
    rounded(100 * fit_spread(ours["sum"], ours["size"]).loc["spread"], 1) == [1.7, 1.0, 2.8],
    rounded(100 * fit_spread(theirs["sum"], theirs["size"]).loc["spread"], 1) == [0.6, 0.0, 2.7],
)
given("(They also belong to one threshold, 0.5", "the article's confusion matrices are at 0.5")
claim("The limit is 0.74 %.", rounded(100 * limit[TUNED], 2) == 0.74)
claim(
    "a perfect reader needs 0.06 % to miss at most one infection in twenty",
    rounded(100 * limit_of_detection(1), 2) == 0.06,
)

# settings, definitions, and what others report
given("## What 5,000 cells can show", "WHO's protocol, as the article quotes it")
given(
    """WHO's protocol, as the article quotes it, counts parasites in 5,000 red cells, to measure
    parasitaemia.""",
    "the article",
)
given(
    """the United Kingdom asks for 1,000 cells, the Netherlands for 10,000; Boonstra et al. 2021""",
    "Boonstra 2021",
)
given(
    """Of a patient's red cells, 0.04 % hold a parasite: two in 5,000, on average. A *perfect*
    reader, who never makes a mistake, reads 5,000 cells on each of ten thousand slides.""",
    "the chapter's setting",
)
given("Each cell is almost certainly free of parasites, but here all 5,000 have to be.", "above")
given("So to see at least one parasite with a chance of 95 %", "the definition")
given(
    "a research centre in Gabon found that 62 per microlitre are enough, or 88 by WHO's method",
    "Joanny 2014",
)
given("on its 8,268 test cells, half of them parasitized", "the article's notebook")
given(
    """experts marked 3.3 % of the red cells as parasitized, over 965 photographs of 193
    patients""",
    "Kassim 2021, NIH-NLM-ThinBloodSmearsPf",
)
given("It reads 1,000 cells; 33 are parasitized.", "3.3 % of 1,000")
given("<details><summary>about 95 of 100</summary>", "an answer to choose")
given("95 of 100 *parasitized* cells are classified as parasitized.", "the basic CNN's sensitivity")
given("<details><summary>about 40 of 100</summary>", "an answer to choose")
given(
    """Nearly all of the 33 are found; of the 967 others, one in twenty raises an alarm as well,
    and that is more than 33.""",
    "the claim on 31 and 45",
)
given("<details><summary>about 3 of 100, as in the smear</summary>", "an answer to choose")
given("The vertical line is at 3.3 %.", "the figure")
given("only if it shows more alarms than 95 in 100 healthy slides", "the definition")
given("on slides with 0.3 % and with 0.8 %", "the chapter's setting")
given("with a chance of at most 5 %", "the definition")
given("whose slides exceed the critical count with a chance of 95 %", "the definition")
given(
    "<details><summary>the same: both classify about 95 of 100 cells correctly</summary>",
    "an answer to choose",
)
given("Suppose that it finds 95 % of the parasitized cells", "the chapter's setting")
given("- 5,000 cells are a nanolitre of blood", "five million cells to a microlitre, Dhorda 2020")
given("and the model reads 5,000 cells", "the chapter's setting")
given("And what does it report for a true 1 %?", "the chapter's setting")
given("it agreed with expert microscopy on 74 to 92 % of patients", "Yu 2023, abstract")
given("A model that is right on 96 % of *cells*", "the article")
given("So, at threshold 0.5, the model that misses *more* cells is better here.", "the threshold")
