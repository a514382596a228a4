"""What chapter 14 says of patients, from the recorded predictions of the basic CNN."""

from malaria_nb.claims import claim, rounded, shown
from malaria_nb.evaluation import evaluate
from malaria_nb.parasitaemia import parasitaemia
from malaria_nb.patients import at_parasitaemia, patient_scores
from malaria_nb.records import load
from malaria_nb.screening import limit_of_detection

recorded = load("basic_cnn").predictions
valid, real = (patient_scores(recorded[recorded["split"] == part]) for part in ("valid", "test"))
infected = real["label"] == 1


def auc(share):
    "With its interval: a row is a patient, so each patient is left out in turn."
    return rounded(evaluate(real["label"], share).loc["auc"])


claim(
    "An AUC of 0.968 (0.831–0.987) over 60 patients, 20 of them without a parasitized cell.",
    auc(real["share"]) == [0.968, 0.831, 0.987],
    (len(real), (~infected).sum()) == (60, 20),
)
claim(
    "The validation rows have 14, of whom three are uninfected",
    (len(valid), (valid["label"] == 0).sum()) == (14, 3),
)
cut = valid["share"][valid["label"] == 0].max()
found, spared = real["share"][infected] > cut, real["share"][~infected] <= cut
claim(
    """Called infected when more than 10 % of the cells are called: 38 of 40 infected patients
    are found (0.95, 0.83–0.99), and 18 of 20 uninfected ones spared (0.90, 0.70–0.97).""",
    rounded(100 * cut, 0) == 10,
    (found.sum(), len(found), spared.sum(), len(spared)) == (38, 40, 18, 20),
    rounded(parasitaemia(38, 40), 2) == [0.95, 0.83, 0.99],
    rounded(parasitaemia(18, 20), 2) == [0.90, 0.70, 0.97],
)
claim(
    "The AUC over patients was 0.97.",
    rounded(auc(real["share"])[0], 2) == 0.97,
)
claim(
    """At 5 % the AUC is 0.806 (0.571–0.909), at 3.3 %, the average of the smears these cells
    come from, 0.735 (0.509–0.863), and at 1 % 0.498 (0.328–0.670).""",
    auc(at_parasitaemia(real, 0.05)) == [0.806, 0.571, 0.909],
    auc(at_parasitaemia(real, 0.033)) == [0.735, 0.509, 0.863],
    auc(at_parasitaemia(real, 0.01)) == [0.498, 0.328, 0.67],
)
claim(
    "At 1 % nothing can be shown, for a model that is right about 94 cells in 100.",
    rounded(load("basic_cnn").metrics.loc["accuracy", "value"], 2) == 0.94,
)
claim(
    """with no parasites at all the same 60 patients give 0.398 (0.257–0.566), because the 40
    happen to have fewer false alarms than the 20.""",
    auc(at_parasitaemia(real, 0)) == [0.398, 0.257, 0.566],
)
specificity = 1 - real["false_alarms"].sum() / real["uninfected"].sum()
sensitivity = real["found"].sum() / real["parasitized"].sum()
limit = limit_of_detection(specificity, sensitivity, 5000)
rate = real["false_alarms"] / real["uninfected"]
line = rate[~infected].quantile(0.95)


def above(share):
    "Infected patients above the line at a parasitaemia, in per cent."
    return rounded(100 * (at_parasitaemia(real, share)[infected] > line).mean(), 0)


