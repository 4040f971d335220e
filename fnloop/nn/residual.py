"""Residual: a layer beside the identity."""

from collections.abc import Callable
from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.nn.layer import Backward, Context, OneLayer, contextual


@frozen
class Residual:
    """What a layer adds to its input: y = x + f(x), dx = dy + dx_f.

    Args:
        layer: f, of any kind whose values have the shape of its input; several of them stand in a `Sequential`.
    Source: He et al. 2016.
    """

    layer: OneLayer

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the layer's parameters."""
        return self.layer.shapes

    @property
    def params(self) -> Callable[..., Any]:
        """The layer's own record of them."""
        return self.layer.params

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The layer's own."""
        return getattr(self.layer, "buffers", ())

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """The layer's own."""
        return self.layer.initial(seed, address)

    def forward(self, params: Any, x: Any, context: Context) -> tuple[Any, Backward, tuple[Any, ...]]:
        """The sum, the function that takes dy back, and the layer's new buffers."""
        y, backward, buffers = contextual(self.layer)(params, x, context)
        if y.shape != x.shape:
            raise ValueError(f"the layer in Residual must keep the shape {x.shape[1:]}, it gives {y.shape[1:]}")
        return x + y, lambda dy, grads, wanted: _plus(dy, backward(dy, grads, wanted)), buffers


def _plus(dy: Any, dx: Any) -> Any:
    return dx if dx is None else dy + dx
