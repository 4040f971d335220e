"""Dropout, with a mask that is a function of its address."""

from typing import Annotated, Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import real
from fnloop.core.records import frozen
from fnloop.nn.layer import Context, Forward, Layer


@frozen
class Dropout(Layer):
    """In training, set each value to zero with probability `rate`, and scale the others to keep the mean.

        y = x mask / (1 - rate)

    The mask depends only on the trainer's seed, the step and the layer's address: a replayed step drops the same values.
    Outside training y = x.

    Args:
        rate: The probability, in [0, 1). Default: `0.5`.

    Shapes:
        `x` and `y` are (N, ...), of any shape.

    Raises:
        TypeError: If `rate` is not a number.
        ValueError: If `rate` is outside its interval.

    Source: Srivastava et al. 2014, the inverted form.
    """

    rate: Annotated[float, real("[0, 1)")] = 0.5

    stacks = True

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the scaled values, the backward function, and no buffers."""
        if context.draw is None or not self.rate:
            return x, lambda dy, grads, need_dx: dy if need_dx else None, ()
        drawn = context.draw(x.size // context.members, context.address).reshape(x.shape)
        mask = (drawn >= self.rate).astype(x.dtype)
        mask *= 1 / (1 - self.rate)
        return x * mask, lambda dy, grads, need_dx: dy * mask if need_dx else None, ()
