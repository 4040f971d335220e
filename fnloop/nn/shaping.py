"""Layers that only change the shape of an example."""

import math
from typing import Any

from fnloop.core.checks import Extents
from fnloop.core.records import frozen
from fnloop.nn.layer import Backward, Plain


@frozen
class Flatten(Plain):
    """One row an example: `x` is (N, ...), `y` is (N, D) with D the number of values of an example."""

    def forward(self, params: Any, x: Any) -> tuple[Any, Backward]:
        """The rows, and the function that takes dy back to dx."""
        y = x.reshape(len(x), math.prod(x.shape[1:]))
        return y, lambda dy, grads, wanted: dy.reshape(x.shape) if wanted else None


@frozen
class Reshape(Plain):
    """Examples of another shape with the same values in C order: `x` is (N, ...), `y` is (N, *`shape`)."""

    shape: Extents

    def forward(self, params: Any, x: Any) -> tuple[Any, Backward]:
        """The examples in that shape, and the function that takes dy back to dx."""
        y = x.reshape(len(x), *self.shape)
        return y, lambda dy, grads, wanted: dy.reshape(x.shape) if wanted else None
