"""`malaria-nb grade --board`: what a class sends in, whatever it is, and how it is ranked."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from tiny_cells import table as cells_table

from malaria_nb.board import (
    BASELINE,
    baseline_scores,
    board_cells,
    board_lines,
    rank_scores,
    read_board,
    read_scores,
)
from malaria_nb.cli import main
from malaria_nb.intervals import patient_interval
from malaria_nb.settings import Settings, read_settings
from malaria_nb.stats import difference

CELLS = cells_table(24)[["file", "patient", "label"]]
GOOD = "".join(f"{f},{0.5 + 0.1 * y:g}\n" for f, y in zip(CELLS.file, CELLS.label))
FIRST, SECOND = CELLS.file[:2]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    "The sample's validation cells, in a home of their own."
    home = tmp_path_factory.mktemp("home")
    settings = read_settings({"MALARIA_NB_CELLS": "sample", "MALARIA_NB_HOME": str(home)})
    cells, root = board_cells(settings)
    return settings, cells, baseline_scores(cells, root, settings)


def one_line(table, score):
    return table[["file"]].assign(score=score).to_csv(index=False)


# ---- which cells


def test_cells_are_the_validation_cells_of_the_courses_split(sample):
    from malaria_nb.cells import course_cells
    from malaria_nb.dataset import split_cells

    settings, cells, purple = sample
    every = split_cells(course_cells(settings)[0], by="patient")
    valid = every[every.split == "valid"]
    assert set(cells.file) == set(valid.file) and cells.file.is_monotonic_increasing
    assert not set(cells.patient) & set(every[every.split != "valid"].patient)
    assert purple.file.equals(cells.file) and purple.score.between(0, 1).all()


def test_the_baseline_reads_as_many_pixels_as_the_networks(sample, monkeypatch):
    import malaria_nb.board as board

    settings, cells, _ = sample
    sides = []
    monkeypatch.setattr(board, "purple_excess", lambda image: sides.append(image.shape) or 0)
    root = board_cells(settings)[1]
    baseline_scores(cells[:2], root, settings)
    assert sides == [(settings.scale.size,) * 2 + (3,)] * 2


# ---- what is sent in

HEAD = "file,score\n"
FAULTS = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n  \n", "expected file and score"),
    "a head only": (HEAD, "validation cells are missing"),
    "one missing": (HEAD + GOOD.partition("\n")[2], f"1 validation cell is missing, the .*{FIRST}"),
    "one twice": (HEAD + GOOD + f"{SECOND},0.5\n", f"1 cell is there twice, the first is {SECOND}"),
    "one too many": (
        HEAD + GOOD + "Parasitized/other.png,1\n",
        "1 row is no validation cell, the first is Parasitized/other.png",
    ),
    "two too many": (HEAD + GOOD + "a,1\nb,1\n", "2 rows are no validation cells, the first is a"),
    "NaN": (HEAD + GOOD.replace("0.6", "nan", 1), "1 cell has no score"),
    "blank scores": (HEAD + GOOD.replace("0.6", ""), "cells have no score"),
    "infinite": (HEAD + GOOD.replace("0.6", "inf", 1), "1 score is no number, the first is inf of"),
    "words": (HEAD + GOOD.replace("0.6", "sick"), "scores are no numbers, the first is sick of"),
    "odd digits": (HEAD + GOOD.replace("0.6", "0_6", 1), "1 score is no number"),
    "above 1": (HEAD + GOOD.replace("0.6", "1.01", 1), "1 score is outside 0 to 1.*sigmoid"),
    "below 0": (HEAD + GOOD.replace("0.6", "-3"), "scores are outside 0 to 1, the first is -3"),
    "a huge number": (HEAD + GOOD.replace("0.6", "1e999", 1), "outside 0 to 1"),
    "no head": (GOOD, "expected file and score"),
    "an index": (",file,score\n" + GOOD, "index=False"),
    "a label": ("file,label,score\n" + GOOD, "its columns are file, label, score: expected"),
    "semicolons": ((HEAD + GOOD).replace(",", ";"), "separate them by commas"),
    "tabs": ((HEAD + GOOD).replace(",", "\t"), "separate them by commas"),
    "decimal commas": (HEAD + GOOD.replace("0.", "0,"), "line 2 has 3 entries.*decimal comma"),
    "twice a column": ("file,file\n" + GOOD, "expected file and score"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 at byte 0"),
    "Latin-1": ((HEAD + GOOD + "é").encode("latin-1"), "not UTF-8 at byte"),
    "UTF-16": ((HEAD + GOOD).encode("utf-16"), "not UTF-8"),
    "zeros": (b"\0" * 100, "no CSV|expected file and score"),
    "a long entry": (HEAD + "x" * 200_000 + ",1\n", "no CSV"),
    "a quote that never ends": (HEAD + '"' + GOOD, r"line \d+ has 1 entries|no CSV"),
    "an endless line of names": (HEAD + GOOD + "x" * 100_000 + ",1\n", "x…$"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_said_in_one_sentence(name, tmp_path):
    text, says = FAULTS[name]
    path = tmp_path / "anna.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=says) as e:
        read_scores(path, CELLS)
    assert len(str(e.value)) < 300 and "\n" not in str(e.value)


def test_a_huge_file_a_folder_and_a_pipe_are_refused_unread(tmp_path):
    with (tmp_path / "huge.csv").open("wb") as f:
        f.truncate(3 << 30)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="bytes, expected"):
        read_scores(tmp_path / "huge.csv", CELLS)
    with pytest.raises(ValueError, match="not a file|directory|denied"):
        read_scores(tmp_path / "folder.csv", CELLS)
    with pytest.raises(ValueError):
        read_scores(tmp_path / "none.csv", CELLS)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.csv")
        with pytest.raises(ValueError, match="not a file"):
            read_scores(tmp_path / "pipe.csv", CELLS)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + GOOD,
        "\ufeff" + HEAD + GOOD,
        (HEAD + GOOD).replace("\n", "\r\n"),
        (HEAD + GOOD).replace("/", "\\"),
        HEAD + "\n".join(reversed(GOOD.splitlines())),
        " File , SCORE \n" + GOOD.replace(",", " , "),
        "score,file\n" + "".join(",".join(r.split(",")[::-1]) + "\n" for r in GOOD.splitlines()),
        '"file","score"\n' + "".join(f'"{f}",{s}\n' for f, s in CELLS[["file", "label"]].values),
    ],
    ids=["plain", "BOM", "CRLF", "Windows", "order", "spaces", "columns", "quotes"],
)
def test_what_means_the_same_is_taken(text, tmp_path):
    path = tmp_path / "anna.csv"
    path.write_bytes(text.encode())
    table = read_scores(path, CELLS)
    assert table[["file", "patient", "label"]].equals(CELLS)
    assert roc_auc_score(table.label, table.score) == 1, "each score belongs to its cell"


def test_one_bad_file_costs_none_of_the_others(tmp_path):
    (tmp_path / "anna.csv").write_text(HEAD + GOOD)
    (tmp_path / "BEN.CSV").write_text(HEAD + GOOD)
    (tmp_path / "carl.csv").write_text("")
    (tmp_path / "dora.xlsx").write_bytes(b"PK\3\4")
    (tmp_path / ".hidden.csv").write_text("")
    (tmp_path / "._anna.csv").write_bytes(b"\0\5")
    sent, problems = read_board(tmp_path, CELLS)
    assert set(sent) == {"anna", "BEN"} and set(problems) == {"carl.csv", "dora.xlsx"}
    assert "not a CSV file" in problems["dora.xlsx"]


def test_names_that_would_be_the_same_keep_their_ending(tmp_path):
    for name in ("anna.csv", "anna.Csv", f"{BASELINE}.csv"):
        (tmp_path / name).write_text(HEAD + GOOD)
    sent, problems = read_board(tmp_path, CELLS)
    wanted = {p.name for p in tmp_path.iterdir()}  # macOS and Windows keep one anna
    assert not problems and len(sent) == len(wanted) and BASELINE not in sent
    rank_scores(sent, CELLS.assign(score=0.5))


# ---- the order


@pytest.fixture(scope="module")
def several():
    rng = np.random.default_rng(3)

    def scored(signal):
        noise = rng.normal(size=len(CELLS)) + rng.normal(size=24)[pd.factorize(CELLS.patient)[0]]
        return CELLS.assign(score=1 / (1 + np.exp(-signal * CELLS.label - noise)))

    return {name: scored(s) for name, s in (("good", 3), ("bad", 0.2), ("fair", 1.5))}, scored(1.5)


def test_auc_interval_and_difference_are_those_of_the_library(several):
    sent, purple = several
    ranked = rank_scores(sent, purple)
    assert ranked.index[0] == "good" and ranked.index[-1] == "bad"
    assert ranked["rank"].tolist() == [1, 2, 3, 4]
    for name, table in {**sent, BASELINE: purple}.items():
        row = ranked.loc[name]
        assert row.auc == pytest.approx(roc_auc_score(table.label, table.score))
        without = [
            roc_auc_score(t.label, t.score)
            for t in (table[table.patient != p] for p in sorted(table.patient.unique()))
        ]
        one = patient_interval(pd.Series({"auc": row.auc}), pd.DataFrame({"auc": without}))
        assert [row.low, row.high] == pytest.approx(one.loc["auc", ["low", "high"]].tolist())
        assert [row.least, row.most] == pytest.approx([min(without), max(without)])
        if name != BASELINE:
            apart = difference(table, purple, split=None).loc["auc"]
            mine = row[["difference", "difference_low", "difference_high"]]
            assert mine.tolist() == pytest.approx(apart[["value", "low", "high"]].tolist())
    assert np.isnan(ranked.loc[BASELINE, "difference"])


def test_equal_scores_share_a_rank_and_the_next_is_after_both(several):
    sent, purple = several
    ranked = rank_scores({"a": purple, "b": purple, "bad": sent["bad"]}, purple)
    assert ranked["rank"].tolist() == [1, 1, 1, 4]
    assert ranked.loc["a", "difference"] == 0


def test_all_the_same_score_is_no_better_than_a_coin(several):
    ranked = rank_scores({"lazy": CELLS.assign(score=0.5)}, several[1])
    assert ranked.loc["lazy", "auc"] == 0.5


def test_other_cells_and_a_taken_name_are_refused(several):
    sent, purple = several
    with pytest.raises(ValueError, match="different cells"):
        rank_scores({"a": sent["good"][1:]}, purple)
    with pytest.raises(ValueError, match="choose another"):
        rank_scores({BASELINE: purple}, purple)


def test_a_board_says_its_cells_and_what_it_cannot_tell(several, sample):
    text = "\n".join(board_lines(rank_scores(*several), CELLS, Settings()))
    assert f"{len(CELLS):,} validation cells of 24 patients, of " in text and "sample" in text
    assert "95 % interval by patient" in text and "partly luck" in text
    assert "interval includes zero" in text and "No intervals" not in text
    settings, cells, purple = sample
    few = "\n".join(board_lines(rank_scores({"me": purple}, purple), cells, settings))
    assert "No intervals: too few of the 7 patients" in few and "(0." not in few


# ---- the command


@pytest.fixture
def board(sample, tmp_path, monkeypatch):
    "A folder of scores of the sample's validation cells."
    settings, cells, purple = sample
    for name in [n for n in os.environ if n.startswith("MALARIA_NB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MALARIA_NB_HOME", str(settings.home))
    folder = tmp_path / "board"
    folder.mkdir()
    best = purple.label * 0.5 + purple.score / 2
    (folder / "anna.csv").write_text(one_line(purple, best))
    (folder / "ben.csv").write_text(one_line(purple, 1 - purple.score))
    (folder / "=carl.csv").write_text("file,score\n")
    return folder


def test_command_ranks_a_folder_and_writes_reports(board, tmp_path, capsys):
    csv, report = tmp_path / "board.csv", tmp_path / "board.json"
    status = main(["grade", "--board", str(board), "--csv", str(csv), "--json", str(report)])
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert status == 1, "one file could not be ranked"
    assert lines[0].startswith("83 validation cells of 7 patients, of all real (NIH/NLM sample)")
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["1.", "anna"],
        ["2.", "purple"],
        ["3.", "ben"],
    ]
    assert "[FAIL] =carl.csv: 83 validation cells are missing" in out
    table = pd.read_csv(csv)
    assert table["name"].tolist() == ["anna", BASELINE, "ben", "'=carl.csv"]
    assert table.auc[0] == 1 and table.auc[2] == pytest.approx(1 - table.auc[1])
    assert table.low.isna().all() and table.problem.notna().tolist() == [False] * 3 + [True]
    assert [r["name"] for r in json.loads(report.read_text())] == [
        "anna",
        BASELINE,
        "ben",
        "=carl.csv",
    ]


def test_command_without_faults_ends_with_0(board):
    (board / "=carl.csv").unlink()
    assert main(["grade", "--board", str(board)]) == 0


def test_other_cells_are_another_board(board, sample, capsys):
    assert main(["grade", "--board", str(board), "--cells", "synthetic"]) == 1
    out = capsys.readouterr().out
    assert "[FAIL] anna.csv" in out and "synthetic" in out.splitlines()[0]


@pytest.mark.parametrize(
    "words, says",
    [
        ([], "name notebooks to grade, or a folder with --board"),
        (["--board", "here", "03_cnn.ipynb"], "name notebooks to grade, or a folder"),
        (["--board", "nowhere"], "no folder nowhere"),
    ],
)
def test_command_line_that_means_nothing(words, says, board, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    assert main(["grade", *words]) in (1, 2)
    assert says in capsys.readouterr().err


def test_an_empty_folder_shows_what_is_to_be_beaten_and_why_nobody_is_there(
    board, tmp_path, capsys
):
    (tmp_path / "empty").mkdir()
    assert main(["grade", "--board", str(tmp_path / "empty")]) == 1
    out = capsys.readouterr().out
    assert f"1.  {BASELINE}" in out
    assert out.splitlines()[-1].startswith("[FAIL] no CSV file in ") and "empty" in out


# ---- what the guide says

GUIDE = (Path(__file__).resolve().parents[1] / "nbs" / "teaching.md").read_text("utf-8")


def test_the_guide_s_numbers_are_the_board_s(sample):
    _, cells, purple = sample
    patients = cells.patient.nunique()
    assert f"has {len(cells)} validation cells of {patients} patients" in GUIDE
    assert f"has an AUC of {roc_auc_score(purple.label, purple.score):.2f}" in GUIDE


def test_what_the_guide_shows_learners_makes_a_file_that_is_ranked(sample, tmp_path, monkeypatch):
    settings, cells, purple = sample
    (block,) = [b for b in GUIDE.split("```")[1::2] if "board_cells" in b]
    code = block.removeprefix("python\n").replace("scores = ...", "scores = purple.score")
    monkeypatch.chdir(tmp_path)
    exec(code, {"s": settings, "purple": purple})
    sent, problems = read_board(tmp_path, cells)
    assert not problems and sent["anna"].score.to_numpy() == pytest.approx(purple.score)
