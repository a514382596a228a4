"""What chapter 16 says of the small network: its steps, its test, its exports and its speed."""

import numpy as np
import pandas as pd

from malaria_nb.claims import claim, given, rounded
from malaria_nb.evaluation import evaluate, metrics
from malaria_nb.leakage import fold_scores, out_of_fold
from malaria_nb.records import load, read_table
from malaria_nb.stats import difference

complete = True
SEEDS = (42, 43, 44)
PARAMETERS = {
    "purple_threshold": 2,
    "compact": 61_105,
    "basic_cnn": 15_102_529,
    "vgg19_frozen": 22_647_361,
    "vgg19_finetuned": 22_647_361,
}
given(
    """The article trains for 102 minutes on a GPU, and its networks weigh 60 to 90 MB as
    numbers alone.""",
    "the article's output; the parameters counted in chapters 03 and 05, at 4 bytes each",
)
claim(
    """One dense layer holds 97.6 % of them. Each of its 512 units has one weight per position (225)
    and map (128).""",
    rounded(100 * (225 * 128 + 1) * 512 / PARAMETERS["basic_cnn"], 1) == 97.6,
    15 * 15 == 225,
)
claim(
    "61,105 parameters, where the basic CNN has 15,102,529: 247 times fewer.",
    round(PARAMETERS["basic_cnn"] / PARAMETERS["compact"]) == 247,
)

# one change at a time
steps = read_table("16_compact-steps")
about = steps.attrs["about"]
steps = steps.reset_index()
one = steps[steps["scored"] == "score"].set_index("step")
eight = steps[steps["scored"] != "score"].set_index("step")
seconds = one["seconds"].astype(float)
FIRST, MEAN, STRIDES = "article's, at 48 px", "mean of evidence", "steps of 2, no pooling"
NORM, CYCLE, FOUR, TURNS = (
    "batch normalisation",
    "one cycle",
    "four narrow layers",
    "eight symmetries",
)
GAIN = ["gain", "gain_low", "gain_high"]


def accuracy_of(step):
    return rounded(one.loc[step, "accuracy"], 4)


def gained(step, digits=3):
    "What a step gains on the one it is compared with: value, low, high."
    return rounded(one.loc[step, GAIN], digits)


def kept(name):
    path = load("compact").folder.parent / "steps" / f"{name}.csv.gz"
    return pd.read_csv(path, comment="#")


def apart(a, b, scored):
    "The paired difference in accuracy of two steps whose scores are kept."
    a, b = (
        kept(name).assign(score=lambda t: t[scored], split="kept", file=lambda t: t.index)
        for name in (a, b)
    )
    return rounded(difference(a, b, split="kept").loc["accuracy"], 4)


claim(
    """So we divide the 140 patients outside seed 42's test split into three folds. Each version is
    trained on two folds and scored on the third, and each of the 19,290 cells is scored [out of
    fold]""",
    (about["patients"], about["validation_cells"]) == (140, 19_290),
)
claim("Yes: alone, it costs 0.020.", gained(NORM)[0] == -0.020)
claim(
    """The article's layout reaches 0.9489 at 48 px. A mean of evidence in place of its dense
    layers, with 29 times fewer parameters, changes that by 0.0002 (−0.0047 to 0.0039).""",
    accuracy_of(FIRST) == 0.9489,
    one.loc[FIRST, "parameters"] // one.loc[MEAN, "parameters"] == 29,
    gained(MEAN, 4) == [0.0002, -0.0047, 0.0039],
)
claim(
    """**Strides of 2 cost a point** (−0.013, −0.028 to −0.003) **and save two thirds of the
    time**: 40 CPU seconds in place of 120.""",
    gained(STRIDES) == [-0.013, -0.028, -0.003],
    rounded(seconds[[STRIDES, MEAN]], -1) == [40, 120],
)
claim(
    "**Batch normalisation costs two more** (−0.020), which we did not expect.",
    gained(NORM)[0] == -0.020,
    gained(NORM)[2] < 0,
)
claim(
    "**The training recipe recovers most of it** (+0.028)",
    gained(CYCLE)[0] == 0.028,
    one["gain"].astype(float).idxmax() == CYCLE,
    gained(CYCLE)[1] > 0,
)
claim(
    "the final network without it loses 0.010.",
    gained("no normalisation")[0] == -0.010,
    gained("no normalisation")[2] < 0,
)
claim(
    "**Four narrow layers** in place of three gain 0.006 with a third fewer parameters.",
    gained(FOUR)[0] == 0.006,
    gained(FOUR)[1] > 0,
    0.6 < one.loc[FOUR, "parameters"] / one.loc[CYCLE, "parameters"] < 0.7,
)
claim(
    "**The eight symmetries** have no clear gain: 0.003 (−0.0003 to 0.0064).",
    gained(TURNS)[0] == 0.003,
    gained(TURNS, 4)[1:] == [-0.0003, 0.0064],
)
claim(
    "Three changes of training together gain most",
    one["gain"].astype(float).idxmax() == CYCLE,
)
NOTHING = ["own mean colour", "label smoothing", "weight averaging", "64 px", "96 px", "16 epochs"]
claim(
    """**The rest has no detectable effect**: 64 or 96 px, 16 epochs,
    [label smoothing](glossary.md#label-smoothing),
    [weight averaging](glossary.md#weight-averaging), the cell's own mean colour.""",
    all(abs(gained(step)[0]) <= 0.001 for step in NOTHING),
    all(gained(step, 6)[1] < 0 < gained(step, 6)[2] for step in NOTHING),
)
claim(
    """32 px, six and four epochs are 0.005, 0.006 and 0.009 lower; the intervals just include
    zero.""",
    [gained(step)[0] for step in ("32 px", "6 epochs", "4 epochs")] == [-0.005, -0.006, -0.009],
    all(
        gained(step, 6)[1] < 0 < gained(step, 6)[2] < 0.002
        for step in ("32 px", "6 epochs", "4 epochs")
    ),
)
claim(
    "We stop here, because seven networks end within 0.002 of each other.",
    np.ptp([accuracy_of(step) for step in (TURNS, *NOTHING)]) < 0.002,
)


