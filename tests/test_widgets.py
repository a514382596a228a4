"""malaria_nb.widgets: what a picture to touch carries. What it shows: browser/test_touch.py."""

import base64
import dataclasses
import json
import re

import numpy as np
import pytest
from sklearn.metrics import auc, confusion_matrix

from malaria_nb.records import load
from malaria_nb.stats import draw_groups
from malaria_nb.widgets import (
    MOST_CELLS,
    PARASITAEMIA,
    THRESHOLDS,
    TOUCH,
    bootstrap_draws,
    drawn,
    packed_logits,
    show_bootstrap,
    show_reliability,
    show_roc,
    show_threshold,
    unpacked_scores,
)

MADE = {
    "threshold": lambda r: show_threshold(r),
    "roc": lambda r: show_roc(r),
    "bootstrap": lambda r: show_bootstrap(r, draws=50),
    "reliability": lambda r: show_reliability(r),
}


@pytest.fixture(scope="module")
def record():
    return load("basic_cnn")


@pytest.fixture(scope="module")
def test(record):
    return record.predictions[record.predictions["split"] == "test"]


@pytest.fixture(scope="module")
def pictures(record):
    return {kind: make(record) for kind, make in MADE.items()}


@pytest.mark.parametrize("kind", MADE)
def test_a_picture_is_small_and_asks_no_server(pictures, kind):
    page = pictures[kind]._repr_html_()
    assert len(page.encode()) < 60_000
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}  # a name
    assert "import(" not in page and "fetch(" not in page


@pytest.mark.parametrize("kind", MADE)
def test_without_scripts_there_is_a_sentence_and_a_table(pictures, kind):
    picture = pictures[kind]
    page = re.sub(r"<(style|script)>.*?</\1>", "", picture._repr_html_(), flags=re.S)
    assert "function" not in page and "--ink" not in page
    for shown in (picture.data["title"], "not a medical device", "8,268", "<table", "<td>"):
        assert shown in page
    said = repr(picture)
    assert picture.data["title"] in said and str(picture.table) in said


def test_the_book_may_rewrite_tables_and_images_and_meets_none_in_a_script():
    files = sorted(path.name for path in TOUCH.iterdir())
    assert files == sorted([*(f"{kind}.js" for kind in MADE), "common.js", "touch.css"])
    for path in TOUCH.glob("*.js"):
        assert not re.search(r"<(table|img|/script)", path.read_text("utf-8")), path.name


def test_a_name_cannot_end_the_script(record):
    named = dataclasses.replace(record, about=record.about | {"name": "</script><b>&"})
    page = show_roc(named)._repr_html_()
    assert page.count("</script>") == 1 and "<b>" not in page.split("<script>")[0]


def test_counts_are_those_of_scikit_learn(pictures, test):
    for kind in ("threshold", "roc"):
        data = pictures[kind].data
        for i, threshold in enumerate(THRESHOLDS):
            theirs = confusion_matrix(test["label"], test["score"] >= threshold).ravel()
            assert [data[key][i] for key in ("tn", "fp", "fn", "tp")] == theirs.tolist()


def test_the_curve_rises_from_corner_to_corner_over_the_same_area(pictures):
    data = pictures["roc"].data
    wrong, found = np.array(data["curve"]).T
    assert (wrong[0], found[0]) == (0, 0) and (wrong[-1], found[-1]) == (4134, 4134)
    assert (np.diff(wrong) >= 0).all() and (np.diff(found) >= 0).all()
    assert auc(wrong / 4134, found / 4134) == pytest.approx(data["auc"], abs=2e-4)
    assert len(wrong) < 700


def test_positions_rise_and_have_a_middle():
    assert list(THRESHOLDS) == sorted(set(THRESHOLDS))
    assert list(PARASITAEMIA) == sorted(set(PARASITAEMIA))
    assert THRESHOLDS[len(THRESHOLDS) // 2] == 0.5


def test_a_start_between_positions_is_refused(record):
    with pytest.raises(ValueError, match="0.51 is no position of the slider: the nearest is 0.5"):
        show_roc(record, threshold=0.51)
    with pytest.raises(ValueError, match="the nearest is 0.001"):
        show_threshold(record, parasitaemia=0.0011)


def plain_draw(seed, stream, i):
    "The same draw, without NumPy's kinds of numbers."
    x = ((i + 1) * 0x9E3779B9 + seed * 0x85EBCA6B + stream * 0xC2B2AE35) % 2**32
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    return x ^ x >> 16


@pytest.mark.parametrize("start", [0, 8_267_990])
def test_draws_are_those_of_the_formula(start):
    for seed, stream in ((42, 0), (43, 1), (2**31, 1)):
        expected = [plain_draw(seed, stream, start + i) for i in range(50)]
        assert drawn(seed, stream, start, 50).tolist() == expected


def test_draws_are_as_uniform_as_numpy_s():
    u = drawn(7, 1, 0, 600_000)
    times = np.bincount((u.astype(np.uint64) * 60 >> np.uint64(32)).astype(int), minlength=60)
    chi = ((times - 10_000) ** 2 / 10_000).sum()
    assert 30 < chi < 100  # 59 degrees of freedom: 59 ± 11


def test_the_intervals_are_those_of_numpy_s_generator(pictures):
    data = pictures["bootstrap"].data
    sizes, mistakes = np.array(data["sizes"]), np.array(data["mistakes"])
    made = bootstrap_draws(sizes, mistakes, 1000)
    times = draw_groups(len(sizes), 4000)
    theirs = 1 - (times @ mistakes) / (times @ sizes)
    assert made["by patient"].std() == pytest.approx(theirs.std(), rel=0.1)
    p = mistakes.sum() / sizes.sum()
    assert made["by cell"].std() == pytest.approx((p * (1 - p) / sizes.sum()) ** 0.5, rel=0.1)
    assert made["by cell"].mean() == pytest.approx(1 - p, abs=0.0005)


def test_patients_come_with_their_mistakes_worst_first(pictures, test):
    data = pictures["bootstrap"].data
    wrong = (test["score"] >= 0.5) != test["label"]
    assert sum(data["sizes"]) == len(test) and sum(data["mistakes"]) == wrong.sum()
    rates = np.divide(data["mistakes"], data["sizes"])
    assert (np.diff(rates) <= 0).all() and len(rates) == 60
    low, high = data["domain"]
    assert low < 1 - wrong.mean() < high <= 1


def test_packed_scores_are_the_scores(test):
    label, score = test["label"].to_numpy(), test["score"].to_numpy()
    packed, uninfected = packed_logits(label, score)
    back_label, back = unpacked_scores(packed, uninfected)
    order = np.lexsort([score, label])
    assert (back_label == label[order]).all()
    assert np.abs(back - score[order]).max() < 0.00013


def test_of_many_cells_evenly_spaced_ones_are_packed():
    rng = np.random.default_rng(3)
    label, score = rng.integers(2, size=30_000), rng.random(30_000)
    packed, uninfected = packed_logits(label, score)
    kept, back = unpacked_scores(packed, uninfected)
    assert len(base64.b64decode(packed)) == 2 * MOST_CELLS == 2 * len(kept)
    assert kept.mean() == pytest.approx(label.mean(), abs=0.001)
    assert back.mean() == pytest.approx(score.mean(), abs=0.001)


def test_data_is_json_without_nan(pictures):
    for picture in pictures.values():
        json.dumps(picture.data, allow_nan=False)
