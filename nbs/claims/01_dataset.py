"""What chapter 01 says of the 27,558 real cells, from the records that list them all."""

import re

import pandas as pd

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.dataset import parse_name
from malaria_nb.leakage import out_of_fold
from malaria_nb.records import load

complete = True

cells = out_of_fold([load("purple_threshold", f"patient-fold{k}").predictions for k in range(1, 6)])
names = pd.DataFrame([parse_name(file.rpartition("/")[2]) for file in cells["file"]])
cells = cells[["file", "label", "patient"]].reset_index(drop=True)
cells = cells.assign(smear=names["smear"], photo=names["photo"])
of_patient = cells.groupby("patient")["label"].agg(["size", "sum"])
parasitized = of_patient["sum"].sort_values(ascending=False)
uninfected = (of_patient["size"] - of_patient["sum"]).sort_values()

# -- Two folders of cells

claim(
    "thin smears of 200 people were stained with Giemsa. 150 of these people had",
    len(of_patient) == 200,
    (parasitized > 0).sum() == 150,
)
claim("50 had no malaria.", (parasitized == 0).sum() == 50)
claim("How to get all 27,558 cells", len(cells) == 27_558)
given(
    "1,179 of these cells, from 100 of the patients, come with the course",
    "the sample's own list, which tests/test_sample.py counts",
)
given("`malaria-nb data` downloads the archive once (353 MB)", "archive.SIZE, the published file")
claim(
    "The full data set has 13,779 of each, as in the article.",
    cells["label"].value_counts().to_dict() == {0: 13_779, 1: 13_779},
    shown("len(parasitized), len(uninfected)") == "(13779, 13779)",
)


# -- A table, and which class is 1

claim(
    "The encoder numbers words in alphabetical order.",
    "0 healthy malaria 1 Parasitized Uninfected 2 negative positive" in shown("pairs = [("),
)

# -- Whose cell is it?

claim(
    "C47's slide was photographed on two microscopes, so it counts as two smears",
    cells.groupby("patient")["smear"].nunique().loc[lambda n: n > 1].to_dict() == {"C47": 2},
)
claim(
    """The `N` in names such as `C68P29N` does not mean *negative*: that smear has parasitized
    cells.""",
    cells["label"][cells["smear"].str.startswith("C68P29N")].any(),
)
claim(
    "27,558 cells, but 200 people.",
    len(cells) == 27_558,
    cells[["patient", "smear", "photo"]].nunique().tolist() == [200, 201, 1_408],
    "file 27,558 patient 200 smear 201 photo 1,408" in shown('.to_frame("how many")'),
)
given("(The sample has 1,179 cells from 100 people.)", "the sample's own list")
claim(
    """three quarters of the patients have parasitized cells, and half of these patients have more
    than thirty""",
    (parasitized > 0).mean() == 0.75,
    parasitized[parasitized > 0].median() > 30,
)
claim(
    "One person gave a single parasitized cell, another 633",
    parasitized[parasitized > 0].min() == 1,
    parasitized.max() == 633,
)
claim(
    "well over half, but far from all",
    rounded(parasitized.iloc[:40].sum() / parasitized.sum(), 2) == 0.79,
)
claim(
    "the last quarter of the patients has none; the number of uninfected cells stays level.",
    (parasitized == 0).mean() == 0.25,
    uninfected.iloc[0] == 63,
    uninfected.iloc[-2] == 77,
)
claim(
    "(The blue square above the others is C47 with the two smears.)",
    uninfected.index[-1] == "C47",
    uninfected.iloc[-1] == 134,
)
given(
    "of all red cells in these smears, about 3.3 % are parasitized (Kassim et al. 2021",
    "Kassim et al. 2021; counted in the annotations of the smears, NIH-NLM-ThinBloodSmearsPf",
)
given(
    """Fuhad et al. (2020) set aside 5 % of these cells as [mislabelled](glossary.md#label-noise),
    though their corrections can be doubted too.""",
    "their lists of 647 and 750 cells; claimed in chapter 12",
)
given(
    "between a model at 97 % and one at 98 % may lie in the labels alone", "an example, no result"
)

