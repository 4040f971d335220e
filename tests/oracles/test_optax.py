"""Optimizers, schedules and losses equal optax's."""

import jax
import numpy as np
import optax
import pytest

import fnloop as fl
from fnloop import losses
from fnloop import schedulers as sch
from fnloop.core.parameters import Slot
from fnloop.optimizers import (
    LAMB,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    adaptive_grad_clip,
    add_decayed_weights,
    add_l2_penalty,
    centralize,
    chain,
    clip_by_global_norm,
    clip_by_value,
    freeze,
    lookahead,
    masked,
    scale_by_layer,
    scale_by_trust_ratio,
    scheduled,
)

LR, STEPS = 0.05, 200
LAYOUT = fl.mlp([3, 4, 2]).layout
SIZE, LAYERS = LAYOUT[-1].stop, [place.layer for place in LAYOUT]
RISING = sch.LinearLR(0.9, total_iters=100, start_factor=0.5, end_factor=1.0)  # from 0.45 to 0.9
RISING_IN_OPTAX = lambda t: 0.45 + 0.45 * jax.numpy.minimum(t, 100).astype(float) / 100  # noqa: E731  in x64, if it is on
inject = optax.inject_hyperparams
PAIRS = {
    "sgd": (SGD(), optax.sgd(LR)),
    "momentum": (SGD(momentum=0.9), optax.sgd(LR, momentum=0.9)),
    "nesterov": (SGD(momentum=0.9, nesterov=True), optax.sgd(LR, momentum=0.9, nesterov=True)),
    "adam": (Adam(), optax.adam(LR)),
    "adam with other decays": (Adam(b1=0.5, b2=0.9, eps=1e-4), optax.adam(LR, b1=0.5, b2=0.9, eps=1e-4)),
    "adamw": (AdamW(weight_decay=0.1), optax.adamw(LR, weight_decay=0.1)),
    "adamax": (Adamax(b1=0.8, b2=0.95), optax.adamax(LR, 0.8, 0.95)),
    "amsgrad": (AMSGrad(b2=0.9), optax.amsgrad(LR, b2=0.9)),
    "nadam, constant momentum": (NAdam(momentum_decay=1e6), optax.nadam(LR)),
    "radam": (RAdam(), optax.radam(LR)),
    "radam, never rectified": (RAdam(b2=0.5), optax.radam(LR, b2=0.5)),
    "rmsprop": (RMSprop(), optax.rmsprop(LR, 0.99, 1e-8, eps_in_sqrt=False)),
    "rmsprop, centered, momentum": (
        RMSprop(alpha=0.9, eps=1e-3, momentum=0.8, centered=True),
        optax.rmsprop(LR, 0.9, 1e-3, eps_in_sqrt=False, centered=True, momentum=0.8),
    ),
    "adagrad": (Adagrad(initial_accumulator_value=0.1, eps=1e-12), optax.adagrad(LR, 0.1, 1e-12)),
    "adadelta": (Adadelta(), optax.adadelta(LR)),
    "lion": (Lion(), optax.lion(LR)),
    "clip, adam": (chain(clip_by_global_norm(0.5), Adam()), optax.chain(optax.clip_by_global_norm(0.5), optax.adam(LR))),
    "clip by value": (chain(clip_by_value(0.5), SGD(momentum=0.9)), optax.chain(optax.clip(0.5), optax.sgd(LR, 0.9))),
    "l2": (chain(add_l2_penalty(0.1), Adam()), optax.chain(optax.add_decayed_weights(0.1), optax.adam(LR))),
    "decay, clip, sgd": (
        chain(add_decayed_weights(0.1), clip_by_global_norm(0.5), SGD()),
        optax.chain(optax.add_decayed_weights(0.1), optax.clip_by_global_norm(0.5), optax.sgd(LR)),
    ),
    "lamb": (LAMB(weight_decay=0.1), optax.lamb(LR, weight_decay=0.1)),
    "trust ratio": (
        chain(scale_by_trust_ratio(trust_coefficient=0.01, eps=1e-3), SGD(momentum=0.9)),
        optax.chain(optax.scale_by_trust_ratio(trust_coefficient=0.01, eps=1e-3), optax.sgd(LR, 0.9)),
    ),
    "adaptive clip": (
        chain(adaptive_grad_clip(0.3, eps=0.01), SGD(momentum=0.9)),
        optax.chain(optax.adaptive_grad_clip(0.3, 0.01), optax.sgd(LR, 0.9)),
    ),
    "masked": (
        chain(masked(chain(Adam(), add_decayed_weights(0.1)), [1]), SGD()),
        optax.chain(
            optax.masked(optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.1)), [False, False, True, True]),
            optax.scale(-LR),
        ),
    ),
    "masked by kind": (
        chain(Adam(), masked(add_decayed_weights(0.1), kinds=["weights"])),
        optax.adamw(LR, weight_decay=0.1, mask=[True, False, True, False]),
    ),
    "frozen": (
        chain(AdamW(), freeze(0)),
        optax.partition({0: optax.set_to_zero(), 1: optax.adamw(LR, weight_decay=0.01)}, LAYERS),
    ),
    "rates by layer": (
        chain(Adam(), scale_by_layer({0: 0.1})),
        optax.partition({0: optax.adam(0.1 * LR), 1: optax.adam(LR)}, LAYERS),
    ),
    "momentum by schedule": (
        scheduled(SGD(momentum=0.9), momentum=RISING),
        optax.chain(inject(optax.trace)(decay=RISING_IN_OPTAX), optax.scale(-LR)),
    ),
    "b1 and b2 by schedule": (
        scheduled(Adam(), b1=RISING, b2=RISING),
        optax.chain(inject(optax.scale_by_adam)(b1=RISING_IN_OPTAX, b2=RISING_IN_OPTAX), optax.scale(-LR)),
    ),
    "decay by schedule": (
        scheduled(AdamW(), weight_decay=RISING),
        inject(optax.adamw)(LR, weight_decay=RISING_IN_OPTAX),
    ),
}
COARSE = {"radam": 10}  # optax computes the length of the average in float32


