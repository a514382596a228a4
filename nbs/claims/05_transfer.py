"""What chapter 05 says of frozen and fine-tuned VGG-19, on validation patients."""

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.evaluation import metrics
from malaria_nb.records import load
from malaria_nb.stats import difference

complete = True

NAMES = ("purple_threshold", "basic_cnn", "vgg19_frozen", "vgg19_finetuned")


def on_validation(name):
    scored = load(name).predictions.query("split == 'valid'")
    return metrics(scored["label"], scored["score"])


measured = {name: on_validation(name) for name in NAMES}
accuracy = {name: rounded(m["accuracy"]) for name, m in measured.items()}
auc = {name: rounded(m["auc"]) for name, m in measured.items()}

# the network, counted
by_block = [38_720, 221_440, 2_065_408, 8_259_584, 9_439_232]
head = 4_608 * 512 + 512 + 512 * 512 + 512 + 512 + 1
counted = shown("weights_in_block += conv_parameters(")
claim(
    "Of 20 million weights, 17.7 million lie in the last two blocks: 88 %.",
    all(f"{n:,}" in counted for n in by_block),
    rounded(sum(by_block) / 1e6, 0) == 20,
    rounded(sum(by_block[3:]) / 1e6, 1) == 17.7,
    rounded(100 * sum(by_block[3:]) / sum(by_block), 0) == 88,
)
claim(
    """Only eleven have weights: eight convolutions and the head's three. So count weights:
    20.3 of 22.6
    million.""",
    rounded((sum(by_block) + head) / 1e6, 1) == 22.6,
    rounded((sum(by_block[3:]) + head) / 1e6, 1) == 20.3,
)
given("The article calls 16 layers of this model trainable", "the article's print-out")
claim(
    """So each of 17,361 training and 1,929 validation cells goes through the base 25 times:
    482,250 passes.""",
    25 * (17_361 + 1_929) == 482_250,
)

# what this chapter measures, as it is stored
inputs = shown("rows[name] = [pixels.min(), pixels.max(), length]").split()
lengths = {name: float(inputs[inputs.index(name) + 3]) for name in ("rgb-mean", "bgr/255")}
claim(
    """With the pixels divided by 255, the features' length (√ of their squares' sum) falls below a
    tenth. The wrong order changes it far less.""",
    lengths["bgr/255"] < 0.1,
    abs(lengths["rgb-mean"] - 1) < 0.45,
)

# the fine-tuned model, epoch by epoch
tuned = load("vgg19_finetuned")
h = tuned.history
claim(
    """Here are the fine-tuned model's epochs, evaluated on the 1,928 cells of 14 validation
    patients. On two CPU cores an epoch takes up to 25 minutes; three were run ([chapter
    17](17_lite0.ipynb) has eight).""",
    tuned.about["cells"]["valid"]["cells"] == 1928,
    tuned.about["cells"]["valid"]["patients"] == 14,
    24 < h["seconds"].max() / 60 < 25,
    len(h) == 3,
)
claim(
    """Validation accuracy dipped in epoch 2, from 0.956 to 0.920, while AUC kept rising.""",
    rounded(h["val_accuracy"])[:2] == [0.956, 0.920],
    h["val_accuracy"][3] > h["val_accuracy"][2],
    h["val_auc"].is_monotonic_increasing,
)

# four models on the validation patients
claim(
    "Behind the fine-tuned model, and level with one threshold on purple",
    accuracy["vgg19_frozen"] == accuracy["purple_threshold"] < accuracy["vgg19_finetuned"],
)
claim(
    "In chapter 08 it is behind, with all three seeds.",
    all(
        load("vgg19_frozen", "patient", seed).metrics.loc["accuracy", "high"]
        < load("purple_threshold", "patient", seed).metrics.loc["accuracy", "value"]
        for seed in (42, 43, 44)
    ),
)
claim(
    "Here it falls behind a CNN that was trained on cells alone.",
    accuracy["vgg19_frozen"] < accuracy["basic_cnn"],
    auc["vgg19_frozen"] < auc["basic_cnn"],
)
claim(
    "In accuracy no model is far from another: all four are within three percentage points.",
    max(m["accuracy"] for m in measured.values()) - min(m["accuracy"] for m in measured.values())
    < 0.03,
)
claim(
    """The threshold and the frozen network both reach an accuracy of 0.924; in AUC the network
    is ahead, 0.973 to 0.965. The basic CNN has an accuracy of 0.942. Fine-tuned, VGG-19 is
    first, with an accuracy of 0.953 and an AUC of 0.992.""",
    accuracy
    == {
        "purple_threshold": 0.924,
        "basic_cnn": 0.942,
        "vgg19_frozen": 0.924,
        "vgg19_finetuned": 0.953,
    },
    (auc["vgg19_frozen"], auc["purple_threshold"]) == (0.973, 0.965),
    auc["vgg19_finetuned"] == max(auc.values()) == 0.992,
)


