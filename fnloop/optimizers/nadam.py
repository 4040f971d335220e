"""NAdam, and the product of its momenta in closed form."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import running_sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars, StepContext, as_number

ORDERS = np.arange(1.0, 61.0)  # of the terms of a series, which fall faster than 2^-k


@frozen
class NAdam(Elementwise):
    """Adam with Nesterov momentum, which warms up.

        p_t = b1 (1 - 0.96^(t momentum_decay) / 2)        P_t = p_1 p_2 ... p_t
        mu' = b1 mu + (1 - b1) g        nu' = b2 nu + (1 - b2) g²
        direction = (p_(t+1) mu' / (1 - P_(t+1)) + (1 - p_t) g / (1 - P_t)) / (sqrt(nu' / (1 - b2^t)) + eps)

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the second moment, in [0, 1); unitless. Default: 0.999.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-8.
        momentum_decay: How fast the momentum p_t increases from b1 / 2 to b1, at least 0; per update. The default, 4e-3, takes
            about 20,000 updates. With a large value, such as 1e6, it is b1 from the first update.

    Shapes:
        gradient, mu, nu, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Dozat 2016, Incorporating Nesterov momentum into Adam, Algorithm 2; momentum of Sutskever et al. 2013, with the
        default of PyTorch. In Keras momentum_decay is 1.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8
    momentum_decay: NonNegative = 4e-3

    slots = ("mu", "nu")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rates of the slots, and the factors of the direction relative to that of the gradient."""
        before, t = context.before or self, context.count
        second = (1 - self.b2**t) / (1 - self.b2)
        momentum, next_momentum = (self.b1 * _momentum_factor(t + i, self.momentum_decay) for i in (0, 1))
        product = self.b1**t
        if np.any(product > 1e-17):  # else it is lost in rounding: it is subtracted from 1
            product = product * product_of_momentum_factors(t, self.momentum_decay)
        weight = (1 - momentum) / (1 - product)  # of the gradient; the kernel's other factors are relative to it
        ahead = next_momentum * (1 - self.b1) / (1 - product * next_momentum) / weight
        root, shift = 1 / (weight * second**0.5), self.eps / weight
        decays = running_sum_decay(self.b1, before.b1), running_sum_decay(self.b2, before.b2)
        return *decays, *map(as_number, (ahead, root, shift))

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new moments."""
        xp = namespace(gradient)
        (mu, nu), (b1, b2, ahead, root, shift) = slots, scalars
        mu *= b1
        mu += gradient
        direction = mu * ahead
        direction += gradient
        gradient *= gradient
        nu *= b2
        nu += gradient
        scale = xp.sqrt(nu)
        scale *= root
        scale += shift
        direction /= scale
        return direction, (mu, nu)


def _momentum_factor(t: Any, momentum_decay: Any) -> Any:
    """Return the momentum of the t-th update divided by b1: 1 - q^t / 2 with q = 0.96^momentum_decay."""
    return 1 - 0.5 * 0.96 ** (t * momentum_decay)


def product_of_momentum_factors(t: Any, momentum_decay: Any) -> Any:
    """Return the product of `_momentum_factor` over the updates 1, ..., t, to rounding, without a loop over them.

    From log(1 - x / 2) = -sum_k (x / 2)^k / k follows, with geometric series over the updates,
    log product = -sum_k 2^-k / k q^k (1 - q^(k t)) / (1 - q^k). So the state needs no product, and the scalars of many updates
    are computed at once.
    """
    log = ORDERS * (np.asarray(momentum_decay)[..., None] * np.log(0.96))
    t = np.asarray(t, np.float64)[..., None]
    negative = np.where(log < 0, log, -1.0)
    with np.errstate(under="ignore"):
        sums = np.where(log < 0, np.exp(log) * np.expm1(negative * t) / np.expm1(negative), t)
    return np.exp(-(0.5**ORDERS / ORDERS * sums).sum(-1))
