"""tools/lessons.py: each limit of a lesson and each odd word is seen, and what is fine is not."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LESSONS = runpy.run_path(str(ROOT / "tools" / "lessons.py"))
FIGURE = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {}}
QUESTION = "**Predict.** How many?"


def md(text):
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": text}


def code(text, *outputs):
    return {"cell_type": "code", "id": "c", "metadata": {}, "outputs": outputs, "source": text}


def frame(rows, columns):
    "Return what a cell stores of a pandas table."
    row = "<tr>" + "<td>1</td>" * columns + "</tr>"
    made = f"<table><thead>{row}</thead><tbody>{row * rows}</tbody></table>"
    return {"output_type": "execute_result", "data": {"text/html": made}, "metadata": {}}


def lesson(folder, *more, asked=3, name="00_a"):
    "Write a chapter that keeps to all limits, with more cells behind its section."
    cells = [md("# A\n\n> Of a test."), md("## Cells"), code("x = 1\nx", FIGURE)]
    cells += [md(QUESTION)] * asked + [*more, md("## Recap\n\n- One.")]
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}), "utf-8")
    return path


def test_a_lesson_within_the_limits_is_not_named(tmp_path):
    path = lesson(tmp_path, code("# a short comment\ny = 2"), md("27,558 cells, seed 42, 2019."))
    assert LESSONS["over"](path) == [] == LESSONS["odd_words"](path)


LONG = "def f(a):\n" + "    a += 1\n" * 13
FAULTS = {
    "words 2,": [md("word " * 2600)],
    "code cells 46": [code("x = 1")] * 45,
    "shown lines 2": [code("x = 1\n" * 11)] * 24,
    "widest 91": [code(f"x = '{'a' * 85}'")],
    "14 lines, 12 at most": [code(LONG)],
    "table of 9 rows and 7 columns": [code("table", frame(9, 7))],
    "a table of 9 rows and 8 columns": [
        md("\n".join(["| a " * 8 + "|", "|---" * 8 + "|", *["| 1 " * 8 + "|"] * 9]))
    ],
    "no figure and no table in 'Bare'": [md("## Bare"), code("x = 1")],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_over_a_limit_is_named_and_nothing_else(fault, tmp_path):
    (found,) = LESSONS["over"](lesson(tmp_path, *FAULTS[fault]))
    assert fault in found and found.startswith("00_a")


@pytest.mark.parametrize("asked", [2, 6])
def test_too_few_and_too_many_predictions_are_named(asked, tmp_path):
    assert LESSONS["over"](lesson(tmp_path, asked=asked)) == [
        f"00_a: {asked} predictions, 3 to 5 wanted"
    ]


@pytest.mark.parametrize(
    "cells",
    [
        [code("table", frame(9, 6)), code("table", frame(8, 9))],
        [code("#| hide\n" + LONG), code("#| echo: false\n" + LONG)],
        [code("#| export\n" + LONG.replace("def f", "def basic_cnn"))],
        [
            code(
                "#| export\ndef f(\n    a: int,  # of something\n) -> int:\n"
                + '    """Say.\n\n'
                + "    And more.\n" * 9
                + '    """\n    return a'
            )
        ],
        [md("## Drawn"), md("![A picture of a cell](images/a.png)")],
    ],
    ids=["narrow or short tables", "hidden", "a model", "signature and docstring", "picture"],
)
def test_what_a_limit_leaves_out(cells, tmp_path):
    assert LESSONS["over"](lesson(tmp_path, *cells)) == []


def test_the_index_is_shorter_and_has_no_predictions(tmp_path):
    short = lesson(tmp_path, md("## Bare"), asked=0, name="index")
    assert LESSONS["over"](short) == []
    (found,) = LESSONS["over"](lesson(tmp_path, md("word " * 1300), asked=0, name="index"))
    assert "1,200 at most" in found


def not_but():
    "Read CONTRIBUTING's table of words: what not to say."
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = re.search(r"\| not \| but \|\n\|---\|---\|\n((?:\|.*\n)+)", text)[1]
    return [line.split("|")[1].strip() for line in table.splitlines()]


@pytest.mark.parametrize("phrase", not_but())
@pytest.mark.parametrize("kind", ["prose", "comment", "title"])
def test_each_odd_word_of_contributing_is_found(phrase, kind, tmp_path):
    if kind != "prose" and phrase.isdigit():
        pytest.skip("a number in code is a number")
    made = {
        "prose": md(f"So {phrase}."),
        "comment": code(f"# so {phrase}.\nx = 1"),
        "title": code(f"ax.set_title('so '\n    {f'that {phrase}.'!r})"),
    }
    wanted = max(1, len(re.findall(r"[;,](?! since)", phrase))) if kind == "prose" else 1
    assert len(LESSONS["odd_words"](lesson(tmp_path, made[kind]))) >= wanted


def test_a_solution_s_words_are_read_too(tmp_path):
    (tmp_path / "solutions").mkdir()
    path = lesson(tmp_path / "solutions", code("#| wrong: takes the share of the cells\nx = 1"))
    (found,) = LESSONS["odd_words"](path)
    assert found.startswith("solutions/00_a, cell c: 'the share'") or "share of" in found


def test_the_guide_is_read_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(LESSONS["main"].__globals__, "NBS", tmp_path)
    (tmp_path / "teaching.md").write_text("# Teach\n\nAsk for the share of cells.\n")
    assert LESSONS["main"](["--check"]) == 1
    assert capsys.readouterr().out.startswith("teaching, line 3: 'the share'")


@pytest.mark.parametrize(
    "text",
    [
        "I recommend that you amend it; the two share 133 cells.",
        "Most children survive malaria. Hang up the slide. Windows and macOS.",
        "Who reads the slide? Who is at risk is known.",
        "`share of` and [prevalence](glossary.md#the-share-of), https://a.org/12345678/mend",
        "Rajaraman et al. (2018). *PeerJ* 6:e4568, 58:101544. doi:10.7717/peerj.4568. 1,179.",
        "Of the cells called parasitized 41 % are; nobody diagnoses a cell; it is right.",
        "A cell is called *parasitized* by the file's folder. The cells not shown to the network.",
        "The prevalence among febrile patients was 12 %. A doctor calls the lab.",
        "```python\n# the share of cells\nnobody = 12345\n```",
    ],
)
def test_an_honest_word_is_left_alone(text, tmp_path):
    assert LESSONS["odd_words"](lesson(tmp_path, md(text))) == []


def test_contributing_says_the_limits_that_are_held():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## Lessons")[2].partition("\n## ")[0]
    held = (
        "WORDS",
        "INDEX",
        "CELLS",
        "LINES",
        "WIDTH",
        "CELL",
        "ROWS",
        "COLUMNS",
        "FEWEST",
        "MOST",
    )
    for name in held:
        assert re.search(rf"(?<![\d,]){LESSONS[name]:,}(?![\d,]\d)", section), f"{name} is another"


def test_command_names_faults_and_fails(capsys, monkeypatch, tmp_path):
    main = LESSONS["main"]
    monkeypatch.setitem(main.__globals__, "NBS", tmp_path)
    lesson(tmp_path)
    assert main(["--check"]) == 0 and capsys.readouterr().out == ""
    lesson(tmp_path, md("The share of cells."), name="01_b")
    assert main(["--check"]) == 1 and main(["--check", "00"]) == 0
    assert "01_b, cell m" in capsys.readouterr().out
