"""What chapter 04 computes by hand, sees in its small runs, and reads from two recorded ones."""

import math

import numpy as np

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.recipes import RECIPES
from malaria_nb.records import load
from malaria_nb.settings import SCALES

given(
    "The right class got 0.9 and 0.6 for the parasitized cells, and 1 − 0.2 and 1 − 0.01 for the"
    " others.",
    "chosen for the lesson",
)
given(
    "The label $y_i$ is 1 for parasitized and 0 for uninfected, so one of the two terms vanishes",
    "the course's labels",
)
claim(
    """A model that knows nothing gives every cell 0.5, which costs it $-\\ln 0.5=0.69$ each time.
    Another model gives 0.01 to a cell that *is* parasitized.""",
    round(-math.log(0.5), 2) == 0.69,
)
claim(
    "It is twice as far from the truth, 0.99 instead of 0.5.",
    round((1 - 0.01) / 0.5, 1) == 2,
)
claim(
    "Yes: $-\\ln 0.01=4.6$, as much as seven cells at 0.5.",
    round(-math.log(0.01), 1) == 4.6,
    6.5 < math.log(0.01) / math.log(0.5) < 7.5,
)
claim(
    "The probability is fifty times smaller. But the loss takes logarithms, and those"
    " differ by a factor of seven.",
    0.5 / 0.01 == 50,
)

given("a [**learning rate**](glossary.md#learning-rate) of 0.2.", "chapter 03's training")

descent = shown("for style, (rate, path) in zip")
ends = [float(descent.split(f"at rate {rate}")[0].split()[-1]) for rate in ("0.1", "10", "100")]
claim("Which learning rate ends with the lowest loss?", ends[1] == min(ends))
start = float(shown('print(f"gradient of the weight').split()[-1])
claim(
    "Take twenty steps from weight 0 and bias 0, where the weight's gradient is about −0.4.",
    round(start, 1) == -0.4,
)
claim(
    "The first step moves the weight by only 0.04, and twenty such steps end far from the minimum.",
    round(-0.1 * start, 2) == 0.04,
    ends[0] > 2 * ends[1],
)
claim(
    "The first step moves the weight by 4, and the following steps shrink by themselves",
    round(-10 * start) == 4,
)
claim(
    "The first step moves the weight by 40, far beyond the minimum.",
    round(-100 * start) == 40,
    ends[2] > ends[1],
)
learnt = shown('print(f"loss on the training cells')
after, _, right = [float(part.split()[0]) for part in learnt.split(":")[1:]]
claim(
    """Twenty steps take the loss from 0.69 to less than half of that, and about nine validation
    cells in ten are classified correctly.""",
    after < 0.69 / 2,
    0.87 <= right <= 0.95,
)
moved = shown("optimizers = keras.optimizers.SGD").split()
first = {
    name: [float(v) for v in moved[moved.index(name) + 1 :][:2]]
    for name in ("SGD", "RMSprop", "Adam")
}
claim(
    "Plain gradient descent (SGD) moves the first weight a hundred times as far as the second.",
    np.allclose(first["SGD"], [-0.01, -0.0001]),
)
claim(
    "RMSprop and Adam move both equally far",
    first["Adam"] == [-0.001, -0.001],
    first["RMSprop"][0] == first["RMSprop"][1],
)
claim(
    "(RMSprop's average starts at 0, so its first step is √10 learning rates.)",
    round(first["RMSprop"][0] / -0.001, 2) == round(math.sqrt(10), 2),
)
given(
    "with few cells, a learning rate of 0.001 stalled for one seed in three",
    "tried before the recipes were fixed; notebook 85 says so",
)
given("For Adam, 0.001 is a usable first guess", "Keras's default, and the article's")
given("The gradient over 16 or 64 cells is a rough estimate", "the course's batch sizes")

# the small run, stored on the sample
few = int(shown("few, others = halves").split()[0])
small = shown("free.loc[[turned").split()
names, turned, last = small[:4], small[5:10], small[10:15]
turned = dict(zip(["epoch", *names], map(float, turned)))
last = dict(zip(["epoch", *names], map(float, last)))
claim(
    """**Predict.** The network has just been trained for 40 epochs, and its loss on the
    training cells has fallen almost to zero.""",
    last["epoch"] == 40,
    last["loss"] < 0.01,
)
claim(
    "The loss fell, then rose again; the accuracy stayed about where it was",
    last["val_loss"] > 1.3 * turned["val_loss"],
    abs(last["val_accuracy"] - turned["val_accuracy"]) < 0.02,
)
claim(
    """The small network's loss turned after about ten epochs. But an epoch here has 272 steps;
    there it had 24.""",
    8 <= turned["epoch"] <= 12,
    math.ceil(17_361 / 64) == 272,
    math.ceil(few / 16) == 24,
)

