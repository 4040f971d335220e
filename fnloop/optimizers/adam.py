"""Adam, and AdamW as Adam with decoupled weight decay."""

from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Decay, Positive
from fnloop.core.namespace import apply_into, namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.optimizers.argument_hints import OPTIMIZER_HINTS
from fnloop.optimizers.chaining import Chain, chain
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scaled, StepContext
from fnloop.optimizers.transforms import add_decayed_weights


@frozen
class Adam(Elementwise):
    """Scale the gradient by Adam's bias-corrected moments.

        m' = b1 m + (1 - b1) g          v' = b2 v + (1 - b2) g²
        direction = (m' / (1 - b1^t)) / (sqrt(v' / (1 - b2^t)) + eps)

    Args:
        b1: decay of the first moment, in [0, 1); unitless.
        b2: decay of the second moment, in [0, 1); unitless.
        eps: keeps the quotient finite, above 0; in the units of the gradient.
    If b1 or b2 is `scheduled`, the formula has its value of the moment in every place.

    The square of a gradient must be within the dtype, summed over 1 / (1 - b2) updates: in float32 gradients up to about 1e17.
    Beyond that nu is not finite, which the engines report; a clip before Adam avoids it. In float32 an eps below 1e-38 is 0.

    Shapes: gradient, slots and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
    Source: Kingma & Ba 2015, Algorithm 1.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-8

    slots = ("mu", "nu")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Any:
        # The slots are m / (1 - b1) and v / (1 - b2), and the factor goes into the learning rate: fewer passes over memory.
        before = context.before or self
        first = (1 - self.b1**context.count) / (1 - self.b1)
        root = ((1 - self.b2**context.count) / (1 - self.b2)) ** 0.5
        return sum_decay(self.b1, before.b1), sum_decay(self.b2, before.b2), self.eps * root, root / first

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        b1, b2, shift, factor = scalars
        m, v, scale = moments(gradient, slots, b1, b2)
        scale += shift
        return Scaled(apply_into(scale, namespace(scale).divide, m, scale), factor), (m, v)


def moments(gradient: Any, slots: Any, b1: Any, b2: Any) -> tuple[Any, Any, Any]:
    """The running sums m' = b1 m + g and v' = b2 v + g², and sqrt(v'), which is written over the gradient."""
    m, v = slots
    m *= b1
    m += gradient
    gradient *= gradient
    v *= b2
    v += gradient
    return m, v, apply_into(gradient, namespace(gradient).sqrt, v)


def sum_decay(b: Any, before: Any) -> Any:
    """The decay of a running sum that stands for a running mean divided by (1 - b), where b may follow a schedule.

    From m' = b m + (1 - b) x with m = (1 - before) s and m' = (1 - b) s' follows s' = sum_decay s + x.
    """
    return b * ((1 - before) / (1 - b))


@explain_calls(OPTIMIZER_HINTS)
def AdamW(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01) -> Chain:
    """Adam with decoupled weight decay: direction = Adam's + weight_decay * params.

    Args:
        weight_decay: per unit of the learning rate, at least 0. It holds for all parameters; `masked` shows how to spare
            biases and normalisations.
    Source: Loshchilov & Hutter 2019, Algorithm 2.
    """
    return chain(Adam(b1=b1, b2=b2, eps=eps), add_decayed_weights(weight_decay))
