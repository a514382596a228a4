"Fields and counts against fields drawn by hand, statsmodels, brute force, and patients whose truth is known."

from itertools import permutations

import cv2
import numpy as np
import pandas as pd
import pytest

from malaria_nb.images import decode_cell
from malaria_nb.screening import apparent_parasitaemia
from malaria_nb.smear import (
    at_parasitaemia,
    check_field,
    count_field,
    crop_cells,
    dark_regions,
    even_light,
    find_cells,
    match_cells,
    parasitaemia,
    parasitaemia_by_field,
    patient_scores,
    rogan_gladen,
    rogan_gladen_interval,
    score_cells,
)
from malaria_nb.synthetic import draw_field

FIELD, RED, PURPLE = (222, 218, 205), (190, 130, 130), (130, 30, 150)


def by_hand(*discs, shape=(400, 500)):
    "Return a field of plain discs (x, y, radius, colour), with some camera noise."
    field = np.full((*shape, 3), FIELD, np.uint8)
    for x, y, radius, colour in discs:
        cv2.circle(field, (x, y), radius, colour, -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 1, field.shape)
    return (field + noise).round().clip(0, 255).astype(np.uint8)


ALONE = [(x, y, 30, RED) for x, y in ((80, 80), (200, 80), (320, 80), (80, 300), (200, 300))]


# ---- finding


def kinds(field):
    return find_cells(field)["kind"].value_counts().to_dict()


def test_cells_by_hand_are_found_where_they_are():
    found = find_cells(by_hand(*ALONE))
    assert kinds(by_hand(*ALONE)) == {"red": 5}
    apart = [np.hypot(found["cx"] - x, found["cy"] - y).min() for x, y, *_ in ALONE]
    assert max(apart) < 2
    assert all(abs(a - np.pi * 30**2) < 0.12 * np.pi * 30**2 for a in found["area"])
    assert all(
        m.shape == (h, w) and m.sum() == a
        for m, h, w, a in zip(found["mask"], found["h"], found["w"], found["area"])
    )


@pytest.mark.parametrize("apart, cells", [(56, 7), (50, 7), (44, 7)])
def test_a_touching_pair_is_parted(apart, cells):
    pair = [(300, 200, 30, RED), (300 + apart, 200, 30, RED)]
    assert kinds(by_hand(*ALONE, *pair)) == {"red": cells}


def test_a_gap_between_touching_cells_is_no_cell_and_a_hole_in_one_is_filled():
    ring = [
        (int(250 + 60 * np.cos(a)), int(200 + 60 * np.sin(a)), 31, RED)
        for a in np.arange(6) * np.pi / 3
    ]
    mask = dark_regions(even_light(by_hand(*ring, *[(450, y, 30, RED) for y in (60, 200, 340)])))
    assert mask[200, 250] == 0
    assert dark_regions(even_light(by_hand(*ALONE, (80, 80, 8, FIELD))))[80, 80] == 1


def test_what_is_no_whole_red_cell_gets_another_kind():
    field = by_hand(
        *ALONE,
        (0, 200, 30, RED),
        (420, 180, 45, RED),
        (420, 180, 33, PURPLE),
        (430, 340, 8, PURPLE),
    )
    assert kinds(field) == {"red": 5, "edge": 1, "white": 1, "small": 1}


def test_uneven_light_does_not_move_the_threshold():
    field = by_hand(*ALONE)
    dim = (field * np.linspace(1, 0.55, 500)[None, :, None]).astype(np.uint8)
    assert kinds(dim) == {"red": 5}


def test_drawn_fields_are_found_nearly_whole():
    right = cells = counted = 0
    for i in range(6):
        field, truth = draw_field([77, i])
        found = find_cells(field)
        match = match_cells(truth, found)
        whole = ((truth["kind"] == "red") & ~truth["edge"]).to_numpy()
        kind = np.array([found["kind"][j] if j >= 0 else "-" for j in match])
        right, cells = right + (kind[whole] == "red").sum(), cells + whole.sum()
        counted += (found["kind"] == "red").sum()
    assert right / cells > 0.95 and abs(counted / right - 1) < 0.02


