"""What chapter 18 says of intervals: its own 400 studies, and the recorded comparison."""

from malaria_nb.claims import claim, given, rounded, shown
from malaria_nb.coverage import by_method, kind_of
from malaria_nb.leakage import out_of_fold
from malaria_nb.pulls import pulls
from malaria_nb.records import load, read_table
from malaria_nb.stats import difference

complete = True


def tested(recipe):
    return out_of_fold([load(recipe, f"patient-fold{k}").predictions for k in range(1, 6)])


cells = tested("purple_threshold")
cells["right"] = (cells["score"] >= 0.5) == cells["label"]
by_patient = cells.groupby("patient")["right"].agg(["sum", "size"])
found = pulls(cells)
share = found**2 / (found**2).sum()
rows = by_method(read_table("18_intervals-coverage"))
rows["kind"] = rows["population"].map(kind_of)
enough = rows[rows["patients"] >= 40]
course = enough[enough["method"] == "course"]
medians = enough.groupby("method")["coverage"].median()


def one(population, patients, metric, method, what="coverage"):
    at = rows.set_index(["population", "patients", "metric", "method"])
    return float(at.loc[(population, patients, metric, method), what])


def brought(before, after):
    "Points of coverage of the accuracy, least and most of the three models."
    models = ("compact", "vgg19_frozen", "purple_threshold")
    points = [one(m, 60, "accuracy", after) - one(m, 60, "accuracy", before) for m in models]
    return rounded([min(points), max(points)], 1)


def in_band(method):
    return 100 * enough.loc[enough["method"] == method, "coverage"].between(93, 97).mean()


# what an interval promises
accuracy = by_patient["sum"].sum() / by_patient["size"].sum()
library = "library = evaluate(cells"
claim(
    '"Accuracy 0.945, 95 % interval 0.922 to 0.955."',
    rounded(accuracy) == 0.945,
    "0.9222" in shown(library),
    "0.9553" in shown(library),
)
given(
    "That does not mean that the true value lies in this interval with a probability of 95 %.",
    "the definition",
)
given("**95 of 100 of them get an interval that contains the true value**", "the definition")
claim("we declare one: the 200 patients of the data set", len(by_patient) == 200)
given("A study meets 60 of them", "the chapter's setting")
given("Each is drawn from all 200, so a patient can be drawn twice", "the chapter's setting")
given("the 200 stand for many more patients like them.", "the chapter's setting")
given(
    "draw 60 from these 60 with replacement, a thousand times, and keep the middle 95 % of the "
    "accuracies.",
    "the chapter's setting",
)
given("Now 400 studies of 60 patients each.", "the chapter's setting")
given(
    "Of the 400 intervals, how many per cent contain the accuracy of all 200 patients?",
    "a question",
)
given("about 95", "an answer to choose")
given("about 90", "an answer to choose")
claim("about 83", 82 <= one("purple_threshold", 60, "accuracy", "percentile") <= 84)
sides = "sides = {"
claim(
    "Of the 400 intervals, 82.5 % contain the true value. In 17.25 % of the studies the truth lies "
    "below the interval, in 0.25 % above it; 2.5 % on either side were promised.",
    "contains it 82.50" in shown(sides),
    "truth below 17.25" in shown(sides),
    "truth above 0.25" in shown(sides),
)

# who carries the interval
given("compute the accuracy of the other 199.", "one less than 200")
claim("There are 200 patients.", len(found) == 200)
given("half a per cent, one in 200", "an answer to choose")
claim("about three quarters", 0.7 < share.max() < 0.8)
claim(
    "C116 has 482 cells where the average patient has 138, and 183 of them, 38 %, are "
    "misclassified.",
    found.index[0] == "C116",
    by_patient.loc["C116", "size"] == 482,
    rounded(by_patient["size"].mean(), 0) == 138,
    482 - by_patient.loc["C116", "sum"] == 183,
    rounded(183 / 482, 2) == 0.38,
)
claim("Without C116 the accuracy would be higher by 0.0058.", rounded(found.iloc[0], 4) == -0.0058)
claim(
    "The next patient, C68, carries 6 % of the variance.",
    share.nlargest(2).index[1] == "C68",
    rounded(share["C68"], 2) == 0.06,
)
given("90 are C116's.", "chapter 12, whose ledger claims it")

