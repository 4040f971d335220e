"""A model: layers one after the other, their parameters in one flat vector."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
import toolz

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Extents, choice, integer
from fnloop.core.formatting import short
from fnloop.core.parameters import Params, Slot, lay_out
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.nn.activations import ACTIVATIONS, DEFAULT_INITIALIZER, Activation
from fnloop.nn.dense import Dense
from fnloop.nn.kinds import parameter_names
from fnloop.nn.layer import EVALUATION, Backward, Context, Layer, Layers, child_address, contextual
from fnloop.nn.shaping import Flatten, Reshape


@frozen
class Sequential:
    """A chain of layers, with their parameters in one flat vector; it is a layer too, and may stand in another.

    Args:
        inputs: the shape of one example, (D,) or for images (height, width, channels); a number D stands for (D,).
        layers: each takes what the one before it gives, as is tried at construction.
    Shapes: `x` is (N, *`inputs`), the outputs are (N, *`shape`), the vector is (`size`,).
    Raises: ValueError: if a layer does not take the values that come to it.
    """

    inputs: Extents
    layers: Layers
    shapes: tuple[tuple[int, ...], ...] = attrs.field(init=False, repr=False)
    layout: tuple[Slot, ...] = attrs.field(init=False, repr=False)
    size: int = attrs.field(init=False, repr=False)
    shape: tuple[int, ...] = attrs.field(init=False, repr=False)
    _kept: tuple[int | None, ...] = attrs.field(init=False, repr=False)  # buffers of each layer, None: it takes no context

    def __attrs_post_init__(self) -> None:
        shapes = [layer.shapes for layer in self.layers if layer.shapes]
        layout = lay_out(shapes, [parameter_names(layer) for layer in self.layers if layer.shapes])
        derived = {
            "shapes": tuple(toolz.concat(shapes)),
            "layout": layout,
            "size": layout[-1].stop if layout else 0,
            "_kept": tuple(len(layer.buffers) if hasattr(layer, "buffers") else None for layer in self.layers),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "shape", self._try())

    def _try(self) -> tuple[int, ...]:
        """The shape of an output, found by giving the layers a few examples of zeros."""
        x: Any = np.zeros((_TRIED, *self.inputs), np.float32)
        for i, (layer, params) in enumerate(zip(self.layers, self.views(np.zeros(self.size, np.float32)), strict=True)):
            given = f"({', '.join(map(str, ('N', *x.shape[1:])))})"
            context = Context(tuple(buffer.astype(np.float32) for buffer in getattr(layer, "buffers", ())))
            try:
                x = contextual(layer)(params, x, context)[0]
            except (ValueError, TypeError, IndexError) as error:
                raise ValueError(f"layers[{i}], {short(layer)}, does not take values of shape {given}: {error}") from error
        return tuple(x.shape[1:])

    @property
    def outputs(self) -> int:
        """The number of outputs for an example."""
        return self.shape[0] if len(self.shape) == 1 else 0

    @property
    def buffers(self) -> tuple[Array, ...]:
        """What the layers keep beside parameters, as it is at first, float64."""
        return tuple(buffer for layer in self.layers for buffer in getattr(layer, "buffers", ()))

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """The arrays that the layers start with, float64, flat."""
        places = enumerate(self.layers)
        return tuple(array for i, layer in places for array in layer.initial(seed, child_address(address, i)))

    def init(self, seed: int, dtype: str = "float32") -> Params:
        """The initial parameters, a pure function of the seed."""
        arrays = [array for i, layer in enumerate(self.layers) for array in layer.initial(seed, i)]
        return Params(read_only(np.concatenate([*map(np.ravel, arrays), np.zeros(0)]).astype(dtype)), self)

    def params(self, arrays: Sequence[Any]) -> list[Any]:
        """For each layer, the record of its arrays; an empty one where it has none."""
        left = iter(arrays)
        return [getattr(layer.params, "_make", layer.params)([next(left) for _ in layer.shapes]) for layer in self.layers]

    def views(self, vector: Any) -> list[Any]:
        """For each layer, the record of its views into the vector."""
        return self.params([slot.view(vector) for slot in self.layout])

    def unflatten(self, vector: Any) -> tuple[Any, ...]:
        """For each layer with parameters, the record of its views into the vector."""
        return tuple(params for params in self.views(vector) if params)

    def check_values(self, x: Array) -> None:
        """Refuse what the first layer behind shapes does not take, such as indices that an embedding has no vector for."""
        for layer in self.layers:
            if not isinstance(layer, Flatten | Reshape):
                getattr(layer, "check_values", _anything)(x)
                return

    def forward(self, params: Any, x: Any, context: Context = EVALUATION) -> tuple[Any, Backward, tuple[Any, ...]]:
        """The outputs for x, the function that takes their cotangent back and writes the gradients, and the new buffers.

        Args:
            params: the `views` of the parameters; those of the flat gradient are given to the way back.
        """
        backwards: list[Backward] = []
        buffers: list[Any] = []
        for layer, n, own in zip(self.layers, self._kept, params, strict=True):
            if n is None:
                x, backward = layer.forward(own, x)
            else:
                own_buffers = context.buffers[len(buffers) : len(buffers) + n]
                here = Context(own_buffers, context.draw, child_address(context.address, len(backwards)))
                x, backward, new = layer.forward(own, x, here)
                buffers += new
            backwards.append(backward)

        def backward_all(dy: Any, grads: Any, wanted: bool) -> Any:
            for i in range(len(backwards) - 1, -1, -1):
                dy = backwards[i](dy, grads[i], wanted or i > 0)
            return dy

        return x, backward_all, tuple(buffers)

    def __call__(self, vector: Any, x: Any, buffers: tuple[Any, ...] = ()) -> Any:
        """The outputs for x as a model that is not trained gives them."""
        return self.forward(self.views(vector), x, Context(buffers))[0]


_TRIED = 3  # not two, as which a value alone would pass for a value and its way back


def _anything(x: Array) -> None:
    """No layer but one that says so looks at values."""


@explain_calls(
    {"": "the widths are one sequence, such as [10, 16, 1]", "hidden": "it is among the sizes, such as [10, 16, 1]"}
)
def mlp(sizes: Sequence[int], activation: str = "relu") -> Sequential:
    """A multilayer perceptron: dense layers with an activation between them, and none after the last (losses take logits).

    Weights start as He et al. have it for ReLU and its kin and as Glorot & Bengio have it otherwise, biases at zero.

    Args:
        sizes: the width of the input, of each hidden layer, and of the output; at least two.
        activation: of the hidden layers: `relu`, `leaky_relu`, `elu`, `gelu`, `silu`, `tanh`, `sigmoid`, `softplus`,
            `identity` or `softmax`.

    Examples:
        >>> mlp([10, 16, 1]).size
        193
    """
    if isinstance(sizes, str) or not hasattr(sizes, "__len__") or len(sizes) < 2:
        raise ValueError(
            f"sizes must be the widths of inputs, hidden layers and outputs, such as [10, 16, 1], got {short(sizes)}"
        )
    widths = [integer(1)(f"sizes[{i}]", size) for i, size in enumerate(sizes)]
    choice(*ACTIVATIONS)("activation", activation)
    hidden = DEFAULT_INITIALIZER.get(activation, "glorot_uniform")
    layers: list[Layer] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [Dense(fan_in, fan_out, init=hidden), Activation(activation)]
    return Sequential(widths[0], (*layers, Dense(widths[-2], widths[-1], init="glorot_uniform")))
