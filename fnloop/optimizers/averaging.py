"""Averages of the parameters over the updates, in a slot of the optimizer; `fl.averaged(state)` applies them."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array, freeze
from fnloop.core.checks import Decay, Flag, PositiveInt
from fnloop.core.records import frozen
from fnloop.optimizers.elementwise import Transformation
from fnloop.optimizers.kernel import Scalars, StepContext, as_number


class Average(Transformation):
    """Base of averages: average' = (1 - weight) average + weight params', of the parameters after the update."""

    __slots__ = ()
    slots = ("average",)
    keeps_average = True

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        """Return the parameters as the initial average."""
        return (freeze(vector),)

    def weight(self, count: Any) -> Any:
        """Return the weight of the parameters after the count-th update, in [0, 1]."""
        raise NotImplementedError

    def scalars(self, context: StepContext) -> Scalars:
        """Return the learning rate, and the weights of the new parameters and of the average."""
        weight = as_number(self.weight(context.count))
        return context.lr, weight, 1 - weight

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient unchanged, and the new average."""
        (average,), (lr, weight, keep) = slots, scalars
        average *= keep
        after = params - lr * gradient
        after *= weight
        average += after
        return gradient, (average,)


@frozen
class ema(Average):
    """Keep an exponential moving average of the parameters after each update: e' = decay e + (1 - decay) params'.

    The first update starts it: e = params'. It changes no update, and must be last in a chain.

    Args:
        decay: Decay rate of the average, in [0, 1); unitless. Default: 0.999.
        debias: Whether to weigh all parameters so far by decay^age over the sum of these weights, as in the long run. Without
            it the first parameters weigh more. Default: False.

    Raises:
        ValueError: If `decay` is outside its interval.

    Examples:
        >>> from fnloop.optimizers import AdamW, chain
        >>> chain(AdamW(), ema(0.99)).parts[-1]
        ema(decay=0.99, debias=False)

    Source: Polyak & Juditsky 1992, Acceleration of stochastic approximation by averaging; debiased:
        Kingma & Ba 2015, section 3.

    See Also:
        `fnloop.averaged`, `swa`
    """

    decay: Decay = 0.999
    _: KW_ONLY
    debias: Flag = False

    def weight(self, count: Any) -> Any:
        """Return the weight of the parameters after the count-th update."""
        if self.debias:
            return (1 - self.decay) / (1 - self.decay**count)
        return np.where(np.asarray(count) == 1, 1.0, 1 - self.decay)


@frozen
class swa(Average):
    """Keep the mean of the parameters after updates start, start + every, start + 2 every, ...

    Before `start` the average equals the parameters. It changes no update, and must be last in a chain. The learning rate
    should stay high, or be cyclic, during averaging.

    Args:
        start: The first update that counts, from 1.
        every: Updates between two that count, at least 1. Default: 1.

    Raises:
        ValueError: If a parameter is below 1.

    Examples:
        >>> from fnloop.optimizers import SGD, chain
        >>> chain(SGD(momentum=0.9), swa(start=1000, every=100)).parts[-1]
        swa(start=1000, every=100)

    Source: Izmailov et al. 2018, Averaging weights leads to wider optima and better generalization, Algorithm 1.

    See Also:
        `fnloop.averaged`, `ema`
    """

    _: KW_ONLY
    start: PositiveInt
    every: PositiveInt = 1

    def weight(self, count: Any) -> Any:
        """Return the weight of the parameters after the count-th update."""
        since = np.asarray(count) - self.start
        n = np.maximum(since, 0) // self.every + 1
        return np.where(since < 0, 1.0, np.where(since % self.every == 0, 1 / n, 0.0))