# four steps
given("Twice that to either side (1.96 times) is the plainest interval.", "the normal distribution")
given("An accuracy of 0.98 can't be 0.04 too low, but it can be 0.04 too high.", "an example")
given("how much the 1.96 must grow: for 60 patients to 2.00, for 10 to 2.26.", "Student's table")
given(
    "with a weight of 0.75 each, both when we compute the centre and when we compute the error.",
    "the weight in `patient_interval`",
)
given(
    "Counting two patients 0.75 times more makes the sample *n* + 1.5 patients large", "arithmetic"
)
given("so both are scaled by *n*/(*n* + 1.5).", "arithmetic")
given(
    "of several weights tried, on simulated patients and on these 200, 0.75 served best.",
    "how it was chosen",
)
given("The weight of 0.75 was chosen on some of these populations", "how it was chosen")
given("The same 400 studies again, and another 1,600:", "the chapter's setting")
claim(
    "The plain interval contains the true value in 82.3 % of the 2,000 studies, the four steps "
    "together in 90.2 %.",
    "plain 0.823" in shown("for step in (plain, course)"),
    "course 0.902" in shown("for step in (plain, course)"),
)
draws = read_table("18_intervals-coverage").attrs["about"]["draws"]
claim(
    "The record counts 2,000 other studies of 60 patients (500 for the percentile)",
    draws.startswith("2000 of each size"),
    "500 for the intervals that resample" in draws,
)
claim(
    "The log-odds bring 1.6 to 2.5 points, Student's table 0.5 to 0.6 with this many "
    "patients, and the largest influences 1.4 to 4.9.",
    brought("jackknife", "jackknife, log-odds") == [1.6, 2.5],
    brought("jackknife, log-odds", "jackknife, log-odds, t") == [0.5, 0.6],
    brought("jackknife, log-odds, t", "course") == [1.4, 4.9],
)
claim(
    "near the promise, with 93.0 % and 93.8 %. For the threshold it is 90.7 %",
    one("compact", 60, "accuracy", "course") == 93.0,
    one("vgg19_frozen", 60, "accuracy", "course") == 93.8,
    one("purple_threshold", 60, "accuracy", "course") == 90.7,
)

# seven intervals compared, rates near 1 among the populations
claim(
    "2,000 studies each of 10 to 100 patients",
    set(rows["patients"]) == {10, 20, 40, 60, 100},
    set(enough["patients"]) == {40, 60, 100},
    draws.startswith("2000 of each size"),
)
claim(
    "and from nine simulated populations.",
    len({p for p in enough["population"] if p.startswith("simulated")}) == 9,
    "simulated: near 1" in set(enough["population"]),
)
given("with 40 patients or more; fewer follow below.", "the chapter's choice")
given("the shaded band is 93 to 97 %.", "the issue's aim")
given("and by two where 500 studies were drawn.", "the binomial distribution")
refused = enough.groupby("method")["none"].max()
most = enough.loc[enough["none"] > 10]
claim(
    """With 40 patients and rates near 1, up to 26 % have none by the course's method (rule below),
    and up to 31 % by bootstrap-t.""",
    rounded(refused["course"], 0) == 26,
    rounded(refused["bootstrap-t"], 0) == 31,
    set(most.loc[most["method"].isin(["course", "bootstrap-t"]), "population"])
    == {"simulated: near 1"},
    set(most.loc[most["method"].isin(["course", "bootstrap-t"]), "patients"]) == {40},
)
claim(
    "**Bootstrap-t** is better, with a median of 92.9 %, and so is **linearised**, with 92.8 %.",
    rounded(medians["bootstrap-t"], 1) == 92.9,
    rounded(medians["linearised, log-odds, t"], 1) == 92.8,
    medians["percentile"] < medians["bootstrap-t"],
    medians["BCa"] < medians["bootstrap-t"],
)
claim(
    "its points range from 79.8 % to 100 %.",
    enough.loc[enough["method"] == "beta-binomial", "coverage"].min() == 79.8,
    enough.loc[enough["method"] == "beta-binomial", "coverage"].max() == 100.0,
)
claim(
    """lies in the band for 75 % of the points, the first three steps alone for 58 %, the percentile
    for 28 %.""",
    rounded(in_band("course"), 0) == 75,
    rounded(in_band("jackknife, log-odds, t"), 0) == 58,
    rounded(in_band("percentile"), 0) == 28,
    in_band("course") == max(in_band(m) for m in enough["method"].unique()),
)
lowest = enough.loc[enough["method"] == "course"].nsmallest(1, "coverage").iloc[0]
claim(
    "(medians of 3.7 % and 2.0 %). Its lowest coverage is 81.1 %, for the AUC where rates are "
    "near 1, with 40 patients; bootstrap-t's lowest is 82.4 %.",
    rounded(course.loc[course["kind"] == "recorded models", "below"].median(), 1) == 3.7,
    rounded(course.loc[course["kind"] == "recorded models", "above"].median(), 1) == 2.0,
    list(lowest[["coverage", "metric", "population", "patients"]])
    == [81.1, "auc", "simulated: near 1", 40],
    enough.loc[enough["method"] == "bootstrap-t", "coverage"].min() == 82.4,
)
bad = course[course["coverage"] < 90]
claim(
    "Of its 26 points below 90 %, 14 are the population with rates near 1, and 10 belong to the "
    "threshold and its differences",
    len(bad) == 26,
    (bad["population"] == "simulated: near 1").sum() == 14,
    bad["population"].str.contains("purple").sum() == 10,
)

