"Input at the edges that once gave a wrong number in silence, or the wrong error."

import cv2
import numpy as np
import pandas as pd
import pytest

from malaria_nb.brier import score_bins
from malaria_nb.calibration import calibration_line
from malaria_nb.conformal import conformal_sets, coverage
from malaria_nb.counting import count_field
from malaria_nb.dataset import (
    CLASSES,
    describe_cells,
    group_folds,
    sample_cells,
    shared_groups,
    split_cells,
)
from malaria_nb.decisions import threshold_for_specificity
from malaria_nb.evaluation import confusion, hardest
from malaria_nb.external import evaluate_external
from malaria_nb.images import load_images
from malaria_nb.intervals import patient_interval
from malaria_nb.logistic import fit_logistic
from malaria_nb.patients import patient_scores
from malaria_nb.predict import CompactModel
from malaria_nb.recalibration import fewest_errors
from malaria_nb.screening import critical_count, limit_of_detection
from malaria_nb.spread import fit_spread
from malaria_nb.stats import check_labels_scores, check_pair, check_scores, patient_numbers
from malaria_nb.synthetic import draw_field
from malaria_nb.temperature import fit_temperature
from malaria_nb.thresholds import net_benefit


def test_separated_classes_have_no_line():
    line = calibration_line([0, 1] * 20, [0.2, 0.8] * 20, np.repeat(np.arange(20), 2))
    assert np.isnan(line.loc["slope"]).all() and line.loc["intercept", ["low", "high"]].isna().all()


@pytest.mark.parametrize(
    "columns, label",
    [
        (np.ones((4, 1)), [1, 1, 1, 1]),
        (np.ones((4, 1)), [0, 0, 0, 0]),
        (np.c_[np.ones(6), [-2, -1, 0, 0, 1, 2]], [0, 0, 1, 0, 1, 1]),
    ],
    ids=["all parasitized", "none", "separated but for a tie"],
)
def test_where_no_weights_are_best_none_are_given(columns, label):
    assert np.isnan(fit_logistic(columns, np.array(label))).all()


def table(**columns):
    n = len(columns["label"])
    given = {"file": [f"{i}.png" for i in range(n)], "split": ["test"] * n}
    return pd.DataFrame(given | columns)


def test_a_patients_count_agrees_with_the_confusion_where_scores_have_32_bits():
    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.9], "float32")
    t = table(patient=list("aabbb"), label=[0, 0, 0, 0, 1], score=scores)
    threshold = threshold_for_specificity(t["label"], t["score"], 0.75)
    alarms = patient_scores(t, threshold)["false_alarms"].sum()
    assert alarms == confusion(t["label"], t["score"], threshold)["fp"] == 1


def test_a_category_without_cells_is_no_patient():
    t = table(patient=pd.Categorical(list("aabb"), list("abc")), label=[0, 1, 0, 1], score=0.5)
    assert list(patient_scores(t).index) == ["a", "b"]


IMPOSSIBLE = {
    "patient_scores": lambda: patient_scores(table(patient=["a"], label=[0], score=[0.1]), 50),
    "evaluate_external": lambda: evaluate_external([0, 0], [0.1, 0.9], ["a", "b"], 50),
    "its level": lambda: evaluate_external([0, 0], [0.1, 0.9], ["a", "b"], 0.5, 95),
    "net_benefit": lambda: net_benefit([0, 1], [0.1, 0.9], ["a", "b"], 0.1, threshold=50),
    "hardest": lambda: hardest(table(patient=["a"], label=[0], score=[0.1]), threshold=50),
    "fit_spread's sensitivity": lambda: fit_spread([1, 0, 2, 3], [70] * 4, 90),
    "fit_spread's level": lambda: fit_spread([1, 0, 2, 3], [70] * 4, level=95),
    "an upper bound alone": lambda: patient_interval(
        pd.Series({"x": 0.5}), pd.DataFrame({"x": np.linspace(0.4, 0.6, 12)}), bounds=(-np.inf, 1)
    ),
    "a missing label": lambda: check_labels_scores(
        pd.Series([0, 1, pd.NA], dtype=object), [0.1, 0.2, 0.3]
    ),
    "a cell without a group": lambda: coverage(
        [0, 1], conformal_sets([0.1, 0.9], pd.Series(0.5, CLASSES)), by=["a", None]
    ),
}


