"""A run depends on its recipe, cells and seed, and on nothing else: not on what happened to be in the cache."""
import shutil
from dataclasses import replace

import numpy as np

from malaria_nb.course import SCALES, Settings
from malaria_nb.experiments import RECIPES, run, run_key

TINY = Settings("synthetic", replace(SCALES["quick"], synthetic=80, size=32, basic=1, head=1, finetune=1), "random")


def scores(name):
    score = run(name, TINY).predictions["score"].to_numpy()
    assert np.isfinite(score).all()
    return score


def test_a_run_is_the_same_whether_its_features_and_its_head_were_cached(home):
    frozen, finetuned = scores("vgg19_frozen"), scores("vgg19_finetuned")
    shutil.rmtree(home/"runs")  # the features stay, and the head of the fine-tuned model is trained on the way
    np.testing.assert_array_equal(scores("vgg19_finetuned"), finetuned)
    np.testing.assert_array_equal(scores("vgg19_frozen"), frozen)


def test_a_run_interrupted_before_its_predictions_is_not_taken_for_whole(home):
    first = run("basic_cnn", TINY)
    (first.folder/"predictions.csv.gz").unlink()
    again = run("basic_cnn", TINY)
    np.testing.assert_array_equal(again.predictions["score"], first.predictions["score"])
    assert set(again.predictions["split"]) == {"valid", "test"}
    assert not (again.folder/"fit").exists()


def test_the_key_follows_the_recipe_that_a_recipe_starts_from(monkeypatch):
    import pandas as pd
    cells = pd.DataFrame({"file": ["a.png", "b.png"], "label": [0, 1], "height": [9, 9], "width": [9, 9]})
    key = lambda: run_key(RECIPES["vgg19_finetuned"], TINY, cells, "patient", 42, "weights")
    before = key()
    monkeypatch.setitem(RECIPES, "vgg19_frozen", replace(RECIPES["vgg19_frozen"], learning_rate=1.))
    assert key() != before