# the test at last
def on_test(name, split="patient", seed=42):
    t = load(name, split, seed).predictions
    return t[t["split"] == "test"]


def ahead(other, split="patient", metric="accuracy", name="compact"):
    "Paired difference from another recipe: value, low, high."
    return difference(on_test(name, split), on_test(other, split)).loc[metric]


def accuracy(name, split="patient", seed=42):
    return load(name, split, seed).metrics.loc["accuracy", "value"]


def auc(name):
    return load(name).metrics.loc["auc", "value"]


by_cell = {n: ahead(n, "cell") for n in PARAMETERS if n != "compact"}
by_patient = {n: ahead(n) for n in PARAMETERS if n != "compact"}
claim(
    "Yes, by 0.017, and the interval runs from 0.006 to 0.031.",
    rounded(by_patient["basic_cnn"]) == [0.017, 0.006, 0.031],
)
claim(
    """The small network leads the basic CNN by 0.009 (split by cell) and 0.017 (by patient), and
    the frozen VGG-19 by more; each interval excludes zero.""",
    rounded(by_cell["basic_cnn"]["value"]) == 0.009,
    rounded(by_patient["basic_cnn"]["value"]) == 0.017,
    all(t["vgg19_frozen"]["value"] > t["basic_cnn"]["value"] for t in (by_cell, by_patient)),
    all(t[n]["low"] > 0 for t in (by_cell, by_patient) for n in ("basic_cnn", "vgg19_frozen")),
)
claim(
    """After 3 of 25 epochs it is behind in accuracy by 0.006 (0.001 to 0.010) and ahead in AUC by
    0.004 (0.001 to 0.008); by cell, neither is detectable.""",
    by_cell["vgg19_finetuned"]["low"] < 0 < by_cell["vgg19_finetuned"]["high"],
    ahead("vgg19_finetuned", "cell", "auc")["low"]
    < 0
    < ahead("vgg19_finetuned", "cell", "auc")["high"],
    rounded(by_patient["vgg19_finetuned"]) == [0.006, 0.001, 0.010],
    rounded(ahead("vgg19_finetuned", metric="auc")) == [-0.004, -0.008, -0.001],
)
claim(
    "it is ahead in accuracy, too, by 0.005 (0.0003 to 0.011).",
    rounded(ahead("vgg19_finetuned_one_cycle"), 4)[:3] == [-0.0048, -0.0107, -0.0003],
)
fold_tables = [load("compact", f"patient-fold{k}").predictions for k in range(1, 6)]
folds = out_of_fold(fold_tables)
five = evaluate(folds["label"], folds["score"], folds["patient"])
single = fold_scores(fold_tables)
claim(
    """Seed 42 gives 0.961 by patient. Five folds give 0.9574 (0.9451–0.9641) and an AUC of
    0.9890 (0.9853–0.9913), with single folds from 0.947 to 0.966.""",
    rounded(accuracy("compact")) == 0.961,
    rounded(five.loc["accuracy"], 4) == [0.9574, 0.9451, 0.9641],
    rounded(five.loc["auc"], 4) == [0.9890, 0.9853, 0.9913],
    rounded([single.min(), single.max()]) == [0.947, 0.966],
)
purple = out_of_fold(
    [load("purple_threshold", f"patient-fold{k}").predictions for k in range(1, 6)]
)
claim(
    """Chapter 02's threshold on purple reaches 0.9447 in the same folds. The 61,103 further
    parameters lead by 0.0127 (0.0060 to 0.0227), 0.0098 without patient C116.""",
    rounded(difference(*[t[t["patient"] != "C116"] for t in (folds, purple)]).loc["accuracy"], 4)[0]
    == 0.0098,
    rounded(metrics(purple["label"], purple["score"])["accuracy"], 4) == 0.9447,
    PARAMETERS["compact"] - PARAMETERS["purple_threshold"] == 61_103,
    rounded(difference(folds, purple).loc["accuracy"], 4) == [0.0127, 0.006, 0.0227],
)

