"Shifts against OpenCV, stains against known ones, boxes against known crops, and what other laboratories send by mistake."

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from malaria_nb.evaluation import evaluate, metrics
from malaria_nb.external import (
    SHIFTS,
    colour_statistics,
    dose_response,
    find_stains,
    normalise_macenko,
    normalise_reinhard,
    plot_dose_response,
    read_coco,
    recalibrate,
    score_external,
    shift,
    stain_jitter,
)
from malaria_nb.predict import black_outside
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
    error = lambda x: np.abs(x.astype(int) - picture).mean()
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


# ---- boxes and folders


def coco(tmp_path, annotations, fields=2, extra=()):
    "Write fields whose box k has the level 60 + k, and a COCO file."
    rng = np.random.default_rng(3)
    for i in range(fields):
        field = rng.integers(200, 220, (90, 120, 3)).astype(np.uint8)
        for a in annotations:
            if (
                a["image_id"] == i
                and len(a.get("bbox", [])) == 4
                and all(isinstance(v, int) and v >= 0 for v in a["bbox"])
            ):
                x, y, w, h = a["bbox"]
                field[y : y + h, x : x + w] = 60 + a["id"]
        cv2.imwrite(str(tmp_path / f"f{i}.png"), field[..., ::-1])
    images = [dict(id=i, file_name=f"f{i}.png") for i in range(fields)] + list(extra)
    file = tmp_path / "boxes.json"
    file.write_text(
        json.dumps(
            dict(
                images=images,
                annotations=annotations,
                categories=[
                    dict(id=1, name="rbc"),
                    dict(id=2, name="ring"),
                    dict(id=3, name="wbc"),
                ],
            )
        )
    )
    return file


def box(id, image_id, bbox, category_id=1, **more):
    return dict(id=id, image_id=image_id, bbox=bbox, category_id=category_id, **more)


def level(images):
    return images.mean((1, 2, 3)) / 255


MAPPING = {"rbc": 0, "ring": 1, "wbc": None}


def test_boxes_are_cropped_where_they_are(tmp_path):
    file = coco(
        tmp_path,
        [
            box(1, 0, [0, 0, 20, 30]),
            box(2, 0, [100, 60, 20, 30], 2),
            box(3, 1, [40, 10, 33, 17], 2),
            box(4, 1, [5, 50, 8, 9]),
            box(5, 1, [60, 60, 9, 9], 3),
        ],
    )
    found = score_external(level, file, MAPPING, 0.25, size=16)
    t = found.predictions.set_index("file")
    assert t.index.to_list() == ["f0.png#1", "f0.png#2", "f1.png#3", "f1.png#4"] and t[
        "label"
    ].to_list() == [0, 1, 1, 0]
    assert (t["score"] * 255).to_numpy() == pytest.approx(
        [61, 62, 63, 64]
    )  # not one pixel of the ground
    assert (t["split"] == "external").all() and found.problems.empty and found.unit == "fields"
    assert found.scores["value"].to_dict() == pytest.approx(
        metrics(t["label"], t["score"], 0.25).to_dict(), nan_ok=True
    )


def test_what_goes_wrong_is_reported_and_skipped(tmp_path):
    bad = [
        box(11, 0, [110, 10, 30, 10]),
        box(12, 0, [-5, 0, 10, 10]),
        box(13, 0, [5, 5, 0, 9]),
        box(14, 0, [1, 2, 3]),
        box(15, 7, [1, 1, 9, 9]),
        box(16, 0, [1, 1, 9, 9], 9),
        box(17, 5, [1, 1, 9, 9]),
        box(18, 6, [1, 1, 9, 9]),
        box(19, 8, [1, 1, 9, 9]),
        box(20, 0, [1, 1, 9, 9], iscrowd=1),
        box(21, 0, [float("nan"), 1, 9, 9]),
    ]
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    extra = [
        dict(id=5, file_name="gone.png"),
        dict(id=6, file_name="torn.png"),
        dict(id=8, file_name="../outside.png"),
    ]
    cv2.imwrite(str(tmp_path.parent / "outside.png"), np.full((90, 120, 3), 99, np.uint8))
    found = score_external(
        level,
        coco(
            tmp_path, [box(1, 0, [0, 0, 20, 30]), box(2, 1, [30, 30, 9, 9], 2), *bad], extra=extra
        ),
        MAPPING,
        0.25,
        size=16,
    )
    assert found.predictions["file"].to_list() == ["f0.png#1", "f1.png#2"]
    why = {f.split("#")[1]: w for f, w in found.problems.to_numpy()}
    words = {
        "11": "leaves its field of 120 × 90",
        "12": "leaves its field",
        "13": "0 × 9",
        "14": "four numbers",
        "15": "image 7 is not in the list",
        "16": "category 9 is not",
        "17": "no such file",
        "18": "no picture",
        "19": "leads out of",
        "20": "crowd",
        "21": "NaN",
    }
    assert why.keys() == words.keys()
    for k, w in words.items():
        assert w in why[k], (k, why[k])
    assert "11 not scored" in str(found)


