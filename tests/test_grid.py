"""What would spoil the grid: a job that is misread, a lost worker, a state that isn't so."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from malaria_nb import grid as the_grid
from malaria_nb.check import check_record
from malaria_nb.golden import GOLDEN
from malaria_nb.grid import Job, grid, list_grid, parse_job, run_grid
from malaria_nb.recipes import RECIPES
from malaria_nb.records import read_records


def test_folds_are_in_the_grid_and_have_names():
    jobs = grid(["vgg19_frozen"])
    assert Job("vgg19_frozen", "cell-fold5", 43) in jobs and len(set(jobs)) == len(jobs)
    assert all(parse_job(str(job)) == job for job in jobs)
    assert grid(["vgg19_frozen"], splits=["patient"]) == [
        Job("vgg19_frozen", "patient", seed) for seed in (42, 43, 44)
    ]


def test_splits_and_seeds_may_be_read_once():
    asked = grid(["basic_cnn", "compact"], splits=iter(["cell"]), seeds=iter([7]))
    assert asked == [Job("basic_cnn", "cell", 7), Job("compact", "cell", 7)]


def test_grid_tells_recorded_stale_unfinished_and_missing(record, edit, monkeypatch):
    def state(name):
        return list_grid(record.parent)["state"][name]

    assert state("basic_cnn-patient-s42") == "recorded"
    assert state("basic_cnn-cell-s42") == "missing"
    with monkeypatch.context() as m:
        m.setitem(RECIPES, "basic_cnn", replace(RECIPES["basic_cnn"], patience=3))
        assert state("basic_cnn-patient-s42") == "stale"
    edit(record / "record.json", '"planned": 2', '"planned": 25')
    assert state("basic_cnn-patient-s42") == "unfinished"


def test_no_lower_loss_is_an_end_whatever_the_sentence_says(record):
    about = json.loads((record / "record.json").read_text("utf-8"))
    about["epochs"] |= {"planned": 25, "best_epoch": 1, "stopped": "in other words"}
    (record / "record.json").write_text(json.dumps(about), encoding="utf-8")
    history = pd.read_csv(record / "history.csv", index_col="epoch")
    longer = pd.concat([history] + [history.iloc[1:]] * 8, ignore_index=True)  # 10 epochs
    longer.index = pd.RangeIndex(1, len(longer) + 1, name="epoch")
    longer[:8].to_csv(record / "history.csv")  # the eighth is the seventh without a lower loss
    assert list_grid(record.parent)["state"]["basic_cnn-patient-s42"] == "unfinished"
    longer[:9].to_csv(record / "history.csv")
    assert list_grid(record.parent)["state"]["basic_cnn-patient-s42"] == "recorded"


def test_no_epochs_are_refused_before_anything_is_trained(tmp_path):
    jobs, home = [Job("purple_threshold", "patient", 42)], tmp_path / "home"
    with pytest.raises(ValueError, match="epochs=0: use 1 or more"):
        list(run_grid(jobs, replace(GOLDEN, home=home), epochs=0, records=tmp_path / "records"))


@pytest.mark.weekly
def test_cluster_loses_a_worker(tmp_path, monkeypatch):
    from dask.distributed import Client, LocalCluster

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    settings = replace(GOLDEN, home=tmp_path / "home")
    jobs, writes = grid(["purple_threshold"], splits=["patient"], seeds=range(42, 46)), []
    real = the_grid.write_record

    def write(files, to):
        writes.append(real(files, to))
        return writes[-1]

    monkeypatch.setattr(the_grid, "write_record", write)
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(processes=True, host="127.0.0.1", **how) as cluster:
        with Client(cluster) as client:
            pids = list(client.run(os.getpid).values())
        address = cluster.scheduler_address
        records = run_grid(jobs, settings, records=tmp_path / "records", scheduler=address)
        next(records)
        os.kill(pids[0], signal.SIGKILL)
        list(records)
    names = sorted(map(str, jobs))
    assert sorted(w.name for w in writes) == names
    assert sorted(p.name for p in (tmp_path / "records").iterdir() if p.is_dir()) == names
    for record in read_records(tmp_path / "records"):
        assert check_record(record) == []


def test_no_cluster_there():
    jobs, nobody = [Job("purple_threshold", "patient", 42)], "tcp://127.0.0.1:1"
    with pytest.raises(OSError):
        list(run_grid(jobs, GOLDEN, records=Path("nowhere"), scheduler=nobody))
