"""What would spoil a recipe: a misspelt kind or option that goes unnoticed, a stale digest."""

import json
from dataclasses import replace

import pytest

from malaria_nb import kinds
from malaria_nb.golden import GOLDEN
from malaria_nb.kinds import Kind, kind, kind_named
from malaria_nb.recipes import (
    RECIPES,
    Recipe,
    choices,
    parents,
    planned,
    recipe_named,
    scaled,
    with_options,
)
from malaria_nb.records import read_records
from malaria_nb.settings import SCALES


def test_a_misspelt_kind_is_refused_and_builds_no_vgg():  # finding 16
    with pytest.raises(ValueError, match="no kind of model 'basic_cmn'.*'basic_cnn'"):
        replace(RECIPES["basic_cnn"], model="basic_cmn")
    with pytest.raises(ValueError, match="no kind of model ''"):
        kind_named("")


def test_an_option_belongs_to_its_kind():
    with pytest.raises(ValueError, match="basic_cnn has no option 'averaging'; it has none"):
        Recipe("mine", "basic_cnn", "adam", 1e-3, options={"averaging": 0.9})
    with pytest.raises(
        ValueError, match="compact_cnn has no option 'avreaging'; it has 'schedule'"
    ):
        with_options(RECIPES["compact"], avreaging=0.9)


def test_an_option_is_a_choice_like_any_other():
    smooth = with_options(RECIPES["compact"], smoothing=0.1, schedule=None)
    assert choices(smooth)["smoothing"] == 0.1 and "schedule" not in choices(smooth)
    assert "options" not in choices(smooth)
    assert choices(with_options(smooth, smoothing=None, schedule="one_cycle")) == choices(
        RECIPES["compact"]
    )


def test_a_kind_of_ones_own_is_an_entry_and_nothing_more(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", dict(kinds.KINDS))

    @kind("mine", epochs="basic", options=("width",))
    def build(setup, x, rows):
        return setup.options["width"]

    mine = Recipe("mine", "mine", "adam", 1e-3, options={"width": 3})
    assert isinstance(kind_named("mine"), Kind) and planned(mine, SCALES["full"]) == 25


def test_a_tuple_among_the_options_is_what_a_record_will_say(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", dict(kinds.KINDS))
    kind("of_widths", options=("widths", "seeds"))(lambda setup, x, rows: None)
    one = replace(
        recipe_named("basic_cnn"), name="x", model="of_widths", options={"widths": (1, 2)}
    )
    assert json.loads(json.dumps(choices(one))) == choices(one)
    with pytest.raises(ValueError, match="hides a field of Recipe"):
        replace(one, options={"seeds": 3})


@pytest.mark.parametrize(
    "name, about, why",
    [
        ("new", {"options": ("schedule",)}, "or 'schedule' is recorded and ignored"),
        ("new", {"epochs": "basics"}, "no field of Scale"),
        ("compact_cnn", {}, "there is a kind of model"),
    ],
)
def test_a_kind_that_would_not_do_what_it_says_is_refused(name, about, why, monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", dict(kinds.KINDS))
    with pytest.raises(ValueError, match=why):
        kind(name, **about)(lambda setup, x, rows: None)


def test_choices_of_every_record_are_those_of_its_recipe():
    for record in read_records():
        now = json.loads(json.dumps(choices(RECIPES[record.name])))
        assert record.about["recipe"] == now, record.folder.name


def test_a_new_choice_does_not_make_old_records_stale():
    later = {"labels", "size", "batch", "epochs", "teacher", "schedule", "network"}
    assert not later & set(choices(RECIPES["vgg19_frozen"]))
    assert choices(RECIPES["frozen_labels_dropped"])["labels"] == "dropped"


def test_parents_are_in_the_choices():
    assert parents(RECIPES["basic_cnn"]) == {}
    (head,) = parents(RECIPES["vgg19_finetuned"]).values()
    assert head is RECIPES["vgg19_frozen"]
    teacher = parents(RECIPES["compact_distilled"])["teacher"]
    assert teacher.epochs == 3 and choices(teacher)["epochs"] == 3
    assert choices(RECIPES["compact_distilled"])["teacher"] == choices(teacher)
    assert choices(teacher)["start_from"] == choices(RECIPES["vgg19_frozen"])


def test_epochs_and_sizes_are_the_recipes_or_the_scales():
    compact, tuned = RECIPES["compact"], RECIPES["vgg19_finetuned"]
    assert [planned(compact, SCALES[s]) for s in ("quick", "full")] == [8, 8]
    assert planned(compact, GOLDEN.scale) == 2
    assert planned(replace(compact, epochs=40), SCALES["full"]) == 40
    assert [planned(tuned, SCALES[s]) for s in ("quick", "full")] == [2, 25]
    assert [planned(replace(tuned, epochs=3), SCALES[s]) for s in ("quick", "full")] == [2, 3]
    assert (scaled(compact, SCALES["full"]).size, scaled(tuned, SCALES["full"]).size) == (48, 125)


def test_unknown_recipes_are_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="no recipe 'basic_cmn': use one of 'purple_threshold'"):
        recipe_named("basic_cmn")
