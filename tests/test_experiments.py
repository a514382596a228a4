"""A run depends on its recipe, cells and seed, and on nothing else: not on what happened to be in the cache."""

import shutil
from dataclasses import replace

import numpy as np
from malaria_nb.experiments import run_key

from malaria_nb.recipes import RECIPES
from malaria_nb.run import run
from malaria_nb.settings import SCALES, Settings

TINY = Settings(
    "synthetic",
    replace(SCALES["quick"], synthetic=80, size=32, basic=1, head=1, finetune=1),
    "random",
)


def scores(name):
    score = run(name, TINY).predictions["score"].to_numpy()
    assert np.isfinite(score).all()
    return score


def test_a_run_is_the_same_whether_its_features_and_its_head_were_cached(home):
    frozen, finetuned = scores("vgg19_frozen"), scores("vgg19_finetuned")
    shutil.rmtree(
        home / "runs"
    )  # the features stay, and the head of the fine-tuned model is trained on the way
    np.testing.assert_array_equal(scores("vgg19_finetuned"), finetuned)
    np.testing.assert_array_equal(scores("vgg19_frozen"), frozen)


def test_a_run_interrupted_before_its_predictions_is_not_taken_for_whole(home):
    first = run("basic_cnn", TINY)
    (first.folder / "predictions.csv.gz").unlink()
    again = run("basic_cnn", TINY)
    np.testing.assert_array_equal(again.predictions["score"], first.predictions["score"])
    assert set(again.predictions["split"]) == {"valid", "test"}
    assert not (again.folder / "fit").exists()


def test_the_key_follows_the_recipe_that_a_recipe_starts_from(monkeypatch):
    import pandas as pd

    cells = pd.DataFrame(
        {"file": ["a.png", "b.png"], "label": [0, 1], "height": [9, 9], "width": [9, 9]}
    )
    key = lambda: run_key(RECIPES["vgg19_finetuned"], TINY, cells, "patient", 42, "weights")
    before = key()
    monkeypatch.setitem(
        RECIPES, "vgg19_frozen", replace(RECIPES["vgg19_frozen"], learning_rate=1.0)
    )
    assert key() != before


def test_a_student_learns_from_its_teacher_once_it_has_scored(home):
    small = replace(
        TINY, scale=replace(TINY.scale, size=48)
    )  # the teacher's pixels, more than golden runs have
    student = run("compact_distilled", small)
    (teacher,) = (home / "runs").glob("vgg19_finetuned-*")
    (kept,) = teacher.glob("train-after-*.npy")
    taught = np.load(kept)
    assert kept.name == "train-after-1.npy" and 0 < taught.min() and taught.max() < 1
    assert (
        list(student.history) == ["loss", "val_loss", "learning_rate", "seconds"]
        and student.weights == ""
    )
    plain = run("compact", small).predictions["score"]
    assert not np.array_equal(student.predictions["score"], plain)
    np.save(kept, 1 - taught)  # what is kept is what is taught
    assert not np.array_equal(
        run("compact_distilled", small, again=True).predictions["score"],
        student.predictions["score"],
    )
    np.save(kept, taught)
    np.testing.assert_array_equal(
        run("compact_distilled", small, again=True).predictions["score"],
        student.predictions["score"],
    )


def test_a_teacher_who_repeats_the_labels_teaches_what_they_do():
    from malaria_nb.run import fit_recipe

    x, label = (
        np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8),
        np.arange(24) % 2,
    )
    rows = {"train": np.arange(16), "valid": np.arange(16, 24)}
    recipe = replace(RECIPES["compact"], size=32, batch=8, epochs=2)
    s = replace(TINY, scale=replace(TINY.scale, size=32, batch=8, basic=2))
    loss = lambda taught: fit_recipe(recipe, x, label, rows, s, taught=taught, progress=False)[1][
        "loss"
    ].to_list()
    assert loss(label.astype(float)) == loss(None) != loss(np.full(24, 0.5))


def test_the_key_follows_the_teacher(monkeypatch):
    import pandas as pd

    cells = pd.DataFrame(
        {"file": ["a.png", "b.png"], "label": [0, 1], "height": [9, 9], "width": [9, 9]}
    )
    key = lambda: run_key(RECIPES["compact_distilled"], TINY, cells, "patient", 42, "weights")
    before = key()
    monkeypatch.setitem(
        RECIPES,
        "compact_distilled",
        replace(RECIPES["compact_distilled"], teacher=("vgg19_finetuned", 2)),
    )
    longer = key()
    monkeypatch.setitem(
        RECIPES, "vgg19_frozen", replace(RECIPES["vgg19_frozen"], learning_rate=1.0)
    )  # the teacher's own start
    assert len({before, longer, key()}) == 3
