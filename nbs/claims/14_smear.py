"""What chapter 14 says of patients, from the recorded predictions of the basic CNN."""

from malaria_nb.claims import claim, rounded
from malaria_nb.evaluation import evaluate
from malaria_nb.experiments import load
from malaria_nb.screening import limit_of_detection
from malaria_nb.smear import at_parasitaemia, parasitaemia, patient_scores

recorded = load("basic_cnn").predictions
valid, real = (patient_scores(recorded[recorded["split"] == part]) for part in ("valid", "test"))
infected = real["label"] == 1


def auc(share):
    "With its interval: a row is a patient, so the bootstrap draws patients."
    return rounded(evaluate(real["label"], share).loc["auc"])


claim(
    "An AUC of 0.968 (0.904–1.000) over 60 patients, 20 of them without a parasitized cell.",
    auc(real["share"]) == [0.968, 0.904, 1.0],
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
    """At 5 % the AUC is 0.806 (0.641–0.944), at 3.3 %, the average of the smears these cells
    come from, 0.735 (0.563–0.891), and at 1 % 0.498 (0.339–0.662).""",
    auc(at_parasitaemia(real, 0.05)) == [0.806, 0.641, 0.944],
    auc(at_parasitaemia(real, 0.033)) == [0.735, 0.563, 0.891],
    auc(at_parasitaemia(real, 0.01)) == [0.498, 0.339, 0.662],
)
claim(
    "At 1 % nothing can be shown, for a model that is right about 94 cells in 100.",
    rounded(load("basic_cnn").metrics.loc["accuracy", "value"], 2) == 0.94,
)
claim(
    """with no parasites at all the same 60 patients give 0.398 (0.263–0.550), because the 40
    happen to have fewer false alarms than the 20.""",
    auc(at_parasitaemia(real, 0)) == [0.398, 0.263, 0.55],
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
    parasitaemia of 1 % nothing can be shown (0.34–0.66).""",
    rounded(auc(real["share"])[0], 2) == 0.97,
    rounded(auc(at_parasitaemia(real, 0.01))[1:], 2) == [0.34, 0.66],
)
