"Fields and counts against drawn fields, statsmodels, brute force, and patients who are known."

from itertools import permutations

import cv2
import numpy as np
import pandas as pd
import pytest

from malaria_nb.counting import MANY, check_count, count_field, crop_cells, score_cells
from malaria_nb.finder import find_cells, match_cells
from malaria_nb.images import decode_cell
from malaria_nb.predict import CompactModel
from malaria_nb.quality import check_field, measure_field
from malaria_nb.smear import dark_regions, even_light, usual_area
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


def heap(*middles, rim=(150, 95, 105)):
    "Return a field with cells alone, and discs that lie on one another, each with a darker rim."
    field = by_hand(*ALONE)
    for x, y in middles:
        cv2.circle(field, (x, y), 30, rim, -1, cv2.LINE_AA)
        cv2.circle(field, (x, y), 27, RED, -1, cv2.LINE_AA)
    return field


def test_a_heap_without_a_gap_is_parted_along_the_rims_inside_it():
    middles = [(320 + dx, 230 + dy) for dx in (0, 42) for dy in (0, 42)]
    found = find_cells(heap(*middles))
    red = found[found["kind"] == "red"]
    apart = [np.hypot(red["cx"] - x, red["cy"] - y).min() for x, y in middles]
    assert max(apart) < 15 and len(red) == len(ALONE) + 4


def test_what_is_deep_in_a_heap_without_a_rim_is_left_out_as_a_clump():
    field = by_hand(*ALONE)
    cv2.rectangle(field, (290, 210), (430, 350), RED, -1)
    found = find_cells(field)
    assert (found["kind"] == "red").sum() == len(ALONE) and (found["kind"] == "clump").any()


def test_the_usual_cell_is_one_alone_even_where_most_lie_in_heaps():
    pairs = [(x + d, y, 30, RED) for x in (70, 250, 420) for y in (60, 340) for d in (0, 34)]
    mask = dark_regions(even_light(by_hand(*pairs, *[(x, 200, 30, RED) for x in (80, 200, 320)])))
    assert usual_area(mask) == pytest.approx(np.pi * 30**2, rel=0.1)
    assert usual_area(np.zeros((200, 200), np.uint8)) == 0


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


def test_focus_does_not_measure_how_dark_the_middles_of_cells_are():
    field = by_hand(*ALONE)
    dark = np.zeros(field.shape[:2], np.float32)
    for x, y, *_ in ALONE:
        cv2.circle(dark, (x, y), 16, 90, -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 5)[..., None]
    stained = (field - dark).clip(0, 255).astype(np.uint8)
    focus = [measure_field(f)["focus"] for f in (field, stained)]
    assert focus[1] == pytest.approx(focus[0], rel=0.25)


def test_a_field_without_room_between_its_cells_is_refused():
    field = by_hand()
    for x in range(0, 500, 100):
        cv2.rectangle(field, (x, 0), (x + 74, 400), RED, -1)
    assert check_field(field).startswith("crowded: stain covers 7")


def test_a_count_that_can_hardly_be_is_said_to_be_so():
    assert check_count(int(100 * MANY), 100) == check_count(0, 0) == ""
    assert check_count(21, 100).startswith("doubtful: 21 of 100 cells")
    for wrong in ((3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="no more calls than cells"):
            check_count(*wrong)


class Redness:  # in place of a network: calls a cell parasitized when something in it is purple
    input_shape = (None, 64, 64, 3)

    def predict_on_batch(self, x):
        return ((x[..., 2].astype(int) - x[..., 1] > 60).sum((1, 2)) > 5)[:, None].astype(float)


def test_a_count_counts_whole_red_cells_only():
    sick = [(x, y, 6, PURPLE) for x, y, *_ in ALONE[:2]]
    field = by_hand(*ALONE, *sick, (0, 200, 30, RED), (420, 180, 45, RED), (420, 180, 33, PURPLE))
    count = count_field(field, Redness())
    assert count.pop("warning").startswith("doubtful: 2 of 5 cells")
    assert count == dict(reason="", cells=5, parasitized=2, white=1, small=0, edge=1, clump=0)
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


def test_a_photograph_with_black_parts_or_without_colour_is_refused():
    field = draw_field(50, cells=80)[0]
    assert check_field(field) == ""
    framed = field.copy()
    framed[-60:] = 0  # a caption
    assert check_field(framed).startswith("black:")
    twelve_bits = (field.astype(int) * 10 // 255).astype(np.uint8)  # as OpenCV reads such a TIFF
    assert check_field(twelve_bits).startswith("black: 100%")
    grey = np.repeat(field[..., 1:2], 3, axis=-1)
    assert check_field(grey).startswith("grey:")


def test_a_count_of_no_cell_says_why():
    field, truth = draw_field(50, cells=80)
    cell = truth[(truth["kind"] == "red") & ~truth["edge"]].iloc[0]
    y, x = int(cell["y"]), int(cell["x"])
    crop = field[y : y + 100, x : x + 100]  # the border cuts the cell
    count = count_field(crop, CompactModel())
    assert count["cells"] == 0 and count["reason"].startswith("no red cell lies whole")
