"""What would spoil chapter 08: the wrong test, or a formula for patients of one size."""

import numpy as np
import pytest

from malaria_nb.repairs import cell_correlation, design_effect, paired_z


def test_paired_z_is_mcnemars():
    from scipy.stats import chi2

    z = paired_z(30, 50, 20)  # 10 cells that only A misses, 30 that only B misses
    assert z == pytest.approx((30 - 10) / (30 + 10) ** 0.5)
    assert chi2.sf(z**2, 1) == pytest.approx(0.0016, abs=1e-4)
    assert paired_z(50, 30, 20) == -z
    assert paired_z(225, 260, [83, 84]).round(4).tolist() == [1.9596, 1.9658]


@pytest.mark.parametrize("shared", [-1, 226, [0, 300]])
def test_an_impossible_overlap_is_refused(shared):
    with pytest.raises(ValueError, match="use 0 to 225"):
        paired_z(225, 260, shared)


def test_the_design_effect_is_the_variance_of_a_sum_of_alike_cells():
    for sizes in ([4, 4, 4], [40, 3, 1], [1, 1]):
        whose = np.repeat(np.arange(len(sizes)), sizes)
        together = np.where(whose[:, None] == whose, 0.1, 0.0)
        np.fill_diagonal(together, 1)
        assert design_effect(whose, 0.1) == pytest.approx(together.sum() / len(whose))


def test_the_correlation_is_that_of_which_the_cells_were_made():
    rng = np.random.default_rng(8)
    sizes = rng.integers(5, 200, size=2000)
    rate = rng.beta(0.1 * 19, 0.9 * 19, size=2000)  # a correlation of 1/20
    whose = np.repeat(np.arange(2000), sizes)
    right = rng.random(len(whose)) >= rate[whose]
    assert cell_correlation(right, whose) == pytest.approx(0.05, abs=0.01)
    assert abs(cell_correlation(right, rng.permutation(whose))) < 0.002


def test_cells_without_a_pair_or_a_mistake_have_no_correlation():
    assert np.isnan(cell_correlation([0, 1, 1], ["a", "b", "c"]))
    assert np.isnan(cell_correlation([1, 1, 1], ["a", "a", "b"]))
