"""What chapter 00 says of malaria, with its sources, and of the lap on the course's cells."""

import re

import numpy as np
from scipy.stats import binom

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.records import read_table

complete = True

# malaria
given(
    """WHO estimates 282 million cases and 610,000 deaths for 2024; about three quarters of those
    who died were children under five.""",
    "World malaria report 2025, from its summary",
)
claim("15 of every 16 malaria cases are in WHO's African Region", round(16 * 233 / 249) == 15)
given("cases are in WHO's African Region", "World malaria report 2023: 233 of 249 million in 2022")
claim(
    "A year has a little more than half a million minutes, so 610,000 deaths are more than one a",
    366 * 24 * 60 == 527_040,
    shown("seconds_in_2024 / 610_000") == "52",
)
given("610,000 deaths in a year", "World malaria report 2025, from its summary")
claim("That would be fewer than 9,000 deaths a year.", 366 * 24 < 9_000)
claim(
    "That would be 366 deaths in a leap year. The true number is more than a thousand times that.",
    610_000 / 366 > 1_000,
)
claim("Malaria kills about once a minute", 45 < 366 * 24 * 60 * 60 / 610_000 < 60)

# reading
given("WHO's protocol, as the article quotes it, asks for 5,000 red cells.", "the article")
claim("At one cell a second, 5,000 cells take 83 minutes", round(5_000 / 60) == 83)
given("re-read 2,190 slides from clinics in Thailand (McKenzie et al. 2003)", "McKenzie 2003")
given("| no parasites | 13.2 % of the slides | parasites |", "McKenzie 2003")
given("| parasites | 24.3 % of the slides | none |", "McKenzie 2003")

# the cells
given(
    """Our data are 27,558 pictures of single red cells from 200 patients, published by the U.S.
    National Library of Medicine; 1,179 of them come with the course.""",
    "the data set, and the sample in the repository",
)
given("a colour picture of 64 × 64 pixels", "the chapter's setting")
given("Here are 24 other training cells, half of them parasitized.", "the chapter's setting")
given("How many of the 24 did you get right?", "the chapter's setting")
claim("a reader at work does the equivalent of two hundred such quizzes", 200 <= 5_000 / 24 < 210)

# one threshold, and a network
rows = re.sub(r"\s+", " ", shown("confusion(threshold_pred), confusion(network_pred)"))
threshold, network = (
    list(map(float, re.search(name + r"((?: [\d.]+){5})", rows)[1].split()))
    for name in ("threshold", "network")
)
worst = re.search(r"(0\.\d+) (\d+)", shown('table.sort_values("accuracy")'))
first_epoch = float(re.search(r"val_accuracy: ([\d.]+)", shown("history = model.fit("))[1])
count = shown("model.count_params()")

claim(
    "Six lines of NumPy classify about 94 of 100 cells correctly, on patients who played no part",
    round(100 * float(shown("threshold_pred == y_valid"))) == 94,
    rounded(100 * threshold[4], 0) == 94,
)
claim(
    "some 24,000 numbers, its *weights*, which start at random values.",
    round(int(count), -3) == 24_000,
)
claim(
    "classifies about 94 of 100 cells correctly",
    rounded(100 * threshold[4], 0) == 94,
)
claim(
    "A small CNN finds its own features and does about as well",
    abs(network[4] - threshold[4]) < 0.03,
)
claim(
    "the network is right on more than nine out of ten cells.",
    network[4] > 0.9,
)
claim(
    "Both classify more than nine out of ten cells correctly, on patients they have never met.",
    min(network[4], threshold[4]) > 0.9,
)
given("(on the sample, often two of seven)", "C92: 5 of 7 right with three of six seeds")
claim("a patient with one cell in seven misclassified", round(1 / (1 - float(worst[1]))) == 7)
claim(
    "After one epoch, the network in this log has caught up with the threshold.",
    threshold[4] <= first_epoch < threshold[4] + 0.01,
)
# the validation patients of the stored run
sizes = np.array([10] * 4 + [13, 20, 25] + [26] * 7)
claim(
    """if every cell were classified correctly with a probability of 95 %, the worst of 14 patients
    with 10 to 26 cells each would come out at 85 % or less more than half the time.""",
    sizes.sum() == int(sum(network[:4])),
    1 / 2 < 1 - np.prod(binom.sf(np.floor(0.85 * sizes), sizes, 0.95)) < 2 / 3,
)
given("with an AUC above 0.85 on the validation patients", "the exercise's check")
given("cell 7 has a dark spot on its rim and is uninfected, while cell 11", "the stored figure")
there = read_table("15_external-iml")
there = there[there["run"] == 2]
claim(
    """in one run of photographs from another laboratory, two of this course's networks were right
    on fewer than one cell in twenty-five (chapter 15).""",
    all(
        ((there[f"{name} cut"] >= 0) == (there["kind"] != "red blood cell")).mean() < 0.04
        for name in ("compact", "basic_cnn")
    ),
)
given("How many of 100 validation cells does it classify correctly?", "a question")
given("## A network in 15 lines", "the chapter's own code")
given("Training shows it 16 cells at a time", "the chapter's setting")
given(
    """With mirroring, even the sample's 742 training cells are enough to catch up; without it,
    the network often ended lower.""",
    """six seeds on the sample: 0.928 to 0.976, threshold 0.940; without mirroring, this rate
    gave 0.940 and 0.928, Adam's own 0.892 and 0.928""",
)
given(
    "what does a score on cells mean for a slide of 5,000?",
    "WHO's protocol, as the article quotes it",
)
