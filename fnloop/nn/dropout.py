"""Dropout, drawn by address."""

from typing import Annotated, Any

from fnloop.core.checks import real
from fnloop.core.records import frozen
from fnloop.nn.layer import Backward, Context, Plain


@frozen
class Dropout(Plain):
    """In training each value is set to zero with probability `rate`, and the others are scaled to keep the mean: y = x k / (1
    - rate).

    Which are kept depends on the trainer's seed, the step and the layer's place alone: a step taken again drops the same.
    Outside training y = x.

    Args:
        rate: in [0, 1).
    Shapes: `x` and `y` are (N, ...), of any shape.
    Source: Srivastava et al. 2014, in the inverted form.
    """

    rate: Annotated[float, real("[0, 1)")] = 0.5

    buffers = ()

    def forward(self, params: Any, x: Any, context: Context) -> tuple[Any, Backward, tuple[Any, ...]]:
        """The values that are kept, the function that takes dy back to dx, and no buffers."""
        if context.draw is None or not self.rate:
            return x, lambda dy, grads, wanted: dy if wanted else None, ()
        drawn = context.draw(x.size, context.address).reshape(x.shape)
        kept = (drawn >= self.rate).astype(x.dtype)
        kept *= 1 / (1 - self.rate)
        return x * kept, lambda dy, grads, wanted: dy * kept if wanted else None, ()
