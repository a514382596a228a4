"What would spoil chapter 07: a limit that chance does not confirm, and shares that are no shares."

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from malaria_nb.screening import (
    apparent_parasitaemia,
    chance_of_none,
    critical_count,
    expected_false_parasites,
    limit_of_detection,
    npv,
    ppv,
)

GRID = [
    (spec, sens, n, level)
    for spec in (1, 0.9999, 0.999, 0.98, 0.95, 0.8)
    for sens in (1, 0.93, 0.5)
    for n in (200, 5_000, 50_000)
    for level in (0.9, 0.95, 0.99)
]


@pytest.mark.parametrize("spec, sens, n, level", GRID)
def test_limit_is_the_smallest_that_exceeds_the_critical_count(spec, sens, n, level):
    count, limit = critical_count(spec, n, level), limit_of_detection(spec, sens, n, level)
    assert binom.cdf(count, n, 1 - spec) >= level and (
        count == 0 or binom.cdf(count - 1, n, 1 - spec) < level
    )
    if np.isnan(limit):
        return
    assert 0 < limit <= 1
    np.testing.assert_allclose(
        binom.sf(count, n, apparent_parasitaemia(limit, sens, spec)), level, rtol=1e-6
    )
    assert binom.sf(count, n, apparent_parasitaemia(0.98 * limit, sens, spec)) < level


def test_limit_by_simulation():
    rng = np.random.default_rng(42)
    for spec, sens in (1, 1), (0.9826, 0.938), (0.9531, 0.9463):
        limit, count = limit_of_detection(spec, sens), critical_count(spec)
        # not from the binomial that the formula uses, but cell by cell: which are parasitized,
        # then how each is called
        parasitized = rng.binomial(5_000, limit, size=40_000)
        called = rng.binomial(parasitized, sens) + rng.binomial(5_000 - parasitized, 1 - spec)
        assert abs((called > count).mean() - 0.95) < 0.006
        assert (rng.binomial(5_000, 1 - spec, size=40_000) > count).mean() < 0.056


def test_limit_without_false_parasites_is_the_rule_of_three():
    assert limit_of_detection(1) == pytest.approx(1 - 0.05 ** (1 / 5_000))


@pytest.mark.parametrize(
    "spec, sens, n",
    [
        (0.5, 0.5, 5_000),
        (0.3, 0.5, 5_000),
        (0.9, 0.11, 100),
        (0.9, 0.2, 100),
        (0.99, 0, 5_000),
        (0, 1, 50),
    ],
)
def test_no_limit_where_nothing_can_be_told(spec, sens, n):
    with np.errstate(all="raise"):
        assert np.isnan(limit_of_detection(spec, sens, n))


def test_arrays_and_series_broadcast():
    spec = pd.Series([0.95, 0.98], index=["a", "b"])
    assert (
        limit_of_detection(spec, 0.9).shape == (2,) and np.ndim(limit_of_detection(0.95, 0.9)) == 0
    )
    assert ppv(spec.to_frame(), spec.to_frame(), np.array([0.5, 0.1, 0.01])).shape == (2, 3)
    assert expected_false_parasites(spec, cells=np.array([100, 200])) == pytest.approx([5, 4])


def test_predictive_values_are_those_of_a_counted_table():
    tp, fn, fp, tn = 30, 3, 45, 922
    sens, spec, prevalence = tp / (tp + fn), tn / (tn + fp), (tp + fn) / (tp + fn + fp + tn)
    assert ppv(sens, spec, prevalence) == pytest.approx(tp / (tp + fp))
    assert npv(sens, spec, prevalence) == pytest.approx(tn / (tn + fn))
    assert np.isnan(ppv(0.9, 1, 0)) and np.isnan(npv(1, 0.9, 1)) and ppv(0.9, 0.9, 0) == 0


def test_false_parasites_come_from_uninfected_cells_only():
    assert expected_false_parasites(0.98, 1_000, 0.25) == pytest.approx(15)
    assert (
        apparent_parasitaemia(0.25, 0.8, 0.98) == pytest.approx(0.215)
        and apparent_parasitaemia(1, 0.8, 0.5) == 0.8
    )


@pytest.mark.parametrize("bad", [-0.1, 1.1, 98.3, np.nan, [0.5, np.nan]])
def test_what_is_no_share_is_named(bad):
    for call, name in [
        (lambda: ppv(bad, 0.9, 0.1), "sensitivity"),
        (lambda: npv(0.9, bad, 0.1), "specificity"),
        (lambda: ppv(0.9, 0.9, bad), "parasitaemia"),
        (lambda: apparent_parasitaemia(bad, 0.9, 0.9), "parasitaemia"),
        (lambda: expected_false_parasites(bad), "specificity"),
        (lambda: chance_of_none(bad), "parasitaemia"),
        (lambda: critical_count(0.9, level=bad), "level"),
        (lambda: limit_of_detection(0.9, bad), "sensitivity"),
    ]:
        with pytest.raises(ValueError, match=f"{name}=.*from 0 to 1"):
            call()


@pytest.mark.parametrize("bad", [0, -1, 2.5, np.nan])
def test_cells_are_counted_in_whole_numbers(bad):
    for call in (
        lambda: chance_of_none(0.1, bad),
        lambda: critical_count(0.9, bad),
        lambda: limit_of_detection(0.9, cells=bad),
        lambda: expected_false_parasites(0.9, bad),
    ):
        with pytest.raises(ValueError, match="whole number of cells"):
            call()


def test_import_needs_neither_scipy_nor_keras():
    code = (
        "import sys, malaria_nb.screening; print([m for m in ('scipy', 'keras', 'matplotlib', "
        "'pandas') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