claim(
    """On paper, 5,000 cells at a specificity of 0.954 tell a parasitaemia of 1.2 % from none.
    Among patients the line that 95 % of the uninfected stay below lies at 12 %, ten times as
    high; at a parasitaemia of 5 % only 8 % of the infected patients are above it, at 20 % all
    are.""",
    rounded(specificity) == 0.954,
    rounded(100 * limit, 1) == 1.2,
    rounded(100 * line, 0) == 12,
    line > 9 * limit,
    above(0.05) == 8,
    above(0.2) == 100,
)
claim(
    """13 of 60 patients have none, six have 57 % of all, and in one patient more than half of
    the uninfected cells are called parasitized.""",
    (real["false_alarms"] == 0).sum() == 13,
    rounded(100 * real["false_alarms"].nlargest(6).sum() / real["false_alarms"].sum(), 0) == 57,
    (rate > 0.5).sum() == 1,
)
claim(
    "Twenty uninfected patients are few for a 95 % line, so 12 % is a rough number.",
    (~infected).sum() == 20,
    rounded(100 * line, 0) == 12,
)
claim(
    """In recorded predictions on real cells, patients are told apart with an AUC of 0.97; at a
    parasitaemia of 1 % nothing can be shown (0.33–0.67).""",
    rounded(auc(real["share"])[0], 2) == 0.97,
    rounded(auc(at_parasitaemia(real, 0.01))[1:], 2) == [0.33, 0.67],
)

# drawn fields, as stored
claim(
    "More than one cell in twelve is lost before any network has looked",
    shown('"dark pieces": pieces}') == "{'red cells': 86, 'dark pieces': 74}",
    (86 - 74) / 86 > 1 / 12,
)
claim(
    """On synthetic fields more than 95 of 100 whole cells are found, and nearly all that is
    called a red cell is one.""",
    "recall 0.992" in shown("def by_field("),
    "precision 1.000" in shown("def by_field("),
)
claim(
    "The more cells are put beside another, the more are lost",
    "0.0 201 200 0 1 0 0.995 0.6 205 198 2 5 0 0.966" in shown("def crowded(touching)"),
)
claim(
    """1.1 % of the parasitized cells are lost against 0.7 % of the others, and it may be 3.2 %,
    more than four times as many.""",
    "uninfected cells lost 0.007" in shown("def lost(label)"),
    "parasitized cells lost 0.011 0.002 0.032" in shown("def lost(label)"),
)
claim(
    "The columns all but meet, at 21.2 and 20.7",
    "25 21.2 16.6" in shown("def trial(i, blur)"),
    "90 162.0 20.7" in shown("def trial(i, blur)"),
)
claim(
    """Halfway between the worst sharp and the best blurred trial field (in ratio, as this
    measure lives on ratios) is 3.1""",
    "50 6.0 1.6" in shown('focus = [measure_field(f)["focus"]'),
    shown('focus = [measure_field(f)["focus"]').endswith("3.1)"),
)
held = shown("pd.concat(coverage, names=")
claim(
    """With independent cells Wilson's interval keeps its 95 %, or nearly; where parasites
    gather it holds the truth in 76 of 100 studies. By field the interval is twice as wide, and
    keeps its promise, or nearly.""",
    "independent cells Wilson, by cell 0.95" in held,
    "gather in fields Wilson, by cell 0.76 1.21 by field 0.96 2.45" in held,
    round(2.45 / 1.21) == 2,
    "by field 0.94 1.42" in held,
)
claim(
    "clipped, a group of uninfected patients has a mean parasitaemia of half a per cent.",
    "clipped': '+0.45%'" in shown("apparent = rng.binomial(500"),
)
three = shown("def three_intervals(p")
claim(
    """An interval that takes the rates as known holds the truth too seldom at every
    parasitaemia; for an uninfected patient, in fewer than three studies of four. The delta
    method, too, falls short there.""",
    "0.0% 0.683 0.894 0.988 1.0% 0.815 0.951 0.987 5.0% 0.904 0.957 0.969 20.0% 0.915" in three,
)
claim(
    "Eleven of twelve 95 % intervals hold the truth, and one of twelve may well miss by luck.",
    "'95 % intervals that hold the truth': '11 of 12'" in shown('"nearer to the truth": f"'),
)
claim(
    "34 on the one that stored this page",
    "the worst by 34" in shown("After the correction the median synthetic patient"),
)
