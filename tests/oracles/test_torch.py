"""Schedules, optimizers and losses equal PyTorch's, where it is installed (`pip install torch`; it is large)."""

import math
import warnings

import numpy as np
import pytest

import fnloop as fl
from fnloop import losses
from fnloop import schedulers as sch
from fnloop.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    chain,
    clip_by_norm,
    ema,
    swa,
)

torch = pytest.importorskip("torch")
kinds = torch.optim.lr_scheduler
N = 60


def theirs(make, lr=0.1):
    """The rates of a recursive schedule, read one by one."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler, rates = make(optimizer), []
        for _ in range(N):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


PAIRS = {
    "step": (sch.StepLR(0.1, 7, gamma=0.5), lambda o: kinds.StepLR(o, 7, 0.5)),
    "multi-step": (sch.MultiStepLR(0.1, [4, 4, 11], gamma=0.5), lambda o: kinds.MultiStepLR(o, [4, 4, 11], 0.5)),
    "exponential": (sch.ExponentialLR(0.1, gamma=0.9), lambda o: kinds.ExponentialLR(o, 0.9)),
    "linear": (sch.LinearLR(0.1, total_iters=12, start_factor=0.2, end_factor=0.9), lambda o: kinds.LinearLR(o, 0.2, 0.9, 12)),
    "polynomial": (sch.PolynomialLR(0.1, 25, power=2.5), lambda o: kinds.PolynomialLR(o, 25, 2.5)),
    "warm restarts": (
        sch.CosineAnnealingWarmRestarts(0.1, 5, T_mult=2, eta_min=0.01),
        lambda o: kinds.CosineAnnealingWarmRestarts(o, 5, 2, 0.01),
    ),
    "lambda": (sch.LambdaLR(0.1, lambda t: 1 / (1 + t)), lambda o: kinds.LambdaLR(o, lambda t: 1 / (1 + t))),
    "joined": (
        sch.join([sch.StepLR(0.1, 3, gamma=0.5), sch.ExponentialLR(0.1, gamma=0.9)], [10]),
        lambda o: kinds.SequentialLR(o, [kinds.StepLR(o, 3, 0.5), kinds.ExponentialLR(o, 0.9)], [10]),
    ),
    **{
        f"cyclic {mode}": (
            sch.CyclicLR(0.01, 0.1, step_size_up=4, step_size_down=7, mode=mode, gamma=0.98),
            lambda o, mode=mode: kinds.CyclicLR(o, 0.01, 0.1, 4, 7, mode, 0.98, cycle_momentum=False),
        )
        for mode in ("triangular", "triangular2", "exp_range")
    },
    **{
        f"one-cycle {kind}": (
            sch.OneCycleLR(0.1, N + 1, pct_start=0.3, anneal_strategy=kind),
            lambda o, kind=kind: kinds.OneCycleLR(o, 0.1, N + 1, pct_start=0.3, anneal_strategy=kind, cycle_momentum=False),
        )
        for kind in ("cos", "linear")
    },
}


@pytest.mark.parametrize("name", PAIRS)
def test_schedules_equal_torch(name):
    """To 1e-12, over sixty epochs."""
    ours, make = PAIRS[name]
    np.testing.assert_allclose(ours(np.arange(N)), theirs(make), rtol=1e-12, atol=1e-16)


def test_a_cosine_stays_at_its_end_where_pytorch_rises_again():
    """Up to T_max both agree; beyond it the recursive form of PyTorch rises."""
    ours = sch.CosineAnnealingLR(0.1, 30, eta_min=0.001)(np.arange(N))
    rates = theirs(lambda o: kinds.CosineAnnealingLR(o, 30, 0.001))
    np.testing.assert_allclose(ours[:31], rates[:31], rtol=1e-9)
    assert rates[40] > 0.001
    assert math.isclose(ours[40], 0.001)


LR = 0.05
LAYOUT = fl.mlp([3, 4, 2]).layout
SIZE = LAYOUT[-1].stop
optim = torch.optim
OPTIMIZERS = {
    "nesterov": (SGD(momentum=0.9, nesterov=True), lambda p: optim.SGD(p, LR, 0.9, nesterov=True)),
    "adam": (Adam(), lambda p: optim.Adam(p, LR)),
    "adamw": (AdamW(weight_decay=0.1), lambda p: optim.AdamW(p, LR, weight_decay=0.1)),
    "adamax": (Adamax(), lambda p: optim.Adamax(p, LR)),
    "nadam": (NAdam(), lambda p: optim.NAdam(p, LR)),
    "nadam of keras": (NAdam(b1=0.8, momentum_decay=1.0), lambda p: optim.NAdam(p, LR, (0.8, 0.999), momentum_decay=1.0)),
    "radam": (RAdam(eps=1e-12), lambda p: optim.RAdam(p, LR, eps=1e-12)),  # they add eps in different places
    "rmsprop": (RMSprop(), lambda p: optim.RMSprop(p, LR)),
    "rmsprop, centered": (RMSprop(centered=True), lambda p: optim.RMSprop(p, LR, centered=True)),
    "rmsprop, momentum": (RMSprop(momentum=0.9), lambda p: optim.RMSprop(p, LR, momentum=0.9)),
    "adagrad": (Adagrad(), lambda p: optim.Adagrad(p, LR)),
    "adagrad, with a start": (
        Adagrad(initial_accumulator_value=0.3, eps=1e-3),
        lambda p: optim.Adagrad(p, LR, initial_accumulator_value=0.3, eps=1e-3),
    ),
    "adadelta": (Adadelta(), lambda p: optim.Adadelta(p, LR)),
    "rprop": (
        Rprop(eta_minus=0.4, eta_plus=1.3, min_step=0.01, max_step=7.0),
        lambda p: optim.Rprop(p, LR, (0.4, 1.3), (0.01 * LR, 7.0 * LR)),
    ),
}


def steps_of_torch(make, vector, gradients):
    """The model's parameters, one tensor an array, and after each step their flat vector."""
    params = [torch.nn.Parameter(torch.tensor(place.view(vector))) for place in LAYOUT]
    optimizer = make(params)
    for gradient in gradients:
        for param, place in zip(params, LAYOUT, strict=True):
            param.grad = torch.tensor(place.view(gradient))
        optimizer.step()
        yield params, np.concatenate([param.detach().numpy().ravel() for param in params])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_equal_torch(name, dtype, tolerance):
    """The parameters after each of 200 random steps."""
    ours, make = OPTIMIZERS[name]
    tolerance = max(tolerance, 1e-7) if name.startswith("nadam") else tolerance  # whose product PyTorch keeps in float32
    draw = np.random.default_rng(0)
    vector, gradients = draw.standard_normal(SIZE).astype(dtype), draw.standard_normal((200, SIZE)).astype(dtype)
    state = ours.init(vector)
    for gradient, (_, after) in zip(gradients, steps_of_torch(make, vector, gradients), strict=True):
        direction, state = ours.update(gradient, state, vector, lr=LR, layout=LAYOUT)
        vector = vector - LR * direction
        np.testing.assert_allclose(vector, after, rtol=tolerance, atol=tolerance)


