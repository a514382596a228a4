"""Lies about records that the check must name: careless ones, and ones that were signed again."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from malaria_nb.check import check_records
from malaria_nb.records import digest, renew_record
from malaria_nb.signed import sign

RECORDS = Path(__file__).resolve().parents[1] / "nbs" / "records"
# what is lied about is none of the main table's records, which many claims would notice
MAIN, OTHER = "basic_cnn-patient-s42", "vgg19_frozen-photo-fold1-s42"
KEPT = (MAIN, OTHER, "frozen_labels_dropped-patient-s42", "only_size-patient-s44")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "Four records, the tables and the kept scores, signed."
    folder = tmp_path_factory.mktemp("course") / "records"
    for name in (*KEPT, "tables", "steps"):
        shutil.copytree(RECORDS / name, folder / name)
    if (RECORDS / "cells.csv.gz").exists():
        shutil.copy(RECORDS / "cells.csv.gz", folder)
    sign(folder, [*KEPT, "cells.csv.gz", *files(folder, "tables"), *files(folder, "steps")])
    return folder


def files(folder, name):
    return [p.relative_to(folder).as_posix() for p in (folder / name).iterdir()]


@pytest.fixture
def records(copy):
    "The same, put back after each test; in one place, so that what is read once stays read."
    yield copy
    for path in copy.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in (*KEPT, "tables", "steps"):
        shutil.copytree(RECORDS / name, copy / name)
    if (RECORDS / "cells.csv.gz").exists():
        shutil.copy(RECORDS / "cells.csv.gz", copy)
    sign(copy, [*KEPT, "cells.csv.gz", *files(copy, "tables"), *files(copy, "steps")])


def about(records, change, name=OTHER):
    "Change record.json of a record."
    path = records / name / "record.json"
    told = json.loads(path.read_text("utf-8"))
    told = change(told) or told
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def put(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(told):
        for key in keys:
            told = told[key]
        told[last] = value

    return lambda records: about(records, change)


def history(change):
    def lie(records):
        path = records / OTHER / "history.csv"
        table = change(pd.read_csv(path, index_col="epoch"))
        path.write_text(table.to_csv(float_format="%.6g", lineterminator="\n"), "utf-8")

    return lie


def predictions(change):
    "Change a record's predictions, and their digest with them, as a tool would that writes both."

    def lie(records):
        path = records / OTHER / "predictions.csv.gz"
        text = change(pd.read_csv(path)).to_csv(None, index=False, lineterminator="\n")
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
        about(records, lambda told: told | {"predictions": digest(path.read_bytes())})

    return lie


def move_a_patient(table):
    "Give some of the test's cells of a photograph to validation."
    row = table.index[table["split"] == "test"][0]
    return table.assign(split=table["split"].where(table.index != row, "valid"))


def shorter(told):
    told["epochs"]["done"] -= 1
    told["epochs"]["stopped"] = f"all {told['epochs']['done']} epochs done"


def cut_and_told(records):
    history(lambda h: h.iloc[:-1])(records)
    about(records, shorter)


def file(path, old, new):
    def lie(records):
        text = (records / path).read_text("utf-8")
        assert old in text
        (records / path).write_text(text.replace(old, new, 1), "utf-8")

    return lie


def step(records):
    path = records / "steps" / "32-px.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace("0.9999", "0.1111", 1)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


LIES = {
    "seed": put("seed", 43),
    "split": put("split", "photo-fold2"),
    "device": put("environment", "device", "NVIDIA H100"),
    "precision": put("environment", "precision", "float64"),
    "version": put("environment", "keras", "3.16.0"),
    "fingerprint": put("cells", "fingerprint", "0123456789ab"),
    "counts": put("cells", "train", "patients", 150),
    "n": put("cells", "n", 27557),
    "source": put("cells", "source", "real (another hospital)"),
    "seconds": put("seconds", 1.5),
    "weights": put("weights", "ImageNet weights"),
    "no weights": put("weights", ""),
    "best epoch": put("epochs", "best_epoch", 1),
    "planned": put("epochs", "planned", 50),
    "stopped": put("epochs", "stopped", "all 25 epochs done"),
    "size": put("size", 64),
    "batch": put("batch", 32),
    "metric's interval": put("metrics", "auc", 2, 0.999),
    "metric without its interval": lambda r: about(r, _no_interval),
    "no metric": put("metrics", "auc", []),
    "golden": put("golden", "loss", 0.5),
    "last epoch removed": history(lambda h: h.iloc[:-1]),
    "last epoch removed, and told so": cut_and_told,
    "validation loss": history(lambda h: h.assign(val_loss=h["val_loss"] * 0.99)),
    "validation accuracy": history(lambda h: h.assign(val_accuracy=h["val_accuracy"] + 0.01)),
    "epoch's seconds": history(lambda h: h.assign(seconds=h["seconds"] * 2)),
    "row doubled": predictions(lambda t: pd.concat([t, t.tail(1)])),
    "rows doubled": predictions(lambda t: pd.concat([t, t])),
    "row missing": predictions(lambda t: t.iloc[:-1]),
    "validation row missing": predictions(lambda t: t.drop(t.index[t["split"] == "valid"][:1])),
    "photograph in two parts": predictions(move_a_patient),
    "label flipped": predictions(lambda t: t.assign(label=t["label"].where(t.index > 0, 0))),
    "patient renamed": predictions(
        lambda t: t.assign(patient=t["patient"].where(t.index > 0, "C1"))
    ),
    "score above 1": predictions(lambda t: t.assign(score=t["score"].where(t.index > 0, 1.5))),
    "a score": predictions(lambda t: t.assign(score=t["score"].where(t.index > 0, 0.25))),
    "table": file("tables/12_labels-nine.csv", "0.923561", "0.953561"),
    "table's first line": file("tables/12_labels-nine.csv", "full scale", "quick scale"),
    "kept scores": step,
    "list of cells": lambda r: (r / "cells.csv.gz").write_bytes(gzip.compress(b"file,label\n")),
    "a record is gone": lambda r: shutil.rmtree(r / OTHER),
    "a table is gone": lambda r: (r / "tables" / "12_labels-nine.csv").unlink(),
    "a table nobody signed": lambda r: (r / "tables" / "x.csv").write_text("# {}\n"),
    "a file in a record": lambda r: (r / OTHER / "note.txt").write_text("better\n"),
    "no list of digests": lambda r: (r / "DIGESTS").unlink(),
    "a folder in place of the list": lambda r: ((r / "DIGESTS").unlink(), (r / "DIGESTS").mkdir()),
    "record under another name": lambda r: (r / OTHER).rename(r / "vgg19_frozen-photo-fold1-s43"),
}


def _no_interval(told):
    told["metrics"]["auc"] = told["metrics"]["auc"][:1]


def test_what_is_as_it_was_made_passes(records):
    assert check_records(records) == []


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named(records, lie):
    LIES[lie](records)
    named = {p.what for p in check_records(records)}
    assert named, "nobody noticed"
    assert not named & ({*KEPT} - {OTHER}), "the others are as they were"


# a lie that was signed again can still be told from the truth where that can be computed
COMPUTED = [
    *("seed", "split", "fingerprint", "counts", "n", "source", "seconds", "best epoch"),
    *("planned", "stopped", "size", "batch", "precision", "no weights", "last epoch removed"),
    *("validation accuracy", "epoch's seconds", "row doubled", "row missing", "rows doubled"),
    *("validation row missing", "photograph in two parts", "label flipped", "patient renamed"),
    *("score above 1", "record under another name"),
]


def signed_again(records):
    for folder in records.glob("*-s*"):
        try:
            renew_record(folder, accept=True)
        except ValueError:
            pass  # its predictions can't be evaluated: a forger would leave the metrics
    sign(records, [p.name for p in records.glob("*-s*")] + [OTHER])


@pytest.mark.parametrize("lie", COMPUTED)
def test_a_lie_that_was_signed_again_contradicts_what_can_be_computed(records, lie):
    LIES[lie](records)
    signed_again(records)
    assert any(p.what in (OTHER, "vgg19_frozen-photo-fold1-s43") for p in check_records(records))


@pytest.mark.parametrize("lie", ["device", "version", "weights", "a score", "golden"])
def test_a_record_signed_by_itself_is_not_what_the_list_says(records, lie):
    listed = (records / "DIGESTS").read_bytes() if (records / "DIGESTS").exists() else b""
    LIES[lie](records)
    renew_record(records / OTHER, accept=True)
    (records / "DIGESTS").write_bytes(listed)
    (why,) = [p.why for p in check_records(records) if p.what == OTHER]
    assert "is not what DIGESTS says" in why


def test_a_patient_in_two_parts_is_an_error_for_other_cells_too(record):
    "A record of cells that no list names, in a folder of somebody's own."
    table = pd.read_csv(record / "predictions.csv.gz")
    row = table.index[table["split"] == "test"][0]
    table.loc[row, "split"] = "valid"
    text = table.to_csv(None, index=False, lineterminator="\n")
    (record / "predictions.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    whys = " ".join(p.why for p in check_records(record.parent))
    assert "1 patients are in two parts" in whys


# -- what can't be read -----------------------------------------------------------------------


def truncated(records):
    path = records / OTHER / "predictions.csv.gz"
    path.write_bytes(path.read_bytes()[:-2000])


DAMAGE = {
    "bad JSON": lambda r: (r / OTHER / "record.json").write_text('{"name": '),
    "no JSON object": lambda r: (r / OTHER / "record.json").write_text("[1, 2]"),
    "no text": lambda r: (r / OTHER / "record.json").write_bytes(b"\xff\xfe\x00"),
    "empty": lambda r: (r / OTHER / "record.json").write_text(""),
    "truncated predictions": truncated,
    "predictions that aren't packed": lambda r: (r / OTHER / "predictions.csv.gz").write_text("a"),
    "no history rows": history(lambda h: h.iloc[:0]),
    "a history that is none": lambda r: (r / OTHER / "history.csv").write_text("a,b\n1,2\n"),
    "words in the history": history(lambda h: h.assign(val_loss="low")),
    "predictions without scores": predictions(lambda t: t.drop(columns="score")),
    **{
        f"no {name}": lambda r, name=name: (r / OTHER / name).unlink()
        for name in ("record.json", "history.csv", "predictions.csv.gz")
    },
    **{
        f"no field {key}": lambda r, key=key: about(r, lambda told: told.pop(key) and None)
        for key in ("name", "recipe", "cells", "epochs", "metrics", "golden", "environment", "seed")
    },
    "no counts": lambda r: about(r, lambda told: told["cells"].pop("test") and None),
    "a field of another kind": put("seed", "forty-two"),
    "metrics that are a list": put("metrics", [0.9]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_named_and_the_others_are_checked(records, damage):
    DAMAGE[damage](records)
    about(records, lambda told: told | {"seconds": 1.5}, MAIN)
    named = {p.what: p for p in check_records(records)}
    assert {OTHER, MAIN} <= named.keys() and "git checkout" in named[OTHER].mend
    assert not named.keys() & {*KEPT[2:]}