# how little time
timed = read_table("16_compact-training")
work, valid = timed["seconds"].round(), timed["accuracy of validation cells"]
claim(
    """**The training takes 39 seconds** on two idle CPU cores; one epoch of the basic CNN takes
    79.""",
    work.to_dict()
    == {"compact, float32": 39, "compact, mixed_bfloat16": 36, "basic_cnn, float32": 79},
    timed["epochs"].to_dict()
    == {"compact, float32": 8, "compact, mixed_bfloat16": 8, "basic_cnn, float32": 1},
    rounded(valid) == [0.962, 0.964, 0.938],
)
# a teacher
learnt = {
    m: ahead("compact", metric=m, name="compact_distilled")
    for m in ("accuracy", "sensitivity", "specificity", "auc")
}
claim(
    """sensitivity falls by 0.005 and specificity rises by 0.004, in one training.""",
    rounded(learnt["sensitivity"], 4) == [-0.0053, -0.0093, -0.0015],
    rounded(learnt["specificity"], 4) == [0.0044, 0.0011, 0.0085],
)
claim(
    "The difference is −0.0005, and its interval includes zero.",
    rounded(learnt["accuracy"], 4) == [-0.0005, -0.0033, 0.0021],
)
claim(
    "The AUC does rise, by 0.0006; its interval includes zero, if barely.",
    rounded(learnt["auc"], 4) == [0.0006, -0.0001, 0.0015],
)
# sixteen times the work
larger = read_table("16_compact-larger")
looked_at = larger.attrs["about"]["validation_cells"]
larger = larger.reset_index()
way = larger.set_index(["trained", "looks"])
ALL_SIX = "all six, averaged"
more = larger.dropna(subset="gain_low")  # the recipe is no more than itself
effort = (larger.set_index("trained")["seconds"] / larger["seconds"].min()).round()
claim(
    """On these 6,430 cells, sixteen times the work (all averaged) gives 0.9667 where the
    recipe gives 0.9650: no detectable difference. (By patient, eight looks gain 0.0021, 0.0008 to
    0.0036.)""",
    rounded(eight.loc[TURNS, ["gain", "gain_low", "gain_high"]].astype(float), 4)
    == [0.0021, 0.0008, 0.0036],
    (effort[ALL_SIX] == 16).all(),
    rounded(way.loc[("the recipe", 1), "accuracy"], 4) == 0.9650,
    rounded(way.loc[ALL_SIX, "accuracy"].max(), 4) == 0.9667,
    (more["gain_low"] <= 0).all() and (more["gain_high"] >= 0).all(),
    looked_at == 6430,
)
seeds = [kept(f"by-cell-seed-{seed}") for seed in range(42, 47)]
wrong = np.array([(t["score"] >= 0.5) != t["label"] for t in seeds])
claim(
    "Of the 225 cells that the first network gets wrong, 181 are wrong in all five.",
    (int(wrong[0].sum()), int(wrong.all(0).sum())) == (225, 181),
)

# disputed labels
disputed = read_table("16_compact-disputed").set_index("split by", append=True)
here = disputed.loc[("compact", "cell")]
mistakes = round(here["cells"] * (1 - here["accuracy"]))
followed_not = round((1 - here["followed"]) * here["disputed"])


