"""Layers that change only the shape of an example."""

import math
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Extents
from fnloop.core.records import frozen
from fnloop.nn.layer import Context, Forward, Layer


@frozen
class Flatten(Layer):
    """Flatten each example to a row.

    Shapes:
        `x` is (N, ...), `y` is (N, D) with D the number of values of an example.
    """

    random = False
    stacks = True

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the rows, the backward function, and no buffers."""
        rows = x.shape[: 1 + (context.members > 1)]
        y = x.reshape(*rows, math.prod(x.shape[len(rows) :]))
        return y, lambda dy, grads, need_dx: dy.reshape(x.shape) if need_dx else None, ()


@frozen
class Reshape(Layer):
    """Give each example another shape; the values keep their C order.

    Args:
        shape: The new shape of an example; a number D means (D,).

    Shapes:
        `x` is (N, ...), `y` is (N, *`shape`).

    Raises:
        TypeError: If `shape` is neither an integer nor a sequence of integers.
        ValueError: If an extent is below 1, or there is none.
    """

    shape: Extents

    random = False
    stacks = True

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the reshaped examples, the backward function, and no buffers."""
        y = x.reshape(*x.shape[: 1 + (context.members > 1)], *self.shape)
        return y, lambda dy, grads, need_dx: dy.reshape(x.shape) if need_dx else None, ()
