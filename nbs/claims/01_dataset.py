"""What chapter 01 says of the 27,558 real cells, from the records that list them all."""

import pandas as pd

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.dataset import parse_name
from malaria_nb.leakage import out_of_fold
from malaria_nb.records import load

cells = out_of_fold([load("purple_threshold", f"patient-fold{k}").predictions for k in range(1, 6)])
names = pd.DataFrame([parse_name(file.rpartition("/")[2]) for file in cells["file"]])
cells = cells[["file", "label", "patient"]].reset_index(drop=True)
cells = cells.assign(smear=names["smear"], photo=names["photo"])
of_patient = cells.groupby("patient")["label"].agg(["size", "sum"])
uninfected = (of_patient["size"] - of_patient["sum"]).sort_values()

claim(
    "the real set they say 27,558 cells, 200 patients, 201 smears and 1,408 photographs.",
    len(cells) == 27_558,
    cells[["patient", "smear", "photo"]].nunique().tolist() == [200, 201, 1_408],
)
claim(
    """in the real set 200 patients have 201 smears, because patient C47's slide was
    photographed on two""",
    cells.groupby("patient")["smear"].nunique().loc[lambda n: n > 1].to_dict() == {"C47": 2},
)
claim(
    "smear C68P29N, for one, has parasitized cells",
    cells["label"][cells["smear"].str.startswith("C68P29N")].any(),
)
claim(
    """thin films of 200 people were stained with Giemsa: 150 had *Plasmodium falciparum*, 50
    did not.""",
    (of_patient["sum"] > 0).sum() == 150,
    (of_patient["sum"] == 0).sum() == 50,
)
claim(
    "The article counts the cells, sees 13,779 of each class and moves on.",
    cells["label"].value_counts().to_dict() == {0: 13_779, 1: 13_779},
)
claim(
    "everyone gave uninfected cells, about a quarter gave no parasitized ones.",
    uninfected.min() > 0,
    (of_patient["sum"] == 0).mean() == 0.25,
)
most = of_patient["sum"].sort_values(ascending=False)
claim(
    "Yes. One person's parasitaemia can be a hundred times another's",
    1 / 3 < most.iloc[:40].sum() / most.sum() < 0.9,
)
claim(
    """(Among the real ones a single point stands above, with 134: C47 again, whose smears are
    two.)""",
    uninfected.index[-1] == "C47",
    uninfected.iloc[-2:].tolist() == [77, 134],
)
given(
    """Fuhad et al. (2020) set aside 647 parasitized and 750 uninfected cells of this set as
    [mislabelled](glossary.md#label-noise), about 5 %.""",
    "their lists; claimed in chapter 12",
)
given("Yet 153 of their 750 come from people without one parasitized cell", "claimed in chapter 12")
claim(
    "It is 63:7:30.",
    rounded([100 * 0.7 * 0.9, 100 * 0.7 * 0.1], 6) == [63, 7],
)
PARTS = load("purple_threshold", "cell").about["cells"]
claim(
    "With the real cells, these are the article's 17,361, 1,929 and 8,268.",
    [PARTS[part]["cells"] for part in ("train", "valid", "test")] == [17_361, 1_929, 8_268],
)
claim(
    """Of the real cells, every one in the test belongs to a patient the training has met, and
    all but one have a sibling from the same *photograph*""",
    "patient 200 200 1.0 0" in shown('met["test cells without"] = ('),
    "photo 1379 1378 1.0 1" in shown('met["test cells without"] = ('),
)
claim(
    "Yes. Whoever keeps the larger group whole keeps the smaller ones inside it whole too",
    "patient 100.0% 100.0% 0.0% smear 100.0% 100.0% 0.0% photo 100.0% 0.0% 0.0%"
    in shown("leak = pd.DataFrame("),
)
between = shown("def share_between(").split()[5:]
claim(
    """In every [channel](glossary.md#channel), most of the spread is *who it is*; with the real
    cells about four fifths or more.""",
    [between[i] for i in (1, 4, 7)] == ["0.92", "0.78", "0.91"],
)
claim(
    "If patients didn't differ it would be about a tenth, not 0",
    all(0.05 < float(between[i]) < 0.15 for i in (2, 5, 8)),
)
claim(
    """with the real cells, about one guess in seven is right. But that is more than ten times
    what chance gives""",
    "nearest cell 15.4" in shown('"nearest cell": right(distance)'),
    "by chance 0.7" in shown('"nearest cell": right(distance)'),
    15.4 > 10 * 0.7,
)

claim(
    "The real cells have a median of 130 × 130 pixels",
    "median 130.0 130.0" in shown('train[["height", "width"]].agg'),
)
