"""What must turn `malaria-nb experiment check` red, what a killed or a distributed run must not change."""

import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from malaria_nb import cnn, experiments
from malaria_nb.check import check_code, check_export, check_record
from malaria_nb.cli import main
from malaria_nb.golden import GOLDEN, golden
from malaria_nb.grid import Job, grid, list_grid, run_grid
from malaria_nb.recipes import RECIPES, choices
from malaria_nb.records import load, read_record, read_records, record_files, write_record
from malaria_nb.report import caption
from malaria_nb.run import run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    "A record of the basic CNN in miniature, and the golden values of today's code."
    folder = tmp_path_factory.mktemp("records")
    with experiments._own_home():
        record = write_record(record_files(run("basic_cnn", GOLDEN)), folder)
    return record, golden(["basic_cnn"])["basic_cnn"]


@pytest.fixture
def record(written, tmp_path):
    return Path(shutil.copytree(written[0], tmp_path / "records" / written[0].name))


def problems(folder, now=None):
    record = read_record(folder)
    return [str(p) for p in check_record(record) + (check_code(record, now) if now else [])]


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# -- the third promise ------------------------------------------------------------------------------------------------


def test_untouched_record_is_current(record, written):
    assert problems(record, written[1]) == []


def test_edited_learning_rate(record, monkeypatch):
    monkeypatch.setitem(RECIPES, "basic_cnn", replace(RECIPES["basic_cnn"], learning_rate=1e-3))
    (found,) = problems(record)
    assert "stale: learning_rate was 0.0004 and is 0.001" in found
    assert "malaria-nb experiment run basic_cnn --split patient --seed 42 --again" in found


def test_one_score_changed(record):
    path = record / "predictions.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    row = lines[5].split(",")
    row[lines[0].split(",").index("score")] = f"{float(row[4]) + 1e-6:.6f}"
    path.write_bytes(gzip.compress("\n".join([*lines[:5], ",".join(row), *lines[6:], ""]).encode()))
    assert any("predictions are not those that were recorded" in p for p in problems(record))


def test_edited_metric(record):
    about = json.loads((record / "record.json").read_text("utf-8"))
    about["metrics"]["auc"][0] = round(about["metrics"]["auc"][0] - 0.001, 6)
    (record / "record.json").write_text(json.dumps(about), encoding="utf-8")
    (found,) = problems(record)
    assert "its auc is" in found and f"git checkout nbs/records/{record.name}" in found


def test_changed_layer(record, monkeypatch):
    with monkeypatch.context() as m:
        real = cnn.basic_cnn
        m.setattr(cnn, "basic_cnn", lambda size: _changed(real(size)))
        now = golden(["basic_cnn"])["basic_cnn"]
    assert any("golden run's" in p and "the code has changed" in p for p in problems(record, now))


def _changed(model):  # the same model with another activation in its first convolution
    config = model.get_config()
    layer = next(l for l in config["layers"] if l["class_name"] == "Conv2D")
    layer["config"]["activation"] = "elu"
    return type(model).from_config(config)


def test_recipe_that_is_gone(record, monkeypatch):
    monkeypatch.delitem(RECIPES, "basic_cnn")
    assert "no recipe has this name" in problems(record)[0]


# -- the second and the first -----------------------------------------------------------------------------------------