@pytest.mark.parametrize(
    "mapping, words",
    [
        ({"rbc": 0, "wbc": None}, "'ring'"),
        ({"rbc": 0, "ring": "yes", "wbc": None}, "use 0"),
        ({"rbc": 0, "ring": True, "wbc": None}, "use 0"),
    ],
)
def test_every_category_needs_a_label(tmp_path, mapping, words):
    with pytest.raises(ValueError, match=words):
        read_coco(coco(tmp_path, [box(1, 0, [0, 0, 9, 9]), box(2, 0, [20, 20, 9, 9], 2)]), mapping)


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "no JSON"),
        ("[]", "no list of images, annotations, categories"),
        ('{"images": [], "annotations": []}', "no list of categories"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "file_name"),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": [], "categories": []}',
            "same id",
        ),
    ],
)
def test_what_is_no_coco_file(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_coco(tmp_path / "a.json", {})


def folder(tmp_path):
    for name, base in (("healthy", 60), ("sick", 150)):
        (tmp_path / name).mkdir()
        for i in range(6):
            cv2.imwrite(
                str(tmp_path / name / f"P{i // 2}_{i}.png"),
                np.full((20 + i, 30, 3), base + i, np.uint8),
            )
    (tmp_path / "sick" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "sick" / "empty.png").write_bytes(b"")
    return tmp_path


def test_a_folder_of_crops(tmp_path):
    found = score_external(
        level,
        folder(tmp_path),
        {"healthy": 0, "sick": 1},
        0.4,
        size=8,
        patient=lambda file: file.split("_")[0],
    )
    assert (
        len(found.predictions) == 12
        and found.scores.loc["accuracy", "value"] == 1
        and found.scores.attrs["groups"] == 3
    )
    assert (
        sorted(found.problems["file"]) == ["sick/Thumbs.db", "sick/empty.png"]
        and found.unit == "patients"
    )
    expected = evaluate(
        found.predictions["label"], found.predictions["score"], found.predictions["patient"], 0.4
    )
    assert found.scores.equals(expected)
    with pytest.raises(ValueError, match="'sick'"):
        score_external(level, tmp_path, {"healthy": 0}, 0.4, size=8)
    with pytest.raises(ValueError, match="give size"):
        score_external(level, tmp_path, {"healthy": 0, "sick": 1}, 0.4)
    with pytest.raises(ValueError, match="threshold=40"):
        score_external(level, tmp_path, {"healthy": 0, "sick": 1}, 40, size=8)
    with pytest.raises(FileNotFoundError):
        score_external(level, tmp_path / "nowhere", {}, 0.4, size=8)


def test_one_class_says_sensitivity_and_nothing_else(tmp_path):
    found = score_external(
        level,
        folder(tmp_path),
        {"healthy": None, "sick": 1},
        152.5 / 255,
        size=8,
        patient=lambda file: file.split("_")[0],
    )
    row = found.scores.loc["sensitivity"]
    assert (
        row["value"] == 0.5
        and row["low"] <= 0.5 <= row["high"]
        and found.scores.drop("sensitivity").isna().all(axis=None)
    )


def test_one_class_interval_covers():
    from malaria_nb.external import _judge

    rng, held = np.random.default_rng(4), 0
    for _ in range(200):
        p = rng.beta(8, 2, 40)
        score = (rng.random((40, 15)) < p[:, None]).ravel().astype(float)
        row = _judge(np.ones(600, int), score, np.repeat(np.arange(40), 15), 0.5, 300, 0.95, 1).loc[
            "sensitivity"
        ]
        held += row["low"] <= 0.8 <= row["high"]
    assert 180 <= held <= 198


def test_black_outside_keeps_the_cell_and_fills_its_holes():
    crop = np.full((60, 60, 3), 215, np.uint8)
    cv2.circle(crop, (30, 30), 22, (190, 130, 140), -1)
    cv2.circle(crop, (30, 30), 6, (212, 205, 210), -1)  # a pale centre
    cv2.circle(crop, (57, 57), 3, (120, 60, 110), -1)  # a platelet beside it
    inside = np.hypot(*(np.indices((60, 60)) - 30)) < 20
    out = black_outside(crop)
    assert (
        np.array_equal(out[inside], crop[inside]) and not out[:5].any() and not out[55:, 55:].any()
    )


# ---- recalibration


def test_recalibration_mends_a_threshold_and_not_an_order():
    rng = np.random.default_rng(5)
    patient, label = np.repeat(np.arange(40), 30), rng.integers(2, size=1200)
    score = np.clip(0.3 + 0.4 * label + 0.1 * rng.normal(size=1200), 0, 1)
    t = recalibrate(label, 0.6 * score, patient, local=(5, 20))
    assert (
        (t["gain_low"] > 0.1).all()
        and (t["recalibrated"] > 0.93).all()
        and t.index.to_list() == [5, 20]
    )
    lost = recalibrate(label, rng.random(1200), patient, local=(5,))
    assert abs(lost["recalibrated"].iloc[0] - 0.5) < 0.05
    best = recalibrate(
        label, score, patient, local=(2, 20)
    )  # the best threshold already: few patients can only lose
    assert best.loc[2, "gain"] <= best.loc[20, "gain"] <= 0.01
    assert best.loc[2, "gain_low"] < 0  # which a threshold chosen on the tested patients never does
    with pytest.raises(ValueError, match="at least half"):
        recalibrate(label, score, patient, local=(21,))


def test_fewest_errors_against_every_threshold():
    from malaria_nb.external import _fewest_errors

    rng = np.random.default_rng(6)
    for _ in range(50):
        label, score = np.r_[0, 1, rng.integers(2, size=20)], rng.random(22).round(1)
        errors = lambda t: ((score >= t) != label).sum()
        assert errors(_fewest_errors(label, score)) == min(
            errors(t) for t in np.r_[np.unique(score), 1]
        )