# where none works
models = rows["population"].isin(["compact", "vgg19_frozen", "purple_threshold"])
ten = rows[models & (rows["patients"] == 10) & (rows["metric"] != "auc")]
worst = ten.groupby("method")["coverage"].min()
claim(
    "at worst, the percentile's coverage is 68.4 %, the course's 75.8 %, bootstrap-t's 79.5 % and "
    "the jackknife's 82.3 %.",
    worst["percentile"] == 68.4,
    worst["course"] == 75.8,
    worst["bootstrap-t"] == 79.5,
    worst["jackknife, log-odds, t"] == 82.3,
)
claim(
    "in 35 % of the samples of 10 (median of 15 rates), in 95 % for the compact network's "
    "sensitivity.",
    (ten["method"] == "course").sum() == 15,
    rounded(ten.loc[ten["method"] == "course", "none"].median(), 0) == 35,
    rounded(one("compact", 10, "sensitivity", "course", "none"), 0) == 95,
)
at_100 = read_table("18_intervals-c116").query("metric == 'accuracy' and patients == 100")
at_100 = at_100.set_index(["method", "C116"])["below"]
claim(
    "(At 100 the course's falls again: the studies without C116, below.)",
    at_100["course", "not drawn"] > 15 > 5 > at_100["course", "drawn"],
)
given("With 10 patients no method is near its promise", "the sentence's own numbers")
given("Coverage is left blank where more than 95 % of the samples", "the chapter's choice")
near = "simulated: near 1"


def of_sensitivity(method, sizes, what="coverage", digits=1):
    return rounded([one(near, n, "sensitivity", method, what) for n in sizes], digits)


claim(
    """gives an interval in almost none of the samples of 10 patients, refuses 72 % of those of 20,
    26 % of 40 and none of 100.""",
    of_sensitivity("course", (10, 20, 40, 100), "none", 0) == [100, 72, 26, 0],
)
claim(
    "it contains the true sensitivity in 88.1 % with 60 patients and in 88.2 % with 100, the "
    "percentile in 80.2 % and 78.0 %.",
    of_sensitivity("course", (60, 100)) == [88.1, 88.2],
    of_sensitivity("percentile", (60, 100)) == [80.2, 78.0],
)
THIRD = "jackknife, log-odds, t"
claim(
    "with 90.1 % and 87.3 %, and up to 60 patients they refuse far less often.",
    of_sensitivity(THIRD, (60, 100)) == [90.1, 87.3],
    all(
        one(near, n, "sensitivity", THIRD, "none")
        < one(near, n, "sensitivity", "course", "none") / 2
        for n in (10, 20, 40, 60)
    ),
)
claim(
    """most often near the promise on populations that it was partly tuned on, except for few
    patients and rates near 1.""",
    (enough[enough["population"] != near].groupby("method")["coverage"])
    .apply(lambda c: c.between(93, 97).mean())
    .idxmax()
    == "course",
    (enough[enough["population"] != near].groupby("method")["coverage"]).min().idxmax() == "course",
)
claim(
    "the course's coverage falls to 75.8 % with 10 patients, and to 81.1 % near 1 with 40.",
    worst["course"] == 75.8,
    list(lowest[["coverage", "patients"]]) == [81.1, 40],
)

# what no interval can see
met = read_table("18_intervals-c116").query("metric == 'accuracy' and patients == 60")
met = met.set_index(["method", "C116"])
given(
    "With 60 patients, about one study in four includes C116.",
    "1 less (199/200) to the power of 60",
)
claim(
    """In 511 of 2,000 studies C116 is there: the course's interval contains the true value in
    95.3 %, and misses on one side only.""",
    met.loc[("course", "drawn"), "below"] == 0,
    met.loc[("course", "drawn"), "samples"] == 511,
    met.loc["course", "samples"].sum() == 2000,
    rounded(100 - met.loc[("course", "drawn"), ["below", "above"]].sum(), 1) == 95.3,
)
claim(
    "In the others the truth lies below it in 10.5 %, and below the percentile interval in 24.4 %.",
    met.loc[("course", "not drawn"), "below"] == 10.5,
    met.loc[("percentile", "not drawn"), "below"] == 24.4,
)
claim(
    "the course's interval is also much shorter, 0.028 instead of 0.106",
    rounded(met.loc[("course", "not drawn"), "width"]) == 0.028,
    rounded(met.loc[("course", "drawn"), "width"]) == 0.106,
)

# two models
both = difference(tested("compact"), tested("vgg19_frozen"), split=None)
both = both.drop(index=["f1", "mcc"])
pairs = enough[enough["kind"] == "differences of two"]
paired = pairs.groupby("method")["coverage"].median()
claim(
    "On all 200 patients the compact network leads the frozen VGG-19 by 3.7 points of "
    "accuracy, 2.9 to 4.4, and no interval in the table includes zero.",
    rounded(100 * both.loc["accuracy", ["value", "low", "high"]], 1) == [3.7, 2.9, 4.4],
    bool(both["survives"].all()),
)
claim(
    "the course's interval contains the true difference in 94.8 % of the studies (the median), "
    "the percentile in 91.6 %.",
    pairs["population"].nunique() == 6,
    rounded(paired["course"], 1) == 94.8,
    rounded(paired["percentile"], 1) == 91.6,
)