def torch_clipped(params):
    """A step of SGD with each array's gradient clipped on its own."""
    optimizer, step = optim.SGD(params, LR, 0.9), optim.SGD.step

    def clipped():
        for param in params:
            torch.nn.utils.clip_grad_norm_([param], 0.7)
        step(optimizer)

    optimizer.step = clipped
    return optimizer


def test_clip_by_norm_equals_torch():
    """Array by array, to the 1e-6 that PyTorch adds to the norm."""
    draw, ours = np.random.default_rng(0), chain(clip_by_norm(0.7), SGD(momentum=0.9))
    vector, gradients = draw.standard_normal(SIZE), draw.standard_normal((20, SIZE)) * np.geomspace(0.01, 3, 20)[:, None]
    state = ours.init(vector)
    for gradient, (_, after) in zip(gradients, steps_of_torch(torch_clipped, vector, gradients), strict=True):
        direction, state = ours.update(gradient, state, vector, layout=LAYOUT)
        vector = vector - LR * direction
        np.testing.assert_allclose(vector, after, rtol=1e-5, atol=1e-5)


averages = torch.optim.swa_utils


@pytest.mark.parametrize(
    ("ours", "options", "taken"),
    [
        (ema(0.9), {"multi_avg_fn": averages.get_ema_multi_avg_fn(0.9)}, lambda t: True),
        (swa(start=1), {}, lambda t: True),
        (swa(start=7, every=5), {}, lambda t: t >= 7 and (t - 7) % 5 == 0),
    ],
)
def test_averages_equal_torch(ours, options, taken):
    """The average after each of 200 random steps of Adam; before the first it is the parameters."""
    draw, optimizer = np.random.default_rng(0), chain(Adam(), ours)
    vector, gradients = draw.standard_normal(SIZE), draw.standard_normal((200, SIZE))
    state, average = optimizer.init(vector), None
    theirs = steps_of_torch(lambda p: optim.Adam(p, LR), vector, gradients)
    for t, (gradient, (params, after)) in enumerate(zip(gradients, theirs, strict=True), start=1):
        direction, state = optimizer.update(gradient, state, vector, lr=LR)
        vector = vector - LR * direction
        average = average or averages.AveragedModel(torch.nn.ParameterList(params), **options)
        if taken(t):
            average.update_parameters(torch.nn.ParameterList(params))
            flat = np.concatenate([param.detach().numpy().ravel() for param in average.module])
        elif t < 7:
            flat = after
        np.testing.assert_allclose(state.slots[-1], flat, rtol=1e-10, atol=1e-10)