def without_largest(name):
    "Accuracy on validation cells without patient C68's."
    t = load(name).predictions.query("split == 'valid' and patient != 'C68'")
    return metrics(t["label"], t["score"])["accuracy"]


claim(
    """One of the 14 patients has 702 of the 1,928 cells: without it, the threshold beats the frozen
    network.""",
    without_largest("purple_threshold") > 0.94 > 0.93 > without_largest("vgg19_frozen"),
    (load("vgg19_frozen").predictions.query("split == 'valid'")["patient"] == "C68").sum() == 702,
    tuned.about["cells"]["valid"]["patients"] == 14,
)

claim(
    "(In the list of epochs it is 0.991: Keras estimates AUC from 200 cut-offs.)",
    rounded(h["val_auc"][3]) == 0.991,
)
claim(
    "The ranking did not suffer; scores that drifted across 0.5 could explain it.",
    h["val_accuracy"][2] < h["val_accuracy"][1],
    h["val_auc"][2] > h["val_auc"][1],
)

# settings, and what is known of VGG-19 and of the article
given(
    "That makes 16 convolutions. The other three of the 19 layers are dense",
    "Simonyan and Zisserman (2015)",
)
given("Blocks 4 and 5 hold 8 of the 16 convolutions", "Simonyan and Zisserman (2015)")
given("Here the channels grow from 64 to 512.", "Simonyan and Zisserman (2015)")
given(
    "From block to block the side halves and the channels double, up to 512.",
    "Simonyan and Zisserman (2015)",
)
given("VGG-19 was trained on pixels from 0 to 255", "keras.applications.vgg19.preprocess_input")
given("All models of this course take RGB from 0 to 255.", "a choice of the course")
given(
    "The article's is `bgr/255`: OpenCV gives it the right order, and it divides by 255.",
    "the article's code",
)
given("Behind it come the 16 convolutions with their weights", "Simonyan and Zisserman (2015)")
given("`find_weights` finds the 80 MB file or downloads it.", "the official file")
given("the wrong order of the channels, and the division by 255.", "the article's code")
given("trains for 25 epochs on images.", "the article's code")
given("One pass for each of the 27,558 cells is enough.", "the official archive")
given("| pixels | BGR / 255 | BGR less the mean |", "the article's code, and the recipe")
given("| optimizer | RMSprop, learning rate 0.0001 |", "the article's code, and the recipe")
given("| epochs | 25 | at most 25 (20 at the quick scale) |", "the article's code, and the scales")
given("- **A small learning rate**, 0.00001.", "the article's code, and the recipe")
given("Now most of 20 million weights can learn", "counted above")
given("Here is that model at the article's 125 pixels", "the article's code")
given("The quick scale stops after two epochs; the article runs 25.", "the article's code")
given("trained on all cells at 125 pixels", "the full scale")

probes = [load(name).predictions for name in ("vgg19_probe", "vgg19_random_probe")]
claim(
    """a probe on random features is 0.19 less accurate for new patients (0.11 to 0.28) than on
    ImageNet's.""",
    rounded(difference(*probes).loc["accuracy"], 2) == [0.19, 0.11, 0.28],
)
started = load("vgg19_scratch")
claim(
    """With all blocks from random weights and fine-tuning's small rate, VGG-19 is 0.205 (0.137
    to 0.275) behind, and far from finished""",
    rounded(difference(tuned.predictions, started.predictions).loc["accuracy"])[:3]
    == [0.205, 0.137, 0.275],
    (started.history["val_auc"].diff().dropna() > 0).all(),
    len(started.history) == len(tuned.history) == 3,
)
