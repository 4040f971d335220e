"""NAdam, and the product of its momenta, which has a closed form."""

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.checks import Decay, NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext, as_number

TERMS = np.arange(1.0, 61.0)  # of a series whose terms fall faster than 2^-k


@frozen
class NAdam(Elementwise):
    """Adam with Nesterov's look ahead: the gradient counts at once, the first moment as it will be. The momentum warms up.

        mu_t = b1 (1 - 0.96^(t momentum_decay) / 2)          P_t = mu_1 mu_2 ... mu_t
        m' = b1 m + (1 - b1) g          v' = b2 v + (1 - b2) g²
        direction = (mu_(t+1) m' / (1 - P_(t+1)) + (1 - mu_t) g / (1 - P_t)) / (sqrt(v' / (1 - b2^t)) + eps)

    Args: as of `Adam`, and
        momentum_decay: how fast the momentum rises from half of b1 to b1, at least 0; per update. With the default it is
            there after some 20,000 updates; with a large one, such as 1e6, it is b1 from the first update on.
    Source: Dozat 2016, Incorporating Nesterov momentum into Adam, Algorithm 2; the schedule is that of Sutskever et al. 2013,
        with PyTorch's default. Keras has momentum_decay = 1.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8
    momentum_decay: NonNegative = 4e-3

    slots = ("mu", "nu")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Any:
        before, t = context.before or self, context.count
        second = (1 - self.b2**t) / (1 - self.b2)
        here, after = (self.b1 * _rise(t + i, self.momentum_decay) for i in (0, 1))
        product = self.b1**t
        if np.any(product > 1e-17):  # else it is lost beside the 1 that it is taken from
            product = product * product_of_rises(t, self.momentum_decay)
        own = (1 - here) / (1 - product)  # what the gradient counts; the kernel has the rest in units of it
        ahead = after * (1 - self.b1) / (1 - product * after) / own
        root, shift = 1 / (own * second**0.5), self.eps / own
        return sum_decay(self.b1, before.b1), sum_decay(self.b2, before.b2), *map(as_number, (ahead, root, shift))

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        xp = namespace(gradient)
        (m, v), (b1, b2, ahead, root, shift) = slots, scalars
        m *= b1
        m += gradient
        direction = m * ahead
        direction += gradient
        gradient *= gradient
        v *= b2
        v += gradient
        scale = xp.sqrt(v)
        scale *= root
        scale += shift
        direction /= scale
        return direction, (m, v)


def _rise(t: Any, momentum_decay: Any) -> Any:
    """The momentum of the t-th update in units of b1: 1 - q^t / 2 with q = 0.96^momentum_decay."""
    return 1 - 0.5 * 0.96 ** (t * momentum_decay)


def product_of_rises(t: Any, momentum_decay: Any) -> Any:
    """The product of `_rise` over the updates 1, ..., t, to rounding, without the ones in between.

    From log(1 - x / 2) = -sum_k (x / 2)^k / k follows, with geometric series over the updates,
    log product = -sum_k 2^-k / k q^k (1 - q^(k t)) / (1 - q^k). So a state needs no product of its own, and the scalars of
    many updates are made at once.
    """
    log = TERMS * (np.asarray(momentum_decay)[..., None] * np.log(0.96))
    t = np.asarray(t, np.float64)[..., None]
    known = np.where(log < 0, log, -1.0)
    with np.errstate(under="ignore"):
        sums = np.where(log < 0, np.exp(log) * np.expm1(known * t) / np.expm1(known), t)
    return np.exp(-(0.5**TERMS / TERMS * sums).sum(-1))