DRAW = np.random.default_rng(0)
Z, Y, P = DRAW.normal(0, 4, (40, 5)), DRAW.integers(0, 5, 40), DRAW.dirichlet(np.ones(5), 40)
FLAG, F = (Y % 2)[:, None].astype(float), torch.nn.functional
WEIGHTS = (0.5, 2.0, 0.0, 1.0, 3.0)
W = torch.tensor(WEIGHTS, dtype=torch.float64)
LOSSES = {  # ours, outputs, targets, and theirs for each example
    "softmax": (losses.SoftmaxCrossEntropy(), Z, Y, lambda z, y: F.cross_entropy(z, y, reduction="none")),
    "softmax, smoothed and weighted": (
        losses.SoftmaxCrossEntropy(label_smoothing=0.1, class_weights=WEIGHTS),
        Z,
        Y,
        lambda z, y: F.cross_entropy(z, y, W, label_smoothing=0.1, reduction="none"),
    ),
    "softmax of rows, smoothed and weighted": (
        losses.SoftmaxCrossEntropy(label_smoothing=0.1, class_weights=WEIGHTS),
        Z,
        P,
        lambda z, y: F.cross_entropy(z, y, W, label_smoothing=0.1, reduction="none"),
    ),
    "binary, weighted": (
        losses.BinaryCrossEntropy(class_weights=(1.0, 2.5)),
        Z[:, :1],
        FLAG,
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(2.5), reduction="none"),
    ),
    "divergence": (losses.KLDivergence(), Z, P, lambda z, y: F.kl_div(F.log_softmax(z, 1), y, reduction="none").sum(1)),
    "absolute error": (losses.MeanAbsoluteError(), Z, P, lambda z, y: F.l1_loss(z, y, reduction="none")),
    "huber": (losses.Huber(0.8), Z, P, lambda z, y: F.huber_loss(z, y, delta=0.8, reduction="none")),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_torch(name):
    """Each example's, and the gradient of their mean over the examples."""
    ours, outputs, targets, theirs = LOSSES[name]
    z = torch.tensor(outputs, requires_grad=True)
    each = theirs(z, torch.tensor(targets)).reshape(len(z), -1).mean(1)
    each.mean().backward()
    values, backward = ours.forward(outputs, targets.astype(np.float64))
    np.testing.assert_allclose(values, each.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(backward(), z.grad, rtol=1e-9, atol=1e-12)