def needed(elsewhere):
    "How often the published label must be followed where it is disputed, for 0.97 in all."
    rest = here["cells"] - here["disputed"]
    return (0.97 * here["cells"] - elsewhere * rest) / here["disputed"]


claim(
    """**Where nobody disputes the label, 99 of 100 cells are classified correctly** (by cell;
    98.6 in five folds by patient), and the AUC is 0.9996. Of the network's 305 mistakes by cell,
    241 are on the 420 cells whose labels are on the lists.""",
    rounded(here[["undisputed", "low", "high"]]) == [0.992, 0.989, 0.994],
    rounded(100 * disputed.loc[("compact", "five folds by patient"), "undisputed"], 1) == 98.6,
    rounded(here["undisputed_auc"], 4) == 0.9996,
    (mistakes, followed_not, here["disputed"]) == (305, 241, 420),
)
claim(
    """**There it follows the published label in 43 of 100 cases**, so the lists in 57. As good
    elsewhere, it would need 56 of 100 for an accuracy of 0.97. Even faultless elsewhere, it must
    agree more often with disputed labels to pass 0.971.""",
    rounded(1 - followed_not / here["cells"]) == 0.971,
    rounded(100 * here["followed"], 0) == 43,
    rounded(100 * needed(here["undisputed"]), 0) == 56,
)
# exports and speed
exports = read_table("16_compact-exports").reset_index().set_index("format")
claim(
    "Yes, 16. Nearly as many become wrong as become right.",
    exports.loc["int8", "moved"] == 16,
    abs(exports.loc["int8", "value"] - exports.loc["Keras", "value"]) < 0.0003,
)
claim(
    """In float the exported network's scores agree to a millionth. Half
    precision changes no prediction of 8,268. Eight bits change 16, in both directions, so the
    accuracy stays (0.9637 beside 0.9635). But one score moves by 0.137.""",
    (exports.loc[["float32", "ONNX"], "largest"] < 1e-6).all(),
    exports["moved"].to_dict() == {"Keras": 0, "float32": 0, "float16": 0, "int8": 16, "ONNX": 0},
    rounded(exports.loc[["int8", "Keras"], "value"], 4) == [0.9637, 0.9635],
    rounded(exports.loc["int8", "largest"]) == 0.137,
)
given(
    "Our first attempt moved one by 0.5:",
    "int8 as exported before `* 255` in `_centred`; tests/test_compact.py",
)
reading = read_table("16_compact-reading")
claim(
    """In eight bits, one core scores 3,000 times as many cells a second with `compact` as with the
    fine-tuned VGG-19 in Keras, 970 times with the second student, and 540 times with [chapter
    17](17_lite0.ipynb)'s five blocks, which come with the package because they rank better
    [elsewhere](15_external.ipynb).""",
    rounded(reading.loc["LiteRT int8", "ratio"], -1) == 3000,
    rounded(reading.loc["LiteRT int8, second student", "ratio"], -1) == 970,
    rounded(reading.loc["LiteRT int8, as shipped", "ratio"], -1) == 540,
)
starting = read_table("16_compact-starting")
wait = starting["seconds"].round(2)
claim(
    """`malaria-nb predict` answers in 0.2 seconds, the same network in Keras in 4.9, nearly
    all of it the import of TensorFlow.""",
    wait["malaria-nb predict, 1 file"] == 0.2,
    wait["Keras, 1 file"] == 4.86,
    wait["import tensorflow"] == 4.49,
)
claim(
    """Split by patient, 61,105 parameters lead Part I's networks in accuracy, and all but one in
    AUC; eight epochs put that one ahead, in accuracy barely.""",
    all(
        accuracy("compact") > accuracy(n) for n in ("basic_cnn", "vgg19_frozen", "vgg19_finetuned")
    ),
    sorted(auc("compact") > auc(n) for n in ("basic_cnn", "vgg19_frozen", "vgg19_finetuned"))
    == [False, True, True],
    auc("compact") < auc("vgg19_finetuned"),
    rounded(ahead("vgg19_finetuned_one_cycle"), 4)[:3] == [-0.0048, -0.0107, -0.0003],
    ahead("vgg19_finetuned_one_cycle", metric="auc")["high"] < 0,
    work["compact, float32"] == 39,
)
in_folds = disputed.loc[("compact", "five folds by patient")]
wrong_in_folds = ((folds["score"] >= 0.5) != folds["label"]).sum()
claim(
    """In five folds, seven in ten of its mistakes are on disputed labels; by cell, more work brings
    nothing detectable.""",
    rounded((1 - in_folds["followed"]) * in_folds["disputed"] / wrong_in_folds, 1) == 0.7,
    (more["gain_low"] <= 0).all(),
)