# ---- matching, against every possible pairing


def test_matching_is_the_cheapest_pairing_there_is():
    rng = np.random.default_rng(1)
    for _ in range(30):
        truth = pd.DataFrame(rng.uniform(0, 60, (5, 2)), columns=["x", "y"]).assign(radius=100.0)
        found = pd.DataFrame(rng.uniform(0, 60, (5, 2)), columns=["cx", "cy"])
        apart = np.hypot(
            *(
                truth[a].to_numpy()[:, None] - found[b].to_numpy()
                for a, b in (("x", "cx"), ("y", "cy"))
            )
        )
        best = min(permutations(range(5)), key=lambda p: apart[range(5), p].sum())
        assert match_cells(truth, found).tolist() == list(best)


def test_no_match_is_farther_than_most_of_a_radius_and_none_is_used_twice():
    truth = pd.DataFrame({"x": [10.0, 14, 90], "y": [10.0, 10, 90], "radius": 10.0})
    found = pd.DataFrame({"cx": [11.0, 99], "cy": [10.0, 90]})
    assert match_cells(truth, found).tolist() == [0, -1, -1]
    assert match_cells(truth, found.iloc[:0]).tolist() == [-1] * 3


# ---- fields that can't be read


@pytest.mark.parametrize(
    "reason, how",
    [
        ("empty", dict(cells=0, white=0, platelets=0)),
        ("empty", dict(cells=0, white=0, platelets=6)),
        ("empty", dict(cells=0, white=1)),
        ("blurred", dict(blur=2.5)),
        ("overexposed", dict(exposure=1.7)),
        ("", {}),
        ("", dict(cells=14)),
    ],
)
def test_a_field_is_read_or_refused_with_the_reason(reason, how):
    for i in range(1 + (reason != "empty")):
        said = check_field(draw_field([78, i], **how)[0])
        assert said.startswith(reason) and bool(said) == bool(reason), said


class Redness:  # in place of a network: calls a cell parasitized when something in it is purple
    input_shape = (None, 64, 64, 3)

    def predict_on_batch(self, x):
        return ((x[..., 2].astype(int) - x[..., 1] > 60).sum((1, 2)) > 5)[:, None].astype(float)


def test_a_count_counts_whole_red_cells_only():
    sick = [(x, y, 6, PURPLE) for x, y, *_ in ALONE[:2]]
    field = by_hand(*ALONE, *sick, (0, 200, 30, RED), (420, 180, 45, RED), (420, 180, 33, PURPLE))
    assert count_field(field, Redness()) == dict(
        reason="", cells=5, parasitized=2, white=1, small=0, edge=1, clump=0
    )
    scores = score_cells(field, Redness())
    assert (scores["score"].isna() == (scores["kind"] != "red")).all()
    refused = count_field(draw_field(3, blur=3)[0], Redness())
    assert (
        refused["reason"].startswith("blurred") and refused["cells"] == refused["parasitized"] == 0
    )


def test_a_crop_is_what_the_archive_and_its_decoder_would_give(tmp_path):
    field = by_hand(*ALONE)
    found = find_cells(field)
    c = found.iloc[0]
    own = field[c.y : c.y + c.h, c.x : c.x + c.w] * c["mask"][..., None]
    cv2.imwrite(str(tmp_path / "cell.png"), own[..., ::-1])
    assert (crop_cells(field, found)[0] == decode_cell(tmp_path / "cell.png", 64)).all()
    assert crop_cells(field, found.iloc[:0]).shape == (0, 64, 64, 3)


# ---- counts and intervals


@pytest.mark.parametrize("k, n", [(0, 10), (1, 10), (10, 10), (3, 1000), (0, 5000), (123, 456)])
@pytest.mark.parametrize("method, theirs", [("wilson", "wilson"), ("exact", "beta")])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_parasitaemia_equals_statsmodels(k, n, method, theirs, confidence):
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(k, n, 1 - confidence, theirs)
    assert parasitaemia(k, n, confidence, method).to_list() == pytest.approx(
        [k / n, low, high], abs=1e-9
    )


