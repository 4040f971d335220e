"""A chain of layers whose parameters are one flat vector."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
import toolz

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.core.checks import Extents, choice, integer
from fnloop.core.formatting import short
from fnloop.core.parameters import Slot, lay_out
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.core.stacking import can_stack
from fnloop.nn.activations import ACTIVATIONS, DEFAULT_INITIALIZER, Activation
from fnloop.nn.dense import Dense
from fnloop.nn.kinds import parameter_names
from fnloop.nn.layer import (
    EVALUATION,
    Backward,
    Context,
    Forward,
    ForwardError,
    Layer,
    Layers,
    checked_forward,
    child_address,
    evaluation_context,
    make_params,
)
from fnloop.nn.model import Params
from fnloop.nn.shaping import Flatten, Reshape


@frozen
class Sequential(Layer):
    """A chain of layers, with their parameters in one flat vector. It is a model, and also a layer for use in another chain.

    Args:
        inputs: The shape of an example, such as (height, width, channels); a number D means (D,).
        layers: The layers in order. Each must take the outputs of the one before it, which is checked at construction.

    Shapes:
        `x` is (N, *`inputs`), the outputs are (N, *`shape`), the vector is (`size`,).

    Raises:
        TypeError: If an item of `layers` is not a layer, or its `forward` takes or returns the wrong number of values.
        ValueError: If a layer does not take the values that it gets.

    Examples:
        >>> model = Sequential((28, 28), [Flatten(), Dense(784, 10)])
        >>> model.shape, model.size
        ((10,), 7850)
    """

    inputs: Extents
    layers: Layers
    shapes: tuple[tuple[int, ...], ...] = attrs.field(init=False, repr=False)
    layout: tuple[Slot, ...] = attrs.field(init=False, repr=False)
    size: int = attrs.field(init=False, repr=False)
    shape: tuple[int, ...] = attrs.field(init=False, repr=False)
    _own: tuple[tuple[int, slice] | None, ...] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        shapes = [layer.shapes for layer in self.layers if layer.shapes]
        layout = lay_out(shapes, [parameter_names(layer) for layer in self.layers if layer.shapes])
        derived = {
            "shapes": tuple(toolz.concat(shapes)),
            "layout": layout,
            "size": layout[-1].stop if layout else 0,
            "_own": tuple(_own(self.layers)),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "shape", self._trial_shape())

    def _trial_shape(self) -> tuple[int, ...]:
        """Return the shape of an output, found by giving the layers two examples of zeros."""
        x: AnyArray = np.zeros((2, *self.inputs), np.float32)
        for i, (layer, params) in enumerate(zip(self.layers, self.views(np.zeros(self.size, np.float32)), strict=True)):
            shape = f"({', '.join(map(str, ('N', *x.shape[1:])))})"
            try:
                with np.errstate(all="ignore"):  # only the shape counts; a BLAS may also report what its padding held
                    x, *_ = checked_forward(layer, params, x, evaluation_context(layer))
            except ForwardError as error:
                raise TypeError(f"layers[{i}]: {error}") from None
            except (ValueError, TypeError, IndexError) as error:
                raise ValueError(f"layers[{i}], {short(layer)}, does not take values of shape {shape}: {error}") from error
        return tuple(x.shape[1:])

    @property
    def outputs(self) -> int:
        """The number of outputs for an example, K, if `shape` is (K,); else 0."""
        return self.shape[0] if len(self.shape) == 1 else 0

    @property
    def random(self) -> bool:
        """Whether a layer draws random numbers."""
        return any(layer.random for layer in self.layers)

    @property
    def stacks(self) -> bool:
        """Whether all layers take a leading axis of members."""
        return all(map(can_stack, self.layers))

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The initial buffers of all layers, float64."""
        return tuple(buffer for layer in self.layers for buffer in layer.buffers)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return the initial parameters of all layers, float64, as a layer in another chain."""
        layers = enumerate(self.layers)
        return tuple(array for i, layer in layers for array in layer.initial(seed, child_address(address, i)))

    def init(self, seed: int, dtype: str = "float32") -> Params:
        """Return the initial parameters, a pure function of the seed.

        Args:
            seed: The seed, in [0, 2^64).
            dtype: `"float32"` (the default) or `"float64"`.

        Raises:
            ValueError: If a layer returns other initial parameters than its `shapes` say.
        """
        arrays: list[Array] = []
        for i, layer in enumerate(self.layers):
            initial, shapes = layer.initial(seed, i), layer.shapes
            if [np.size(array) for array in initial] != [math.prod(shape) for shape in shapes]:
                got = [np.shape(array) for array in initial]
                raise ValueError(f"layers[{i}], {short(layer)}: initial must return arrays of the shapes {shapes}, got {got}")
            arrays += initial
        return Params(read_only(np.concatenate([*map(np.ravel, arrays), np.zeros(0)]).astype(dtype)), self)

    def params(self, arrays: Iterable[AnyArray]) -> list[Any]:
        """Return the record of parameters of each layer; an empty one for a layer without parameters."""
        remaining = iter(arrays)
        return [make_params(layer, [next(remaining) for _ in layer.shapes]) for layer in self.layers]

    def views(self, vector: AnyArray) -> list[Any]:
        """Return the record of views into the vector for each layer.

        Args:
            vector: The parameters, (P,), or a gradient of that shape.
        """
        return self.params([slot.view(vector) for slot in self.layout])

    def unflatten(self, vector: AnyArray) -> tuple[Any, ...]:
        """Return the record of views into the vector for each layer that has parameters.

        Args:
            vector: The parameters, (P,), or a gradient of that shape.
        """
        return tuple(params for params in self.views(vector) if params)

    def check_values(self, x: Array) -> None:
        """Check the values of a data set as the first layer does that uses them; `Flatten` and `Reshape` do not.

        Raises:
            ValueError: If a value is not allowed, such as an index for which an embedding has no vector.
        """
        for layer in self.layers:
            if not isinstance(layer, Flatten | Reshape):
                layer.check_values(x)
                return

    def forward(self, params: Any, x: AnyArray, context: Context = EVALUATION) -> Forward:
        """Return the outputs for x, the backward function, and the new buffers.

        Args:
            params: The `views` of the parameters; the backward function takes those of the gradient.
            x: The examples.
            context: Buffers, random numbers, and whether this is training. Default: no buffers, outside training.
        """
        backwards: list[Backward] = []
        buffers: list[AnyArray] = []
        for layer, own_params, own in zip(self.layers, params, self._own, strict=True):
            x, backward, new = layer.forward(own_params, x, context if own is None else _context_of(own, context))
            backwards.append(backward)
            if new:
                buffers += new

        def backward_all(dy: AnyArray, grads: Any, need_dx: bool) -> AnyArray | None:
            for i in range(len(backwards) - 1, -1, -1):
                dy = backwards[i](dy, grads[i], need_dx or i > 0)
            return dy

        return x, backward_all, tuple(buffers)

    def __call__(self, vector: AnyArray, x: AnyArray, buffers: tuple[AnyArray, ...] = ()) -> AnyArray:
        """Return the outputs for x, computed as outside training."""
        return self.forward(self.views(vector), x, Context(buffers))[0]


def _own(layers: Iterable[Layer]) -> Iterator[tuple[int, slice] | None]:
    """Yield each layer's index and the slice of its buffers; None for one that can share the context of the chain."""
    stop = 0
    for i, layer in enumerate(layers):
        start, stop = stop, stop + len(layer.buffers)
        yield (i, slice(start, stop)) if layer.random or stop > start else None


