"""The pinball loss and the quantiles that it learns."""

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses as ls

SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.integers(1, 9), st.floats(0.01, 0.99))
def test_pinball_equals_scikit_learn(seed, rows, q):
    """For one quantile of several targets, and for several quantiles of one target."""
    draw = np.random.default_rng(seed)
    f, y = draw.normal(0, 3, (rows, 2)), draw.integers(-3, 3, (rows, 2)).astype(float)
    values, _ = ls.Pinball(q).forward(f, y)
    np.testing.assert_allclose(values.mean(), skm.mean_pinball_loss(y, f, alpha=q), rtol=1e-12)
    values, _ = ls.Pinball((q, 0.3)).forward(f, y[:, 0])
    expected = [skm.mean_pinball_loss(y[:, 0], f[:, k], alpha=a) for k, a in enumerate((q, 0.3))]
    np.testing.assert_allclose(values.mean(), np.mean(expected), rtol=1e-12)


def test_pinball_finds_quantiles():
    """A constant model learns the quantiles of the targets, one for each output."""
    y = np.sort(np.random.default_rng(3).exponential(size=999))
    q = (0.1, 0.5, 0.9)
    data = fl.Dataset(np.zeros((999, 1)), y)
    trainer = fl.Trainer(model=fl.mlp([1, 3]), loss=ls.Pinball(q), scheduler=fl.schedulers.ConstantLR(0.03), batch_size=333)
    state = fl.fit(trainer, data, epochs=150, progress=False).last
    np.testing.assert_allclose(fl.predict(trainer, state, data.x[:1])[0], np.quantile(y, q), atol=0.1)


def test_pinball_raises_for_arguments_that_do_not_fit():
    """For quantiles, outputs and metrics."""
    for wrong in (0.0, 1, (0.5, 1.5), ()):
        with pytest.raises(ValueError, match="quantile"):
            ls.Pinball(wrong)
    assert ls.Pinball([0.3]) == ls.Pinball(0.3)
    with pytest.raises(ValueError, match="needs a model with 2 outputs, got 3"):
        fl.Trainer(model=fl.mlp([4, 3]), loss=ls.Pinball((0.1, 0.9)))
    with pytest.raises(ValueError, match=r"'mae' needs a loss for regression, got Pinball, .* for several quantiles"):
        fl.Trainer(model=fl.mlp([4, 2]), loss=ls.Pinball((0.1, 0.9)), metrics=("mae",))
