"""Schedules and losses equal PyTorch's, where it is installed (`pip install torch`; tests do not ask for it, it is large)."""

import math
import warnings

import numpy as np
import pytest

from fnloop import losses
from fnloop import schedulers as sch

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
    "step": (sch.StepLR(0.1, 7, 0.5), lambda o: kinds.StepLR(o, 7, 0.5)),
    "multi-step": (sch.MultiStepLR(0.1, [4, 4, 11], 0.5), lambda o: kinds.MultiStepLR(o, [4, 4, 11], 0.5)),
    "exponential": (sch.ExponentialLR(0.1, 0.9), lambda o: kinds.ExponentialLR(o, 0.9)),
    "linear": (sch.LinearLR(0.1, 12, 0.2, 0.9), lambda o: kinds.LinearLR(o, 0.2, 0.9, 12)),
    "polynomial": (sch.PolynomialLR(0.1, 25, 2.5), lambda o: kinds.PolynomialLR(o, 25, 2.5)),
    "warm restarts": (
        sch.CosineAnnealingWarmRestarts(0.1, 5, 2, 0.01),
        lambda o: kinds.CosineAnnealingWarmRestarts(o, 5, 2, 0.01),
    ),
    "lambda": (sch.LambdaLR(0.1, lambda t: 1 / (1 + t)), lambda o: kinds.LambdaLR(o, lambda t: 1 / (1 + t))),
    "joined": (
        sch.join([sch.StepLR(0.1, 3, 0.5), sch.ExponentialLR(0.1, 0.9)], [10]),
        lambda o: kinds.SequentialLR(o, [kinds.StepLR(o, 3, 0.5), kinds.ExponentialLR(o, 0.9)], [10]),
    ),
    **{
        f"cyclic {mode}": (
            sch.CyclicLR(0.01, 0.1, 4, 7, mode, 0.98),
            lambda o, mode=mode: kinds.CyclicLR(o, 0.01, 0.1, 4, 7, mode, 0.98, cycle_momentum=False),
        )
        for mode in ("triangular", "triangular2", "exp_range")
    },
    **{
        f"one-cycle {kind}": (
            sch.OneCycleLR(0.1, N + 1, 0.3, kind),
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


def test_where_the_recursive_cosine_errs_the_closed_form_stands():
    """Up to T_max both agree; beyond it PyTorch's rises again, ours stays at its end."""
    ours = sch.CosineAnnealingLR(0.1, 30, 0.001)(np.arange(N))
    rates = theirs(lambda o: kinds.CosineAnnealingLR(o, 30, 0.001))
    np.testing.assert_allclose(ours[:31], rates[:31], rtol=1e-9)
    assert rates[40] > 0.001
    assert math.isclose(ours[40], 0.001)


DRAW = np.random.default_rng(0)
Z, Y, P = DRAW.normal(0, 4, (40, 5)), DRAW.integers(0, 5, 40), DRAW.dirichlet(np.ones(5), 40)
FLAG, F = (Y % 2)[:, None].astype(float), torch.nn.functional
WEIGHTS = (0.5, 2.0, 0.0, 1.0, 3.0)
W = torch.tensor(WEIGHTS, dtype=torch.float64)
LOSSES = {  # ours, outputs, targets, and theirs for each example
    "softmax": (losses.SoftmaxCrossEntropy(), Z, Y, lambda z, y: F.cross_entropy(z, y, reduction="none")),
    "softmax, smoothed and weighted": (
        losses.SoftmaxCrossEntropy(0.1, WEIGHTS),
        Z,
        Y,
        lambda z, y: F.cross_entropy(z, y, W, label_smoothing=0.1, reduction="none"),
    ),
    "softmax of rows, smoothed and weighted": (
        losses.SoftmaxCrossEntropy(0.1, WEIGHTS),
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