def test_library_that_is_not_what_the_chapters_export(tmp_path):
    for name in ("settings.ini", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("nbs", "malaria_nb"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    assert check_export(tmp_path) == []
    edit(tmp_path / "malaria_nb" / "cnn.py", "def ", "def  ")
    assert [p.what for p in check_export(tmp_path)] == ["malaria_nb/cnn.py"]


# -- records ----------------------------------------------------------------------------------------------------------


def test_record_replaces_an_older_one_whole(record):
    files = {p.name: p.read_bytes() for p in record.iterdir()}
    (record / "left-over.txt").write_text("old")
    assert write_record(files, record.parent) == record
    assert {p.name: p.read_bytes() for p in record.iterdir()} == files
    assert [p.name for p in record.parent.iterdir()] == [record.name]


def test_missing_record_names_the_command(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="malaria-nb experiment run vgg19_frozen --split cell --seed 7"
    ):
        load("vgg19_frozen", "cell", 7, tmp_path)


def test_grid_tells_recorded_stale_unfinished_and_missing(record, monkeypatch):
    state = lambda: list_grid(record.parent)["state"]
    assert (
        state()["basic_cnn-patient-s42"] == "recorded"
        and state()["basic_cnn-cell-s42"] == "missing"
    )
    monkeypatch.setitem(RECIPES, "basic_cnn", replace(RECIPES["basic_cnn"], patience=3))
    assert state()["basic_cnn-patient-s42"] == "stale"
    monkeypatch.undo()
    edit(record / "record.json", '"planned": 2', '"planned": 25')
    assert state()["basic_cnn-patient-s42"] == "unfinished"


def test_more_epochs_go_on_from_those_there_are(home):
    whole = run("basic_cnn", GOLDEN)
    shutil.rmtree(home / "runs")
    assert len(run("basic_cnn", GOLDEN, epochs=1).history) == 1
    more = run("basic_cnn", GOLDEN)
    assert (
        len(more.history) == 2 and (more.predictions["score"] == whole.predictions["score"]).all()
    )
    assert len(run("basic_cnn", GOLDEN, epochs=1).history) == 2  # what is there is not thrown away


def test_again_trains_anew(home):
    first = run("purple_threshold", GOLDEN)
    made = lambda: (first.folder / "model.keras").stat().st_mtime_ns
    before = made()
    assert (
        run("purple_threshold", GOLDEN).predictions["score"] == first.predictions["score"]
    ).all() and made() == before
    assert (
        run("purple_threshold", GOLDEN, again=True).predictions["score"]
        == first.predictions["score"]
    ).all()
    assert made() > before


def test_synthetic_cells_don_t_get_into_the_records(capsys):
    assert main(["experiment", "run", "basic_cnn", "--cells", "synthetic"]) == 2
    assert "real cells" in capsys.readouterr().err


def test_commands(record, monkeypatch, capsys):
    monkeypatch.setenv("MALARIA_NB_RECORDS", str(record.parent))
    assert main(["experiment", "show", "basic_cnn"]) == 0
    assert re.search(r"accuracy +0\.\d{3}", capsys.readouterr().out)
    assert main(["experiment", "compare", "basic_cnn", "basic_cnn-patient-s42"]) == 0
    assert "only the first is right on 0 cells" in capsys.readouterr().out
    assert main(["experiment", "list"]) == 0
    assert "missing" in capsys.readouterr().out
    assert main(["experiment", "show", "basic_cmn"]) == 1
    assert "no recipe 'basic_cmn'" in capsys.readouterr().err


# -- killed, or on other machines -------------------------------------------------------------------------------------

CHILD = """
import sys
from dataclasses import replace
from malaria_nb.experiments import GOLDEN, planned, run
s = replace(GOLDEN, scale=replace(GOLDEN.scale, basic=8))
r = run("basic_cnn", s)
print(r.history.drop(columns="seconds").to_csv() + r.predictions.to_csv())
"""


def child(home):
    env = {
        **os.environ,
        "MALARIA_NB_HOME": str(home),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TQDM_DISABLE": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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


def test_cluster_loses_a_worker(tmp_path, monkeypatch):
    from dask.distributed import Client, LocalCluster

    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    jobs, writes = grid(["purple_threshold"], splits=["patient"], seeds=range(42, 46)), []
    real = experiments.write_record
    monkeypatch.setattr(
        experiments, "write_record", lambda files, to: writes.append(real(files, to)) or writes[-1]
    )
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        with Client(cluster) as client:
            pids = list(client.run(os.getpid).values())
        records = run_grid(
            jobs, GOLDEN, records=tmp_path / "records", scheduler=cluster.scheduler_address
        )
        next(records)
        os.kill(pids[0], signal.SIGKILL)
        list(records)
    assert (
        sorted(w.name for w in writes)
        == sorted(map(str, jobs))
        == sorted(p.name for p in (tmp_path / "records").iterdir())
    )
    assert [p for r in read_records(tmp_path / "records") for p in check_record(r)] == []


def test_no_cluster_there():
    with pytest.raises(OSError):
        list(
            run_grid(
                [Job("purple_threshold", "patient", 42)],
                GOLDEN,
                records=Path("nowhere"),
                scheduler="tcp://127.0.0.1:1",
            )
        )


def test_a_record_and_a_caption_name_a_precision_that_is_not_float32():
    kept = load("basic_cnn")
    assert str(kept).endswith("· 2 CPU cores") and "bfloat16" not in caption([kept])
    kept.about["environment"]["precision"] = "mixed_bfloat16"
    assert str(kept).endswith(
        "· 2 CPU cores, mixed_bfloat16"
    ) and "2 CPU cores, mixed_bfloat16" in caption([kept])