def _context_of(own: tuple[int, slice], chain: Context) -> Context:
    """Return the context of a layer in a chain: its buffers and address."""
    i, buffers = own
    return Context(chain.buffers[buffers], chain.draw, child_address(chain.address, i), chain.members)


@explain_calls(
    {"": "the widths are one sequence, such as [10, 16, 1]", "hidden": "it is among the sizes, such as [10, 16, 1]"}
)
def mlp(sizes: Sequence[int], activation: str = "relu") -> Sequential:
    """Return a multilayer perceptron: dense layers with an activation between them, but none after the last.

    The outputs are therefore logits, which losses take. Weights have the initialization of He et al. for ReLU and its
    variants, that of Glorot & Bengio otherwise; biases start at zero.

    Args:
        sizes: The width of the input, of each hidden layer, and of the output; at least two numbers.
        activation: The activation of the hidden layers: `relu`, `leaky_relu`, `elu`, `gelu`, `silu`, `tanh`, `sigmoid`,
            `softplus`, `identity` or `softmax`. Default: `"relu"`.

    Raises:
        TypeError: If a size is not an integer, or the activation is not a string.
        ValueError: If there are fewer than two sizes, a size is below 1, or the activation is unknown.

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
    init = DEFAULT_INITIALIZER.get(activation, "glorot_uniform")
    layers: list[Layer] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [Dense(fan_in, fan_out, init=init), Activation(activation)]
    return Sequential(widths[0], (*layers, Dense(widths[-2], widths[-1], init="glorot_uniform")))