def studies(correlation, n=150, fields=30, p=0.04):
    rng = np.random.default_rng(4)
    for i in range(n):
        total = 1 / correlation - 1 if correlation else 0
        share = rng.beta(p * total, (1 - p) * total, fields) if correlation else p
        k = rng.binomial(100, share, fields)
        yield (
            parasitaemia(k.sum(), 100 * fields),
            parasitaemia_by_field(k, [100] * fields, n_boot=300, seed=i),
        )


def test_the_interval_by_field_holds_where_parasites_gather_and_the_one_by_cell_does_not():
    held = np.mean([[t["low"] <= 0.04 <= t["high"] for t in both] for both in studies(0.03)], 0)
    assert held[0] < 0.8 and held[1] > 0.86


def test_the_interval_by_field_is_as_wide_as_the_one_by_cell_where_cells_are_independent():
    by_cell, by_field = np.mean(
        [[t["high"] - t["low"] for t in both] for both in studies(0, 60)], 0
    )
    ratio = by_field / by_cell
    assert 0.88 < ratio < 1.05


def test_no_parasites_in_any_field_still_leave_an_upper_limit():
    assert parasitaemia_by_field([0, 0, 0], [100] * 3).equals(parasitaemia(0, 300, method="exact"))
    assert parasitaemia_by_field([2, 0], [100, 0])["value"] == 0.02  # a field without cells


# ---- correction


def test_correction_undoes_what_the_rates_do():
    p, sens, spec = (
        np.linspace(0, 1, 11)[:, None, None],
        np.array([0.6, 0.9, 1])[:, None],
        np.array([0.7, 0.97, 1]),
    )
    assert rogan_gladen(apparent_parasitaemia(p, sens, spec), sens, spec) == pytest.approx(
        np.broadcast_to(p, (11, 3, 3)), abs=1e-12
    )


def test_correction_by_hand():
    assert rogan_gladen(0.10, 0.9, 0.95) == pytest.approx(0.0588235294)
    assert rogan_gladen(0.02, 0.9, 0.95) == 0 and rogan_gladen(
        0.02, 0.9, 0.95, clip=False
    ) == pytest.approx(-0.0352941176)
    assert rogan_gladen(0.99, 0.9, 0.95) == 1


@pytest.mark.parametrize(
    "sens, spec, sick, well", [(0.92, 0.97, 100, 400), (0.8, 0.95, 60, 200), (0.95, 0.99, 200, 600)]
)
@pytest.mark.parametrize("p", [0.0, 0.01, 0.1, 0.4])
def test_corrected_intervals_hold_as_often_as_they_say(p, sens, spec, sick, well):
    rng, held, n = np.random.default_rng(2), 0, 200
    for _ in range(n):
        tp, tn = rng.binomial(sick, sens), rng.binomial(well, spec)
        t = rogan_gladen_interval(
            rng.binomial(500, p * sens + (1 - p) * (1 - spec)), 500, tn, well - tn, sick - tp, tp
        )
        held += t["low"] <= p <= t["high"]
    assert 0.915 < held / n <= 1


def test_with_rates_known_exactly_the_interval_is_wilsons_moved():
    exact = dict(tn=950 * 10**7, fp=50 * 10**7, fn=10**8, tp=9 * 10**8)
    t, w = rogan_gladen_interval(120, 1000, **exact), parasitaemia(120, 1000)
    assert t["value"] == pytest.approx(rogan_gladen(0.12, 0.9, 0.95), abs=1e-9)
    assert t[["low", "high"]].to_list() == pytest.approx(
        [rogan_gladen(w[e], 0.9, 0.95) for e in ("low", "high")], abs=0.002
    )
    few = rogan_gladen_interval(120, 1000, tn=95, fp=5, fn=10, tp=90)
    assert few["high"] - few["low"] > 1.5 * (t["high"] - t["low"])


# ---- patients


def table():
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "patient": rng.choice(list("abcde"), 300),
            "label": rng.integers(2, size=300),
            "score": rng.random(300).round(2),
        }
    ).assign(label=lambda t: t["label"].where(t["patient"] != "e", 0))


