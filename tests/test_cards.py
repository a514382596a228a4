"""What would spoil chapter 97: a card that says what its record doesn't, an empty answer."""

import csv

import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from malaria_nb.cards import by_patient, data_sheet, markdown_table, model_card, read_checklists
from malaria_nb.cli import main
from malaria_nb.records import load


@pytest.fixture(scope="module")
def record():
    return load("basic_cnn")


def test_card_says_what_its_predictions_give(record):
    t, card = record.predictions.query("split == 'test'"), model_card(record)
    (tn, fp), (fn, tp) = confusion_matrix(t["label"], t["score"] >= 0.5)
    assert (
        f"| accuracy | {accuracy_score(t['label'], t['score'] >= 0.5):.3f} (" in card
        and f"| sensitivity | {tp / (tp + fn):.3f} (" in card
    )
    sensitivity, fall_out = tp / (tp + fn), fp / (fp + tn)
    assert (
        f"| 3.3 % | {0.033 * sensitivity / (0.033 * sensitivity + 0.967 * fall_out):.3f} (" in card
    )
    assert (
        "No patient is in two parts" in card and "no medical device" in card and "None" not in card
    )


def test_card_by_cell_says_that_patients_are_shared():
    assert "the patients of training and test are the same" in model_card(load("basic_cnn", "cell"))


def test_patients_are_counted_and_the_worst_comes_first(record):
    t, table = record.predictions.query("split == 'test'"), by_patient(record.predictions)
    assert (
        table["cells"].sum() == len(t)
        and table["parasitized"].sum() == t["label"].sum()
        and table["accuracy"].is_monotonic_increasing
    )
    worst = t[t["patient"] == table.index[0]]
    assert table["accuracy"].iloc[0] == accuracy_score(worst["label"], worst["score"] >= 0.5)


def test_data_sheet_counts(record):
    t = record.predictions
    sheet = data_sheet(t, "real")
    assert (
        f"| patients | {t['patient'].nunique()} |" in sheet and f"| cells | {len(t):,} |" in sheet
    )


def test_bars_and_breaks_stay_inside_their_column():
    assert markdown_table([["a|b", "c\nd"]], ["x", "y"]).splitlines()[2] == "| a\\|b | c d |"


@pytest.mark.parametrize(
    "row, why",
    [
        (["G", "1", "x", "perhaps", "", ""], "perhaps"),
        (["G", "1", "x", "yes", "", ""], "say where"),
        (["G", "1", "x", "no", "", ""], "in a note why"),
        (["G", "0", "x", "yes", "here", ""], "there twice"),
        (["G", "1", "x", "no", "", "a note", " with a comma"], "quote its commas"),
    ],
)
def test_answers_that_say_nothing(tmp_path, row, why):
    with open(tmp_path / "c.csv", "w", newline="") as f:
        csv.writer(f).writerows(
            [
                ["guideline", "item", "asks", "answer", "where", "note"],
                ["G", "0", "x", "yes", "here", ""],
                row,
            ]
        )
    with pytest.raises(ValueError, match=why):
        read_checklists(tmp_path / "c.csv")


def test_command(record, capsys):
    assert main(["experiment", "card", "basic_cnn-patient-s42"]) == 0
    assert capsys.readouterr().out == model_card(record)
