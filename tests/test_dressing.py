"""What docs/pages.py does to a page of the book, without building one.

`tests/browser/test_pages.py` opens the built pages.
"""

import base64
import runpy
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGES = runpy.run_path(str(ROOT / "docs" / "pages.py"))
BOOK = runpy.run_path(str(ROOT / "tools" / "book.py"))


def shown(table) -> list[list[str]]:
    soup = BeautifulSoup(PAGES["dress_table"](table.to_html()), "html.parser")
    return [[c.get_text(strip=True) for c in row.select("th, td")] for row in soup.select("tr")]


def test_thousands_are_parted_except_in_names():
    table = pd.DataFrame(
        {"cells": [27558, 999], "year": [2019, 2020], "seed": [1234, 42], "share": [12345.25, 0.5]}
    )
    assert shown(table)[1:] == [
        ["0", "27,558", "2019", "1234", "12,345.25"],
        ["1", "999", "2020", "42", "0.50"],
    ]
    assert shown(table.T)[2:4] == [["year", "2019.00", "2020.0"], ["seed", "1234.00", "42.0"]]


def test_an_index_is_parted_if_it_counts():
    table = pd.DataFrame({"width": [0.1, 0.2]}, index=[4871, 27558])
    assert [row[0] for row in shown(table)[1:]] == ["4871", "27558"], "rows' numbers"
    assert [row[0] for row in shown(table.rename_axis("cells"))[1:]] == ["4,871", "27,558"]
    assert [row[0] for row in shown(table.rename_axis("patient"))[1:]] == ["4871", "27558"]
    columns = table.T.rename_axis(columns="cells").set_axis(["1000", "2000"], axis=1)
    assert shown(columns)[0][1:] == ["1000", "2000"], "columns keep their names"


def test_the_index_s_name_stands_in_the_columns_row():
    table = pd.DataFrame({"cells": [7, 8]}, index=["train", "test"])
    assert shown(table) == [["", "cells"], ["train", "7"], ["test", "8"]]
    assert shown(table.rename_axis("split"))[0] == ["split", "cells"]
    both = shown(table.rename_axis("split").rename_axis(columns="count"))
    assert both[:2] == [["count", "cells"], ["split", ""]], "no room beside the columns' name"
    twice = table.set_axis(["a", "b"]).set_index([[1, 2], ["x", "y"]]).rename_axis(["run", "kind"])
    assert shown(twice)[:2] == [["run", "kind", "cells"], ["1", "x", "7"]]


def test_a_number_and_its_interval_stay_in_one_line():
    text = "0.946 (0.924–0.957) · 0.945 & <b>1</b> (2)"
    cell = PAGES["dress_table"](f"<table><tbody><tr><td>{text}</td></tr></tbody></table>")
    assert '<span class="whole">0.946 (0.924–0.957)</span> · 0.945 &amp; <b>1</b> (2)' in cell


@pytest.mark.parametrize(
    "texts, aligned",
    [
        (["0.957 (0.951 to 0.961)", "0.9 (0.8–1.0)"], True),
        (["< 1", "12"], True),
        (["−0.02", "NaN", "–"], True),
        (["−.0020 to .0008", "3 %"], True),
        (["C116", "C12"], False),
        (["none", "3"], False),
        (["–", ""], False),
    ],
)
def test_a_column_of_numbers_is_told_from_words(texts, aligned):
    rows = "".join(f"<tr><td>name</td><td>{t}</td></tr>" for t in texts)
    head = "<thead><tr><th>what</th><th>how many</th></tr></thead>"
    dressed = PAGES["dress_table"](f"<table>{head}<tbody>{rows}</tbody></table>")
    assert dressed.count('class="num"') == aligned * (len(texts) + 1)


def test_charts_are_told_from_pictures_of_cells(tmp_path):
    pictures = {  # figures of one kind, and others
        "00_motivation": [True, True, False, False, False, True, True, False],
        "04_training": [False, True, True, True, True, True, True],
        "06_evaluation": [True, True, True, False, True],
        "07_slides": [True] * 5,  # bars shine through each other in the third
        "90_synthetic": [True, True, False, False, False, False, False, True, False],
    }
    for chapter, charts in pictures.items():
        nb = nbformat.read(ROOT / "nbs" / f"{chapter}.ipynb", 4)
        outputs = [o for c in nb.cells for o in c.get("outputs", [])]
        found = []
        for i, png in enumerate(
            o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})
        ):
            path = tmp_path / f"{chapter}-{i}.png"
            path.write_bytes(base64.b64decode(png))
            found.append(PAGES["is_chart"](path))
        assert found == charts, chapter


@pytest.mark.parametrize("kind", ["many colours", "black"])
def test_a_photograph_on_white_is_no_chart(tmp_path, kind):
    figure = np.full((400, 400, 3), 255, np.uint8)
    assert is_chart_of(figure, tmp_path / "white.png")
    patch = figure[10:130, 10:130]
    patch[:] = 0 if kind == "black" else np.random.default_rng(0).integers(0, 255, patch.shape)
    assert not is_chart_of(figure, tmp_path / "photograph.png")


def is_chart_of(pixels, path) -> bool:
    Image.fromarray(pixels).save(path)
    return PAGES["is_chart"](path)


def test_names_break_between_words():
    broken = PAGES["break_names"]
    assert broken("malaria_nb.evaluation") == "malaria_<wbr/>nb.<wbr/>evaluation"
    assert broken("0.5") == "0.<wbr/>5" and broken("--cells") == "--cells"


def test_a_short_word_of_code_stays_whole():
    dress = PAGES["dress_code"]
    assert dress('<span class="pre">--scale</span>') == '<span class="pre whole">--scale</span>'
    long = '<span class="pre">malaria_nb.parasitaemia</span>'
    assert dress(long) == '<span class="pre">malaria_<wbr/>nb.<wbr/>parasitaemia</span>'


def test_links_are_followed_to_their_pages():
    assert PAGES["_page_at"](None, "exercises/10_leakage", "../19_patients.html") == "19_patients"
    assert PAGES["_page_at"](None, "06_evaluation", "demo/index.html") == "demo/index"


def test_a_fold_says_what_is_inside():
    def code(tag, data=None):
        outputs = [nbformat.v4.new_output("display_data", data=data)] if data else []
        cell = nbformat.v4.new_code_cell("1", outputs=outputs)
        cell.metadata["tags"] = [tag]
        return cell

    picture = {"text/markdown": "![A chart](a.png)"}
    cells = [
        nbformat.v4.new_markdown_cell("**Predict.** How many?"),
        code("hide-output", {"text/plain": "1"}),
        code("hide-input", picture),
        nbformat.v4.new_markdown_cell("So many."),
        code("hide-output", {"text/html": "<table></table>"}),
        code("hide-cell", picture),
        code("hide-cell"),
    ]
    BOOK["name_folds"](cells)
    assert [c.metadata["mystnb"]["code_prompt_show"] for c in cells if c.cell_type == "code"] == [
        "Show the answer",
        "Show the code of this figure",
        "Show the table",
        "Show the code and its figure",
        "Show the code",
    ]
