"""Wrong labels: bounds against linear programming, confident learning against cleanlab,
rankings against scikit-learn, planted errors, bad input."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from malaria_nb.corrections import course_corrections, read_corrections, relabel
from malaria_nb.disputed import precision_recall_at
from malaria_nb.labels import confident_joint, suspects, true_accuracy
from malaria_nb.settings import SCALES, Settings


def made_up(n=1000, wrong=0.06, sharp=2.5, seed=0):
    "Return a predictions table with some labels turned over and good scores, and which are wrong."
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    score = 1 / (1 + np.exp(-sharp * rng.normal(2 * truth - 1, 0.5)))
    flip = np.isin(np.arange(n), rng.choice(n, round(wrong * n), replace=False))
    names = [f"Parasitized/C{i % 30}P1ThinF_IMG_20150930_134429_cell_{i}.png" for i in range(n)]
    return pd.DataFrame(
        {"file": names, "label": np.where(flip, 1 - truth, truth), "score": score}
    ), pd.Series(flip)


# ---- the bounds


@pytest.mark.parametrize(
    "agreement, wrong",
    [
        (0.995, 0.0507),
        (0.95, 0.05),
        (0.5, 0.5),
        (0.9, 0.3),
        (0, 0.2),
        (1, 0.2),
        (0.1, 0.95),
        (0.97, 0),
    ],
)
def test_bounds_are_those_of_linear_programming(agreement, wrong):
    from scipy.optimize import linprog

    # proportions of cells: label right and agreed, right and not, wrong and agreed, wrong and not
    kept = dict(
        A_eq=[[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 1]], b_eq=[1, agreement, wrong], bounds=(0, 1)
    )
    low, high = linprog([1, 0, 0, 1], **kept).fun, -linprog([-1, 0, 0, -1], **kept).fun
    assert true_accuracy(agreement, wrong) == pytest.approx((low, high), abs=1e-9)


def test_bounds_hold_for_every_model_and_reader():
    rng = np.random.default_rng(1)
    for _ in range(300):
        truth, label, call = (rng.random((3, 40)) < rng.random((3, 1))).astype(int)
        low, high = true_accuracy((call == label).mean(), (label != truth).mean())
        assert low - 1e-9 <= (call == truth).mean() <= high + 1e-9


@pytest.mark.parametrize(
    "agreement, wrong", [(99.5, 0.05), (0.9, -0.1), (float("nan"), 0.1), ([0.9, 1.2], 0.1)]
)
def test_bounds_refuse_what_is_no_share(agreement, wrong):
    with pytest.raises(ValueError, match="use a proportion from 0 to 1"):
        true_accuracy(agreement, wrong)


# ---- confident learning


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sharp", [0.8, 3, 30])
def test_joint_equals_cleanlab(seed, sharp):
    from cleanlab.count import compute_confident_joint

    t, _ = made_up(300, wrong=0.1, sharp=sharp, seed=seed)
    if seed % 2:
        t["score"] = t["score"] ** 2  # timid with one class, bold with the other
    theirs = compute_confident_joint(
        t["label"].to_numpy(), np.column_stack([1 - t["score"], t["score"]]), calibrate=False
    )
    assert confident_joint(t["label"], t["score"]).to_numpy().tolist() == theirs.tolist()


def test_joint_reads_rows_as_labels():
    joint = confident_joint([0, 0, 0, 1, 1, 1], [0.1, 0.1, 0.9, 0.9, 0.9, 0.9])
    assert (
        joint.loc["uninfected", "parasitized"] == 1 and joint.loc["parasitized", "uninfected"] == 0
    )
    assert joint.index.name == "label" and joint.columns.name == "confidently"


def test_a_timid_model_may_reach_both_thresholds():
    from cleanlab.count import compute_confident_joint

    rng = np.random.default_rng(0)
    label = rng.integers(2, size=400)
    score = np.clip(
        0.5 - 0.05 * (2 * label - 1) + 0.06 * rng.normal(size=400), 0, 1
    )  # worse than chance, so both thresholds lie below 0.5
    assert (
        np.column_stack([1 - score, score])
        >= [(1 - score)[label == 0].mean(), score[label == 1].mean()]
    ).all(1).sum() > 50
    theirs = compute_confident_joint(label, np.column_stack([1 - score, score]), calibrate=False)
    assert confident_joint(label, score).to_numpy().tolist() == theirs.tolist()


def test_scores_that_are_all_equal_are_counted():
    assert np.mean([0.1] * 3) > 0.1  # a rounding error must not lose the three
    assert confident_joint([0, 0, 0, 1, 1, 1], [0.05] * 3 + [0.1] * 3).to_numpy().tolist() == [
        [3, 0],
        [0, 3],
    ]


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_found(seed):
    t, flip = made_up(2000, wrong=0.08, seed=seed)
    ranked = suspects(t)
    named, guilty = ranked["suspect"], flip[ranked.index]
    assert guilty[named].mean() > 0.75 and named[guilty].mean() > 0.7


def test_errors_that_follow_the_scores_are_not_found():
    t, _ = made_up(2000, wrong=0)
    t["label"] = (t["score"] >= 0.8).astype(int)  # a reader who overlooks what is hard to see
    assert suspects(t)["suspect"].sum() <= 5


def test_suspects_keep_every_row_and_rank_the_least_plausible_first():
    t, _ = made_up()
    t.index = np.random.default_rng(0).permutation(len(t)) + 7
    ranked = suspects(t)
    assert ranked["quality"].is_monotonic_increasing
    pd.testing.assert_frame_equal(ranked[t.columns].sort_index(), t.sort_index())
    expected = np.where(ranked["label"] == 1, ranked["score"], 1 - ranked["score"])
    assert np.array_equal(ranked["quality"], expected)
    assert (
        ranked.groupby("label")["suspect"].apply(
            lambda s: s.to_numpy().astype(int).argmin() == s.sum()
        )
    ).all(), "a suspect stands below a cell that is none"


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(label=1), "all 1000 cells are parasitized"),
        (dict(score=1.5), "apply a sigmoid"),
        (dict(label=2), "labels must be 0"),
        (dict(score=float("nan")), "or drop them"),
    ],
)
def test_suspects_refuse_what_is_no_prediction(change, message):
    t = made_up()[0].assign(**change)
    for f in suspects, lambda t: confident_joint(t["label"], t["score"]):
        with pytest.raises(ValueError, match=message):
            f(t)


def test_suspects_say_which_column_is_missing():
    with pytest.raises(ValueError, match="no column 'score'"):
        suspects(made_up()[0].drop(columns="score"))


def test_without_cleanlab_the_module_imports_and_says_what_to_install():
    code = (
        "import sys; sys.modules['cleanlab'] = sys.modules['cleanlab.filter'] = None\n"
        "import pandas as pd, malaria_nb.labels as l\n"
        "l.confident_joint([0, 1], [.1, .9])\n"
        "try: l.suspects(pd.DataFrame({'label': [0, 1], 'score': [.1, .9]}))\n"
        "except ImportError as e: print(e)\n"
        "print(*sorted({'tensorflow', 'matplotlib', 'sklearn', 'keras'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert 'pip install "malaria_nb[labels]"' in said and not said.splitlines()[1].strip()


# ---- rankings


@pytest.mark.parametrize("seed", range(3))
def test_precision_and_recall_equal_scikit_learn(seed):
    from sklearn.metrics import average_precision_score, precision_recall_curve

    t, flip = made_up(400, seed=seed)
    ranked = suspects(t)
    mine = precision_recall_at(ranked, flip.sample(frac=1, random_state=seed))
    precision, recall, _ = precision_recall_curve(
        flip[ranked.index], -ranked["quality"]
    )  # from all cells down to none
    n = len(precision) - 1  # it leaves out what follows the last wrong label
    assert np.allclose(mine["precision"][:n], precision[-2::-1]) and np.allclose(
        mine["recall"][:n], recall[-2::-1]
    )
    assert mine["precision"][flip[ranked.index].to_numpy()].mean() == pytest.approx(
        average_precision_score(flip[ranked.index], -ranked["quality"])
    )
    assert mine.index[0] == 1 and mine["recall"].iloc[-1] == 1


def test_precision_and_recall_by_hand():
    t = pd.DataFrame({"x": 0}, index=["a", "b", "c", "d"])
    found = precision_recall_at(t, pd.Series({"d": True, "b": False, "a": True, "c": False}))
    assert found["precision"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 2]) and found[
        "recall"
    ].tolist() == [0.5, 0.5, 0.5, 1]


def test_precision_refuses_other_cells_repeated_cells_and_nothing_wrong():
    t, flip = made_up(50)
    ranked = suspects(t)
    with pytest.raises(ValueError, match="2 cells are only in"):
        precision_recall_at(ranked, flip.rename({3: 99}))
    with pytest.raises(ValueError, match="reset_index"):
        precision_recall_at(ranked.rename({3: 4}), flip)
    with pytest.raises(ValueError, match="no label is wrong"):
        precision_recall_at(ranked, ~flip & False)


# ---- corrections

NAMES = [
    "C113P74ThinF_IMG_20150930_134429_cell_181.png",
    "C59P20thinF_IMG_20150803_113051_cell_175.png",
    "C47P8thin_Original_Motic_IMG_20150714_1_cell_3.png",
]


def lists(folder, parasitized=NAMES[:1], uninfected=NAMES[1:2]):
    for kind, names in (("parasitized", parasitized), ("uninfected", uninfected)):
        (folder / f"False_{kind}.csv").write_text(
            f",False_{kind}\n" + "".join(f"{i},{n}\n" for i, n in enumerate(names)),
            encoding="utf-8",
        )
    return folder


def test_corrections_turn_a_false_class_into_the_other(tmp_path):
    table = read_corrections(lists(tmp_path))
    assert table.to_dict("list") == {"name": NAMES[:2], "label": [0, 1]}


def test_lists_are_looked_for_where_the_settings_say(tmp_path, monkeypatch):
    monkeypatch.setenv("MALARIA_NB_CORRECTIONS", str(tmp_path / "not here"))
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "nor here"))
    own, home = tmp_path / "own", tmp_path / "home"
    for folder in (own, home / "label_corrections"):
        folder.mkdir(parents=True)
    lists(own)
    lists(home / "label_corrections", NAMES[:1], NAMES[2:])
    given = course_corrections(Settings("nih", home=home, corrections=own), None)
    assert given["name"].to_list() == NAMES[:2]
    below_home = course_corrections(Settings("nih", home=home), None)
    assert below_home["name"].to_list() == [NAMES[0], NAMES[2]]


def test_missing_lists_say_where_to_get_them(tmp_path):
    (lists(tmp_path) / "False_uninfected.csv").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"no False_uninfected.csv in .*drive.google.com.*MALARIA_NB_CORRECTIONS",
    ):
        read_corrections(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "begins with ''"),
        (f"0,{NAMES[2]}\n", "begins with '0,"),
        ("<html>sign in</html>\n", "begins with '<html>"),
        (b"\xff\xfe", "begins with ''"),
        (f",False_uninfected\n0,{NAMES[0]}\n1,cell_7.png\n", "line 3 is '1,cell_7.png'"),
        (f",False_uninfected\n0,Uninfected/{NAMES[2]}\n", "line 2"),
        (",False_uninfected\n0\n", "line 2 is '0'"),
        (f",False_uninfected\n0,{NAMES[2]}\n1,{NAMES[2]}\n", "listed twice"),
        (f",False_uninfected\n0,{NAMES[0]}\n", "1 cells are listed twice, the first is C113"),
    ],
)
def test_malformed_lists_are_refused(content, message, tmp_path):
    lists(tmp_path)
    (tmp_path / "False_uninfected.csv").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    with pytest.raises(ValueError, match=message):
        read_corrections(tmp_path)


def test_relabel_changes_the_named_cells_only():
    cells = pd.DataFrame(
        {
            "file": [f"Parasitized/{NAMES[0]}", f"Uninfected/{NAMES[1]}", f"Uninfected/{NAMES[2]}"],
            "label": [1, 0, 0],
            "patient": ["C113", "C59", "C47"],
        },
        index=[5, 9, 2],
    )
    corrections = pd.DataFrame(
        {
            "name": [NAMES[0], NAMES[1], "C1P1ThinF_IMG_20150930_134429_cell_1.png"],
            "label": [0, 1, 1],
        }
    )
    before = cells.copy()
    corrected, dropped = relabel(cells, corrections), relabel(cells, corrections, "dropped")
    assert (
        corrected["label"].to_dict() == {5: 0, 9: 1, 2: 0}
        and corrected["label"].dtype == cells["label"].dtype
    )
    pd.testing.assert_frame_equal(dropped, cells.loc[[2]])
    pd.testing.assert_frame_equal(cells, before)
    pd.testing.assert_frame_equal(corrected.drop(columns="label"), cells.drop(columns="label"))


def test_relabel_refuses_other_cells_and_other_ways():
    cells, _ = made_up(5)
    with pytest.raises(ValueError, match="none of the 1 corrections names one of the 5 cells"):
        relabel(cells, pd.DataFrame({"name": NAMES[:1], "label": [0]}))
    with pytest.raises(ValueError, match="use 'corrected' or 'dropped'"):
        relabel(cells, pd.DataFrame({"name": NAMES[:1], "label": [0]}), "fixed")
    with pytest.raises(ValueError, match="no column 'label'"):
        relabel(cells.drop(columns="label"), pd.DataFrame({"name": NAMES[:1], "label": [0]}))


def test_synthetic_list_is_the_same_in_any_order_and_disputes_every_twentieth():
    cells, _ = made_up(100)
    s = Settings("synthetic", SCALES["quick"], "random")
    one, two = (course_corrections(s, t) for t in (cells, cells.sample(frac=1, random_state=0)))
    pd.testing.assert_frame_equal(one, two)
    assert len(one) == 5 and (relabel(cells, one)["label"] != cells["label"]).sum() == 5
