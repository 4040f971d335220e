"""Optimizers and schedules equal optax's, over random steps."""

import jax
import numpy as np
import optax
import pytest

from fnloop.optimizers import SGD, Adam, AdamW, add_decayed_weights, chain, clip_by_global_norm
from fnloop.schedulers import CosineAnnealingLR, ExponentialLR, StepLR

LR = 0.05
PAIRS = {
    "sgd": (SGD(), optax.sgd(LR)),
    "momentum": (SGD(0.9), optax.sgd(LR, momentum=0.9)),
    "nesterov": (SGD(0.9, nesterov=True), optax.sgd(LR, momentum=0.9, nesterov=True)),
    "adam": (Adam(), optax.adam(LR)),
    "adam with other decays": (Adam(0.5, 0.9, 1e-4), optax.adam(LR, b1=0.5, b2=0.9, eps=1e-4)),
    "adamw": (AdamW(weight_decay=0.1), optax.adamw(LR, weight_decay=0.1)),
    "clip, adam": (chain(clip_by_global_norm(0.5), Adam()), optax.chain(optax.clip_by_global_norm(0.5), optax.adam(LR))),
    "decay, clip, sgd": (
        chain(add_decayed_weights(0.1), clip_by_global_norm(0.5), SGD()),
        optax.chain(optax.add_decayed_weights(0.1), optax.clip_by_global_norm(0.5), optax.sgd(LR)),
    ),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("name", PAIRS)
def test_optimizers_equal_optax(name, dtype, tolerance):
    """The parameters after each of 50 random steps."""
    ours, theirs = PAIRS[name]
    draw = np.random.default_rng(0)
    with jax.enable_x64(dtype == "float64"):
        vector = draw.standard_normal(9).astype(dtype)
        params, state = jax.numpy.asarray(vector), ours.init(vector)
        their_state = theirs.init(params)
        for _ in range(50):
            gradient = draw.standard_normal(9).astype(dtype)
            direction, state = ours.update(gradient, state, vector)
            vector = vector - LR * direction
            updates, their_state = theirs.update(jax.numpy.asarray(gradient), their_state, params)
            params = optax.apply_updates(params, updates)
            assert vector.dtype == dtype
            np.testing.assert_allclose(vector, np.asarray(params), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ExponentialLR(0.1, 0.9), optax.exponential_decay(0.1, 1, 0.9)),
        (StepLR(0.1, 7, 0.5), optax.exponential_decay(0.1, 7, 0.5, staircase=True)),
        (CosineAnnealingLR(0.1, 30, 0.001), optax.cosine_decay_schedule(0.1, 30, alpha=0.01)),
    ],
)
def test_schedules_equal_optax(ours, theirs):
    """To 1e-6, before, at and beyond their ends (optax computes in float32)."""
    t = np.arange(60)
    np.testing.assert_allclose(ours(t), [float(theirs(i)) for i in t], rtol=2e-6)