def pieces(vector):
    return [place.view(vector) for place in LAYOUT]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [pytest.param("float32", 1e-5, marks=pytest.mark.thorough), ("float64", 1e-10)]
)
@pytest.mark.parametrize("name", PAIRS)
def test_optimizers_equal_optax(name, dtype, tolerance):
    """The parameters after each of 200 updates with random gradients."""
    ours, theirs = PAIRS[name]
    tolerance *= COARSE.get(name, 1) if dtype == "float32" else 1
    draw = np.random.default_rng(0)
    vector, gradients = draw.standard_normal(SIZE).astype(dtype), draw.standard_normal((STEPS, SIZE)).astype(dtype)

    def step(carry, gradient):
        params, state = carry
        updates, state = theirs.update(pieces(gradient), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), jax.numpy.concatenate([p.ravel() for p in params])

    with jax.enable_x64(dtype == "float64"):
        params = [jax.numpy.asarray(p) for p in pieces(vector)]
        path = np.asarray(jax.lax.scan(step, (params, theirs.init(params)), gradients)[1])
    state = ours.init(vector)
    for gradient, after in zip(gradients, path, strict=True):
        direction, state = ours.update(gradient, state, vector, lr=LR, layout=LAYOUT)
        vector = vector - LR * direction
        assert vector.dtype == dtype
        np.testing.assert_allclose(vector, after, rtol=tolerance, atol=tolerance)


