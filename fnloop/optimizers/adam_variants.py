"""Variants of Adam: a maximum norm, a monotone second moment, a rectified start."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, Positive, real
from fnloop.core.namespace import apply_into, namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import running_sum_decay, update_moments
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars, Scaled, StepContext, as_number


@frozen
class Adamax(Elementwise):
    """Scale Adam's first moment by a decaying maximum of the gradients.

        mu' = b1 mu + (1 - b1) g        norm' = max(b2 norm, |g| + eps)
        direction = (mu' / (1 - b1^t)) / norm'

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the maximum, in [0, 1); unitless. Default: 0.999.
        eps: Added to |g|; above 0, in the units of the gradient. Default: 1e-8.

    Shapes:
        gradient, mu, norm, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Kingma & Ba 2015, Adam: a method for stochastic optimization, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8

    slots = ("mu", "norm")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rate of the first slot, and the bias correction."""
        before = context.before or self
        return running_sum_decay(self.b1, before.b1), (1 - self.b1) / (1 - self.b1**context.count)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new slots."""
        xp = namespace(gradient)
        (mu, norm), (decay, first) = slots, scalars
        mu *= decay
        mu += gradient
        size = xp.abs(gradient)
        size += self.eps
        norm *= self.b2
        norm = xp.maximum(norm, size)
        return Scaled(apply_into(size, xp.divide, mu, norm), first), (mu, norm)


@frozen
class AMSGrad(Elementwise):
    """Scale Adam's first moment by the largest second moment so far, so that the scale never shrinks.

        mu' = b1 mu + (1 - b1) g        nu' = b2 nu + (1 - b2) g²        nu_max' = max(nu_max, nu' / (1 - b2^t))
        direction = (mu' / (1 - b1^t)) / (sqrt(nu_max') + eps)

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the second moment, in [0, 1); unitless. Default: 0.999.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-8.

    Shapes:
        gradient, mu, nu, nu_max, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Reddi, Kale & Kumar 2018, On the convergence of Adam and beyond; bias-corrected as in optax.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8

    slots = ("mu", "nu", "nu_max")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rates of the slots, and the bias corrections."""
        before = context.before or self
        first = (1 - self.b1**context.count) / (1 - self.b1)
        second = (1 - self.b2) / (1 - self.b2**context.count)
        decays = running_sum_decay(self.b1, before.b1), running_sum_decay(self.b2, before.b2)
        return *decays, first, self.eps * first, second

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new moments."""
        xp = namespace(gradient)
        (mu, nu, nu_max), (b1, b2, first, shift, second) = slots, scalars
        mu *= b1
        mu += gradient
        gradient *= gradient
        nu *= b2
        nu += gradient
        nu_max = xp.maximum(nu_max, nu * second)
        scale = xp.sqrt(nu_max)
        scale *= first
        scale += shift
        return mu / scale, (mu, nu, nu_max)


@frozen
class RAdam(Elementwise):
    """Adam with a second moment that is used once enough updates are averaged, and rectified for their number.

        direction = r (mu' / (1 - b1^t)) / (sqrt(nu' / (1 - b2^t)) + eps) if n >= threshold, else mu' / (1 - b1^t)
        n = N - 2 t b2^t / (1 - b2^t),   N = 2 / (1 - b2) - 1,   r² = (n - 4) (n - 2) N / ((N - 4) (N - 2) n)

    n is the length, in updates, of the simple average that nu' approximates.

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the second moment, in [0, 1); unitless. Default: 0.999.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-8.
        threshold: Smallest n for which the second moment is used, above 4; in updates. Default: 5.

    Shapes:
        gradient, mu, nu, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Liu et al. 2020, On the variance of the adaptive learning rate and beyond, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8
    threshold: Annotated[float, real("(4, inf)")] = 5.0

    slots = ("mu", "nu")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rates of the slots, and factor and shift of the denominator."""
        before, t = context.before or self, context.count
        first = (1 - self.b1**t) / (1 - self.b1)
        second = (1 - self.b2**t) / (1 - self.b2)
        longest = 2 / (1 - self.b2) - 1
        length = longest - 2 * t * self.b2**t / (1 - self.b2**t)
        is_used = length >= self.threshold
        # Where the second moment is not used, the root is dropped: any lengths with a real root do.
        n, most = np.where(is_used, length, self.threshold), np.where(is_used, longest, self.threshold)
        rectification = np.sqrt((n - 4) * (n - 2) * most / ((most - 4) * (most - 2) * n))
        root = np.where(is_used, first / second**0.5 / rectification, 0.0)
        shift = np.where(is_used, self.eps * first / rectification, first)
        decays = running_sum_decay(self.b1, before.b1), running_sum_decay(self.b2, before.b2)
        return *decays, as_number(root), as_number(shift)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new moments."""
        b1, b2, root, shift = scalars
        mu, nu, scale = update_moments(gradient, slots, b1, b2)
        scale *= root
        scale += shift
        return apply_into(scale, namespace(scale).divide, mu, scale), (mu, nu)
