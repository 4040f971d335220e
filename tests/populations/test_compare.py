"""Comparisons are of runs that `fit` makes too, seed by seed; what failed is counted, and what is not shown is said."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.populations import memory
from fnloop.populations.differences import paired_difference

DATA = fl.datasets.iris()
SLOW = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy", scheduler=0.001, batch_size=16)
FAST = SLOW.replace(scheduler=0.05)
SMOOTH = SLOW.replace(loss=fl.losses.SoftmaxCrossEntropy(label_smoothing=0.2))
WILD = SLOW.replace(optimizer=fl.optimizers.SGD(), scheduler=1e300)


def compare(trainers, seeds=3, **options):
    return fl.compare(trainers, DATA.train, DATA.validation, seeds=seeds, epochs=3, progress=False, **options)


@pytest.fixture(scope="module")
def result():
    with warnings.catch_warnings(action="ignore"):
        return compare({"slow": SLOW, "fast": FAST, "wild": WILD})


def test_each_run_is_that_of_fit(result):
    """With its trainer and its seed, to the bit."""
    for name, trainer in {"slow": SLOW, "fast": FAST}.items():
        for seed, fit in zip(result.seeds, result.fits[name], strict=True):
            alone = fl.fit(trainer.replace(seed=seed), DATA.train, DATA.validation, epochs=3, progress=False)
            assert fl.same_bits(fit.last, alone.last)
            assert fl.same_bits(fit.best, alone.best)


def test_values_differences_and_table_agree(result):
    """The table has the moments of the values, and each difference is that of the pairs."""
    fast, slow = (np.array(result.values[name]) for name in ("fast", "slow"))
    difference, table = result.differences["slow"], result.table()
    assert result.ranked == ("fast", "slow", "wild")
    assert difference.mean == pytest.approx((slow - fast).mean())
    assert difference.low < difference.mean < difference.high
    assert table.loc["slow", "val_loss"] == pytest.approx(slow.mean())
    assert table.loc["slow", "std"] == pytest.approx(slow.std(ddof=1))
    assert table.loc["slow", "shown"] == difference.shown


def test_failed_runs_are_counted(result):
    """In the table, the summary and the figure; they rank last, and show nothing."""
    assert all(map(math.isnan, result.values["wild"]))
    assert result.table().loc["wild", "failed"] == 3
    assert "3 of 3 runs without a best state" in result.summary()
    assert "3 runs of wild without an epoch" in result.plot().get_suptitle()
    assert not result.differences["wild"].shown
    assert set(result.evaluate(DATA.test).index.get_level_values("trainer")) == {"fast", "slow"}


def test_a_trainer_with_a_failed_run_ranks_after_those_without(result):
    """However good its other runs are."""
    half = fl.Comparison(
        {"slow": result.fits["slow"], "half": (*result.fits["fast"][:2], result.fits["wild"][0])}, result.seeds
    )
    assert half.ranked == ("slow", "half")
    assert half.differences["half"].pairs == 2


def test_no_difference_is_said():
    """Trainers with the same values: of 6 pairs the interval is a point at 0."""
    same = compare({"a": SLOW, "b": SLOW.replace(threads=2)}, seeds=6)
    assert (same.differences["b"].low, same.differences["b"].high, same.differences["b"].shown) == (0, 0, False)
    assert "no difference shown at 95 %" in same.summary()
    assert "no difference shown to='b'" in repr(same)


def test_one_seed_and_one_trainer():
    """One pair has no interval; one trainer has no difference."""
    pair = compare({"slow": SLOW, "fast": FAST}, seeds=[5])
    assert pair.differences["slow"].pairs == 1
    assert "no interval from one pair" in pair.summary()
    assert compare({"slow": SLOW}, seeds=1).differences == {}


def test_a_metric_to_maximize():
    """The best has the highest value, and the best states are those of the metric."""
    result = compare({"slow": SLOW, "fast": FAST}, metric="val_accuracy")
    assert result.metric == "val_accuracy"
    assert result.best == "fast"
    assert result.differences["slow"].mean < 0


finite = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(finite, finite), min_size=2, max_size=9), st.floats(0.1, 10))
def test_intervals_hold_the_mean_and_have_its_units(pairs, scale):
    """They turn round with the sign, and scale with the values."""
    a, b = zip(*pairs, strict=True)
    found = paired_difference(a, b)
    assume(not math.isnan(found.low))
    assert found.low <= found.mean <= found.high
    turned = paired_difference([scale * value for value in b], [scale * value for value in a])
    wide = 1e-9 * scale * (1 + max(map(abs, (*a, *b))))
    assert turned.low == pytest.approx(-scale * found.high, abs=wide)
    assert turned.high == pytest.approx(-scale * found.low, abs=wide)


@pytest.mark.parametrize("n", [2, 5, 16, 30])
def test_intervals_cover_the_mean(n):
    """Of 200 normal samples, about 95 % of the intervals hold 0: a binomial count, at four standard deviations."""
    rng = np.random.default_rng(n)
    found = [paired_difference(rng.standard_normal(n), np.zeros(n)) for _ in range(200 if n < 30 else 40)]
    assert missed_at_most(found, 0.05 if n < 30 else 0.07)
    assert found[0] == paired_difference(np.random.default_rng(n).standard_normal(n), np.zeros(n))


@pytest.mark.parametrize("n", [2, 3, 5, 16])
def test_accuracies_without_a_difference_show_none(n):
    """Of pairs of binomial accuracies of 24 rows, which are often equal, about 5 % show a difference."""
    rng = np.random.default_rng(n)
    accuracies = rng.binomial(24, rng.uniform(0.8, 0.97, (400, 1, 1)), (400, 2, n)) / 24
    assert missed_at_most([paired_difference(a, b) for a, b in accuracies], 0.05, deviations=3)


def missed_at_most(found, share, deviations=4):
    return sum(d.shown for d in found) <= len(found) * share + deviations * math.sqrt(len(found) * share)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 16])
def test_pairs_that_differ_by_the_same_show_a_difference_from_six_on(n):
    """As many of the same sign are too rare without a difference. Fewer have no interval, and their text says so."""
    found = paired_difference([0.5] * n, [0.25] * n)
    assert found.shown == (n >= 6)
    assert ("no interval" in str(found)) == (n < 6)


@pytest.mark.parametrize(
    ("trainers", "options", "message"),
    [
        ([SLOW], {}, "trainers must map names to trainers"),
        ({}, {}, "trainers must have at least one trainer"),
        ({1: SLOW}, {}, "names of trainers must be text of one line, got 1"),
        ({"a\nb": SLOW}, {}, r"names of trainers must be text of one line that is not blank, got 'a\\nb'"),
        ({" ": SLOW}, {}, "names of trainers must be text of one line that is not blank, got ' '"),
        ({"a": SLOW, "b": 3}, {}, r"trainers\['b'\] must be a fl.Trainer, got 3"),
        ({"a": SLOW, "b": SLOW.replace(seed=7)}, {}, "trainers must differ in more than their seeds, but 'b' equals 'a'"),
        ({"a": SLOW}, {"seeds": 0}, "seeds must be"),
        ({"a": SLOW}, {"seeds": "four"}, "seeds must be"),
        ({"a": SLOW}, {"seeds": []}, "seeds must have at least one seed"),
        ({"a": SLOW}, {"seeds": [1, -1]}, r"seeds\[1\] must be"),
        ({"a": SLOW}, {"seeds": [3, 1, 3]}, "seeds must all differ, got 3 more than once"),
        ({"a": SLOW}, {"metric": "val_acuracy"}, "val_acuracy"),
        ({"a": SLOW}, {"metric": ["loss"]}, r"metric must be the name of a metric, .*\['loss'\]"),
        (
            {"a": SLOW, "b": SMOOTH},
            {},
            "metric must be stated, because the trainers have different losses.*SoftmaxCross.*=0.2",
        ),
        (
            {"a": SLOW, "b": SMOOTH},
            {"metric": "val_loss"},
            "metric must not be 'val_loss', because the trainers have different",
        ),
        (
            {"a": SLOW, "b": FAST.replace(early_stopping=fl.EarlyStopping("val_accuracy"))},
            {},
            "metric must be stated, because the trainers monitor different ones",
        ),
    ],
)
def test_bad_input(trainers, options, message):
    """An error at the call names the argument and its value."""
    with pytest.raises((ValueError, TypeError), match=message):
        compare(trainers, **{"seeds": 3, **options})


def test_too_few_seeds_are_said():
    """Two seeds whose values are equal have no interval, and their table says neither."""
    same = compare({"a": SLOW, "b": SLOW.replace(threads=2)}, seeds=2)
    assert "no interval from 2 equal differences  too few seeds to tell" in same.summary()
    assert same.table().loc["b", "shown"] is None


def test_trainers_of_different_losses_are_compared_by_a_metric_that_is_not_a_loss():
    assert set(compare({"plain": SLOW, "smooth": SMOOTH}, seeds=2, metric="val_accuracy").ranked) == {"plain", "smooth"}


def test_more_runs_than_memory_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    with pytest.raises(ValueError, match=r"trainers must fit into memory together, 500,000 keep about 2\.. GiB"):
        compare({"a": SLOW}, seeds=range(500_000))
    with pytest.raises(ValueError, match="trainers must fit into memory together, 2,000,000,000 keep about"):
        compare({"slow": SLOW, "fast": FAST}, seeds=10**9)
