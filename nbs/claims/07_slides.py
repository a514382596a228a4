"""What chapter 00 works out from the article's confusion matrices, and from chance alone."""

import numpy as np
import pandas as pd
from scipy.stats import beta, binom

from malaria_nb.claims import claim, given, rounded
from malaria_nb.screening import (
    apparent_parasitaemia,
    critical_count,
    expected_false_parasites,
    limit_of_detection,
    npv,
    ppv,
)

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
accuracy = (article["TP"] + article["TN"]) / article.sum(axis=1)
BASIC, FROZEN, TUNED = article.index
CELLS, IN_A_MICROLITRE = 5_000, 5_000_000

given(
    "| 2024 | 282 million | 610,000 | World Malaria Report 2025, from its summary |",
    "the report",
)
claim(
    """one parasite in 5,000 cells, a parasitaemia of 0.02 %, already stands for about 1,000
    parasites in each microlitre of blood.""",
    100 / CELLS == 0.02,
    IN_A_MICROLITRE / CELLS == 1_000,
)
none, one = binom.pmf([0, 1], CELLS, 0.0004)
claim("about one in seven", 6.5 < 1 / none < 7.5)
claim(
    """Below the average of two lie both none and one, and one is the more frequent of them.
    Together they make less than half.""",
    none < one,
    none + one < 0.5,
)
claim(
    """With 5,000 cells a perfect reader misses one infection of twenty at 0.06 %, and more
    below""",
    rounded(binom.pmf(0, CELLS, 0.0006), 2) == 0.05,
)
claim(
    "comes the accuracy.",
    rounded(100 * accuracy, 1) == [95.0, 93.8, 96.0],
    (article.sum(axis=1) == 8_268).all(),
)
claim(
    "VGG-19 fine-tuned is the most accurate of the three, and VGG-19 frozen the least.",
    accuracy.idxmax() == TUNED,
    accuracy.idxmin() == FROZEN,
)
claim(
    "the frozen network makes more mistakes of *both* kinds than either of the others.",
    article["FN"].idxmax() == FROZEN,
    article["FP"].idxmax() == FROZEN,
)
claim(
    """The fine-tuned network misses 35 parasitized cells **more** than the basic CNN it
    replaces, 260 against 225. What it gained is specificity: 71 false parasites instead of
    191.""",
    article["FN"].idxmin() == BASIC,
    article.loc[[TUNED, BASIC], "FN"].tolist() == [260, 225],
    article.loc[[TUNED, BASIC], "FP"].tolist() == [71, 191],
    260 - 225 == 35,
)
claim(
    "35 of 4,193 cells is little enough to be chance",
    (article["TP"] + article["FN"] == 4_193).all(),
)
found, false = 33 * sensitivity[BASIC], 967 * (1 - specificity[BASIC])
claim(
    """the network calls a parasitized cell parasitized twenty times as often as an uninfected
    one.""",
    19.5 < sensitivity[BASIC] / (1 - specificity[BASIC]) < 20.5,
)
claim(
    """It finds 31 of 33, and calls 45 uninfected cells parasitized. Of what it calls
    parasitized, 41 % is.""",
    (round(found), round(false)) == (31, 45),
    rounded(100 * found / (found + false), 0) == 41,
)
rare = ppv(sensitivity, specificity, 0.001)
claim(
    """Far to the left of them, at 0.1 %, one in twenty of the cells called parasitized is, at
    best""",
    0.04 < rare.max() < 0.06,
    (npv(sensitivity, specificity, 0.001) > 0.9999).all(),
)
claim("The more specific model loses least.", article.index[np.argmax(rare)] == TUNED)
healthy = pd.Series(expected_false_parasites(specificity), article.index)
claim(
    """Eighty-seven parasites in a person who has none, from the most specific model; 234 from
    the basic CNN. On paper, 1.7 % and 4.7 % parasitaemia.""",
    [round(healthy[name]) for name in (TUNED, BASIC)] == [87, 234],
    [rounded(100 * healthy[name] / CELLS, 1) for name in (TUNED, BASIC)] == [1.7, 4.7],
)
critical = critical_count(specificity[TUNED])


