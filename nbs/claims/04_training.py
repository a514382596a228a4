"""What chapter 04 says of the two trainings of the basic CNN at full scale."""

from sklearn.metrics import log_loss

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.records import load
from malaria_nb.stats import difference

full = {split: load("basic_cnn", split) for split in ("patient", "cell")}
best = {split: r.history.attrs["best_epoch"] for split, r in full.items()}
loss = {split: r.history["val_loss"] for split, r in full.items()}
rise = {split: v.iloc[-1] / v.min() for split, v in loss.items()}
theirs = load("article_basic_cnn", "cell")


def end(record, column):
    "A column's value after the last epoch."
    return record.history[column].iloc[-1]


claim(
    "Yes, in this one run of each, and there is a reason to expect it.",
    loss["cell"].min() < loss["patient"].min(),
)
claim(
    "Compare the two lowest points, 0.18 by patient and 0.14 by cell.",
    rounded([loss["patient"].min(), loss["cell"].min()], 2) == [0.18, 0.14],
)
claim(
    """How much of that gap is the leak and how much the luck of which 14 validation patients
    were drawn""",
    full["patient"].about["cells"]["valid"]["patients"] == 14,
)
claim(
    """Both turn early: after the second epoch when split by patient, after the fourth when
    split by cell. (In steps it is late, beside the 300 cells above: each epoch has 272 of
    them.)""",
    best == {"patient": 2, "cell": 4},
    {-(-r.about["cells"]["train"]["cells"] // r.about["batch"]) for r in full.values()} == {272},
)
claim(
    """Then the network learns its 17,000 training cells by heart: training accuracy, averaged
    over the last epoch, is above 0.998 by patient and by cell.""",
    all(round(r.about["cells"]["train"]["cells"], -3) == 17_000 for r in full.values()),
    all(end(r, "accuracy") > 0.998 for r in full.values()),
)
claim(
    """Meanwhile the validation loss nearly doubles by patient and nearly triples by cell, and
    the validation accuracy hardly moves""",
    1.8 < rise["patient"] < 2,
    2.8 < rise["cell"] < 3,
    all(
        abs(end(r, "val_accuracy") - r.history["val_accuracy"][best[split]]) < 0.003
        for split, r in full.items()
    ),
)


def on_test(record):
    "A record's test cells, and which of them it gets wrong."
    t = record.predictions.query("split == 'test'")
    return t, t[(t["score"] >= 0.5) != t["label"]]


def test_loss(record):
    t, _ = on_test(record)
    return log_loss(t["label"], t["score"].clip(1e-7, 1 - 1e-7))


def sure_mistakes(record):
    "Its mistakes, and those with a score beyond 0.99 or below 0.01."
    _, wrong = on_test(record)
    return len(wrong), int(((wrong["score"] - 0.5).abs() > 0.49).sum())


claim(
    """Both networks score the same 8,268 test cells: one as it was after its fourth epoch, one
    after its 25th, when its validation loss has long risen.""",
    len(on_test(theirs)[0]) == len(on_test(full["cell"])[0]) == 8268,
    best["cell"] == 4,
    len(theirs.history) == 25,
)
given(
    "Its validation loss was lowest at 0.144, after epoch 5, and 0.370 in the end",
    "the article's output: 0.1444 and 0.3699",
)
claim(
    """ours is lowest at 0.145, after epoch 2, and 0.422 in the end, when training accuracy is
    0.9998.""",
    theirs.history.attrs["best_epoch"] == 2,
    rounded(theirs.history["val_loss"][[2, 25]]) == [0.145, 0.422],
    rounded(end(theirs, "accuracy"), 4) == 0.9998,
)
apart = difference(theirs.predictions, full["cell"].predictions)
claim(
    """**Its accuracy is not shown to differ**: 0.956 beside 0.954, and the interval of the
    difference on the same cells, −0.003 to 0.009, includes zero.""",
    [rounded(r.metrics.loc["accuracy", "value"]) for r in (theirs, full["cell"])] == [0.956, 0.954],
    rounded(apart.loc["accuracy"]) == [0.002, -0.003, 0.009],
)
claim(
    "The order of the scores is a little worse: AUC lower by 0.003 (0.001 to 0.004).",
    rounded(apart.loc["auc"]) == [-0.003, -0.004, -0.001],
)
claim(
    "The loss on the test cells is 0.32, not 0.14.",
    [rounded(test_loss(r), 2) for r in (theirs, full["cell"])] == [0.32, 0.14],
)
claim(
    """Of its 364 mistakes, 214 are made with a score beyond 0.99 or below 0.01; of the mended
    network's 380, 28 are.""",
    sure_mistakes(theirs) == (364, 214),
    sure_mistakes(full["cell"]) == (380, 28),
)

# what the chapter itself works out and measures
claim(
    "Its validation loss is lowest after epoch 5 and has more than doubled by epoch 25.",
    0.3699 > 2 * 0.1444,
)
overfitted = [float(x) for x in shown("last, lowest = free.loc[n]").split()[4:]]
claim(
    """by it, the last model is hardly worse than the best epoch's. Worse are its
    *probabilities*.""",
    overfitted[4] == 40,
    overfitted[6] > 1.2 * overfitted[2],
    overfitted[7] > overfitted[3] - 0.05,
)
