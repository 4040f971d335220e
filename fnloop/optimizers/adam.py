"""Adam, and AdamW: Adam with decoupled weight decay."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, NonNegative, Positive
from fnloop.core.namespace import apply_into, namespace
from fnloop.core.records import frozen
from fnloop.optimizers.chaining import Composite
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars, Scaled, StepContext
from fnloop.optimizers.transforms import add_decayed_weights


@frozen
class Adam(Elementwise):
    """Scale the gradient by Adam's bias-corrected moments.

        mu' = b1 mu + (1 - b1) g        nu' = b2 nu + (1 - b2) g²
        direction = (mu' / (1 - b1^t)) / (sqrt(nu' / (1 - b2^t)) + eps)

    If b1 or b2 is `scheduled`, the formula uses its value of the update throughout.

    The sum of g² over 1 / (1 - b2) updates must be within the dtype: in float32, gradients up to about 1e17. Beyond that nu is
    not finite, which the engines report; a clip before Adam avoids it. In float32 an eps below 1e-38 is 0.

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the second moment, in [0, 1); unitless. Default: 0.999.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-8.

    Shapes:
        gradient, mu, nu, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Kingma & Ba 2015, Adam: a method for stochastic optimization, Algorithm 1.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8

    slots = ("mu", "nu")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rates of the slots, the shift of the denominator, and the factor of the direction."""
        # The slots hold mu / (1 - b1) and nu / (1 - b2); the factors go into the learning rate: fewer passes over memory.
        before = context.before or self
        first = (1 - self.b1**context.count) / (1 - self.b1)
        root = ((1 - self.b2**context.count) / (1 - self.b2)) ** 0.5
        return running_sum_decay(self.b1, before.b1), running_sum_decay(self.b2, before.b2), self.eps * root, root / first

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new moments."""
        b1, b2, shift, factor = scalars
        mu, nu, scale = update_moments(gradient, slots, b1, b2)
        scale += shift
        return Scaled(apply_into(scale, namespace(scale).divide, mu, scale), factor), (mu, nu)


def update_moments(gradient: AnyArray, slots: Sequence[AnyArray], b1: Any, b2: Any) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return the running sums mu' = b1 mu + g and nu' = b2 nu + g², and sqrt(nu'), which overwrites the gradient."""
    mu, nu = slots
    mu *= b1
    mu += gradient
    gradient *= gradient
    nu *= b2
    nu += gradient
    return mu, nu, apply_into(gradient, namespace(gradient).sqrt, nu)


def running_sum_decay(decay: Any, before: Any) -> Any:
    """Return the decay rate of a running sum that holds a running mean divided by (1 - decay).

    The rate of the mean may follow a schedule, and was `before` at the previous update: from m' = decay m + (1 - decay) x with
    m = (1 - before) s and m' = (1 - decay) s' follows s' = running_sum_decay s + x.
    """
    return decay * ((1 - before) / (1 - decay))


@frozen
class AdamW(Composite):
    """Adam with decoupled weight decay: direction = Adam's direction + weight_decay * params.

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the second moment, in [0, 1); unitless. Default: 0.999.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-8.
        weight_decay: Decay per unit of the learning rate, at least 0. It applies to all parameters; `masked` shows how to
            exclude biases and normalizations. Default: 0.01.

    Shapes:
        gradient, mu, nu, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> AdamW(weight_decay=0.1)
        AdamW(b1=0.9, b2=0.999, eps=1e-08, weight_decay=0.1)

    Source: Loshchilov & Hutter 2019, Decoupled weight decay regularization, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """Adam, then the decay."""
        return Adam(b1=self.b1, b2=self.b2, eps=self.eps), add_decayed_weights(self.weight_decay)
