"""What would spoil the records: a half-written one, a folder that isn't found, a kill."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from malaria_nb import records as the_records
from malaria_nb import report
from malaria_nb.cli import main
from malaria_nb.records import (
    load,
    read_record,
    read_table,
    record_files,
    records_folder,
    renew_record,
    write_record,
    write_table,
)
from malaria_nb.report import caption, standings
from malaria_nb.settings import Settings
from malaria_nb.signed import changed

ROOT = Path(__file__).resolve().parents[1]


def test_record_replaces_an_older_one_whole(record):
    files = {p.name: p.read_bytes() for p in record.iterdir()}
    (record / "left-over.txt").write_text("old")
    assert write_record(files, record.parent) == record
    assert {p.name: p.read_bytes() for p in record.iterdir()} == files
    assert sorted(p.name for p in record.parent.iterdir()) == ["DIGESTS", record.name]


def test_missing_record_names_the_command(tmp_path):
    command = "malaria-nb experiment run vgg19_frozen --split cell --seed 7"
    with pytest.raises(FileNotFoundError, match=command):
        load("vgg19_frozen", "cell", 7, tmp_path)


def test_a_renewed_record_has_what_the_code_gives_now_and_is_renewed_once(record):
    about = json.loads((record / "record.json").read_text("utf-8"))
    del about["metrics"]["mcc"], about["digest"]
    (record / "record.json").write_text(json.dumps(about), encoding="utf-8")
    assert renew_record(record) and not renew_record(record)
    assert "mcc" in read_record(record).metrics.index and changed(record.parent) == {}


def test_what_was_edited_by_hand_is_not_renewed(record, edit):
    edit(record / "record.json", '"seed": 42', '"seed": 43')
    with pytest.raises(ValueError, match="is not what was signed"):
        renew_record(record)
    assert renew_record(record, accept=True)


@pytest.mark.parametrize("name", ["record.json", "history.csv", "predictions.csv.gz"])
def test_a_damaged_file_of_a_record_is_named_with_what_restores_it(record, name):
    (record / name).write_bytes(b"\x1f\x8b\x00")
    with pytest.raises(ValueError, match=f"{record.name}/{name} can't be read.*git checkout"):
        read_record(record)


def test_a_table_is_signed_when_it_is_written(tmp_path):
    write_table("x", pd.DataFrame({"a": [1]}), Settings("nih"), tmp_path)
    assert "tables/x.csv" in (tmp_path / "DIGESTS").read_text() and changed(tmp_path) == {}
    (tmp_path / "tables" / "x.csv").write_text("")
    with pytest.raises(ValueError, match="x.csv can't be read"):
        read_table("x", tmp_path)


def test_standings_name_the_record_that_lacks_a_metric(monkeypatch):
    for metric in ("specificity", "npv"):
        assert len(standings(metric)) == 4
    with pytest.raises(ValueError, match="no metric 'acuracy': use one of accuracy"):
        standings("acuracy")
    monkeypatch.setattr(report, "METRICS", (*report.METRICS, "kappa"))
    with pytest.raises(ValueError, match="is older than the metric 'kappa'.*tools/renew.py"):
        standings("kappa")


def test_what_is_recorded_is_what_was_run(tiny_run, now, tmp_path):
    record = read_record(write_record(record_files(tiny_run, now), tmp_path))
    assert (
        record.about["cells"]["n"]
        == 80
        == sum(record.about["cells"][part]["cells"] for part in ("train", "valid", "test"))
    )
    assert record.about["epochs"] == {
        "planned": 2,
        "done": 2,
        "best_epoch": tiny_run.history.attrs["best_epoch"],
        "stopped": "all 2 epochs done",
    }
    assert record.history.attrs["reason"] == "epochs" and record.about["golden"] == now


def test_a_record_says_why_its_training_ended_as_a_field():
    reasons = {"no lower validation loss": "patience", "all": "epochs"}
    for record in the_records.read_records():
        said = record.history.attrs["stopped"]
        (reason,) = (v for k, v in reasons.items() if said.startswith(k))
        assert record.history.attrs["reason"] == reason, record.folder.name


def test_records_are_found_from_anywhere_and_no_variable_moves_them(tmp_path, monkeypatch):
    theirs = ROOT / "nbs" / "records"
    monkeypatch.setenv("MALARIA_NB_RECORDS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert records_folder() == theirs
    assert records_folder(tmp_path) == tmp_path


@pytest.mark.parametrize("there", [".", "nbs", "nbs/solutions", ".."])
def test_records_of_a_clone_at_above_or_below_the_working_folder(tmp_path, monkeypatch, there):
    # the package is installed elsewhere, as on Colab; ".." is above the clone
    monkeypatch.setattr(the_records.malaria_nb, "__file__", str(tmp_path / "site" / "m" / "x.py"))
    clone = tmp_path / "work" / "clone"
    (clone / "nbs" / "records").mkdir(parents=True)
    (clone / "nbs" / "solutions").mkdir()
    monkeypatch.chdir(clone / there)
    assert records_folder() == clone / "nbs" / "records"


def test_no_records_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(the_records.malaria_nb, "__file__", str(tmp_path / "site" / "m" / "x.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="work in a clone of the course"):
        records_folder()


@pytest.mark.parametrize("cells", ["synthetic", "sample"])
def test_only_all_real_cells_get_into_the_records(cells, capsys):
    assert main(["experiment", "run", "basic_cnn", "--cells", cells]) == 2
    assert "all real cells" in capsys.readouterr().err


def test_commands(capsys):
    assert main(["experiment", "show", "basic_cnn"]) == 0
    assert re.search(r"accuracy +0\.\d{3}", capsys.readouterr().out)
    assert main(["experiment", "compare", "basic_cnn", "basic_cnn-patient-s42"]) == 0
    assert "only the first is right on 0 cells" in capsys.readouterr().out
    assert main(["experiment", "list"]) == 0
    assert "recorded" in capsys.readouterr().out
    assert main(["experiment", "show", "basic_cmn"]) == 1
    assert "no recipe 'basic_cmn'" in capsys.readouterr().err


def test_a_record_and_a_caption_name_a_precision_that_is_not_float32():
    kept = load("basic_cnn")
    assert str(kept).endswith("· 2 CPU cores") and "bfloat16" not in caption([kept])
    kept.about["environment"]["precision"] = "mixed_bfloat16"
    assert str(kept).endswith("· 2 CPU cores, mixed_bfloat16")
    assert "2 CPU cores, mixed_bfloat16" in caption([kept])


def test_a_caption_says_what_several_records_were_made_from():
    assert caption([load("basic_cnn"), load("compact", seed=43)]) == (
        "27,558 real (NIH/NLM) cells of 125 px · 27,558 real (NIH/NLM) cells of 48 px · "
        "test: 8,267–8,268 cells of 60 patients, split by patient · seeds 42, 43 · "
        "epochs trained, of 8–25 at most: basic_cnn 10, compact 8 · 2 CPU cores"
    )


# -- killed -----------------------------------------------------------------------------------

CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
from malaria_nb.golden import GOLDEN
from malaria_nb.run import run
settings = replace(GOLDEN, scale=replace(GOLDEN.scale, basic=8), home=Path(sys.argv[1]))
r = run("basic_cnn", settings)
print(r.history.drop(columns=["seconds", "cpu_seconds"]).to_csv() + r.predictions.to_csv())
"""


def child(home):
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TQDM_DISABLE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home)],
        env=os.environ | quiet,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path):
    began = time.monotonic()
    expected, error = child(tmp_path / "undisturbed").communicate(timeout=300)
    whole, seed = time.monotonic() - began, random.randrange(1000)
    assert expected, error[-2000:]
    chance = random.Random(seed)
    for _ in range(10):
        p = child(tmp_path / "killed")
        try:
            p.wait(chance.uniform(0.3, 1) * whole)
        except subprocess.TimeoutExpired:
            pass
        p.send_signal(signal.SIGKILL)
        p.communicate()
    resumed, error = child(tmp_path / "killed").communicate(timeout=300)
    assert resumed == expected, f"seed {seed}\n{error[-2000:]}"


def test_a_copy_of_a_record_is_the_record(record, tmp_path):
    copy = Path(shutil.copytree(record, tmp_path / "copy" / record.name))
    assert str(read_record(copy)) == str(read_record(record))
