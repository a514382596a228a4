"What would spoil maps' scores and shortcuts: scores that flatter, shortcuts that see too much."

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from malaria_nb.attribution import map_correlation, mean_by_patient, plot_maps
from malaria_nb.evaluation import metrics
from malaria_nb.explain import attribution_share, pointing_game
from malaria_nb.pixels import inside
from malaria_nb.shortcuts import only_colour, only_mask, only_size, wipe, within_patients


@pytest.fixture
def cells():
    "Six discs of random pixels on black."
    rng = np.random.default_rng(3)
    images = rng.integers(1, 256, (6, 16, 16, 3), dtype=np.uint8)
    y, x = np.mgrid[:16, :16]
    images[:, np.hypot(y - 7.5, x - 7.5) > 7] = 0
    return images


# ---- scores of maps


def test_a_random_maps_share_is_the_area():
    rng = np.random.default_rng(0)
    maps, masks = rng.random((500, 12, 12)), rng.random((500, 12, 12)) < 0.2
    share, area = attribution_share(maps, masks), masks.mean()
    assert share.mean() == pytest.approx(area, abs=4 * share.std() / 500**0.5)
    hits = pointing_game(maps, masks)
    assert set(hits) <= {0, 1} and hits.mean() == pytest.approx(
        area, abs=4 * (area * 0.8 / 500) ** 0.5
    )


def test_map_scores_worked_by_hand():
    maps = np.array([[[4.0, 1], [-2, 3]], [[1, 1], [1, 1]], [[-1, -1], [-1, -1]]])
    masks = np.array([[[True, False], [True, False]]] * 3)
    np.testing.assert_allclose(attribution_share(maps, masks), [0.5, 0.5, np.nan])
    np.testing.assert_allclose(pointing_game(maps, masks), [1, 0.5, 0.5])
    np.testing.assert_allclose(attribution_share(7 * maps, masks), attribution_share(maps, masks))


def test_correlation_is_scipys():
    rng = np.random.default_rng(1)
    a = rng.random((4, 9, 9)).round(1)  # with ties
    b, within = a + rng.random((4, 9, 9)), rng.random((4, 9, 9)) < 0.5
    np.testing.assert_allclose(
        map_correlation(a, b), [stats.spearmanr(x.ravel(), y.ravel())[0] for x, y in zip(a, b)]
    )
    np.testing.assert_allclose(
        map_correlation(a, b, within),
        [stats.spearmanr(x[w], y[w])[0] for x, y, w in zip(a, b, within)],
    )
    assert np.isnan(map_correlation(a, np.zeros_like(a))).all()


def test_intervals_of_a_mean_cover_the_truth_by_patient_and_not_by_cell():
    rng, covered = np.random.default_rng(4), []
    for _ in range(300):
        patient = np.repeat(np.arange(40), 8)
        value = 0.5 + rng.normal(size=40)[patient] + 0.3 * rng.normal(size=320)
        by = mean_by_patient(value, patient), mean_by_patient(value, np.arange(320))
        covered.append([m["low"] <= 0.5 <= m["high"] for m in by])
    by_patient, by_cell = np.mean(covered, axis=0)
    assert 0.92 <= by_patient <= 0.99 and by_cell < 0.75


def test_within_patients_is_the_auc_of_pairs_of_one_patient():
    rng = np.random.default_rng(5)
    patient, label = rng.integers(12, size=200), rng.integers(2, size=200)
    score = (label + 3 * rng.normal(size=12)[patient] + rng.normal(size=200)).round(1)
    wins = [
        (0.5 if score[i] == score[j] else score[i] > score[j])
        for i in range(200)
        for j in range(200)
        if label[i] and not label[j] and patient[i] == patient[j]
    ]
    assert within_patients(label, score, patient) == pytest.approx(np.mean(wins))
    scaled = (score - score.min()) / np.ptp(score)
    assert within_patients(label, score, np.zeros(200)) == pytest.approx(
        metrics(label, scaled)["auc"]
    )


# ---- shortcuts see what their names say, and no more


