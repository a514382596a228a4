"""malaria_nb.spread: the likelihood is SciPy's, and intervals hold a known truth."""

import numpy as np
import pytest
from scipy.stats import betabinom

from malaria_nb.spread import fit_spread, grid, log_likelihood


def test_likelihood_is_that_of_scipy_up_to_a_constant():
    alarms, cells = np.array([0, 3, 1, 0, 12]), np.array([68, 70, 65, 68, 134])
    rate, alike = np.array([0.01, 0.05, 0.2]), np.array([0.001, 0.02, 0.4])
    ours = log_likelihood(alarms, cells, rate, alike)
    a, b = rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1)
    theirs = betabinom.logpmf(alarms[:, None], cells[:, None], a, b).sum(0)
    assert np.allclose(ours - ours[0], theirs - theirs[0])


def test_many_patients_give_back_what_they_were_drawn_from():
    rng = np.random.default_rng(3)
    mean, spread = 0.03, 0.02
    strength = mean * (1 - mean) / spread**2 - 1
    own = rng.beta(mean * strength, (1 - mean) * strength, 4000)
    cells = np.full(4000, 200)
    fit = fit_spread(rng.binomial(cells, own), cells, 0.9)
    assert fit.loc["rate", "value"] == pytest.approx(mean, rel=0.05)
    assert fit.loc["spread", "value"] == pytest.approx(spread, rel=0.08)
    assert fit.loc["line", "value"] == pytest.approx(np.quantile(own, 0.95), rel=0.08)
    assert (fit["low"] < fit["value"]).all() and (fit["value"] < fit["high"]).all()


def test_patients_who_are_alike_have_no_spread_among_the_pairs_that_fit():
    fit = fit_spread(np.array([1, 1, 0, 2, 1, 1]), np.full(6, 70))
    assert fit.loc["spread", "low"] == fit.loc["limit", "low"] == 0


@pytest.mark.parametrize("alarms", [[0, 0], [70, 70], [71, 3], [-1, 3], [1, 2, 3]])
def test_counts_that_cannot_be_are_refused(alarms):
    with pytest.raises(ValueError, match="give each patient's counts"):
        grid(alarms, [70, 70])
