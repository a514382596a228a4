"""Answers that checks of Part II once judged wrongly, made from the solutions by one change.

Each was accepted and is wrong, or refused though it is right, or refused without saying why.
"""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from malaria_nb.checks import Wrong

SOLUTIONS = Path(__file__).resolve().parents[1] / "nbs" / "solutions"


@cache
def _cells(stem):
    "List the code of a chapter's solutions."
    (path,) = SOLUTIONS.glob(f"{stem}*.ipynb")
    book = nbformat.read(path, 4)
    return path.stem[3:], [c.source for c in book.cells if c.cell_type == "code"]


def judged(stem, answer, old, new):
    "Change the solution that defines `answer`, and ask its check."
    chapter, cells = _cells(stem)
    names = {"pd": pd, "np": np}
    for cell in cells:
        if cell.startswith(("import ", "from ")):
            exec(cell, names)
    starts = (f"def {answer}(", f"{answer} =")
    (solution,) = (
        c
        for c in cells
        if any(s in c for s in starts) and "olution" in c.lower() and "#| wrong" not in c
    )
    assert solution.count(old) == 1, solution
    exec(solution.replace(old, new), names)
    asked = re.compile(rf"(check_\w+)\({answer}\)")
    (check,) = {found[1] for c in cells if (found := asked.fullmatch(c))}
    getattr(import_module(f"malaria_nb.checks.{chapter}"), check)(names[answer])


WRONG = {
    "10 only one table is sorted": (
        (
            "10",
            "moved",
            "first != second.reindex(first.index)",
            "first.to_numpy() != second.sort_index().to_numpy()",
        ),
        "rows in another order",
    ),
    "10 a score of 0.5 is no call": (
        (
            "10",
            "moved",
            'second = b.set_index("file")["score"] >= 0.5',
            'second = b.set_index("file")["score"] > 0.5',
        ),
        "0.5 is parasitized",
    ),
    "10 ten sweeps": (
        (
            "10",
            "joined",
            "while True:\n        before = group",
            "for k in range(11):\n        before = group\n"
            "        if k == 10:\n            return pd.factorize(group)[0]",
        ),
        "in one chain",
    ),
    "11 cells scored 0 or 1 left out": (
        (
            "11",
            "on_average",
            "    z = ",
            "    label, score = (x[(score > 0) & (score < 1)] for x in (label, score))\n    z = ",
        ),
        "left out",
    ),
    "12 NaN for a perfect model": (
        ("12", "true_from_agreement", "-1e-9 <= t <= 1 + 1e-9", "0 < t < 1"),
        "all of the cells|none of the cells",
    ),
    "12 rounded": (
        ("12", "true_from_agreement", "return t if", "return round(t, 3) if"),
        "would score",
    ),
    "12 trained on every second cell": (
        (
            "12",
            "out_of_fold",
            "fit(x[fold != k], label[fold != k])",
            "fit(x[fold != k][::2], label[fold != k][::2])",
        ),
        "neither trained on nor scored",
    ),
    "13 evidence against counts as evidence": (
        (
            "13",
            "deletion",
            "np.argsort(-attribution.ravel())",
            "np.argsort(-np.abs(attribution.ravel()))",
        ),
        "signs included",
    ),
    "13 a score of 0.5 is uninfected": (
        ("13", "reliance", "score(images) < 0.5", "score(images) <= 0.5"),
        "0.5 is parasitized",
    ),
    "14 no seed": (
        ("14", "corrected_interval", "default_rng(seed)", "default_rng()"),
        "same seed",
    ),
    "14 two standard errors": (("14", "fields_needed", "(1.96 /", "(2 /"), "."),
    "14 used and left out swapped": (
        (
            "14",
            "count_slide",
            "return len(used), len(counts) - len(used)",
            "return len(counts) - len(used), len(used)",
        ),
        "3 left out|fields used",
    ),
    "15 inside is where no level is 0": (
        ("15", "grey_world", "images.max(-1) > 0", "images.min(-1) > 0"),
        "all three levels",
    ),
    "16 eps as by default": (
        ("16", "folded", "variance + eps", "variance + 1e-3"),
        "whatever it is given",
    ),
    "17 rows in any order": (
        (
            "17",
            "some_patients",
            "return np.flatnonzero(chosen)",
            "return np.flatnonzero(chosen)[::-1]",
        ),
        "ascend",
    ),
    "17 the same two first": (
        (
            "17",
            "some_patients",
            "    first = ",
            "    sick, well = sorted(sick), sorted(set(well) - {sorted(sick)[0]})\n    first = ",
        ),
        "another seed",
    ),
    "18 an end that is the truth": (
        (
            "18",
            "count",
            "truth < low[told]).mean()\n    above = (truth > high",
            "truth <= low[told]).mean()\n    above = (truth >= high",
        ),
        "contains it",
    ),
    "18 a score of 0.5 is uninfected": (
        ("18", "carriers", ">= 0.5", "> 0.5"),
        "0.5 is parasitized",
    ),
    "18 the mean of the patients": (
        (
            "18",
            "intervals",
            "    pull = ",
            "    right = right / size * n / 40\n    k = right.sum(1, keepdims=True)\n"
            "    size = n / 40 + 0 * size\n    pull = ",
        ),
        "patients' mean",
    ),
    "19 the middle group": (("19", "luck", ".mean()  # solution", "[1:2].mean()"), "too"),
    "19 a text": (("19", "luck", ".mean()  # solution", ".mean().astype(str)"), "a number"),
    "19 without the 1": (("19", "slide_line", "spread**2 - 1", "spread**2"), r"a \+ b \+ 1"),
    "19 rows returned twice": (
        (
            "19",
            "worst_alarms",
            "return well[",
            "well = pd.concat([well, well])\n    alarm = pd.concat([alarm, alarm])\n"
            "    return well[",
        ),
        "twice",
    ),
    "19 patients without a detected cell": (
        (
            "19",
            "worst_alarms",
            '.groupby("patient")["label"].transform("max") == 0',
            '.assign(d=lambda t: t["label"] * (t["score"] >= 0.5))'
            '.groupby("patient")["d"].transform("max") == 0',
        ),
        ".",
    ),
}
RIGHT = {
    "10 in 32 bits": (
        "10",
        "sibling_score",
        "        0.5,\n    )",
        "        0.5,\n    ).astype(np.float32)",
    ),
    "11 a Series": (
        "11",
        "fit_two",
        "return tuple(minimize(loss, [1, 0]).x)",
        "return pd.Series(minimize(loss, [1, 0]).x)",
    ),
    "12 folds of any size": ("12", "out_of_fold", "% n\n", ".clip(max=n - 1)\n"),
    "12 by name": (
        "12",
        "out_of_fold",
        "fit(x[fold != k], label[fold != k])",
        "fit(x=x[fold != k], label=label[fold != k])",
    ),
    "12 all are scored, and some are taken": (
        "12",
        "out_of_fold",
        "(x[fold == k])",
        "(x)[fold == k]",
    ),
    "16 a float": ("16", "side", "  # solution", " + 0.0"),
    "16 a list": (
        "16",
        "folded",
        "return kernel * factor, beta - mean * factor",
        "return [kernel * factor, beta - mean * factor]",
    ),
    "16 another list": (
        "16",
        "eight_bits",
        "return np.rint(w / scale).astype(np.int8), scale",
        "return [np.rint(w / scale).astype(np.int8), scale]",
    ),
}


