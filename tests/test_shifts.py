"Shifts against OpenCV, stains against known ones, and doses against plain evaluations."

import cv2
import numpy as np
import pandas as pd
import pytest

from malaria_nb.charts import STYLES
from malaria_nb.doses import _model_styles, dose_response, plot_dose_response
from malaria_nb.evaluation import evaluate
from malaria_nb.shifts import SHIFTS, shift
from malaria_nb.stains import (
    colour_statistics,
    find_stains,
    normalise_macenko,
    normalise_reinhard,
    stain_jitter,
    symmetries_and_stain,
    symmetries_and_strength,
)
from malaria_nb.stats import difference
from malaria_nb.synthetic import draw_cell


@pytest.fixture(scope="module")
def cells():
    "Twelve drawn cells of 64 pixels, black outside."
    return np.stack(
        [
            cv2.resize(draw_cell(seed, seed % 2 == 1)[0], (64, 64), interpolation=cv2.INTER_AREA)
            for seed in range(12)
        ]
    )


@pytest.fixture(scope="module")
def full():  # no black at all, so that OpenCV's own functions are the oracle
    return np.random.default_rng(0).integers(60, 200, (3, 48, 48, 3)).astype(np.uint8)


# ---- shifts


@pytest.mark.parametrize("kind", SHIFTS)
def test_dose_0_changes_nothing_and_black_stays_black(cells, kind):
    same = shift(cells, kind, 0)
    assert np.array_equal(same, cells) and same is not cells
    for dose in SHIFTS[kind].doses:
        x = shift(cells, kind, dose)
        assert x.dtype == np.uint8 and x.shape == cells.shape
        if kind != "magnification":
            assert np.array_equal(x.max(-1) > 0, cells.max(-1) > 0)  # inside stays inside, too


def test_focus_is_opencvs_blur(full):
    expected = np.stack([cv2.GaussianBlur(x.astype(np.float32), (0, 0), 0.02 * 48) for x in full])
    assert np.abs(shift(full, "focus", 2) - expected).max() <= 0.51


def test_focus_does_not_mix_the_black_in():
    x = np.zeros((1, 64, 64, 3), np.uint8)
    x[0, 20:44, 20:44] = (200, 150, 160)  # one colour: no blur can change it
    assert np.array_equal(shift(x, "focus", 4), x)