def exceeds(parasitaemia):
    "Chance that a slide shows more than the critical count, with the fine-tuned network."
    share = apparent_parasitaemia(parasitaemia, sensitivity[TUNED], specificity[TUNED])
    return binom.sf(critical, CELLS, share)


claim(
    "Of the slides with 0.3 % about four in ten exceed it, of those with 0.8 % nearly all.",
    0.35 < exceeds(0.003) < 0.45,
    exceeds(0.008) > 0.95,
)
limit = pd.Series(limit_of_detection(specificity, sensitivity), article.index)
f = 1 - specificity[TUNED]
by_formula = 2 * 1.645 * np.sqrt(f * (1 - f) / CELLS) / (sensitivity[TUNED] - f)
claim(
    "(the spread of the infected slides is a little larger, so this is a little too small)",
    by_formula < limit[TUNED],
)
claim(
    """a patient must have 0.74 % even with the best of the three, some 37,000 parasites to a
    microlitre; with the basic CNN more than 1.1 %.""",
    limit.idxmin() == TUNED,
    rounded(100 * limit[TUNED], 2) == 0.74,
    rounded(limit[TUNED] * IN_A_MICROLITRE, -3) == 37_000,
    rounded(100 * limit[BASIC], 2) == 1.15,
)
claim(
    "With a perfect reader 0.06 % will do.",
    rounded(100 * limit_of_detection(1), 2) == 0.06,
)
rates = np.logspace(-5, np.log10(0.06), 2_000)
allowed = {n: rates[limit_of_detection(1 - rates, 0.95, n) <= 0.001].max() for n in (5_000, 50_000)}
claim(
    """On 5,000 cells, one false parasite in 14,000 cells; on 50,000 cells, one in 270. The
    fine-tuned model makes one in 57.""",
    13_000 < 1 / allowed[5_000] < 15_000,
    250 < 1 / allowed[50_000] < 300,
    round(1 / f) == 57,
)
rate, fewer = np.array([0.05, 0.01]), np.array([0.005, 0.001])
before = limit_of_detection(1 - rate, 0.95)
by_rate = before / limit_of_detection(1 - fewer, 0.95)
by_cells = before / limit_of_detection(1 - rate, 0.95, 50_000)
claim(
    """divide the smallest infection that is found by two to three only, until the line bends
    towards what chance alone allows. Reading ten times as many cells does a little more.""",
    ((by_rate > 2) & (by_rate < 3)).all(),
    ((by_cells > by_rate) & (by_cells < 3.5)).all(),
)
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


claim("One in four.", 0.2 < called_ill(0.005) < 0.3, called_ill(0.0001) < 0.055)
claim(
    "(95 % interval 63.5 to 83.0: as wide as about 85 patients would give",
    rounded(100 * beta.ppf([0.025, 0.975], [63, 64], [23, 22]), 1) == [63.5, 83.0],
)
claim(
    "the basic CNN's is .95 at 50 % prevalence, .41 at 3.3 %.",
    rounded(ppv(sensitivity[BASIC], specificity[BASIC], 0.5), 2) == 0.95,
    rounded(ppv(sensitivity[BASIC], specificity[BASIC], 0.033), 2) == 0.41,
    rounded(ppv(sensitivity[TUNED], specificity[TUNED], 0.033), 2) == 0.65,
)
claim(
    """At a specificity of 98.3 % a healthy slide shows 87 false parasites, and 0.74 %, at best,
    is told from none.""",
    rounded(100 * specificity[TUNED], 1) == 98.3,
    round(healthy[TUNED]) == 87,
    rounded(100 * limit.min(), 2) == 0.74,
)