@pytest.mark.parametrize("which", WRONG)
def test_a_wrong_answer_is_refused_and_told_why(which):
    change, says = WRONG[which]
    with pytest.raises(Wrong, match=says):
        judged(*change)


@pytest.mark.parametrize("which", RIGHT)
def test_a_right_answer_is_right(which, capsys):
    judged(*RIGHT[which])
    assert capsys.readouterr().out.endswith("Right.\n")


def test_the_first_only_compared_with_its_neighbour_is_refused():
    from malaria_nb.checks.compact import check_pareto

    def on_front(cost, accuracy):
        order, best = np.argsort(cost, kind="stable"), np.ones(len(cost), bool)
        for before, i in zip(order, order[1:]):
            best[i] = accuracy[i] > accuracy[before]
        return best

    with pytest.raises(Wrong):
        check_pareto(on_front)


@pytest.mark.parametrize(
    "chapter, check, answer",
    [
        ("leakage", "check_closing", [["more cells"]]),
        ("calibration", "check_halved", [["AUC"]]),
        ("external", "check_staying", [["auc"]]),
        ("intervals", "check_promised", [["A"]]),
        ("compact", "check_eight_bits", lambda w: (np.zeros(w.shape, np.int8), np.ones(3))),
        ("smear", "check_three_fields", ...),
        ("explain", "check_cloud", ...),
    ],
)
def test_an_answer_of_another_kind_gets_a_sentence(chapter, check, answer):
    with pytest.raises(Wrong):
        getattr(import_module(f"malaria_nb.checks.{chapter}"), check)(answer)