claim(
    """The control, without a teacher, is as good: 0.0002 apart in accuracy (−0.0016 to 0.0022),
    −0.0004 in AUC (−0.0020 to 0.0008).""",
    rounded(ahead("compact_wide", name="compact_student"), 4) == [0.0002, -0.0016, 0.0022],
    rounded(ahead("compact_wide", metric="auc", name="compact_student"), 4)
    == [-0.0004, -0.002, 0.0008],
)
student_folds = out_of_fold(
    [load("compact_student", f"patient-fold{k}").predictions for k in range(1, 6)]
)


def unused(table):
    "The cells of the 60 patients that seed 42 tests."
    return table[table["patient"].isin(on_test("compact")["patient"])]


student_five = evaluate(student_folds["label"], student_folds["score"], student_folds["patient"])
claim(
    """The first table has one split and seed (without patient C182 the teacher leads in AUC), the
    second five folds, all 27,558 cells.""",
    len(on_test("compact_student")) == 8268,
    ahead("lite0_finetuned", metric="auc", name="compact_student")["high"] > 0,
    difference(
        *[
            t[t["patient"] != "C182"]
            for t in (on_test("compact_student"), on_test("lite0_finetuned"))
        ]
    ).loc["auc", "high"]
    < 0,
    len(student_folds) == 27_558,
)
claim(
    """**The second student leads `compact` in five folds,** by 0.0061 (0.0029 to 0.0102) in
    accuracy and 0.0024 (0.0010 to 0.0038) in AUC. On the 60 patients that had no part in its choice
    the folds' networks lead by 0.0058 (0.0021 to 0.0114), seed 42's by 0.0024, not detectably:
    trainings differ.""",
    rounded(difference(unused(student_folds), unused(folds)).loc["accuracy"], 4)
    == [0.0058, 0.0021, 0.0114],
    rounded(difference(student_folds, folds).loc["accuracy"], 4) == [0.0061, 0.0029, 0.0102],
    rounded(difference(student_folds, folds).loc["auc"], 4) == [0.0024, 0.001, 0.0038],
    rounded(ahead("compact", name="compact_student")["value"], 4) == 0.0024,
    ahead("compact", name="compact_student")["low"] < 0,
)
claim(
    "2.2 times as many parameters",
    rounded(136_585 / PARAMETERS["compact"], 1) == 2.2,
)
claim(
    """in five folds 0.993 on undisputed cells, and the published label in 54 of 100 disputed
    cases.""",
    rounded(disputed.loc[("lite0_finetuned", "five folds by patient"), "undisputed"]) == 0.993,
    rounded(100 * disputed.loc[("lite0_finetuned", "five folds by patient"), "followed"], 0) == 54,
)
given("Chapter 03 counted 15.1 million parameters in the basic CNN.", "chapter 03's ledger")
given(
    "[Smoothing](glossary.md#label-smoothing) moves every label equally far towards 0.5",
    "what label smoothing is",
)
given("from the article's network at 48 pixels", "the recipes in tools/small.py")
given(
    """four narrow layers at 48 px, one cycle, eight symmetries, eight epochs. This is the recipe
    `compact`.""",
    "the recipe",
)
claim(
    """The basic CNN has 247 times as many parameters, sees seven times as many pixels, and trained
    for ten epochs.""",
    len(load("basic_cnn").history) == 10,
    round(PARAMETERS["basic_cnn"] / PARAMETERS["compact"]) == 247,
    round((125 / 48) ** 2) == 7,
)
claim("each of the 27,558 cells is scored once", len(folds) == 27_558)
claim(
    "five seeds, a network twice as wide, eight looks at each cell",
    pd.Series(one.loc[TURNS, "parameters"]).iloc[0] == PARAMETERS["compact"],
)
claim(
    "who hold 1,397 labels of this data set to be wrong",
    disputed.loc[("compact", "five folds by patient"), "disputed"] == 1397,
)
given("Hard cells are the likeliest to be disputed (chapter 12).", "chapter 12")
given("from −127 to 127, with a scale for each filter", "LiteRT's eight-bit format")
claim(
    "The second student, recorded, was tested on 8,268 cells.",
    exports.attrs["about"]["test_cells"] == 8268,
)
given("Hundreds: eight bits are 256 levels", "two to the eighth power")