def test_compression_is_opencvs_jpeg(full):
    data = cv2.imencode(".jpg", full[0, ..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    assert np.array_equal(
        shift(full[:1], "compression", 70)[0], cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    )


def test_stain_is_beer_and_lamberts_law(full):
    expected = 255 * (full / 255) ** 1.5
    assert np.abs(shift(full, "stain", 0.5) - expected).max() <= 0.51
    assert (
        np.abs(shift(shift(full, "hue", 0.3), "hue", -0.3).astype(int) - full).max() <= 4
    )  # there and back, but for rounding
    r, g, b = (shift(full, "hue", 0.3).astype(int) - full).mean((0, 1, 2))
    assert r < 0 and g == 0 and b > 0


def test_gain_gradient_and_magnification(full):
    assert np.abs(shift(full, "gain", 0.4) - 0.6 * full).max() <= 0.51
    x = shift(np.full((1, 50, 50, 3), 100, np.uint8), "gradient", 0.4)[0, 0, :, 0]
    assert (x[0], x[-1]) == (120, 80) and (np.diff(x.astype(int)) <= 0).all()
    small = shift(full, "magnification", 0.5)
    assert (
        np.array_equal(
            small[0, 12:36, 12:36], cv2.resize(full[0], (24, 24), interpolation=cv2.INTER_AREA)
        )
        and not small[:, :12].any()
    )


@pytest.mark.parametrize(
    "args, words",
    [
        (("colour", 0.1), "use one of 'hue'"),
        (("gain", 2), "use 0 to 1"),
        (("focus", float("nan")), "use 0 to 25"),
    ],
)
def test_shift_refuses(cells, args, words):
    with pytest.raises(ValueError, match=words):
        shift(cells, *args)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 9, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)]
)
def test_only_square_bytes(bad):
    for f in (
        lambda: shift(bad, "gain", 0.1),
        lambda: colour_statistics(bad),
        lambda: stain_jitter(bad, np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match="expected uint8"):
            f()


# ---- dose and response


def redness(x):
    return 1 / (1 + np.exp(-(x[..., 0].mean((1, 2)) - 100) / 10))


def test_dose_response_is_evaluate_and_difference():
    rng = np.random.default_rng(1)
    label, patient = rng.integers(2, size=80), np.array([f"C{i % 9}" for i in range(80)])
    x = (
        90
        + 25 * label[:, None, None, None]
        + rng.integers(-12, 12, (80, 8, 8, 3))
        + rng.integers(-25, 25, (80, 1, 1, 1))
    ).astype(np.uint8)
    t = dose_response({"red": redness}, x, label, patient, {"gain": (0, 0.1)}).set_index(
        ["dose", "metric"]
    )
    for dose in (0, 0.1):
        e = evaluate(label, redness(shift(x, "gain", dose)), patient)
        for column in ("value", "low", "high"):
            assert t.loc[dose][column].to_numpy() == pytest.approx(
                e[column].to_numpy(), abs=1e-12, nan_ok=True
            )

    def table(score):
        return pd.DataFrame(
            {
                "file": [f"{i:03}" for i in range(80)],
                "patient": patient,
                "label": label,
                "score": score,
                "split": "test",
            }
        )

    d = difference(table(redness(shift(x, "gain", 0.1))), table(redness(x)))
    for ours, theirs in (("change", "value"), ("change_low", "low"), ("change_high", "high")):
        assert t.loc[0.1][ours].to_numpy() == pytest.approx(
            d[theirs].to_numpy(), abs=1e-12, nan_ok=True
        )
    assert (t.loc[0, "change"] == 0).all()
    plot_dose_response(t.reset_index(), ("accuracy", "auc"))


def test_a_model_must_give_a_probability_an_image(cells):
    for model, words in (
        (lambda x: np.full(len(x), 3.0), "from 0 to 1"),
        (lambda x: np.full(5, 0.5), "one score an image"),
    ):
        with pytest.raises(ValueError, match=words):
            dose_response({"m": model}, cells, np.arange(12) % 2, doses={"gain": (0,)})


def test_a_model_looks_the_same_in_every_figure():
    looks = _model_styles(["mine", "purple threshold", "basic CNN", "yours"])
    assert looks["basic CNN"] == STYLES[0] and looks["purple threshold"] == STYLES[3]
    assert len(set(looks.values())) == 4


# ---- stains


def test_reinhard_gives_the_targets_mean_and_deviation(cells):
    target = np.array([[60.0, 12, 4], [6.0, 4, 3]])  # well inside what 8 bits can show
    group = np.repeat(["a", "b"], 6)
    out = normalise_reinhard(cells, target, group)
    for g in "ab":
        assert np.abs(colour_statistics(out[group == g]) - target).max() < 0.6
    assert not out[cells.max(-1) == 0].any()
    other = cells.copy()
    other[6:] //= 2  # a group does not see the other one
    assert np.array_equal(normalise_reinhard(other, target, group)[:6], out[:6])


def two_stains(n=4096, seed=2, spare=0.05):
    vectors = np.array([[0.65, 0.70, 0.29], [0.27, 0.79, 0.55]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    amounts = np.random.default_rng(seed).gamma(2, 0.35, (n, 2))
    k = int(n * spare)
    amounts[:k, 0], amounts[k : 2 * k, 1] = 0, 0
    return (
        vectors,
        amounts,
        (255 * np.exp(-amounts @ vectors))
        .round()
        .clip(1, 255)
        .astype(np.uint8)
        .reshape(1, 64, 64, 3),
    )


def test_macenko_recovers_two_known_stains_and_their_strength():
    vectors, amounts, picture = two_stains()
    found = find_stains(picture, least=0.02)
    assert (np.degrees(np.arccos((found.vectors * vectors).sum(1))) < 3).all()
    assert found.strong == pytest.approx(np.percentile(amounts, 99, axis=0), rel=0.1)


def test_macenko_repaints_with_the_targets_stains():
    _, _, picture = two_stains()
    _, _, weak = two_stains()
    weak = shift(weak, "stain", -0.4)  # the same picture, less stained
    target = find_stains(picture, least=0.02)

    def error(x):
        return np.abs(x.astype(int) - picture).mean()

    assert error(normalise_macenko(weak, target, least=0.02)) < 0.15 * error(weak)


def test_normalisation_refuses_and_leaves_black(cells):
    black = np.zeros((1, 64, 64, 3), np.uint8)
    assert not normalise_reinhard(black, np.ones((2, 3))).any()
    with pytest.raises(ValueError, match="no cell to measure"):
        colour_statistics(black)
    with pytest.raises(ValueError, match="too few"):
        find_stains(np.full((1, 8, 8, 3), 120, np.uint8))
    with pytest.raises(ValueError, match="colour_statistics"):
        normalise_reinhard(cells, np.ones(3))
    with pytest.raises(ValueError, match="find_stains"):
        normalise_macenko(cells, np.ones((2, 3)))
    with pytest.raises(ValueError, match="one an image"):
        normalise_macenko(cells, find_stains(cells), [1, 2])


def test_stain_jitter_is_one_affine_change_of_density_an_image(cells):
    rng = np.random.default_rng
    a, b = stain_jitter(cells, rng(1)), stain_jitter(cells, rng(1))
    assert np.array_equal(a, b) and not np.array_equal(a, stain_jitter(cells, rng(2)))
    assert np.array_equal(a.max(-1) > 0, cells.max(-1) > 0)
    slopes = []
    for x, y in zip(cells, a):
        use = (y[..., 0] > 5) & (y[..., 0] < 250) & (x[..., 0] > 5)
        slope, off = np.polyfit(np.log(255 / x[use][:, 0]), np.log(255 / y[use][:, 0]), 1)
        assert np.exp(-0.45) < slope < np.exp(0.45) and abs(off) < 0.25
        slopes.append(slope)
    assert np.std(slopes) > 0.05
    assert (
        np.abs(stain_jitter(cells, rng(1), factor=0, offset=0).astype(int) - cells).max() <= 1
    )  # a level of 0 inside becomes 1


def test_more_dye_multiplies_the_three_channels_alike(cells):
    "Each image's mean densities keep their proportions, and their sum ranges far more widely."
    own = cells.max(-1) > 5

    def density(images):
        return np.array([np.log(255 / x[m].clip(1)).mean(0) for x, m in zip(images, own)])

    how = {"factor": 0, "offset": 0}
    plain = stain_jitter(cells, np.random.default_rng(1), **how)
    dyed = stain_jitter(cells, np.random.default_rng(1), **how, strength=0.9)
    times = density(dyed) / density(plain)
    assert np.std(times, axis=1).max() < 0.1 and np.ptp(times.mean(1)) > 0.5
    assert (times > np.exp(-1)).all() and (times < np.exp(1)).all()
    assert np.array_equal(dyed.max(-1) > 0, cells.max(-1) > 0)


def test_the_strength_draws_nothing_where_it_is_not_asked_for(cells):
    rng = np.random.default_rng
    assert np.array_equal(stain_jitter(cells, rng(1)), stain_jitter(cells, rng(1), strength=0))
    assert (symmetries_and_strength(cells, rng(1)) != symmetries_and_stain(cells, rng(1))).any()


def test_the_spread_to_give_a_group_is_that_within_groups():
    "Two stains, each as even as the other: their common spread is mostly the gap between them."
    rng = np.random.default_rng(0)
    one, other = (rng.normal(m, 8, (3, 12, 12, 3)) for m in ((210, 120, 140), (120, 130, 210)))
    cells = np.concatenate([one, other]).clip(1, 255).astype(np.uint8)
    group = np.repeat([0, 1], 3)
    within, whole = colour_statistics(cells, group), colour_statistics(cells)
    assert np.allclose(within[0], whole[0]) and (within[1] < whole[1]).all()
    apart = [colour_statistics(cells[group == g])[1] for g in (0, 1)]
    assert np.allclose(within[1] ** 2, np.mean(np.square(apart), axis=0))
    out = normalise_reinhard(cells, within, group)
    assert np.abs(colour_statistics(out, group)[1] - within[1]).max() < 0.6
    with pytest.raises(ValueError, match="give one an image"):
        colour_statistics(cells, group[:2])


def test_symmetries_and_stain_turns_and_recolours_alike_for_a_seed():
    cells = np.zeros((6, 16, 16, 3), np.uint8)
    cells[:, 3:10, 4:12] = (200, 150, 170)
    cells[:, 4, 5] = (90, 30, 120)
    first, again = (symmetries_and_stain(cells, np.random.default_rng(1)) for _ in range(2))
    assert (first == again).all() and first.dtype == np.uint8
    assert (first != cells).any((1, 2, 3)).all()
    assert ((first.max(-1) > 0).sum((1, 2)) == 56).all()  # the cell keeps its size
