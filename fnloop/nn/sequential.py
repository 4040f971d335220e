"""A model: layers one after the other, their parameters in one flat vector."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import attrs
import numpy as np

from fnloop.nn.activations import BY_NAME, INITIALIZER, Activation
from fnloop.nn.dense import Dense
from fnloop.parameters import Params, Slot, slots
from fnloop.record import owned, record
from fnloop.typing import Array, PositiveInt, choice, integer


class Layer(Protocol):
    """What a model is made of.

    `params` makes the record of the layer's arrays from them, `shapes` and `initial` lay them out, and `forward(params, x)`
    returns the value and its `backward(dy, grads, wanted)`, which writes the gradients and returns dx if it is wanted.
    """

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]: ...
    @property
    def params(self) -> Callable[..., Any]: ...
    def initial(self, seed: int, layer: int) -> tuple[Array, ...]: ...
    def forward(self, params: Any, x: Any) -> tuple[Any, Callable[[Any, Any, bool], Any]]: ...


@record
class Sequential:
    """A chain of layers, with their parameters in one flat vector.

    Shapes: `x` is (N, `inputs`), the outputs are (N, `outputs`), the vector is (`size`,).
    """

    inputs: PositiveInt
    outputs: PositiveInt
    layers: tuple[Layer, ...]
    layout: tuple[Slot, ...] = attrs.field(init=False, repr=False)  # of each array of parameters, in order
    placed: tuple[tuple[Callable[[Any], Any], tuple[Slot, ...]], ...] = attrs.field(init=False, repr=False)
    size: int = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        placed, start, filled = [], 0, 0
        for layer in self.layers:
            laid = slots(layer.shapes, start, filled)
            placed.append((getattr(layer.params, "_make", layer.params), laid))
            start, filled = (laid[-1].stop, filled + 1) if laid else (start, filled)
        object.__setattr__(self, "placed", tuple(placed))
        object.__setattr__(self, "layout", tuple(slot for _, laid in placed for slot in laid))
        object.__setattr__(self, "size", start)

    def initial(self, seed: int, dtype: str = "float32") -> Params:
        """The initial parameters, a pure function of the seed."""
        arrays = [array for i, layer in enumerate(self.layers) for array in layer.initial(seed, i)]
        return Params(owned(np.concatenate([*arrays, np.zeros(0)]).astype(dtype)), self)

    def unflatten(self, vector: Any) -> tuple[Any, ...]:
        """For each layer with parameters, the record of its views into the vector."""
        return tuple(params for params in self.views(vector) if params)

    def views(self, vector: Any) -> list[Any]:
        """For each layer, the record of its views into the vector; an empty one where it has no parameters."""
        return [make([slot.view(vector) for slot in laid]) for make, laid in self.placed]

    def forward(self, params: Sequence[Any], x: Any) -> tuple[Any, Callable[[Any, Sequence[Any]], None]]:
        """The outputs for x, and the function that takes their cotangent back and writes the gradients.

        Args:
            params: the `views` of the parameters; those of the flat gradient are given to the way back.
        """
        backwards = []
        for layer, layer_params in zip(self.layers, params, strict=True):
            x, backward = layer.forward(layer_params, x)
            backwards.append(backward)

        def backward_all(dy: Any, grads: Sequence[Any]) -> None:
            for i in range(len(backwards) - 1, -1, -1):
                dy = backwards[i](dy, grads[i], i > 0)

        return x, backward_all

    def __call__(self, vector: Any, x: Any) -> Any:
        """The outputs for x alone; nothing is kept for a backward pass."""
        for layer, params in zip(self.layers, self.views(vector), strict=True):
            x = layer.forward(params, x)[0]
        return x


def mlp(sizes: Sequence[int], activation: str = "relu") -> Sequential:
    """A multilayer perceptron: dense layers with an activation between them, and none after the last (losses take logits).

    Weights start as He et al. have it for ReLU and as Glorot & Bengio have it otherwise, biases at zero.

    Args:
        sizes: the width of the input, of each hidden layer, and of the output; at least two.
        activation: of the hidden layers, `relu`, `sigmoid`, `tanh` or `identity`.

    Examples:
        >>> mlp([10, 16, 1]).size
        193
    """
    if isinstance(sizes, str) or not isinstance(sizes, Sequence) or len(sizes) < 2:
        raise ValueError(f"sizes must name at least an input and an output width, got {sizes!r}")
    widths = [integer(1)(f"sizes[{i}]", size) for i, size in enumerate(sizes)]
    choice(*BY_NAME)("activation", activation)
    hidden = INITIALIZER.get(activation, "glorot_uniform")
    layers: list[Layer] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [Dense(fan_in, fan_out, hidden), Activation(activation)]
    return Sequential(widths[0], widths[-1], (*layers, Dense(widths[-2], widths[-1], "glorot_uniform")))
