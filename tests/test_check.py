"""What must turn `malaria-nb experiment check` red."""

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from malaria_nb import cnn
from malaria_nb.check import check_code, check_export, check_record
from malaria_nb.golden import golden
from malaria_nb.recipes import RECIPES
from malaria_nb.records import load, read_record
from malaria_nb.signed import record_digest

ROOT = Path(__file__).resolve().parents[1]


def problems(folder, now=None):
    record = read_record(folder)
    return [str(p) for p in check_record(record) + (check_code(record, now) if now else [])]


def write(record, about):
    "Write what a record says, with its digest."
    text = json.dumps(about | {"digest": record_digest(about, record)})
    (record / "record.json").write_text(text, encoding="utf-8")


# -- the third promise ------------------------------------------------------------------------


def test_untouched_record_is_current(record, now):
    assert problems(record, now) == []


def test_edited_learning_rate(record, monkeypatch):
    monkeypatch.setitem(RECIPES, "basic_cnn", replace(RECIPES["basic_cnn"], learning_rate=1e-3))
    (found,) = problems(record)
    assert "stale: learning_rate was 0.0004 and is 0.001" in found
    assert "malaria-nb experiment run basic_cnn --split patient --seed 42 --again" in found


def test_one_score_changed(record):
    path = record / "predictions.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    column = lines[0].split(",").index("score")
    row = lines[5].split(",")
    row[column] = f"{float(row[column]) + 1e-6:.6f}"
    changed = "\n".join([*lines[:5], ",".join(row), *lines[6:], ""])
    path.write_bytes(gzip.compress(changed.encode()))
    assert any("predictions are not those that were recorded" in p for p in problems(record))


def test_edited_metric(record):
    about = json.loads((record / "record.json").read_text("utf-8"))
    about["metrics"]["auc"][0] = round(about["metrics"]["auc"][0] - 0.001, 6)
    write(record, about)
    (found,) = problems(record)
    assert "its auc is" in found and f"git checkout nbs/records/{record.name}" in found


def test_metric_that_evaluate_gives_no_more(record):
    about = json.loads((record / "record.json").read_text("utf-8"))
    about["metrics"]["kappa"] = [0.9, 0.8, 1.0]
    write(record, about)
    (found,) = problems(record)
    assert "a metric 'kappa', which evaluate() doesn't give" in found


def test_metric_that_is_younger_than_a_record_leaves_it_valid(record):
    about = json.loads((record / "record.json").read_text("utf-8"))
    del about["metrics"]["mcc"]
    write(record, about)
    assert problems(record) == []
    about["metrics"] = {}
    write(record, about)
    (found,) = problems(record)
    assert "it has no metrics" in found


def test_changed_layer(record, monkeypatch):
    with monkeypatch.context() as m:
        real = cnn.basic_cnn
        m.setattr(cnn, "basic_cnn", lambda size: _changed(real(size)))
        moved = golden(["basic_cnn"])["basic_cnn"]
    found = problems(record, moved)
    assert any("golden run's" in p and "the code has changed" in p for p in found)


@pytest.mark.parametrize(
    "name, rounding, change",
    [
        ("lite0_finetuned", 2.8e-3, 0.4),
        ("compact_student", 1e-3, 7e-3),  # another momentum of its batch normalisation
        ("compact", 1.2e-4, 7e-3),
    ],
)
def test_another_processor_rounds_otherwise_and_that_is_no_change(name, rounding, change):
    record = load(name)
    golden = record.about["golden"]
    moved = [{**golden, "score": golden["score"] + way * rounding} for way in (-1, 1)]
    assert [check_code(record, g) for g in moved] == [[], []]
    (problem,) = check_code(record, {**golden, "score": golden["score"] + change})
    assert "golden run's score" in problem.why


def _changed(model):  # the same model with another activation in its first convolution
    config = model.get_config()
    first = next(layer for layer in config["layers"] if layer["class_name"] == "Conv2D")
    first["config"]["activation"] = "elu"
    return type(model).from_config(config)


def test_recipe_that_is_gone(record, monkeypatch):
    monkeypatch.delitem(RECIPES, "basic_cnn")
    assert "no recipe has this name" in problems(record)[0]


# -- the second and the first -----------------------------------------------------------------


def test_library_that_is_not_what_the_chapters_export(tmp_path):
    for name in ("settings.ini", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", ".*", "records", "images")
    for name in ("nbs", "malaria_nb"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    assert check_export(tmp_path) == []
    module = tmp_path / "malaria_nb" / "cnn.py"
    module.write_text(module.read_text("utf-8").replace("def ", "def  ", 1), encoding="utf-8")
    assert [p.what for p in check_export(tmp_path)] == ["malaria_nb/cnn.py"]
    chapter = tmp_path / "nbs" / "03_cnn.ipynb"
    chapter.write_text("<<<<<<< HEAD\n" + chapter.read_text("utf-8"), encoding="utf-8")
    (problem,) = check_export(tmp_path)
    assert "can't be exported" in problem.why