# -- The article's split

given(
    "The article shuffles all cells and sets aside 30 % for testing, then a tenth of the rest",
    "the article",
)
claim(
    """With all cells, the parts have the article's sizes, 17,361, 1,929 and 8,268, and its counts
    of each class.""",
    shown("train, valid = train_test_split(rest").endswith(
        "train 8,734 8,627 valid 970 959 test 4,075 4,193"
    ),
    [8_734 + 8_627, 970 + 959, 4_075 + 4_193] == [17_361, 1_929, 8_268],
    sum([17_361, 1_929, 8_268]) == len(cells),
)
claim(
    "0.9 × 0.7 is 0.63 and 0.1 × 0.7 is 0.07, so it is 63:7:30.",
    rounded([100 * 0.7 * 0.9, 100 * 0.7 * 0.1], 6) == [63, 7],
    rounded([17_361 / len(cells), 1_929 / len(cells), 8_268 / len(cells)], 2) == [0.63, 0.07, 0.3],
)
given("The article calls the split 60:10:30.", "the article")
given("63 of 100 cells went to training, at random. Of 100 test cells", "the split's setting")
given("<details><summary>63</summary>", "an answer to choose")
claim(
    """With all cells, every test cell comes from a patient who is also in training, and nearly
    every one shares its *photograph* with a training cell""",
    "100.0% of the test cells" in shown('f"{met.mean():.1%} of the test cells'),
    "patient 200 200 1.000" in shown("shared_groups(by_cell)"),
    "photo 1,385 1,383 1.000" in shown("shared_groups(by_cell)"),
)

# -- Keeping each patient's cells together

claim(
    "three tenths of the patients need not have three tenths of the cells, or of the parasitized",
    "patients 30.0% cells 25.1% parasitized cells 20.4%" in shown('"set aside for testing"'),
)
claim(
    "No patient is divided, and the sizes and the balance are still the article's.",
    "train 126 17,362 50.0% valid 14 1,928 50.0% test 60 8,268 50.0%"
    in shown("rows.loc[list(SPLITS)]"),
)
claim(
    "Yes. If a larger group stays together, so do the smaller ones inside it.",
    "patient 100.0% 100.0% 0.0% smear 100.0% 100.0% 0.0% photo 100.0% 0.0% 0.0%"
    in shown("leak = pd.DataFrame()"),
)
claim(
    "A split by photograph looks careful, but it changes only one row.",
    "smear 100.0% 100.0% 0.0% photo 100.0% 0.0% 0.0%" in shown("leak = pd.DataFrame()"),
)

# -- Does it matter?

given("Set 30 % of these cells aside", "a setting")
claim(
    """Three numbers rarely identify the right person, but they do so far more often than a random
    guess""",
    shown("right = nearest.score(") == "'15.1% correct; a random guess: 0.8%'",
)
given(
    "Rajaraman et al. (2018) report an accuracy of 98.6 % by cell and 95.9 % by patient.",
    "their tables in PeerJ 6:e4568",
)
given(
    "trains one model both ways, tests it on the same cells, and finds about one percentage point.",
    "claimed in chapter 10",
)

# -- Sizes, read in parallel

claim(
    "The median is 130 × 130 pixels",
    "median 130.0 130.0" in shown('sizes[["height", "width"]].agg'),
)
given("the article takes 125 × 125.", "the article")

# -- The table of this course

given("if you have all cells, 4,000 of them at the quick scale", "settings.SCALES")

# by day, in the names of all training patients: one cloud to 5 October, the other from the 15th
months = re.findall(r"(2015\d\d) (-?[\d.]+)", shown("blue_minus_red.groupby(month)"))
by_month = {month: float(value) for month, value in months}
claim(
    "Until October 2015 the cells are pinker; from November on, bluer.",
    max(by_month[f"2015{m}"] for m in ("06", "07", "08", "09")) < -30,
    min(by_month[f"2015{m}"] for m in ("11", "12")) > -10,
)