SAYS = {
    "patient_scores": "threshold=50",
    "evaluate_external": "threshold=50",
    "its level": "level=95",
    "net_benefit": "threshold=50",
    "hardest": "threshold=50",
    "fit_spread's sensitivity": "sensitivity=90",
    "fit_spread's level": "level=95",
    "an upper bound alone": "needs a lower one",
    "a missing label": "labels must be",
    "a cell without a group": "without a group",
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_can_not_be_is_refused(what):
    with pytest.raises(ValueError, match=SAYS[what]):
        IMPOSSIBLE[what]()


def test_calling_nothing_can_have_the_fewest_errors():
    label, score = np.array([0, 0, 0, 1]), np.array([1.0, 1, 1, 0.2])
    assert fewest_errors(label, score) > 1


@pytest.mark.parametrize("kind", [object, "category", "string"])
def test_the_same_cells_are_the_same_in_any_kind_of_column(kind):
    t = table(patient=["p", "q"], label=[0, 1], score=[0.1, 0.9])
    check_pair(t, t.assign(file=t["file"].astype(kind)))


@pytest.mark.parametrize("bins", [10, 20, 25])
def test_a_score_on_an_edge_belongs_to_the_bin_above(bins):
    edges = [round(k / bins, 2) for k in range(1, bins)]
    assert score_bins(np.array(edges), bins)[0].tolist() == list(range(1, bins))


def test_scores_that_rank_well_are_not_called_worse_than_chance():
    label = [0] * 60 + [1] * 20
    score = np.r_[np.linspace(0.6, 0.8, 60), np.linspace(0.85, 0.95, 20)]
    with pytest.raises(ValueError, match="their mean is off"):
        fit_temperature(label, score)


def test_an_interval_of_the_spread_is_not_cut_off_by_its_grid():
    few = fit_spread([0, 1, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0], [70] * 12)
    rate = 5 / 840
    assert few.loc["rate", "high"] > 3.05 * rate and few.loc["rate", "low"] < rate / 3.05
    assert np.isnan(fit_spread([10, 0, 22, 30, 0, 39], [70] * 6, 0.2).loc["limit"]).all()


def test_limits_stay_between_0_and_1():
    assert limit_of_detection(0.95, level=0.3) == 0 and critical_count(0.95, 100, 0) == 0


def test_the_score_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="'high'"):
        check_scores(np.array([0.1, "high"], dtype=object))


@pytest.mark.parametrize("patient", [[["a"], ["b"]], np.zeros((2, 2)), "ab"])
def test_what_is_not_one_patient_a_cell_is_refused(patient):
    with pytest.raises(ValueError, match="give one value a cell"):
        patient_numbers(patient, 2)


def test_patients_are_numbered_by_their_names_whatever_holds_them():
    for names in (["b", "a", "b"], pd.Series(["b", "a", "b"], dtype="category"), [1, 0, 1.0]):
        assert patient_numbers(names, 3).tolist() == [1, 0, 1]


@pytest.mark.parametrize("names", [["P1", "P2", "P1 "], ["1", "0", 1], ["1", "0", 1.0]])
def test_one_patient_written_in_two_ways_is_refused_not_dealt_to_both_sides(names):
    table = pd.DataFrame({"file": ["a", "b", "c"], "label": [0, 1, 0], "patient": names})
    table["split"] = ["train", "train", "test"]
    for use in (
        lambda: patient_numbers(names, 3),
        lambda: split_cells(table, "patient", (0.5, 0, 0.5)),
        lambda: group_folds(table, 2, "patient"),
        lambda: shared_groups(table),
    ):
        with pytest.raises(ValueError, match="look alike: write each patient in one way"):
            use()