def test_patients_are_counted_like_with_scikit_learn():
    from sklearn.metrics import confusion_matrix

    for patient, t in (p := table()).groupby("patient"):
        row = patient_scores(p).loc[patient]
        tn, fp, fn, tp = confusion_matrix(t["label"], t["score"] >= 0.5, labels=[0, 1]).ravel()
        assert row[
            ["cells", "called", "uninfected", "false_alarms", "parasitized", "found"]
        ].tolist() == [len(t), fp + tp, tn + fp, fp, fn + tp, tp]
        assert row["label"] == t["label"].max() and row["share"] == pytest.approx(
            (t["score"] >= 0.5).mean()
        )


def test_at_its_own_parasitaemia_a_patients_share_is_what_it_was():
    patients = patient_scores(table())
    for name, row in patients.iterrows():
        assert at_parasitaemia(patients, row["parasitized"] / row["cells"])[name] == pytest.approx(
            row["share"]
        )


# ---- what people hand in by mistake

FLAT = np.full((200, 200, 3), 200, np.uint8)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: find_cells(FLAT[..., 0]), "RGB picture"),
        (lambda: find_cells(FLAT / 255), "float64"),
        (lambda: check_field("a.png"), "str"),
        (lambda: find_cells(FLAT[:50]), "at least 100 pixels"),
        (lambda: crop_cells(FLAT, find_cells(FLAT), 0), "size=0"),
        (lambda: count_field(FLAT, None, 3), "threshold=3"),
        (
            lambda: match_cells(pd.DataFrame({"x": [1]}), pd.DataFrame({"cx": [1]})),
            "no column y, radius, cy",
        ),
        (lambda: parasitaemia(5, 0), "at least one cell"),
        (lambda: parasitaemia(6, 5), "no more parasitized"),
        (lambda: parasitaemia(-1, 5), "parasitized=-1"),
        (lambda: parasitaemia(0.3, 5), "parasitized=0.3"),
        (lambda: parasitaemia(1, 5, 95), "confidence=95"),
        (lambda: parasitaemia(1, 5, method="wald"), "'wald'"),
        (lambda: parasitaemia_by_field([1], [5]), "at least 2"),
        (lambda: parasitaemia_by_field([1, 2], [5]), "two numbers a field"),
        (lambda: parasitaemia_by_field([6, 2], [5, 9]), "6 parasitized of 5"),
        (lambda: rogan_gladen(5, 0.9, 0.9), "apparent=5"),
        (lambda: rogan_gladen(0.1, 0.5, 0.5), "add up to more than 1"),
        (lambda: rogan_gladen_interval(1, 5, 5, 0, 0, 0), "no cells of one class"),
        (lambda: rogan_gladen_interval(9, 5, 5, 0, 0, 5), "no more parasitized"),
        (lambda: patient_scores(table().assign(label="x")), "labels must be 0"),
        (
            lambda: patient_scores(table().assign(split=["valid"] * 150 + ["test"] * 150)),
            "choose one split",
        ),
        (lambda: patient_scores(table().iloc[:0]), "no cells"),
        (lambda: at_parasitaemia(patient_scores(table()), 5), "parasitaemia=5"),
        (lambda: draw_field(1, cells=-1), "cells=-1"),
        (lambda: draw_field(1, parasitaemia=2), "parasitaemia=2"),
    ],
)
def test_bad_input_is_refused_with_what_mends_it(call, says):
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        call()


# ---- the drawing's truth


def test_the_truth_of_a_drawn_field_is_the_truth():
    field, truth = draw_field(11, cells=60, parasitaemia=1, white=2)
    again, same = draw_field(11, cells=60, parasitaemia=1, white=2)
    assert (field == again).all() and truth.equals(same) and field.shape == (1000, 1300, 3)
    red = truth["kind"] == "red"
    assert (truth["label"] == red).all()
    assert draw_field(11, cells=60, parasitaemia=0)[1]["label"].sum() == 0
    inside = truth[red & ~truth["edge"]]
    assert (
        field[inside["y"].round().astype(int), inside["x"].round().astype(int), 1] < 200
    ).mean() > 0.97, "a cell is where the truth says"
    assert (truth["x"].between(30, 1270) & truth["y"].between(30, 970))[truth["edge"]].mean() < 0.3
