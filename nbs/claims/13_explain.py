"""What chapter 13 says of classifiers that see only a shortcut, on all real cells."""

from malaria_nb.claims import claim, rounded, shown
from malaria_nb.records import load, read_table

table = read_table("13_explain-shortcuts")
mask, size, colour, middle, trees = (
    table.loc[[name]] for name in ("mask", "size", "mean colour", "median colour", "mask, trees")
)


def span(column, digits=2):
    return rounded([column.min(), column.max()], digits)


def by(t, split):
    return t[t["split"] == split]


claim(
    "over all pairs every one of its six intervals holds 0.5",
    len(size) == 6,
    ((size["low"] < 0.5) & (size["high"] > 0.5)).all(),
)
claim(
    "within patients its AUC is 0.52 to 0.55, and four of six intervals lie above 0.5.",
    span(size["within"]) == [0.52, 0.55],
    (size["within_low"] > 0.5).sum() == 4,
)
claim(
    """AUC 0.61 to 0.63 from a linear rule either way, and 0.69 by cell and 0.71 by patient from
    trees.""",
    mask["auc"].between(0.61, 0.63).all(),
    mask["low"].min() > 0.5,
    rounded(by(trees, "cell")["auc"], 2) == [0.69],
    rounded(by(trees, "patient")["auc"], 2) == [0.71],
    trees["low"].min() > 0.65,
)
claim(
    "It is smaller within patients, 0.55 to 0.58 and 0.64, and it does not vanish there",
    mask["within"].between(0.55, 0.585).all(),
    span(trees["within"]) == [0.64, 0.64],
)
claim(
    """By cell its AUC is 0.69 to 0.70 and by patient 0.62, 0.68 and 0.77, one seed each, so it
    depends on which patients are in the test; with seed 42 the interval even holds 0.5.""",
    span(by(colour, "cell")["auc"]) == [0.69, 0.70],
    rounded(by(colour, "patient")["auc"], 2) == [0.62, 0.68, 0.77],
    by(colour, "patient").set_index("seed").loc[42, "low"] < 0.5,
)
claim(
    """But within patients, where the stain is nearly the same, its AUC is 0.77 to 0.80, and in
    five of six splits higher than over all pairs. Within photographs, where lamp and focus are
    the same too, it is 0.78 to 0.82.""",
    span(colour["within"]) == [0.77, 0.80],
    (colour["within"] > colour["auc"]).sum() == 5,
    span(colour["within_photo"]) == [0.78, 0.82],
)
kept = (middle["within"].to_numpy() - 0.5) / (colour["within"].to_numpy() - 0.5)
claim(
    """A small parasite hardly moves it, and within patients its AUC is 0.70 to 0.73, which
    keeps three quarters of what the mean has above 0.5; within photographs 0.71 to 0.75 (over
    all pairs, by patient, 0.57, 0.62 and 0.74).""",
    span(middle["within"]) == [0.70, 0.73],
    middle["within_low"].min() > 0.64,
    rounded(kept, 2) == [0.76, 0.74, 0.74, 0.76, 0.75, 0.75],
    span(middle["within_photo"]) == [0.71, 0.75],
    rounded(by(middle, "patient")["auc"], 2) == [0.57, 0.62, 0.74],
)
claim(
    """with all cells, by patient, seed 42, one threshold on purple has an AUC of 0.97 and the
    recorded basic CNN one of 0.98.""",
    table["auc"].max() < 0.8,
    rounded(load("purple_threshold").metrics.loc["auc", "value"], 2) == 0.97,
    rounded(load("basic_cnn").metrics.loc["auc", "value"], 2) == 0.98,
)

# what the chapter itself measures
painted = shown("empty = wipe(seen)")
claim(
    """With nothing inside, nearly every cell is called uninfected, and of the AUC little or
    nothing beyond the shortcuts' own is left.""",
    "painted over sensitivity 0.002" in painted,
    "auc 0.655" in painted,
)
claim(
    "At least one of the three is clearly better than a coin, and none comes near the network.",
    "AUC up to 0.69 by patient" in shown("Without any shape inside the cell: AUC up to"),
)
claim(
    "Take the parasite away, and nine in ten of the alarms go with it (synthetic).",
    "without the parasite': 0.073" in shown("healed = np.array("),
)
maps = shown("table = {\n    name: pd.concat(")
claim(
    """Grad-CAM puts about a third of its attribution on the parasites, more than five times
    their share of the area. Occlusion with patches of 8 pixels puts more there.""",
    "Grad-CAM 0.041 0.331" in maps,
    "occlusion 0.041 0.484" in maps,
    0.331 > 5 * 0.041,
)
claim(
    "even the truth, seen at 16 × 16, is at about 0.6 and not at 1.",
    "the truth, coarse 0.041 0.644" in maps,
)
claim(
    "Saturation plays the pointing game about as well as Grad-CAM (synthetic)",
    "saturation 0.041 0.121 0.099 0.148 0.925" in maps,
    "Grad-CAM 0.041 0.331 0.271 0.399 0.900" in maps,
)
random = shown("cascade = []")
claim(
    """From dense1 down every draw's correlation is below 0.7, and the parasite is found less
    and less often, in the end hardly ever.""",
    "dense1 0 0.0 0 0.24 0.26 0.31 0.28 0.34 0.52" in random,
    "conv3 0 0.0 0 0.15 0.30 0.60 0.10 0.10 0.30" in random,
    "conv1 0 0.0 0 0.05 0.12 0.33 0.00 0.05 0.05" in random,
)
claim(
    "For parasitized cells less lies there than the black's share of the area",
    "parasitized 0.260 0.058" in shown("in_black.insert(0"),
)
