"""What chapter 13 says of classifiers that see only a shortcut, and of maps."""

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.records import load, read_table

complete = True

table = read_table("13_explain-shortcuts").query("split == 'patient'")
mask, size, colour, middle, trees = (
    table.loc[[name]] for name in ("mask", "size", "mean colour", "median colour", "mask, trees")
)


def span(column, digits=2):
    return rounded([column.min(), column.max()], digits)


claim(
    "- **Size** says little: over all pairs every interval includes 0.5.",
    len(size) == 3,
    ((size["low"] < 0.5) & (size["high"] > 0.5)).all(),
)
claim(
    """0.61 to 0.63 from a linear rule and 0.71 from trees, and within patients 0.55 to 0.57 and
    0.64.""",
    mask["auc"].between(0.605, 0.635).all(),
    rounded(trees["auc"], 2) == [0.71],
    span(mask["within"]) == [0.55, 0.57],
    rounded(trees["within"], 2) == [0.64],
    mask["low"].min() > 0.5,
)
claim(
    "Over all pairs its AUC is 0.62 (interval 0.39 to 0.78) to 0.77.",
    rounded(colour.sort_values("auc")[["low", "high"]].iloc[0], 2) == [0.39, 0.78],
    span(colour["auc"]) == [0.62, 0.77],
)
claim(
    """But within patients, where the stain is nearly the same, it is 0.77 to 0.80, *higher* in two
    of three seeds.""",
    span(colour["within"]) == [0.77, 0.80],
    (colour["within"].to_numpy() > colour["auc"].to_numpy()).sum() == 2,
)
kept = (middle["within"].to_numpy() - 0.5) / (colour["within"].to_numpy() - 0.5)
claim(
    """- **The median colour** keeps about three quarters of the excess over 0.5: 0.70 to 0.73
    within patients.""",
    span(middle["within"]) == [0.70, 0.73],
    ((kept > 0.73) & (kept < 0.77)).all(),
)
claim(
    """with all cells, by patient, seed 42, one threshold on purple has an AUC of 0.97 and the
    basic CNN 0.98.""",
    table["auc"].max() < 0.8,
    rounded(load("purple_threshold").metrics.loc["auc", "value"], 2) == 0.97,
    rounded(load("basic_cnn").metrics.loc["auc", "value"], 2) == 0.98,
)

# what the chapter itself measures, as stored
quick = shown("reached[name] = evaluate(")
claim(
    """In this run the mean colour reaches 0.69 (0.62–0.75), clearly better than a coin. For mask
    and size the intervals include 0.5, and the network has 0.98.""",
    "mask 0.529 0.491 0.565" in quick,
    "size 0.537 0.491 0.580" in quick,
    "colour 0.691 0.621 0.747" in quick,
    "basic CNN 0.982" in quick,
)
painted = shown("emptied = model.predict(wipe(seen)")
claim(
    """With nothing inside, nearly every cell is classified as uninfected; outline and median
    colour still rank a little (AUC 0.66, 0.61–0.70). (NaN: too few patients differ for an
    interval.)""",
    "painted over sensitivity 0.000" in painted,
    "auc 0.657 0.607 0.699" in painted,
)
claim(
    "Take the parasite away, and more than nine in ten of the alarms go with it.",
    "of these, without the parasite 0.058" in shown("cleaned = np.array("),
)
maps = shown("share, pointing = {}, {}")
claim(
    """Grad-CAM puts 0.36 (0.25–0.48) of its attribution on the parasites, nine times their part
    of the area, and occlusion 0.48 (0.34–0.61). The random map gets the area's 0.04, as it
    must.""",
    "Grad-CAM 0.363 0.245 0.480" in maps,
    "occlusion 0.484 0.341 0.612" in maps,
    "random 0.040" in maps,
    round(0.363 / 0.040) == 9,
)
claim(
    """The highest pixel is on the parasite in 85 % of the cells for Grad-CAM, in 90 % for
    occlusion, and in 93 % for saturation, which never met the network.""",
    "0.850 0.747 0.912" in maps,
    "0.902 0.712 0.967" in maps,
    "saturation 0.121 0.096 0.150 0.925" in maps,
)
claim("The parasites cover about 4 % of the picture", "random 0.040" in maps)
claim(
    "even the truth, at 16 × 16, scores about 0.6.",
    "the truth, coarse 0.644 0.558 0.709" in maps,
)
random = shown("changed = cascade(")
claim(
    """in two of three draws (the median correlation is 0.95), though the score is drawn
    anew""",
    "score 0.95" in random,
)
claim(
    """From dense2 down the medians are at most 0.49, and with all weights random 0.13; then the
    highest pixel is on the parasite in one cell of 20. With the top two layers random
    (dense2) the median is −0.01""",
    "dense2 -0.01" in random,
    "dense1 0.33" in random,
    "conv3 0.49" in random,
    "conv2 0.38" in random,
    "conv1 0.13 0.0 0.05" in random,
)

# settings, answers to choose, and what others report
given("<details><summary>about 0.5: none of them shows a parasite</summary>", "an answer to choose")
given("<details><summary>clearly above 0.5 and clearly below", "an answer to choose")
given("So we repeat it with all 27,558 cells at 125 pixels", "the record's setting")
given("<details><summary>nearly all of it, over 80 %</summary>", "an answer to choose")
given("<details><summary>about 4 %, as by chance</summary>", "an answer to choose")
given("The last layer, which turns 512 numbers into the score", "the basic CNN, chapter 03")