@pytest.mark.parametrize("label", [["0", "1", "0"], [1, 2, 1], [0, 1, np.nan]])
def test_labels_that_are_none_are_refused_where_cells_are_dealt_or_counted(label):
    table = pd.DataFrame({"file": ["a", "b", "c"], "label": label, "patient": ["P1", "P2", "P3"]})
    for use in (
        lambda: split_cells(table, "patient"),
        lambda: group_folds(table, 2, "patient"),
        lambda: sample_cells(table, 2),
        lambda: describe_cells(table),
    ):
        with pytest.raises(ValueError, match=r"labels must be 0 \(uninfected\) or 1"):
            use()


def test_a_table_of_ones_own_needs_neither_smears_nor_photographs():
    table = pd.DataFrame(
        {"file": [f"{i}" for i in range(60)], "label": [0, 1] * 30, "patient": np.arange(60) // 3}
    )
    split = split_cells(table, "patient")
    assert shared_groups(split).index.tolist() == ["patient"]
    assert "smears" not in describe_cells(split, "split")
    as_text = split_cells(table.assign(patient=table["patient"].astype(str)), "patient")
    assert (as_text["split"] == split["split"]).all(), "a patient is who the name says"


@pytest.mark.parametrize(
    "split, why",
    [
        (["Train", "Test"], "no test and no train cells: split has only 'Train', 'Test'"),
        (["train", "valid"], "no test cells"),
        (None, "no column split"),
    ],
)
def test_a_split_without_training_or_test_is_not_called_clean(split, why):
    table = pd.DataFrame({"patient": ["P1", "P2"]})
    with pytest.raises(ValueError, match=why):
        shared_groups(table if split is None else table.assign(split=split))


@pytest.mark.parametrize(
    "score, remedy",
    [
        ([90.0, 20.0], "divide percentages by 100"),
        ([3.1, -2.0], "apply a sigmoid to logits"),
        ([0.9, np.nan], "or drop them"),
        ([90.0, np.nan], "divide percentages by 100.*or drop them"),
    ],
)
def test_a_score_that_is_none_brings_the_remedy_for_its_kind(score, remedy):
    with pytest.raises(ValueError, match=f"scores must be from 0 to 1.*{remedy}"):
        check_scores(score)


def test_patients_given_for_weights_are_refused():
    with pytest.raises(TypeError, match="positional"):
        fit_temperature([0, 1, 0], [0.1, 0.9, 0.6], [7, 7, 8])


def test_images_come_from_any_folder_and_a_wrong_path_is_told(tmp_path):
    root = tmp_path / "my data ü"
    root.mkdir()
    png = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1]
    (root / "a.png").write_bytes(png.tobytes())  # imwrite knows no ü on Windows
    cells, cache = pd.DataFrame({"file": ["a.png"]}), tmp_path / "cache"
    assert load_images(cells, root, 8, cache, progress=False).shape == (1, 8, 8, 3)
    for file in (str(root / "a.png"), "../a.png", np.nan):
        with pytest.raises(ValueError, match="give each cell's path below"):
            load_images(pd.DataFrame({"file": [file]}), root, 8, cache, progress=False)


def test_tables_that_differ_in_a_patient_show_both_names():
    table = pd.DataFrame({"file": ["a", "b"], "patient": [1, 2], "label": [0, 1], "score": 0.5})
    with pytest.raises(ValueError, match="with '1' and '3'"):
        check_pair(table, table.assign(patient=table["patient"] + 2))
    check_pair(table, table.assign(patient=table["patient"].astype(float)))  # pandas' doing


def test_a_field_may_be_counted_at_the_threshold_that_calls_nothing():
    field, model = draw_field(3)[0], CompactModel()
    count = count_field(field, model, np.nextafter(1, 2))
    assert count["parasitized"] == 0 and count["cells"] > 0
    with pytest.raises(ValueError, match="use a score from 0 to 1"):
        count_field(field, model, 1.5)
