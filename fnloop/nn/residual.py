"""Residual: a layer plus the identity."""

from collections.abc import Callable
from typing import Any

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.records import frozen
from fnloop.core.stacking import can_stack
from fnloop.nn.layer import Context, Forward, Layer, OneLayer, checked_forward


@frozen
class Residual(Layer):
    """Add a layer's outputs to its inputs: y = x + f(x), dx = dy + dx_f.

    Args:
        layer: f; its outputs must have the shape of its inputs. To use several layers, put them in a `Sequential`.

    Shapes:
        `x` and `y` are (N, ...), of any shape that the layer takes.

    Raises:
        TypeError: If `layer` is not a layer.
        ValueError: If its outputs have another shape than its inputs, from the `Sequential` that the residual is in.

    Source: He et al. 2016.
    """

    layer: OneLayer

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the inner layer's parameters."""
        return self.layer.shapes

    @property
    def params(self) -> Callable[..., Any]:
        """The type of the inner layer's parameters."""
        return self.layer.params

    @property
    def random(self) -> bool:
        """Whether the inner layer draws random numbers."""
        return self.layer.random

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The inner layer's initial buffers."""
        return self.layer.buffers

    @property
    def stacks(self) -> bool:
        """Whether the inner layer takes a leading axis of members."""
        return can_stack(self.layer)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return the inner layer's initial parameters."""
        return self.layer.initial(seed, address)

    def check_values(self, x: Array) -> None:
        """Check the values of a data set as the inner layer does.

        Raises:
            ValueError: If a value is not allowed.
        """
        self.layer.check_values(x)

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the sum, the backward function, and the inner layer's new buffers."""
        y, backward, buffers = checked_forward(self.layer, params, x, context)
        if y.shape != x.shape:
            raise ValueError(f"the layer in Residual must keep the shape {x.shape[1:]}, it gives {y.shape[1:]}")
        return x + y, lambda dy, grads, need_dx: _add(dy, backward(dy, grads, need_dx)), buffers


def _add(dy: AnyArray, dx: AnyArray | None) -> AnyArray | None:
    return dx if dx is None else dy + dx