def test_lookahead_equals_optax():
    """The fast and the slow parameters after each of 200 updates with random gradients."""
    draw, ours = np.random.default_rng(0), lookahead(Adam(), k=4, alpha=0.3)
    vector, gradients = draw.standard_normal(5), draw.standard_normal((STEPS, 5))
    theirs = optax.lookahead(optax.adam(LR), sync_period=4, slow_step_size=0.3)

    def step(carry, gradient):
        params, state = carry
        updates, state = theirs.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    with jax.enable_x64(True):
        params = optax.LookaheadParams.init_synced(jax.numpy.asarray(vector))
        fast, slow = map(np.asarray, jax.lax.scan(step, (params, theirs.init(params)), gradients)[1])
    state = ours.init(vector)
    for t, gradient in enumerate(gradients):
        direction, state = ours.update(gradient, state, vector, lr=LR)
        vector = vector - LR * direction
        np.testing.assert_allclose(vector, fast[t], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(state.slots[-1], slow[t], rtol=1e-10, atol=1e-10)


def test_centralize_equals_optax():
    """In optax a unit is an index of the first axis, in fnloop of the last."""
    gradient = np.random.default_rng(0).standard_normal((3, 2, 4))
    direct = centralize().update(
        gradient.ravel(), centralize().init(gradient.ravel()), gradient.ravel(), layout=[Slot(0, 24, (3, 2, 4))]
    )[0]
    with jax.enable_x64(True):
        turned = optax.centralize().update(jax.numpy.moveaxis(gradient, -1, 0), None)[0]
    np.testing.assert_allclose(direct.reshape(3, 2, 4), np.moveaxis(np.asarray(turned), 0, -1), rtol=1e-12)


SCHEDULES = {
    "exponential": (sch.ExponentialLR(0.1, gamma=0.9), optax.exponential_decay(0.1, 1, 0.9)),
    "step": (sch.StepLR(0.1, 7, gamma=0.5), optax.exponential_decay(0.1, 7, 0.5, staircase=True)),
    "cosine": (sch.CosineAnnealingLR(0.1, 30, eta_min=0.001), optax.cosine_decay_schedule(0.1, 30, alpha=0.01)),
    "linear": (sch.LinearLR(0.1, total_iters=12, start_factor=0.2, end_factor=3.0), optax.linear_schedule(0.02, 0.3, 12)),
    "polynomial": (sch.PolynomialLR(0.1, 25, power=2.5, end_lr=0.01), optax.polynomial_schedule(0.1, 0.01, 2.5, 25)),
    "warm-up, cosine": (
        sch.warmup(sch.CosineAnnealingLR(0.1, 30), 8),
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 8, 38),
    ),
    "warm-up, exponential": (
        sch.warmup(sch.ExponentialLR(0.1, gamma=0.9), 5, start_factor=0.5),
        optax.warmup_exponential_decay_schedule(0.05, 0.1, 5, 1, 0.9),
    ),
    "joined": (
        sch.join(
            [
                sch.ConstantLR(0.1),
                sch.ExponentialLR(0.2, gamma=0.9),
                sch.LinearLR(0.3, total_iters=9, start_factor=1.0, end_factor=0.0),
            ],
            [10, 20],
        ),
        optax.join_schedules(
            [optax.constant_schedule(0.1), optax.exponential_decay(0.2, 1, 0.9), optax.linear_schedule(0.3, 0.0, 9)], [10, 20]
        ),
    ),
    "warm-up, stable, decay": (
        sch.WarmupStableDecayLR(0.1, 6, 20, 15, min_lr=0.01),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 0.1, 6), optax.constant_schedule(0.1), optax.linear_schedule(0.1, 0.01, 15)], [6, 26]
        ),
    ),
    "piecewise": (
        sch.PiecewiseLR([0, 10, 25], [0.1, 0.3, 0.15]),
        optax.piecewise_interpolate_schedule("linear", 0.1, {10: 3.0, 25: 0.5}),
    ),
    "piecewise cosine": (
        sch.PiecewiseLR([0, 10, 25], [0.1, 0.3, 0.15], interpolate="cos"),
        optax.piecewise_interpolate_schedule("cosine", 0.1, {10: 3.0, 25: 0.5}),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_optax(name):
    """To 1e-12, before, at and after their ends."""
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
        losses.SoftmaxCrossEntropy(label_smoothing=0.2),
        Z,
        Y,
        lambda z: ops.softmax_cross_entropy(z, ops.smooth_labels(jax.numpy.asarray(HARD), 0.2)),
    ),
    "binary": (losses.BinaryCrossEntropy(), Z[:, :1], FLAG, lambda z: ops.sigmoid_binary_cross_entropy(z, FLAG)),
    "binary focal": (losses.Focal(), Z[:, :1], FLAG, lambda z: ops.sigmoid_focal_loss(z, FLAG)),
    "binary focal, weighted": (
        losses.Focal(gamma=0.7, class_weights=(0.75, 0.25)),
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
        np.testing.assert_allclose(values, jax.jit(each)(z), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(backward(), jax.jit(jax.grad(lambda z: each(z).mean()))(z), rtol=1e-8, atol=1e-12)
