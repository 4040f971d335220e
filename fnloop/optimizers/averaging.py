"""Averages of the parameters over the updates, kept as a slot of the optimizer; `fl.averaged(state)` puts them in place."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array, freeze
from fnloop.core.checks import Decay, Flag, PositiveInt
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.optimizers.argument_hints import TRANSFORMATION_HINTS
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext, as_number


class Average(Elementwise):
    """What averages have in common: average' = keep average + weight params', of the parameters after the update."""

    __slots__ = ()
    slots = ("average",)
    keeps_average = True

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        return (freeze(vector),)

    def weight(self, count: Any) -> Any:
        """What the parameters after the count-th update weigh in the average, in [0, 1]."""
        raise NotImplementedError

    def scalars(self, context: StepContext) -> Any:
        weight = as_number(self.weight(context.count))
        return context.lr, weight, 1 - weight

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        (average,), (lr, weight, keep) = slots, scalars
        average *= keep
        after = params - lr * gradient
        after *= weight
        average += after
        return gradient, (average,)


@frozen
class ExponentialAverage(Average):
    """See `ema`."""

    decay: Decay = 0.999
    debias: Flag = False

    def weight(self, count: Any) -> Any:
        if self.debias:
            return (1 - self.decay) / (1 - self.decay**count)
        return np.where(np.asarray(count) == 1, 1.0, 1 - self.decay)


@explain_calls(TRANSFORMATION_HINTS)
def ema(decay: float = 0.999, *, debias: bool = False) -> ExponentialAverage:
    """Keep an exponential moving average of the parameters after each update: e' = decay e + (1 - decay) params'.

    The first update starts it: e = params'. Debiased, all parameters so far weigh what they would in the long run, decay^age
    over the sum of these, where without it the first ones weigh more. It changes no step, and stands last in a chain.

    Args:
        decay: in [0, 1); unitless.
    Examples:
        chain(AdamW(), ema(0.99))
    Source: Polyak & Juditsky 1992; debiased: Kingma & Ba 2015, section 3.
    See Also: fnloop.averaged
    """
    return ExponentialAverage(decay, debias)


@frozen
class EqualAverage(Average):
    """See `swa`."""

    start: PositiveInt
    every: PositiveInt = 1

    def weight(self, count: Any) -> Any:
        since = np.asarray(count) - self.start
        n = np.maximum(since, 0) // self.every + 1
        return np.where(since < 0, 1.0, np.where(since % self.every == 0, 1 / n, 0.0))


@explain_calls(TRANSFORMATION_HINTS)
def swa(*, start: int, every: int = 1) -> EqualAverage:
    """Keep the mean of the parameters after updates start, start + every, start + 2 every, ...

    Before, the average is the parameters. It changes no step, and stands last in a chain; the learning rate should stay high,
    or go round in cycles, while it is taken.

    Args:
        start: an update, counted from 1; every: updates from one to the next, at least 1.
    Examples:
        chain(SGD(momentum=0.9), swa(start=1000, every=100))
    Source: Izmailov et al. 2018, Averaging weights leads to wider optima and better generalization, Algorithm 1.
    See Also: fnloop.averaged
    """
    return EqualAverage(start, every)
