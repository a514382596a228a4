"""A run depends on its recipe, cells and seed alone, not on what happened to be in the cache."""

import importlib.metadata as metadata
import os
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from spoiling import flipped, folder_in_place
from tiny_cells import folder as tiny_folder
from tiny_cells import png

from malaria_nb import device, plan
from malaria_nb.dataset import index_cells
from malaria_nb.device import choose_precision, environment, package_of
from malaria_nb.digests import read_sealed, write_sealed
from malaria_nb.golden import golden
from malaria_nb.plan import plan_run
from malaria_nb.recipes import RECIPES
from malaria_nb.run import fit_recipe, is_over, label_to_learn, read_history, run
from malaria_nb.settings import SCALES, Settings

SCALE = replace(SCALES["quick"], synthetic=80, size=32, basic=1, head=1, finetune=1)


@pytest.fixture
def tiny(home):
    return Settings("synthetic", SCALE, "random", home)


def scores(name, settings, **how):
    score = run(name, settings, **how).predictions["score"].to_numpy()
    assert np.isfinite(score).all()
    return score


def rescaled(settings, **sizes):
    return replace(settings, scale=replace(settings.scale, **sizes))


# -- what is in the cache ---------------------------------------------------------------------


def test_a_run_is_the_same_whether_its_features_and_its_head_were_cached(tiny):
    frozen, finetuned = scores("vgg19_frozen", tiny), scores("vgg19_finetuned", tiny)
    # the features stay, and the head of the fine-tuned model is trained on the way
    shutil.rmtree(tiny.home / "runs")
    np.testing.assert_array_equal(scores("vgg19_finetuned", tiny), finetuned)
    np.testing.assert_array_equal(scores("vgg19_frozen", tiny), frozen)


def test_a_run_interrupted_before_its_predictions_is_not_taken_for_whole(tiny):
    first = run("basic_cnn", tiny)
    (first.folder / "predictions.csv.gz").unlink()
    again = run("basic_cnn", tiny)
    np.testing.assert_array_equal(again.predictions["score"], first.predictions["score"])
    assert set(again.predictions["split"]) == {"valid", "test"}
    assert not (again.folder / "fit").exists()


def test_more_epochs_go_on_from_those_there_are(tiny):
    two = rescaled(tiny, basic=2)
    whole = run("basic_cnn", two)
    shutil.rmtree(tiny.home / "runs")
    assert len(run("basic_cnn", two, epochs=1).history) == 1
    more = run("basic_cnn", two)
    assert len(more.history) == 2
    np.testing.assert_array_equal(more.predictions["score"], whole.predictions["score"])
    assert len(run("basic_cnn", two, epochs=1).history) == 2  # what is there is not thrown away


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epochs_are_not_all_epochs(tiny, epochs):  # finding 4
    with pytest.raises(ValueError, match=f"epochs={epochs}: use 1 or more"):
        run("basic_cnn", tiny, epochs=epochs)
    assert not (tiny.home / "runs").exists()


def made(folder):
    return (folder / "model.keras").stat().st_mtime_ns


def test_again_trains_anew(tiny):
    first = run("purple_threshold", tiny)
    before = made(first.folder)
    np.testing.assert_array_equal(scores("purple_threshold", tiny), first.predictions["score"])
    assert made(first.folder) == before
    np.testing.assert_array_equal(
        scores("purple_threshold", tiny, again=True), first.predictions["score"]
    )
    assert made(first.folder) > before


@pytest.mark.weekly
def test_again_reaches_the_head_and_the_teacher(tiny):  # finding 2
    student = run("compact_distilled", rescaled(tiny, size=48))
    teacher = student.plan.parents["teacher"]
    folders = [student.folder, teacher.folder, teacher.parents["head"].folder]
    before = [made(folder) for folder in folders]
    (kept,) = teacher.folder.glob("train-after-*.npy")
    np.save(kept, np.zeros(7))  # what a teacher has said is forgotten with the teacher
    again = run("compact_distilled", rescaled(tiny, size=48), again=True)
    assert all(made(folder) > then for folder, then in zip(folders, before))
    np.testing.assert_array_equal(again.predictions["score"], student.predictions["score"])


def test_why_a_training_ended_is_a_field(tiny):
    first = run("basic_cnn", tiny)
    assert first.history.attrs["reason"] == "epochs"
    history = read_history(first.folder)
    assert not is_over(history, 25)
    history.attrs |= {"stopped": "in other words", "reason": "patience"}
    assert is_over(history, 25)


# -- what a disk has changed ------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "A finished run, and the settings that it was made with."
    settings = Settings("synthetic", SCALE, "random", tmp_path_factory.mktemp("home"))
    return run("purple_threshold", settings), settings


