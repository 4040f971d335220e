"""Optimizers, schedules and losses equal optax's."""

import jax
import numpy as np
import optax
import pytest

from fnloop import losses
from fnloop import schedulers as sch
from fnloop.optimizers import SGD, Adam, AdamW, add_decayed_weights, chain, clip_by_global_norm

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


SCHEDULES = {
    "exponential": (sch.ExponentialLR(0.1, 0.9), optax.exponential_decay(0.1, 1, 0.9)),
    "step": (sch.StepLR(0.1, 7, 0.5), optax.exponential_decay(0.1, 7, 0.5, staircase=True)),
    "cosine": (sch.CosineAnnealingLR(0.1, 30, 0.001), optax.cosine_decay_schedule(0.1, 30, alpha=0.01)),
    "linear": (sch.LinearLR(0.1, 12, 0.2, 3.0), optax.linear_schedule(0.02, 0.3, 12)),
    "polynomial": (sch.PolynomialLR(0.1, 25, 2.5, 0.01), optax.polynomial_schedule(0.1, 0.01, 2.5, 25)),
    "warm-up, cosine": (
        sch.warmup(sch.CosineAnnealingLR(0.1, 30), 8),
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 8, 38),
    ),
    "warm-up, exponential": (
        sch.warmup(sch.ExponentialLR(0.1, 0.9), 5, 0.5),
        optax.warmup_exponential_decay_schedule(0.05, 0.1, 5, 1, 0.9),
    ),
    "joined": (
        sch.join([sch.ConstantLR(0.1), sch.ExponentialLR(0.2, 0.9), sch.LinearLR(0.3, 9, 1.0, 0.0)], [10, 20]),
        optax.join_schedules(
            [optax.constant_schedule(0.1), optax.exponential_decay(0.2, 1, 0.9), optax.linear_schedule(0.3, 0.0, 9)], [10, 20]
        ),
    ),
    "warm-up, stable, decay": (
        sch.WarmupStableDecayLR(0.1, 6, 20, 15, 0.01),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 0.1, 6), optax.constant_schedule(0.1), optax.linear_schedule(0.1, 0.01, 15)], [6, 26]
        ),
    ),
    "piecewise": (
        sch.PiecewiseLR([0, 10, 25], [0.1, 0.3, 0.15]),
        optax.piecewise_interpolate_schedule("linear", 0.1, {10: 3.0, 25: 0.5}),
    ),
    "piecewise cosine": (
        sch.PiecewiseLR([0, 10, 25], [0.1, 0.3, 0.15], "cos"),
        optax.piecewise_interpolate_schedule("cosine", 0.1, {10: 3.0, 25: 0.5}),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_optax(name):
    """To 1e-12, before, at and beyond their ends."""
    ours, theirs = SCHEDULES[name]
    t = np.arange(60)
    with jax.enable_x64(True):
        np.testing.assert_allclose(ours(t), [float(theirs(jax.numpy.float64(i))) for i in t], rtol=1e-12, atol=1e-15)


def drawn(rows=40, classes=5):
    """Logits, labels, distributions, and targets for regression."""
    draw = np.random.default_rng(0)
    rows_of = (
        draw.dirichlet(np.full(classes, 0.3), rows) * (draw.uniform(size=(rows, classes)) < 0.7) + 1e-3 * np.eye(classes)[0]
    )
    z, y = draw.normal(0, 4, (rows, classes)), draw.integers(0, classes, rows)
    return z, y, rows_of / rows_of.sum(1, keepdims=True), draw.standard_normal((rows, classes))


ops = optax.losses
Z, Y, P, T = drawn()
HARD, FLAG = np.eye(5)[Y], (Y % 2)[:, None].astype(float)
LOSSES = {  # ours, outputs, targets, and theirs for each example
    "softmax": (losses.SoftmaxCrossEntropy(), Z, Y, lambda z: ops.softmax_cross_entropy_with_integer_labels(z, Y)),
    "softmax smoothed": (
        losses.SoftmaxCrossEntropy(0.2),
        Z,
        Y,
        lambda z: ops.softmax_cross_entropy(z, ops.smooth_labels(jax.numpy.asarray(HARD), 0.2)),
    ),
    "binary": (losses.BinaryCrossEntropy(), Z[:, :1], FLAG, lambda z: ops.sigmoid_binary_cross_entropy(z, FLAG)),
    "binary focal": (losses.Focal(), Z[:, :1], FLAG, lambda z: ops.sigmoid_focal_loss(z, FLAG)),
    "binary focal, weighted": (
        losses.Focal(0.7, (0.75, 0.25)),
        Z[:, :1],
        FLAG,
        lambda z: ops.sigmoid_focal_loss(z, FLAG, alpha=0.25, gamma=0.7),
    ),
    "divergence": (losses.KLDivergence(), Z, P, lambda z: ops.kl_divergence(jax.nn.log_softmax(z), P)),
    "binary hinge": (losses.Hinge(), Z[:, :1], FLAG, lambda z: ops.hinge_loss(z, 2 * FLAG - 1)),
    "hinge": (losses.Hinge(), Z, Y, lambda z: ops.multiclass_hinge_loss(z, Y)),
    "absolute error": (losses.MeanAbsoluteError(), Z, T, lambda z: abs(z - T)),
    "huber": (losses.Huber(0.8), Z, T, lambda z: ops.huber_loss(z, T, delta=0.8)),
    "log cosh": (losses.LogCosh(), Z, T, lambda z: ops.log_cosh(z, T)),
    "squared error": (losses.MeanSquaredError(), Z, T, lambda z: ops.squared_error(z, T)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_optax(name):
    """Each example's, and the gradient of their mean."""
    ours, outputs, targets, theirs = LOSSES[name]

    def each(z):
        return theirs(z).reshape(len(z), -1).mean(1)

    with jax.enable_x64(True):
        values, backward = ours.forward(outputs, targets.astype(np.float64))
        z = jax.numpy.asarray(outputs)
        np.testing.assert_allclose(values, each(z), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(backward(), jax.grad(lambda z: each(z).mean())(z), rtol=1e-8, atol=1e-12)
