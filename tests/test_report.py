"""Recipes beside each other: what the tables say is what the records give, and gaps stay gaps."""

from malaria_nb.leakage import out_of_fold
from malaria_nb.records import load, records_folder
from malaria_nb.report import choices_table, five_folds, folds_table, recorded, seeds_table
from malaria_nb.stats import difference


def test_what_is_not_recorded_is_a_gap(tmp_path):
    assert recorded("compact", seed=99) is None
    assert five_folds("compact", "photo") is None
    assert (seeds_table(["compact", "basic_cnn"], records=tmp_path) == "–").all(axis=None)
    assert choices_table(["compact", "basic_cnn"], tmp_path).empty
    assert folds_table(["compact"], tmp_path).empty


def test_choices_are_compared_on_validation_cells_alone():
    table = choices_table(["compact", "basic_cnn", "compact_distilled"])
    a, b = (load(name).predictions for name in ("basic_cnn", "compact"))
    gain = difference(a, b, split="valid").loc["accuracy"]
    said = table.loc["basic_cnn", "difference in accuracy"].replace("−", "-").split()
    assert float(said[0]) == round(gain["value"], 4)
    assert float(said[1].strip("(")) == round(gain["low"], 4)
    valid = a.query("split == 'valid'")
    assert table.loc["basic_cnn", "accuracy"] == round(
        ((valid["score"] >= 0.5) == valid["label"]).mean(), 4
    )
    assert table.loc["compact", "difference in accuracy"] == ""
    assert table.loc["basic_cnn", "epochs"] == "10 of 25"


def test_a_difference_without_an_interval_says_so():
    table = choices_table(["lite0_finetuned", "lite0_128px"])  # five patients differ in a call
    assert table.loc["lite0_128px", "difference in accuracy"] == "+0.0026 (no interval)"


def test_folds_lead_on_the_same_cells():
    table = folds_table(["compact", "purple_threshold"])
    folds = [
        out_of_fold([load(name, f"patient-fold{k}").predictions for k in range(1, 6)])
        for name in ("compact", "purple_threshold")
    ]
    gain = difference(*folds, split=None)
    for column, metric in (("lead of compact", "accuracy"), ("lead in AUC", "auc")):
        said = table.loc["purple_threshold", column].replace("−", "-").split()
        assert float(said[0]) == round(gain.loc[metric, "value"], 4)
        assert float(said[3].strip(")")) == round(gain.loc[metric, "high"], 4)


def test_seeds_stand_behind_the_first_with_its_interval():
    said = seeds_table(["compact"]).loc["compact", "accuracy, by cell"]
    values = [load("compact", "cell", n).metrics.loc["accuracy", "value"] for n in (42, 43, 44)]
    first, *others = said.split(" · ")
    assert first.startswith(f"{values[0]:.3f} (")
    assert others == [f"{value:.3f}" for value in values[1:]]


def test_no_other_seed_stands_in_for_the_first(tmp_path):
    there = records_folder() / "compact-patient-s43"
    (tmp_path / there.name).symlink_to(there)
    assert seeds_table(["compact"], records=tmp_path).loc["compact", "AUC, by patient"] == "–"
