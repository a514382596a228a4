"""What chapter 17 says of EfficientNet-Lite0: its parameters, its work, its two starts."""

import numpy as np

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.evaluation import evaluate
from malaria_nb.leakage import out_of_fold
from malaria_nb.records import load, read_table
from malaria_nb.report import five_folds
from malaria_nb.stats import difference

complete = True
# as the modules `lite0` and `transfer` have them, which import Keras
STAGES = (
    (16, 3, 1, 1, 1),
    (24, 3, 2, 6, 2),
    (40, 5, 2, 6, 2),
    (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)
BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


# the expense
vgg19 = load("vgg19_finetuned")
hours = vgg19.about["seconds"] / vgg19.about["epochs"]["done"] * 25 / 3600
given(
    "Of Part I's models the fine-tuned VGG-19 ranks cells best", "chapter 05's table of four models"
)
claim(
    """early stopping ended the basic CNN's. Accuracy, AUC and differences from the first row are
    of the 14 validation patients, with 95 % intervals by patient:""",
    vgg19.about["cells"]["valid"]["patients"] == 14,
    "no lower" in str(load("basic_cnn").about["epochs"]),
)
claim(
    """Three epochs of VGG-19 took 67 minutes. At that pace all 25 would take over nine
    hours, and five folds nearly two days.""",
    vgg19.about["epochs"]["done"] == 3,
    vgg19.about["epochs"]["planned"] == 25,
    rounded(vgg19.about["seconds"] / 60, 0) == 67,
    9 < hours < 9.5,
    44 < 5 * hours < 48,
)

# multiplications, by hand
ordinary, in_two_steps = 15**2 * 9 * 512 * 512, 15**2 * (9 * 512 + 512 * 512)
claim(
    """That makes 225 × 9 × 512 × 512, or 531 million multiplications for one cell.""",
    225 * 9 * 512 * 512 == ordinary,
    rounded(ordinary / 1e6, 0) == 531,
)
claim(
    """With 512 channels, 60 million in place of 531 million: 8.8 times fewer. The ratio is
    1 / (1/9 + 1/channels), so with filters of 3 × 3 it approaches 9.""",
    rounded(in_two_steps / 1e6, 0) == 60,
    rounded(ordinary / in_two_steps, 1) == 8.8,
    abs(1 / (1 / 9 + 1 / 512) - ordinary / in_two_steps) < 1e-9,
)
given(
    "A layer in block 4 of VGG-19 has 15 × 15 positions, filters of 3 × 3 and 512 channels",
    "counted in chapter 05, at 125 pixels",
)
given("About 512 times: each filter reads one channel only", "a wrong answer")
given("The depthwise step does. The pointwise step still joins 512 channels", "counted above")


# the whole network
def counted(size):
    "Count Lite0's parameters and multiplications from its stages."
    side, before = size // 2, 32
    parameters, work = 27 * 32 + 4 * 32, side**2 * 27 * 32
    for channels, kernel, stride, expand, repeats in STAGES:
        for block in range(repeats):
            inside = expand * before
            if expand > 1:
                parameters += before * inside + 4 * inside
                work += side**2 * before * inside
            side //= stride if block == 0 else 1
            parameters += kernel**2 * inside + 4 * inside + inside * channels + 4 * channels
            work += side**2 * inside * (kernel**2 + channels)
            before = channels
    parameters += before * 1280 + 4 * 1280 + 1281
    return parameters, work + side**2 * before * 1280 + 1280


def of_vgg19(size):
    "Count the parameters and multiplications of VGG-19's convolutions."
    side, before, parameters, work = size, 3, 0, 0
    for block in BLOCKS:
        for channels in block:
            parameters += 9 * before * channels + channels
            work += side**2 * 9 * before * channels
            before = channels
        side //= 2
    return parameters, work


(lite0, lite0_work), (vgg, vgg_work) = counted(96), of_vgg19(96)
compared = shown('compared.loc["times fewer"]')
claim(
    """That is 3.4 million with one output, and 4.7 million with ImageNet's thousand. VGG-19's
    convolutions alone have 20.0 million, six times as many.""",
    rounded(lite0 / 1e6, 1) == 3.4,
    rounded((lite0 + 999 * 1281) / 1e6, 1) == 4.7,
    rounded(vgg / 1e6, 1) == 20.0,
    rounded(vgg / lite0, 0) == 6,
)
claim(
    "71 million in place of 3,583 million: 51 times fewer.",
    all(f"{n:,}" in compared for n in (lite0, lite0_work, vgg, vgg_work)),
    rounded(lite0_work / 1e6, 0) == 71,
    rounded(vgg_work / 1e6, 0) == 3583,
    rounded(vgg_work / lite0_work, 0) == 51,
)

# settings, and what is known from elsewhere
given("**Predict.** VGG-19's layer has 512 channels.", "counted in chapter 05")
given("The pointwise step still joins 512 channels with 512", "counted in chapter 05")
given("EfficientNet (Tan and Le 2019) has sixteen such blocks in seven stages", "its table 1")
given("For one cell of 96 pixels, how many times fewer", "a choice of the recipe")
given("while VGG-19 has two layers of 64 channels at full size.", "Simonyan and Zisserman (2015)")
given("VGG-19 has 64 channels and more everywhere.", "Simonyan and Zisserman (2015)")
given(
    """Eight bits have 256 levels for whatever range occurs: between 0 and 6 they lie 0.024 apart.
    With swish, one layer's outputs went from −168 to 204, and ImageNet accuracy fell from 75 % to
    46 % in eight bits; with ReLU6 it was 74.4 % (Liu 2020).""",
    "Liu (2020), its table of results, and 6 / 255",
)
given(
    "the largest difference is 0.00003.",
    "tests/test_lite0.py, with the published network's output in tests/lite0_published.npy",
)
given("| training cells | 384 | all |", "the chapter's own choice")
given("| pixels, cells a step | 64, 16 | 96, 64 |", "the quick scale, and the recipe")
given("| epochs | 3 | 4 |", "the quick scale, and the recipe")
given("| optimizer | AdamW, one cycle up to 0.001 | the same |", "the recipe")
given("| [label smoothing](glossary.md#label-smoothing) | none | 0.05 |", "the recipe")
given(
    "Keras lets each batch change them by 1 %, too slow for a short training, so we take 10 %.",
    "Keras's momentum of 0.99, and ours of 0.9",
)
given(
    "The full recipe is `lite0_finetuned`: 96 pixels, four epochs, scores over the eight",
    "the recipe",
)

# the records
lite0 = load("lite0_finetuned")


def lead(name):
    "Subtract a recipe's metrics from Lite0's on the same test cells."
    return difference(lite0.predictions, load(name).predictions)


compact, tuned = lead("compact"), lead("vgg19_finetuned")
level = lead("vgg19_finetuned_one_cycle")
without_c182 = [
    difference(
        *(load(n).predictions.query("patient != 'C182'") for n in ("lite0_finetuned", other))
    )
    for other in ("compact", "vgg19_finetuned", "vgg19_finetuned_one_cycle")
]
folds = [load("lite0_finetuned", f"patient-fold{k}") for k in range(1, 6)]
five = out_of_fold([one.predictions for one in folds])
found = evaluate(five["label"], five["score"], five["patient"])
others = out_of_fold([load("compact", f"patient-fold{k}").predictions for k in range(1, 6)])
ahead = difference(five, others, split=None)
minutes = [one.about["seconds"] / 60 for one in folds]
claim(
    """In five folds by patient, each of the 27,558 cells is scored once, by a network that has not
    met its patient.""",
    len(five) == five["file"].nunique() == 27_558,
)
claim(
    "Here are seed 42's 8,268 test cells, and after the dots, those of 43 and 44;",
    (lite0.about["seed"], lite0.about["cells"]["test"]["cells"]) == (42, 8268),
)
claim(
    """In five folds Lite0's accuracy is 0.970 (0.959–0.976), with an AUC of 0.995 (0.991–0.996).
    It leads the compact network by 0.013 (0.009 to 0.018) in accuracy and by 0.006 (0.004 to
    0.007) in AUC.""",
    [rounded(x, 3) for x in found.loc["accuracy"]] == [0.970, 0.959, 0.976],
    [rounded(x, 3) for x in found.loc["auc"]] == [0.995, 0.991, 0.996],
    [rounded(x, 3) for x in ahead.loc["accuracy"][:3]] == [0.013, 0.009, 0.018],
    [rounded(x, 3) for x in ahead.loc["auc"][:3]] == [0.006, 0.004, 0.007],
)
claim(
    """On seed 42's test cells it leads the compact network by 0.006 (0.002 to 0.011), and VGG-19
    after three epochs by 0.012 (0.007 to 0.017), by finding more parasites. After eight, VGG-19
    trails by 0.001 (−0.002 to 0.004). In AUC, Lite0 leads only without patient C182.""",
    [rounded(x, 3) for x in compact.loc["accuracy"][:3]] == [0.006, 0.002, 0.011],
    [rounded(x, 3) for x in tuned.loc["accuracy"][:3]] == [0.012, 0.007, 0.017],
    load("vgg19_finetuned").about["epochs"] | {"done": 3, "planned": 25}
    == load("vgg19_finetuned").about["epochs"],
    compact.loc["sensitivity", "low"] > 0 and tuned.loc["sensitivity", "low"] > 0,
    not any(one.loc[["specificity", "auc"], "survives"].any() for one in (compact, tuned)),
    len(load("vgg19_finetuned_one_cycle").history) == 8,
    [rounded(x, 3) for x in level.loc["accuracy"][:3]] == [0.001, -0.002, 0.004],
    not level["survives"].any(),
    all(one.loc["auc", "low"] > 0 for one in without_c182),
    load("vgg19_finetuned_one_cycle").about["recipe"]["learning_rate"] == 3e-5,
    (lite0.about["cells"]["test"]["patients"], five["patient"].nunique()) == (60, 200),
)
longer = load("vgg19_finetuned_one_cycle").about
claim(
    "once, it had eight epochs in one cycle (85 minutes, 16 bits, peak 3e-5).",
    rounded(longer["seconds"] / 60, 0) == 85,
    longer["epochs"]["done"] == 8,
    longer["environment"]["precision"] == "mixed_bfloat16",
)
claim(
    "A fold took 15 to 36 minutes on two cores.",
    [rounded(x, 0) for x in (min(minutes), max(minutes))] == [15, 36],
)

# what ImageNet contributes

SEEDS = (42, 43, 44)


def by_cell(name):
    return np.mean([load(name, "cell", seed).metrics.loc["accuracy", "value"] for seed in SEEDS])


claim(
    "Split by cell, Lite0 has 0.973 in the mean of three seeds, and the compact network 0.962.",
    rounded(by_cell("lite0_finetuned")) == 0.973,
    rounded(by_cell("compact")) == 0.962,
)
scratch, probe = load("lite0_scratch"), load("lite0_probe")


def apart(one, other, digits=3):
    "A difference in accuracy and in AUC on the same test cells: value, low and high."
    table = difference(one.predictions, other.predictions)
    return [rounded(table.loc[m, ["value", "low", "high"]], digits) for m in ("accuracy", "auc")]


def in_folds(one, other, digits=3):
    "The same for two recipes on all cells, each scored out of fold."
    table = difference(five_folds(one), five_folds(other), split=None)
    return [rounded(table.loc[m, ["value", "low", "high"]], digits) for m in ("accuracy", "auc")]


starts = {
    by: [
        apart(load("lite0_finetuned", by, s), load("lite0_scratch", by, s), 4)[0][0] for s in SEEDS
    ]
    for by in ("patient", "cell")
}
given(
    """`lite0_probe`, fits a linear probe to ImageNet's 1,280 features and trains nothing else, as
    [chapter 08](08_repairs.ipynb) does with VGG-19's 4,608""",
    "`features.lite0_features` and `features.frozen_features` at 125 pixels",
)
claim(
    """ImageNet's start is worth 0.0142 (0.0114 to 0.0181) in accuracy and 0.0072 (0.0056 to
    0.0094) in AUC. On 60 test patients, at three seeds, it was 0.0096 to 0.0163; by cell, 0.0156
    to 0.0169. From random weights, Lite0 (3.4 million parameters, four epochs) and compact
    (61,105, eight) can't be told apart in accuracy: −0.0015 (−0.0043 to 0.0020).""",
    in_folds("lite0_finetuned", "lite0_scratch", 4)
    == [[0.0142, 0.0114, 0.0181], [0.0072, 0.0056, 0.0094]],
    (lite0.about["cells"]["test"]["patients"], len(starts["patient"])) == (60, 3),
    (min(starts["patient"]), max(starts["patient"])) == (0.0096, 0.0163),
    (min(starts["cell"]), max(starts["cell"])) == (0.0156, 0.0169),
    (len(scratch.history), len(load("compact").history)) == (len(lite0.history), 8) == (4, 8),
    in_folds("lite0_scratch", "compact", 4)[0] == [-0.0015, -0.0043, 0.0020],
)
claim(
    """Frozen features fall short: the probe, at one look, lies 0.042 (0.037 to 0.048) behind
    fine-tuning, and 0.017 (0.004 to 0.025) behind purple's threshold. But it leads VGG-19's probe
    by 0.012 (0.005 to 0.021), at 96 pixels, not 125, for an eightieth of the multiplications.""",
    in_folds("lite0_finetuned", "lite0_probe")[0] == [0.042, 0.037, 0.048],
    in_folds("purple_threshold", "lite0_probe")[0] == [0.017, 0.004, 0.025],
    in_folds("lite0_probe", "vgg19_probe")[0] == [0.012, 0.005, 0.021],
    (probe.about["size"], load("vgg19_probe").about["size"]) == (96, 125),
    rounded(of_vgg19(125)[1] / lite0_work, -1) == 80,
)
short, drawn = load("lite0_short"), load("lite0_short_scratch")
given("cut Lite0 off after five of its sixteen blocks", "`lite0_short`'s default")
claim(
    """`lite0_short` trains these 58,457 parameters for twelve epochs on cells with [0.4 to 2.5
    times their dye]""",
    (len(short.history), len(drawn.history)) == (12, 12),
    short.about["recipe"]["augment"] == "symmetries_and_strength",
    rounded(np.exp([-0.9, 0.9]), 1) == [0.4, 2.5],
)
claim(
    """ImageNet's start has no detectable effect on its accuracy (0.0024, −0.0009 to 0.0053), and
    adds 0.0022 (0.0009 to 0.0036) of AUC.""",
    apart(short, drawn, 4) == [[0.0024, -0.0009, 0.0053], [0.0022, 0.0009, 0.0036]],
)
exports, eight_bits = map(read_table, ("17_lite0-exports", "17_lite0-eight_bits"))
reading = read_table("16_compact-reading")["cells a second"]
claim(
    """A fold's network ([chapter 15](15_external.ipynb) says which) comes with the package, in
    eight bits: 110,240 bytes. In five folds that adds 0.0015 (0.0004 to 0.0027) to specificity and
    costs 0.0009 (0.0000 to 0.0018) of sensitivity. Sixteen bits (batches of 64) take 2.4 times as
    long.""",
    exports.loc["int8", "bytes"] == 110_240,
    eight_bits.attrs["about"]["test_cells"] == 27_558,
    rounded(eight_bits.loc["specificity"].filter(like="less float32"), 4)
    == [0.0015, 0.0004, 0.0027],
    rounded(-eight_bits.loc["sensitivity"].filter(like="less float32"), 4) == [0.0009, 0.0018, 0.0],
    rounded(reading["LiteRT int8, as shipped"] / reading["LiteRT float16, five blocks"], 1) == 2.4,
)


def on_validation(name):
    "A recipe's accuracy on validation patients, less the full recipe's, with its interval."
    tables = load(name).predictions, load("lite0_finetuned").predictions
    return rounded(difference(*tables, split="valid").loc["accuracy", ["value", "low", "high"]], 4)


claim(
    """Half the epochs lost 0.0078 (0.0008 to 0.0175), twice as many gained 0.0036 (0.0003 to
    0.0071). For pixels and colours, one training and 14 patients are not enough.""",
    on_validation("lite0_2_epochs") == [-0.0078, -0.0175, -0.0008],
    on_validation("lite0_8_epochs") == [0.0036, 0.0003, 0.0071],
    all(one[1] < 0 < one[2] for one in map(on_validation, ("lite0_64px", "lite0_plain_colours"))),
    np.isnan(on_validation("lite0_128px")[1]),
)
given("judged on the 14 validation patients:", "the split of seed 42")
