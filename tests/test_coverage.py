"""The engine that counts coverage gives what the library gives; a narrow interval is found out."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

import malaria_nb.coverage as c
from malaria_nb.evaluation import evaluate
from malaria_nb.stats import difference, leave_out, percentile_interval

DRAWN = np.array([[0, 3, 3, 5, 7, 8, 9, 11, 12, 14, 15, 15, 15, 17, 19, 20, 21, 24, 25, 29]])


@pytest.fixture(scope="module")
def simulated():  # scores rounded, so that there are ties
    return c.simulated_patients(patients=30, distance=1.2).round({"score": 2})


def summed(table):
    return c.summarise(table["label"], table["score"], table["patient"])


def sample_of(table, numbers):
    "The cells of these patients; one who was drawn twice becomes two."
    names = sorted(table["patient"].unique())
    parts = [
        table[table["patient"] == names[p]].assign(patient=f"{i:03}") for i, p in enumerate(numbers)
    ]
    return pd.concat(parts, ignore_index=True).rename_axis("file").reset_index()


def test_engine_gives_what_the_library_gives(simulated):
    draws, sample = c.Draws((summed(simulated),), DRAWN), sample_of(simulated, DRAWN[0])
    columns = sample["label"], sample["score"], sample["patient"]
    expected = evaluate(*columns).loc[list(c.COVERED)]
    np.testing.assert_allclose(draws.values()[0], expected["value"], atol=1e-12)
    without = draws.values()[0] - draws.pulls()[0]
    np.testing.assert_allclose(without, leave_out(*columns)[list(c.COVERED)], atol=1e-12)
    low, high = c.course_interval(draws)
    assert np.isfinite(low).any()
    np.testing.assert_allclose(low[0], expected["low"], atol=1e-12)
    np.testing.assert_allclose(high[0], expected["high"], atol=1e-12)


def test_engine_gives_the_librarys_paired_differences(simulated):
    other = simulated.assign(score=(simulated["score"] * 0.9 + 0.08).round(2))
    pair = summed(simulated), summed(other)
    found = c.course_interval(c.Draws(pair, DRAWN))
    a, b = (sample_of(t, DRAWN[0]) for t in (simulated, other))
    expected = difference(a, b, split=None).loc[list(c.COVERED)]
    for end, name in zip(found, ("low", "high")):
        np.testing.assert_allclose(end[0], expected[name], atol=1e-12)


def test_influences_are_derivatives(simulated):
    patients = summed(simulated)
    weights = np.random.default_rng(1).integers(1, 4, (1, 30)).astype(float)
    moved = weights + 1e-6 * np.eye(30)
    step = c.weighted_values(patients, moved) - c.weighted_values(patients, weights)
    np.testing.assert_allclose(c.influences(patients, weights)[0], step / 1e-6, atol=1e-6)


def test_linearised_auc_is_delongs_where_every_cell_is_a_patient():
    table = c.simulated_patients(patients=60, distance=0.7).groupby("patient").head(1)
    draws = c.Draws((summed(table),), np.arange(60)[None])
    positive, negative = (table.loc[table["label"] == k, "score"].to_numpy() for k in (1, 0))
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    m, n = wins.shape
    sums = (wins.mean(1).var() / m, wins.mean(0).var() / n)
    assert draws.errors()[0, -1] == pytest.approx(np.sqrt(sum(sums) * 60 / 59))


def test_percentile_is_the_librarys(simulated):
    patients = summed(simulated)
    weights = np.random.default_rng(3).multinomial(30, np.full(30, 1 / 30), 200).astype(float)
    resampled = pd.DataFrame(c.weighted_values(patients, weights), columns=list(c.COVERED))
    ordered = np.sort(resampled.to_numpy(), axis=0)
    found = [c._quantiles(ordered, np.full(6, 200), tail) for tail in (0.025, 0.975)]
    np.testing.assert_allclose(np.array(found).T, percentile_interval(resampled))


def test_bca_is_scipys(simulated):
    patients = summed(simulated)
    right, size = patients.counts[:, [0, 3]].sum(1), patients.counts.sum(1)

    def accuracy(right, size, axis=-1):
        return right.sum(axis) / size.sum(axis)

    with_scipy = bootstrap(
        (right, size), accuracy, paired=True, n_resamples=500, method="BCa", rng=1
    )
    resampled = np.sort(with_scipy.bootstrap_distribution)[:, None]
    value = accuracy(right, size)
    pulls = value - (right.sum() - right) / (size.sum() - size)
    found = c._bca(np.array([value]), resampled, np.array([500]), pulls[:, None], (0.025, 0.975))
    np.testing.assert_allclose(np.ravel(found), list(with_scipy.confidence_interval), atol=1e-10)


def test_tally_finds_an_interval_too_narrow(simulated):
    draws = c.draw_patients((summed(simulated),), 25, 600, np.random.default_rng(0))
    low, high = c.course_interval(draws)
    middle, half = (low + high) / 2, (high - low) / 4
    whole = c.tally(draws.truth(), (low, high)).loc["accuracy"]
    narrow = c.tally(draws.truth(), (middle - half, middle + half)).loc["accuracy"]
    assert 100 - whole["below"] - whole["above"] > 91
    assert 100 - narrow["below"] - narrow["above"] < 80
    assert narrow["width"] == pytest.approx(whole["width"] / 2)


def test_tally_knows_the_sides_and_leaves_out_what_has_no_interval():
    low = np.array([[0.8] * 6, [0.2] * 6, [0.4] * 6, [np.nan] * 6])
    counted = c.tally(np.full(6, 0.5), (low, low + 0.2))
    assert counted["below"].tolist() == pytest.approx([100 / 3] * 6)
    assert counted["above"].tolist() == pytest.approx([100 / 3] * 6)
    assert counted["none"].tolist() == [25] * 6


def test_same_seed_same_table_whatever_the_chunks(simulated):
    models = (summed(simulated),)
    given = dict(patients=15, draws=40, resampled=5, n_boot=50, seed=(1, 2))
    once = c.coverage(models, **given)
    pd.testing.assert_frame_equal(once, c.coverage(models, **given))
    pd.testing.assert_frame_equal(once, c.coverage(models, chunk=7, **given))
    alone = c.coverage(models, **given | {"resampled": 0})
    formula = alone.index.get_level_values("method").unique()
    assert "percentile" not in formula
    pd.testing.assert_frame_equal(alone, once[once.index.get_level_values("method").isin(formula)])
    assert not once.equals(c.coverage(models, **given | {"seed": 3}))


def test_table_comes_apart_as_it_was_put_together(simulated):
    found = c.coverage((summed(simulated),), 15, 40, 5, 50)
    table = c.by_row(pd.concat({("x", 15): found}, names=["population", "patients"]))
    apart = c.by_method(table).set_index(["metric", "method"])
    assert len(table) == 6 and len(apart) == len(found)
    both = apart.join(found.round(4), rsuffix=" expected")
    np.testing.assert_allclose(both["below"], both["below expected"].round(1))
    np.testing.assert_allclose(both["width"], both["width expected"])
    known = apart.dropna(subset=["below"])
    assert (known["coverage"] + known["below"] + known["above"]).round(1).eq(100).all()


def test_beta_binomial_is_the_binomials_where_patients_do_not_differ():
    table = c.simulated_patients(uneven=False, without=0, spread=0, patients=400)
    draws = c.Draws((summed(table),), np.arange(400)[None])
    low, high = c.beta_binomial(draws)
    p = draws.values()[0, 0]
    binomial = 2 * 1.96 * np.sqrt(p * (1 - p) / len(table))
    assert (high - low)[0, 0] == pytest.approx(binomial, rel=0.1)
    assert np.isnan(low[0, -1])