article = load("article_basic_cnn", "cell")
h = article.history
given("### The article's 25 epochs", "Sarkar (2019)")
given(
    """The article's network was trained on 17,361 cells, split by cell, for 25 epochs, and its
    last epoch was saved.""",
    "Sarkar (2019)",
)
claim(
    "After which of the 25 epochs was its validation loss lowest?",
    len(h) == 25,
    h.attrs["best_epoch"] == 2,
)
claim(
    "Near the end: 17,361 cells are too many to learn by heart",
    abs(article.about["cells"]["train"]["cells"] - 17_361) < 5,
    h["accuracy"].iloc[-1] > 0.999,
)
given(
    "The article's network has 15 million weights, almost a thousand for each training cell.",
    "15,102,529 parameters (Sarkar 2019), for 17,361 cells",
)
claim(
    """The validation loss was lowest after epoch 2, at 0.145, and ended at 0.422. Training
    accuracy went to 0.9998; validation accuracy hardly moved, from 0.950 to 0.946.""",
    h["val_loss"].idxmin() == 2,
    rounded(h["val_loss"][[2, 25]]) == [0.145, 0.422],
    rounded(h["accuracy"][25], 4) == 0.9998,
    rounded(h["val_accuracy"][[2, 25]]) == [0.95, 0.946],
)
given(
    "The article's validation loss rises, too: 0.157 after epoch 2, 0.370 after epoch 25.",
    "Sarkar (2019): 0.1567 and 0.3699",
)
claim(
    "The article's recipe: over-fitted after a few of its 25 epochs",
    (h["val_loss"].loc[6:] > 1.2 * h["val_loss"].min()).all(),
)

given("halves the learning rate after 2 epochs without a lower validation loss", "a setting")
given("stops after 6 such epochs", "a setting")
claim(
    "A learning rate of 10 was right for all cells at once; for batches of 16 it is too high",
    ends[1] == min(ends),
)
halvings = shown("halved = helped[rate").split("halved, from epoch")[1].split()
when = [int(v) for v in halvings[0::3]]
loss = [float(v) for v in halvings[2::3]]
plateau = shown("show(plot_callbacks(alone").split(": loss ")[1]
alone, helped = float(plateau.split()[0]), float(plateau.split(", ")[1].split()[0])
claim(
    """The first halving brings them closer at once; the later ones change little. After six epochs
    without a lower loss the training stops""",
    loss[0] < 0.95 * alone,
    min(loss) > 0.98 * loss[0],
    when == sorted(when),
)
claim(
    "That saves more than half of the 40 epochs and loses nothing.",
    max(when) <= 18,
    helped < alone,
)

quick, full, recipe = SCALES["quick"], SCALES["full"], RECIPES["basic_cnn"]
claim("| `BATCH_SIZE` | 64 | 16 | 64 |", (quick.batch, full.batch) == (16, 64))
claim("| `EPOCHS` | 25 | 10 at most | 25 at most |", (quick.basic, full.basic) == (10, 25))
claim(
    "| `INPUT_SHAPE` | (125, 125, 3) | (64, 64, 3) | (125, 125, 3) |",
    (quick.size, full.size) == (64, 125),
)
given('`LabelEncoder` turns "malaria" and "healthy" into 1 and 0', "Sarkar (2019)")
claim(
    "| learning rate of Adam | 0.001 | 0.0004 | 0.0004 |",
    recipe.learning_rate == 0.0004,
    RECIPES["article_basic_cnn"].learning_rate == 0.001,
)
claim("| halved after | 2 epochs | 2 epochs | 2 epochs |", recipe.plateau == 2)
claim("| stopped after | – | 8 epochs | 8 epochs |", recipe.patience == 8)

recorded = load("basic_cnn", "patient").history
claim(
    """At full scale it did: the recorded training, split by patient, reached its lowest
    validation loss, 0.179, after epoch 2, and was stopped after epoch 10 of 25.""",
    recorded["val_loss"].idxmin() == 2,
    rounded(recorded["val_loss"].min()) == 0.179,
    len(recorded) == 10,
)
given("Within 10 epochs, a patience of 8 rarely runs out.", "the settings of the table above")
given("This is the run above, on 4,000 real cells", "the quick scale's cells")
losses = [float(v) for v in shown("losses = {").split() if v.startswith("0.")]
claim(
    """In the run stored here, two weights lower the loss from 0.69 to 0.22, and millions of weights
    lower it only to 0.17.""",
    losses == [0.69, 0.22, 0.17],
)
claim("Cross-entropy: knowing nothing costs 0.69", round(math.log(2), 2) == 0.69)

given("Accuracy asks on which side of 0.5 a score lies.", "the cut-off for a prediction")

complete = True
given("The hump before epoch 23, in the run stored here", "the chapter's figure")