def test_shortcuts_see_only_their_own(cells):
    painted = np.where(inside(cells)[..., None], 255 - cells // 2, 0).astype(np.uint8)
    np.testing.assert_array_equal(only_mask(cells), only_mask(painted))  # the inside doesn't matter
    shuffled, own = cells.copy(), inside(cells)
    for image, o in zip(shuffled, own):
        image[o] = np.random.default_rng(0).permutation(image[o])
    np.testing.assert_allclose(
        only_colour(cells), only_colour(shuffled), rtol=1e-6
    )  # where a colour is doesn't matter
    np.testing.assert_allclose(
        only_colour(cells), [c[o].mean(0) for c, o in zip(cells, own)], rtol=1e-6
    )
    np.testing.assert_allclose(
        only_mask(cells, 4),
        [
            cv2.resize(o.astype("float32"), (4, 4), interpolation=cv2.INTER_AREA).ravel()
            for o in own
        ],
    )
    assert only_mask(cells).dtype == only_colour(cells).dtype == np.float32 and only_mask(
        cells
    ).shape == (6, 256)
    table = pd.DataFrame({"height": [10, 20], "width": [30, 40], "label": [0, 1]})
    np.testing.assert_array_equal(only_size(table), [[10, 30], [20, 40]])


def test_shortcuts_of_many_images_are_those_of_each():
    images = np.random.default_rng(0).integers(
        0, 256, (1003, 8, 8, 3), dtype=np.uint8
    )  # more than fit into one part
    np.testing.assert_allclose(
        only_colour(images)[[0, 499, 500, 1002]],
        np.concatenate([only_colour(images[i : i + 1]) for i in (0, 499, 500, 1002)]),
    )
    assert len(only_mask(images, 4)) == len(wipe(images)) == 1003


def test_wiping_leaves_outline_and_median_colour(cells):
    flat = wipe(cells)
    np.testing.assert_array_equal(inside(flat), inside(cells))
    for image, before, own in zip(flat, cells, inside(cells)):
        assert (
            len(np.unique(image[own], axis=0)) == 1
            and (image[own][0] == np.median(before[own], axis=0).round()).all()
        )


# ---- what people hand in by mistake


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda c: inside(c[0]), "image\\[None\\]"),
        (lambda c: inside(c / 255), "float64"),
        (lambda c: only_colour(np.concatenate([c, 0 * c[:1]])), "image 6 is black"),
        (lambda c: only_mask(c, 0), "side=0"),
        (lambda c: only_size(pd.DataFrame({"height": [1]})), "width"),
        (lambda c: within_patients([0, 1], [0.1, 0.2], ["a", "b"]), "both classes"),
        (lambda c: attribution_share(np.ones((2, 3, 3)), np.ones((3, 3), bool)), "one mask"),
        (lambda c: pointing_game(np.ones((2, 3, 3)), np.ones((2, 3, 3), int)), "masks are int"),
        (lambda c: attribution_share(np.full((1, 2, 2), np.nan), np.ones((1, 2, 2), bool)), "NaN"),
        (lambda c: mean_by_patient([1.0, 2.0], ["a", "a"]), "one patient"),
        (lambda c: map_correlation(np.ones((2, 3, 3)), np.ones((2, 4, 4))), "all must be"),
        (lambda c: plot_maps(c, {"m": np.ones((5, 16, 16))}), "'m' have shape"),
    ],
)
def test_says_what_is_wrong(cells, call, words):
    with pytest.raises(ValueError, match=words):
        call(cells)


def test_plot_maps_draws_no_rainbow(cells):
    import matplotlib

    matplotlib.use("Agg")
    fig = plot_maps(
        cells,
        {"one": np.random.default_rng(0).random((6, 16, 16)) - 0.5, "blank": np.zeros((6, 16, 16))},
        ["t"] * 6,
        inside(cells),
        "found",
    )
    maps = [ax.images[0] for ax in fig.axes if ax.images][6:18]
    assert {m.get_cmap().name for m in maps} == {"cividis"} and all(
        m.get_clim() == (0, 1) for m in maps
    )
    matplotlib.pyplot.close(fig)
