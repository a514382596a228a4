"""What chapters cost: measured, and said alike in head, output, index and guide."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest

from malaria_nb import course
from malaria_nb.notebooks import find_chapters

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"
TOOL = runpy.run_path(str(ROOT / "tools" / "costs.py"))
LESSONS = TOOL["lessons"](NBS)
WRITE = "run tools/costs.py --write"


def first(name):
    "Return a chapter's head."
    return "".join(json.loads((NBS / f"{name}.ipynb").read_text("utf-8"))["cells"][0]["source"])


def test_every_chapter_has_a_cost_on_both_kinds_of_cells():
    for cells, known in course.COSTS.items():
        wanted = {*LESSONS, "index"}
        assert not wanted - known.keys(), (
            f"no cost with {cells}: write minutes and GB into COSTS in nbs/93_course.ipynb, "
            "nbdev_export; tools/costs.py measures them"
        )
        there = {p.stem for p in find_chapters(NBS)}
        assert not known.keys() - there, "costs of chapters that are gone"


@pytest.mark.parametrize("name", LESSONS)
def test_head_and_output_say_what_was_measured(name):
    assert TOOL["line"](name) in first(name).split("\n"), WRITE
    said = TOOL["stated"](NBS / f"{name}.ipynb")
    assert said in ([], [course.cost(name, cells="nih")]), WRITE


@pytest.mark.parametrize("path", [NBS / "index.ipynb", ROOT / "README.md"], ids=lambda p: p.name)
def test_the_table_of_chapters_says_what_was_measured(path):
    text = path.read_text("utf-8")
    for name in LESSONS:
        row = re.search(rf"^.*\({'nbs/' * (path.suffix == '.md')}{name}\.ipynb\) \|.*$", text, re.M)
        assert f"| {TOOL['minutes'](name)} |" in row[0], WRITE


def test_the_guide_says_what_was_measured():
    assert TOOL["guide"]() in (NBS / "teaching.md").read_text("utf-8").split("\n"), WRITE


def test_no_other_cost_is_said_in_the_guide():  # they would not be measured
    text = (NBS / "teaching.md").read_text("utf-8").replace(TOOL["guide"](), "")
    assert not re.findall(r"\[\d\d\]\([^)]*\)[^|.]*\d+ minutes on", text)
    assert not TOOL["SAID"].findall(text)


def test_the_sample_has_as_many_cells_as_the_heads_say():
    from malaria_nb.archive import class_root, count_cells
    from malaria_nb.cells import course_folder
    from malaria_nb.settings import read_settings

    there = count_cells(class_root(course_folder(read_settings({"MALARIA_NB_CELLS": "sample"}))))
    assert there == TOOL["SAMPLE"]


# ---- the words


@pytest.mark.parametrize(
    "cells, wanted", [("sample", "2 minutes"), ("nih", "5 minutes"), ("synthetic", "5 minutes")]
)
def test_each_kind_of_cells_has_its_own_minutes(cells, wanted, monkeypatch):
    costs = {"sample": {"04": (1.6, 1.0)}, "nih": {"04": (5.2, 2.0), "93": (0.1, 0.1)}}
    monkeypatch.setattr(course, "COSTS", costs)
    assert course.cost("04", cells=cells).startswith(f"about {wanted} on 2 CPU cores")
    assert course.cost("93", cells=cells).startswith("under a minute"), "measured once"
    assert "hours" in course.cost("04", cells=cells, scale="full")


def test_start_says_the_cost_of_the_cells_it_uses(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path))
    costs = {"sample": {"10_leakage": (1.6, 1.0)}, "nih": {"10_leakage": (5.2, 2.0)}}
    monkeypatch.setattr(course, "COSTS", costs)
    for cells, wanted in (("sample", "2 minutes"), ("nih", "5 minutes")):
        monkeypatch.setenv("MALARIA_NB_CELLS", cells)
        course.start("10_leakage")
        assert f"about {wanted} on" in capsys.readouterr().out


def test_a_line_names_the_cells_that_its_minutes_are_for(monkeypatch):
    monkeypatch.setattr(course, "COSTS", {"sample": {"a": (2, 1)}, "nih": {"a": (7, 3)}})
    assert TOOL["line"]("a") == (
        "**Cost** at the quick scale: about 2 minutes on 2 CPU cores with the sample's 1,179 cells "
        "(1.0 GB of memory), about 7 minutes with 4,000 of all real cells (3.0 GB). "
        "Download: none."
    )


# ---- the tool


@pytest.fixture
def tool(tmp_path, monkeypatch):
    "The tool on copies of two chapters, with a run that measures nothing."
    tool = runpy.run_path(str(ROOT / "tools" / "costs.py"))
    names = tool["main"].__globals__
    (tmp_path / "nbs" / "claims").mkdir(parents=True)
    for name in ("00_motivation", "01_dataset", "93_course", "index"):
        shutil.copy(NBS / f"{name}.ipynb", tmp_path / "nbs")
    shutil.copy(NBS / "claims" / "OUTPUTS", tmp_path / "nbs" / "claims")
    names |= {"NBS": tmp_path / "nbs", "ROOT": tmp_path, "started": []}

    class NoProgram:
        def run(self, command, **how):
            names["started"].append(str(command[0]))

    names["subprocess"] = NoProgram()
    names["timed"] = lambda name, cells, weights, folder: (3.21, len(name) / 10)
    return names


def costs_in(nbs):
    text = "".join(
        "".join(c["source"]) for c in json.loads((nbs / "93_course.ipynb").read_text())["cells"]
    )
    space = {}
    exec(re.search(r"^COSTS = \{\n(?:.*\n)*?\}$", text, re.M)[0], space)
    return space["COSTS"]


def test_what_is_named_is_measured_and_the_rest_keeps_its_costs(tool, capsys):
    before = costs_in(tool["NBS"])
    assert before == course.COSTS
    assert tool["main"](["--cells", "sample", "01"]) == 0
    after = costs_in(tool["NBS"])
    assert after["sample"].pop("01_dataset") == (3.2, 1.0) and before["sample"].pop("01_dataset")
    assert after == before and len(tool["started"]) == 2
    assert "01_dataset           3.2 min   1.0 GB" in capsys.readouterr().out


def test_a_chapter_that_fails_keeps_its_cost_and_so_do_those_after_it(tool, capsys):
    def timed(name, *_):
        if name != "00_motivation":
            raise RuntimeError(f"{name} did not pass")
        return 3.21, 1.0

    tool["timed"], before = timed, costs_in(tool["NBS"])
    assert tool["main"](["00", "01"]) == 1
    after = costs_in(tool["NBS"])
    assert after["sample"].pop("00_motivation") == (3.2, 1.0)
    assert before["sample"].pop("00_motivation") and after == before
    assert "01_dataset did not pass" in capsys.readouterr().err


def test_a_stored_output_gets_the_new_cost_and_its_digest(tool):
    path = tool["NBS"] / "00_motivation.ipynb"
    from malaria_nb.outputs import output_digests
    from malaria_nb.signed import read_lines

    before = tool["stated"](path)
    tool["restate"](path, "about 9 minutes on 2 CPU cores, 1.5 GB of memory")
    assert len(before) == 1 and tool["stated"](path) == [
        "about 9 minutes on 2 CPU cores, 1.5 GB of memory"
    ]
    listed = read_lines(tool["NBS"] / "claims" / "OUTPUTS")
    for name, digest in output_digests(path).items():
        assert listed[name] == digest
