"""Accuracy of metrics whose sums are ill-conditioned: means far from 0, many examples, any batches."""

from fractions import Fraction
from functools import reduce
from itertools import pairwise

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import nth, take

import fnloop as fl
from fnloop.metrics import MAE, R2
from fnloop.metrics.metric import make_merge

SEEDS = st.integers(0, 10**6)


def exact_r2(f, y):
    """The value in exact fractions, averaged over outputs."""
    values = []
    for a, b in zip(f.T, y.T, strict=True):
        pairs = [(Fraction(float(p)), Fraction(float(q))) for p, q in zip(a, b, strict=True)]
        mean = sum(q for _, q in pairs) / len(pairs)
        values.append(1 - sum((q - p) ** 2 for p, q in pairs) / sum((q - mean) ** 2 for _, q in pairs))
    return float(sum(values) / len(values))


def value_of_batches(metric, f, y, cuts):
    """The value from batches that end at the cuts."""
    ends = [0, *sorted(cuts), len(f)]
    parts = [(a, b) for a, b in pairwise(ends) if a < b]
    merge = make_merge([metric], f.shape[1])
    sums = reduce(merge, [[0.0, *metric.sums(f[a:b], y[a:b])] for a, b in parts])
    return metric.value(np.array(sums[1:], np.float64), len(f))


@given(SEEDS, st.integers(2, 60), st.integers(1, 2), st.integers(-3, 12), st.lists(st.integers(1, 59), max_size=6))
def test_r2_is_accurate(seed, rows, width, orders, cuts):
    """For targets whose mean is up to 12 orders of magnitude above their spread, in any batches."""
    draw = np.random.default_rng(seed)
    y = draw.normal(draw.choice([-1, 1]) * 10.0**orders, 1, (rows, width))
    f = y + draw.normal(0, draw.choice([0.1, 1, 30]), (rows, width))
    expected = exact_r2(f, y)
    found = value_of_batches(R2(), f, y, [cut for cut in cuts if cut < rows])
    assert abs(found - expected) <= 1e-9 * max(1, abs(expected))


@given(st.floats(-1e12, 1e12), st.integers(1, 20), st.lists(st.integers(1, 19), max_size=4))
def test_r2_of_constant_targets(value, rows, cuts):
    """It is 1 for exact predictions and 0 for others, never a ratio of rounding errors."""
    y, cuts = np.full((rows, 1), value), [cut for cut in cuts if cut < rows]
    assert value_of_batches(R2(), y, y, cuts) == 1
    assert value_of_batches(R2(), y + max(1, abs(value)) * 1e-9, y, cuts) == 0


def trainer_of(**changes):
    options = {"loss": fl.losses.MeanSquaredError(), "metrics": ("r2", "mae"), "batch_size": 7, "dtype": "float64"}
    return fl.Trainer(model=fl.mlp([1, 1], "identity"), **{**options, **changes})


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_r2_of_a_run(engine, accumulate):
    """An epoch and `evaluate` agree with the exact value; a bad model of targets near 10^9 does not score 1."""
    draw = np.random.default_rng(0)
    y = draw.normal(1e9, 1, 300)
    data = fl.Dataset(draw.normal(0, 1, (300, 1)), y)
    trainer = trainer_of(scheduler=fl.schedulers.ConstantLR(1e-30), accumulate=accumulate)
    state = fl.init_state(trainer)
    with jax.enable_x64(True):
        outputs = fl.predict(trainer, state, data.x)[:, None]
        expected = exact_r2(outputs, y[:, None])
        measured = fl.evaluate(trainer, state, data, engine=engine)
        trained = nth(1, fl.epochs(trainer, data, engine=engine)).metrics
    assert measured["r2"] == pytest.approx(expected, rel=1e-9)
    assert trained["r2"] == pytest.approx(expected, rel=1e-6)


def test_metrics_of_float32_are_summed_in_float64():
    """Also on JAX with its default of float32, for a million equal errors."""
    rows = 2**20
    data = fl.Dataset(np.zeros((rows, 1), "float32"), np.full(rows, 0.1, "float32"))
    trainer = trainer_of(dtype="float32", batch_size=2**16)
    state = fl.init_state(trainer)
    with jax.enable_x64(False):
        found = fl.evaluate(trainer, state, data, engine="jax")
    assert found["mae"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert found["loss"] == pytest.approx(float(np.float32(0.1) * np.float32(0.1)), rel=1e-12)
    assert MAE().width(1) == 1


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_r2_resumes_within_an_epoch(engine):
    """To the bit, although its statistics are merged rather than added."""
    draw = np.random.default_rng(1)
    data = fl.Dataset(draw.normal(0, 1, (40, 1)), draw.normal(1e6, 1, 40))
    trainer = trainer_of(dtype="float32")
    whole = nth(2, fl.epochs(trainer, data, engine=engine))
    for cut in (1, 4, 9):
        middle = fl.last(take(1 + cut, fl.steps(trainer, data, engine=engine)))
        found = nth(2 - middle.epoch, fl.epochs(trainer, data, start=middle, engine=engine))
        assert fl.same_bits(found, whole)
