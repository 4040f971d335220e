"""Adam's relatives: another norm of the gradients, a maximum, or a rectified start."""

from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.checks import Decay, Positive, real
from fnloop.core.namespace import apply_into, namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import moments, sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scaled, StepContext, as_number


@frozen
class Adamax(Elementwise):
    """Scale Adam's first moment by the largest gradient, whose memory decays.

        m' = b1 m + (1 - b1) g          u' = max(b2 u, |g| + eps)
        direction = (m' / (1 - b1^t)) / u'

    Args:
        b1: decay of the first moment, in [0, 1); unitless.
        b2: decay of the largest gradient, in [0, 1); unitless.
        eps: keeps the quotient finite, above 0; in the units of the gradient.
    Shapes: gradient, slots and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
    Source: Kingma & Ba 2015, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8

    slots = ("mu", "norm")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Any:
        before = context.before or self
        return sum_decay(self.b1, before.b1), (1 - self.b1) / (1 - self.b1**context.count)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        xp = namespace(gradient)
        (m, u), (decay, first) = slots, scalars
        m *= decay
        m += gradient
        size = xp.abs(gradient)
        size += self.eps
        u *= self.b2
        u = xp.maximum(u, size)
        return Scaled(apply_into(size, xp.divide, m, u), first), (m, u)


@frozen
class AMSGrad(Elementwise):
    """Adam whose step never grows again where gradients were large: the second moment is the largest that there was.

        m' = b1 m + (1 - b1) g          v' = b2 v + (1 - b2) g²          top' = max(top, v' / (1 - b2^t))
        direction = (m' / (1 - b1^t)) / (sqrt(top') + eps)

    Args: as of `Adam`.
    Source: Reddi, Kale & Kumar 2018, On the convergence of Adam and beyond; bias-corrected as in optax.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8

    slots = ("mu", "nu", "nu_max")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Any:
        before = context.before or self
        first = (1 - self.b1**context.count) / (1 - self.b1)
        second = (1 - self.b2) / (1 - self.b2**context.count)
        return sum_decay(self.b1, before.b1), sum_decay(self.b2, before.b2), first, self.eps * first, second

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        xp = namespace(gradient)
        (m, v, top), (b1, b2, first, shift, second) = slots, scalars
        m *= b1
        m += gradient
        gradient *= gradient
        v *= b2
        v += gradient
        top = xp.maximum(top, v * second)
        scale = xp.sqrt(top)
        scale *= first
        scale += shift
        return m / scale, (m, v, top)


@frozen
class RAdam(Elementwise):
    """Adam whose second moment counts only once it is known well enough, and then as much as it is known.

        direction = r (m' / (1 - b1^t)) / (sqrt(v' / (1 - b2^t)) + eps) where n >= threshold, else m' / (1 - b1^t)
        n = N - 2 t b2^t / (1 - b2^t),   N = 2 / (1 - b2) - 1,   r² = (n - 4) (n - 2) N / ((N - 4) (N - 2) n)

    n is the length, in steps, of the average that v' stands for.

    Args: as of `Adam`, and
        threshold: steps, above 4.
    Source: Liu et al. 2020, On the variance of the adaptive learning rate and beyond, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8
    threshold: Annotated[float, real("(4, inf)")] = 5.0

    slots = ("mu", "nu")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Any:
        before, t = context.before or self, context.count
        first = (1 - self.b1**t) / (1 - self.b1)
        second = (1 - self.b2**t) / (1 - self.b2)
        longest = 2 / (1 - self.b2) - 1
        length = longest - 2 * t * self.b2**t / (1 - self.b2**t)
        known = length >= self.threshold
        # Where it is not known the root falls away, and what stands here instead is any number that has one.
        n, most = np.where(known, length, self.threshold), np.where(known, longest, self.threshold)
        rectified = np.sqrt((n - 4) * (n - 2) * most / ((most - 4) * (most - 2) * n))
        root = np.where(known, first / second**0.5 / rectified, 0.0)
        shift = np.where(known, self.eps * first / rectified, first)
        return sum_decay(self.b1, before.b1), sum_decay(self.b2, before.b2), as_number(root), as_number(shift)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        b1, b2, root, shift = scalars
        m, v, scale = moments(gradient, slots, b1, b2)
        scale *= root
        scale += shift
        return apply_into(scale, namespace(scale).divide, m, scale), (m, v)