@pytest.fixture
def copied(whole, tmp_path):
    "A copy of its home, to be spoilt."
    made, settings = whole
    home = shutil.copytree(settings.home, tmp_path / "copy")
    return replace(settings, home=home), home / made.folder.relative_to(settings.home)


HARM = {
    "byte": flipped,
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "another type": lambda file: file.write_text("[]"),
    "folder": folder_in_place,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", ["run.json", "model.keras", "predictions.csv.gz"])
def test_a_damaged_file_of_a_run_is_named_and_made_again(whole, copied, name, harm):  # M8
    (made, _), (settings, folder) = whole, copied
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    HARM[harm](folder / name)
    with pytest.warns(RuntimeWarning, match=f"{name} is damaged or missing: making it again"):
        again = run("purple_threshold", settings)
    pd.testing.assert_frame_equal(again.predictions, made.predictions)
    kept = [c for c in made.history if not c.endswith("seconds")]
    pd.testing.assert_frame_equal(again.history[kept], made.history[kept])
    for file in ("model.keras",) if name == "predictions.csv.gz" else ():
        assert (folder / file).read_bytes() == before[file]  # what is good is kept
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = run("purple_threshold", settings)
        again.fitted()


def test_a_whole_run_is_read_without_a_word(copied, monkeypatch):
    settings, folder = copied
    monkeypatch.setattr("malaria_nb.run.fit_recipe", lambda *a, **k: pytest.fail("trained"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run("purple_threshold", settings)


@pytest.mark.parametrize(
    "harm",
    ["byte", *(pytest.param(h, marks=pytest.mark.weekly) for h in ("cut", "empty", "folder"))],
)
def test_an_interrupted_training_survives_damage(tiny, harm):  # finding M8
    two = rescaled(tiny, basic=2)
    whole = run("basic_cnn", two)
    shutil.rmtree(tiny.home / "runs")
    run("basic_cnn", two, epochs=1)
    for file in (whole.folder / "fit").glob("epoch-*"):
        HARM[harm](file)
    with pytest.warns(RuntimeWarning, match="epoch-001.npz is damaged"):
        more = run("basic_cnn", two)
    np.testing.assert_array_equal(more.predictions["score"], whole.predictions["score"])


@pytest.mark.weekly
def test_a_teachers_damaged_scores_are_made_again(tiny):
    small = rescaled(tiny, size=48)
    student = run("compact_distilled", small)
    (kept,) = student.plan.parents["teacher"].folder.glob("train-after-*.npy")
    taught = read_sealed(kept)
    for harm in ("byte", "empty", "folder"):
        HARM[harm](kept)
        shutil.rmtree(student.folder)
        with pytest.warns(RuntimeWarning, match=f"{kept.name} is damaged"):
            again = run("compact_distilled", small)
        np.testing.assert_array_equal(read_sealed(kept), taught)
        np.testing.assert_array_equal(again.predictions["score"], student.predictions["score"])


# -- other pixels under the same names --------------------------------------------------------


def inverted(root, to):
    "Copy cells with every level turned round; sizes, names and dates are those of the original."
    shutil.copytree(root, to)
    for file in to.rglob("*.png"):
        height, width = cv2.imread(str(file)).shape[:2]
        file.write_bytes(png(height, width, seed=1000 + int(file.stat().st_ino) % 1000))
        os.utime(file, ns=(0, (root / file.relative_to(to)).stat().st_mtime_ns))
    return to


def test_another_folder_of_the_same_names_gets_no_old_result(tmp_path):  # finding H1
    root = tiny_folder(tmp_path / "one" / "cells", patients=6, height=30, width=30)
    other = inverted(root, tmp_path / "two" / "cells")
    s = Settings(str(root), SCALE, "random", tmp_path / "home")
    t = replace(s, cells=str(other))
    pd.testing.assert_frame_equal(index_cells(root), index_cells(other))
    plans = [plan_run("purple_threshold", each) for each in (s, t)]
    assert plans[0].fingerprint == plans[1].fingerprint and plans[0].pixels != plans[1].pixels
    first, second = run("purple_threshold", s), run("purple_threshold", t)
    assert first.folder != second.folder
    assert not np.array_equal(first.predictions["score"], second.predictions["score"])
    again = run("purple_threshold", replace(s, home=tmp_path / "elsewhere"))
    np.testing.assert_array_equal(again.predictions["score"], first.predictions["score"])
    shutil.rmtree(root)
    other.rename(root)  # the same path, too
    np.testing.assert_array_equal(scores("purple_threshold", s), second.predictions["score"])


def test_a_cell_replaced_in_place_is_noticed(tmp_path):
    root = tiny_folder(tmp_path / "cells", height=30, width=30)
    s = Settings(str(root), SCALE, "random", tmp_path / "home")
    before, victim = plan_run("basic_cnn", s), next(root.rglob("*.png"))
    date, size = victim.stat().st_mtime_ns, victim.stat().st_size
    victim.write_bytes(png(30, 30, seed=99))
    os.utime(victim, ns=(0, date))
    after = plan_run("basic_cnn", s)
    assert victim.stat().st_size == size and after.cells.equals(before.cells)
    assert after.pixels != before.pixels and after.folder != before.folder
    assert plan_run("basic_cnn", s).key == after.key  # and a folder that stays has one key


# -- the key ----------------------------------------------------------------------------------


def key(name, settings, **how):
    return plan_run(name, settings, **how).key


def test_the_key_follows_what_the_result_depends_on(tiny):
    keys = [
        key("basic_cnn", tiny),
        key("basic_cnn", tiny, seed=43),
        key("basic_cnn", tiny, split="cell"),
        key("basic_cnn", tiny, precision="mixed_bfloat16"),
        key("basic_cnn", rescaled(tiny, size=48)),
        key("basic_cnn", rescaled(tiny, batch=8)),
        key("basic_cnn", rescaled(tiny, synthetic=90)),
    ]
    assert len(set(keys)) == len(keys)
    assert key("basic_cnn", rescaled(tiny, basic=9)) == keys[0]  # who asks for more goes on


def test_the_key_follows_the_parents(tiny, monkeypatch):
    before = key("vgg19_finetuned", tiny), key("compact_distilled", tiny)
    longer = rescaled(tiny, head=2)  # the head, a parent, learns longer
    assert key("vgg19_finetuned", longer) != before[0]
    assert key("compact_distilled", longer) != before[1]
    changed = replace(RECIPES["vgg19_frozen"], learning_rate=1.0)
    monkeypatch.setitem(RECIPES, "vgg19_frozen", changed)
    assert key("vgg19_finetuned", tiny) != before[0]
    assert key("compact_distilled", tiny) != before[1]


def test_a_students_key_tells_the_scales_apart_whose_cells_are_the_same(tmp_path):  # finding 3
    cells = str(tiny_folder(tmp_path / "cells", patients=6))
    quick, full = (
        Settings(cells, SCALES[scale], "random", tmp_path / "home") for scale in ("quick", "full")
    )
    plans = [plan_run("compact_distilled", s) for s in (quick, full)]
    sizes = [p.parents["teacher"].settings.scale.size for p in plans]
    assert len(plans[0].cells) == len(plans[1].cells) and sizes == [64, 125]
    assert plans[0].key != plans[1].key
    assert key("compact", quick) == key("compact", full)  # which has no teacher


def test_the_key_follows_a_schedule_that_is_laid_over_all_epochs(tiny):
    assert key("compact", tiny) != key("compact", rescaled(tiny, basic=2))


def test_the_key_follows_the_weights(tiny, tmp_path):
    file = tmp_path / "w.h5"
    named, keys = replace(tiny, weights=str(file)), [key("vgg19_finetuned", tiny)]
    for content in (b"one", b"two"):
        file.write_bytes(content)
        keys += [key(name, named) for name in ("vgg19_finetuned", "compact_distilled")]
    assert len(set(keys)) == 5


def test_the_key_follows_the_corrections(tiny, monkeypatch):
    first = key("frozen_labels_corrected", tiny)
    assert first != key("frozen_labels_dropped", tiny)
    shorter = pd.DataFrame({"name": ["a.png"], "label": [1]})
    monkeypatch.setattr("malaria_nb.corrections.course_corrections", lambda s, cells: shorter)
    assert key("frozen_labels_corrected", tiny) != first
    assert plan_run("vgg19_frozen", tiny).corrections is None


# -- teachers and labels ----------------------------------------------------------------------


def test_a_student_learns_from_its_teacher_once_it_has_scored(tiny):
    small = rescaled(tiny, size=48)  # the teacher's pixels, more than golden runs have
    student = run("compact_distilled", small)
    teacher = student.plan.parents["teacher"].folder
    (kept,) = teacher.glob("train-after-*.npy")
    taught = read_sealed(kept)
    assert kept.name == "train-after-1.npy" and 0 < taught.min() and taught.max() < 1
    assert list(student.history) == ["loss", "val_loss", "learning_rate", "seconds", "cpu_seconds"]
    assert student.weights == ""
    learnt = student.predictions["score"]
    assert not np.array_equal(learnt, scores("compact", small))
    for said, same in ((1 - taught, False), (taught, True)):  # what is kept is what is taught
        write_sealed(kept, said)
        shutil.rmtree(student.folder)
        assert np.array_equal(scores("compact_distilled", small), learnt) == same


def test_a_teacher_is_the_one_that_was_asked_for_whoever_else_trained_it(tiny, monkeypatch):
    briefly = replace(RECIPES["compact_distilled"], teacher=("vgg19_finetuned", 1))
    monkeypatch.setitem(RECIPES, "compact_distilled", briefly)
    longer = rescaled(tiny, finetune=2)
    tuned = plan_run("vgg19_finetuned", longer)
    teacher = plan_run("compact_distilled", longer).parents["teacher"]
    assert (tuned.epochs, teacher.epochs) == (2, 1) and tuned.key != teacher.key


@pytest.mark.weekly
def test_a_teacher_who_repeats_the_labels_teaches_what_they_do(tiny):
    x = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    label = np.arange(24) % 2
    rows = {"train": np.arange(16), "valid": np.arange(16, 24)}
    recipe = replace(RECIPES["compact"], size=32, batch=8, epochs=2)
    s = rescaled(tiny, size=32, batch=8, basic=2)

    def loss(taught):
        _, history = fit_recipe(recipe, x, label, rows, s, taught=taught, progress=False)
        return history["loss"].to_list()

    assert loss(label.astype(float)) == loss(None) != loss(np.full(24, 0.5))


def test_dropped_labels_leave_the_test_alone(tiny):
    cells = plan_run("basic_cnn", rescaled(tiny, synthetic=200)).cells
    wrong = cells.groupby("split").head(3)
    names = wrong["file"].str.split("/").str[-1]
    corrections = pd.DataFrame({"name": names, "label": 1 - wrong["label"]})
    for how, left in (("corrected", 3), ("dropped", 0)):
        label, rows = label_to_learn(cells, corrections, how)
        assert list(rows["test"]) == list(np.flatnonzero(cells["split"] == "test"))
        for part in ("train", "valid"):
            assert len(set(cells["file"].iloc[rows[part]]) & set(wrong["file"])) == left
            here, was = label[rows[part]], cells["label"].to_numpy()[rows[part]]
            assert (here != was).sum() == left


def test_unknown_augmentations_are_refused(tiny):
    recipe = replace(RECIPES["basic_cnn"], augment="eight_simmetries")
    x, label = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4) % 2
    rows = {"train": np.arange(2), "valid": np.arange(2, 4)}
    known = "'eight_symmetries', .*'symmetries_and_stain', .*'affine' or None"
    with pytest.raises(ValueError, match=f"use {known}"):
        fit_recipe(recipe, x, label, rows, tiny, progress=False)


# -- on which machine -------------------------------------------------------------------------


def test_golden_runs_are_in_float32_beside_an_accelerator(monkeypatch):  # finding 1
    here = golden(["purple_threshold"])
    monkeypatch.setattr(device, "accelerators", lambda: ["an accelerator"])
    assert choose_precision() == "mixed_bfloat16"
    asked = []
    monkeypatch.setattr(plan, "choose_precision", lambda p: asked.append(p) or choose_precision(p))
    assert golden(["purple_threshold"]) == here and asked == ["float32"]


def test_golden_runs_stay_on_the_processor(monkeypatch):
    import keras

    inside, real = [], keras.device
    monkeypatch.setattr(keras, "device", lambda name: inside.append(name) or real(name))
    golden(["purple_threshold"])
    assert inside == ["cpu:0"]


def test_the_settings_say_which_precision_unless_the_call_does(tiny):
    mixed = replace(tiny, precision="mixed_bfloat16")
    assert plan_run("basic_cnn", mixed).precision == "mixed_bfloat16"
    assert plan_run("basic_cnn", mixed, precision="float32").precision == "float32"
    with pytest.raises(ValueError, match="'half'.*'float32', 'mixed_bfloat16'"):
        run("basic_cnn", tiny, precision="half")


def test_versions_under_other_names_of_distributions(monkeypatch):  # finding 15
    there, version = metadata.packages_distributions(), metadata.version
    (here,) = there["tensorflow"]  # the locks have another one for Linux than settings.ini
    theirs = {"opencv-python": "opencv-python-headless", here: "tensorflow-rocm"}

    def renamed(name):
        if name in theirs:
            raise metadata.PackageNotFoundError(name)
        return version({v: k for k, v in theirs.items()}.get(name, name))

    other = {m: [theirs.get(p, p) for p in packages] for m, packages in there.items()}
    monkeypatch.setattr(metadata, "version", renamed)
    for name, value in (("version", renamed), ("packages_distributions", lambda: other)):
        monkeypatch.setattr(device, name, value, raising=False)
    found = environment()
    assert found["opencv-python-headless"] == version("opencv-python")
    assert found["tensorflow-rocm"] == version(here)
    assert "opencv-python" not in found


def test_a_module_that_no_package_claims_speaks_for_itself(monkeypatch, tmp_path):
    Path(tmp_path, "my_module.py").write_text("__version__ = '1.2'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_of("my_module", {}) == ("my_module", "1.2")
    sys.modules.pop("my_module")
