"""The contract of a layer, and what its forward pass gets besides parameters and values."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import instance_of, sequence_of
from fnloop.core.formatting import short

Backward = Callable[[AnyArray, Any, bool], Any]
Draw = Callable[[int, int], AnyArray]


class Context(NamedTuple):
    """The arguments of a layer's forward pass besides parameters and values.

    Attributes:
        buffers: The layer's arrays that are not parameters, such as running moments.
        draw: In training, `draw(n, address)` returns n uniform numbers in [0, 1). They depend on the trainer's seed, the step
            and the address only, and are the same on every engine. None outside training.
        address: The address of this layer, to pass to `draw`.
        members: The number of members of a population, K. If it is not 1, all arrays may have a leading axis of members: x,
            parameters and buffers; `draw` then returns n numbers for each member, (K, n).
    """

    buffers: tuple[Any, ...] = ()
    draw: Draw | None = None
    address: int = 0
    members: int = 1


EVALUATION = Context()
Forward = tuple[AnyArray, Backward, tuple[AnyArray, ...]]  # the outputs, the backward function, the new buffers
WithBackward = tuple[AnyArray, Callable[[AnyArray], AnyArray]]  # y, and the function from dy to dx


@runtime_checkable
class Layer(Protocol):
    """The contract of a layer: a frozen record without arrays, whose parameters are passed to it.

    Inherit from it to write a layer. Only `forward` is required: the defaults of all else are those of a layer without
    parameters and buffers.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Scale(fl.nn.Layer):
        ...     factor: float
        ...     def forward(self, params, x, context):
        ...         return x * self.factor, lambda dy, grads, need_dx: dy * self.factor if need_dx else None, ()
        >>> fl.nn.Sequential(3, [fl.nn.Dense(3, 2), Scale(0.5)]).shape
        (2,)

    See Also:
        fnloop.testing.check_layer: Checks gradients, purity and shapes of a layer.
    """

    __slots__ = ()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each array of parameters. Default: `()`, no parameters."""
        return ()

    @property
    def params(self) -> Callable[..., Any]:
        """The type of `params` in `forward`: a NamedTuple with a field for each array, or `tuple`. Default: `tuple`."""
        return tuple

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The initial buffers, float64. Default: `()`, no buffers."""
        return ()

    @property
    def random(self) -> bool:
        """Whether `forward` may draw random numbers. Default: `True`.

        If it is False and there are no buffers, the layer shares the context of the model, which saves time in a tiny step.
        The layer may use that context only to find out whether this is training.
        """
        return True

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return the initial parameters, an array for each of the `shapes`. Default: `()`.

        Args:
            seed: The trainer's seed.
            address: The address of this layer, the counter in `fnloop.core.random.uniform(n, seed, stream, address)`.
        """
        return ()

    def check_values(self, x: Array) -> None:
        """Check the values of a data set before training, such as indices in a range. Default: any values are allowed.

        Args:
            x: The examples.

        Raises:
            ValueError: If a value is not allowed.
        """
        return

    @abstractmethod
    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the outputs for x, the backward function, and the new buffers.

        `backward(dy, grads, need_dx)` gets the gradient of the loss with respect to the outputs. It overwrites each array of
        `grads`, a record like `params`, with the gradient of a parameter. It returns the gradient with respect to x if
        `need_dx` is true; otherwise its result is ignored.

        Args:
            params: The record of this layer's parameters, views into the flat vector; read-only.
            x: The values, (N, ...); read-only.
            context: Buffers, random numbers, and whether this is training.
        """


class ForwardError(TypeError):
    """A `forward` that does not keep the contract of a layer."""


_is_layer = instance_of(
    Layer,
    "a layer, such as fl.nn.Dense(3, 2)",
    lambda value: f"; write fl.nn.Activation({short(value, 40)})" if isinstance(value, str) else "",
)


def require_layer(name: str, value: Any) -> Layer:
    """Check that a value is a layer whose `forward` takes the right number of arguments."""
    layer: Layer = _is_layer(name, value)
    try:
        parameters = signature(layer.forward)
        parameters.bind(None, None, None)
    except TypeError:
        raise TypeError(f"{name}, {short(layer)}: forward must take (params, x, context), got {parameters}") from None
    except ValueError:  # a forward without a signature, such as a compiled one
        pass
    return layer


OneLayer = Annotated[Layer, require_layer]
Layers = Annotated[tuple[Layer, ...], sequence_of(require_layer)]


def checked_forward(layer: Layer, params: Any, x: AnyArray, context: Context) -> Forward:
    """Return what the layer's `forward` returns.

    Raises:
        ForwardError: If it is not a tuple of three: the outputs, the backward function, and as many buffers as the layer has.
    """
    result = layer.forward(params, x, context)
    if not isinstance(result, tuple) or len(result) != 3:
        got = f"{len(result)} values" if isinstance(result, tuple) else short(result)
        raise ForwardError(f"forward of {short(layer)} must return (y, backward, buffers), got {got}")
    y, backward, buffers = result
    if not hasattr(y, "shape"):
        raise ForwardError(f"forward of {short(layer)} must return an array as its first value, got {short(y)}")
    if not callable(backward):
        raise ForwardError(f"forward of {short(layer)} must return a function as its second value, got {short(backward)}")
    if not isinstance(buffers, tuple) or len(buffers) != len(layer.buffers):
        raise ForwardError(
            f"forward of {short(layer)} must return a tuple of {len(layer.buffers)} buffers as its third value, "
            f"got {short(buffers)}"
        )
    return result


def make_params(layer: Layer, arrays: Iterable[Any]) -> Any:
    """Return the layer's record of parameters, with these arrays."""
    return getattr(layer.params, "_make", layer.params)(arrays)


def evaluation_context(layer: Layer) -> Context:
    """Return the context outside training with the layer's initial buffers, float32."""
    return Context(tuple(buffer.astype(np.float32) for buffer in layer.buffers))


def trial_outputs(layer: Layer, x: AnyArray) -> AnyArray:
    """Return the layer's outputs for x with parameters of zeros, outside training; only their shape counts."""
    params = make_params(layer, [np.zeros(shape, np.float32) for shape in layer.shapes])
    with np.errstate(all="ignore"):
        return layer.forward(params, x, evaluation_context(layer))[0]


def child_address(address: int, i: int) -> int:
    """Return the address of the i-th layer inside a layer; those of all layers at all depths differ."""
    return ((address + 1) * 0x9E3779B97F4A7C15 + i) % 2**64


def expect(x: AnyArray, *shape: Any, members: int = 1) -> None:
    """Check that values have the shape (N, *shape); None allows any extent, and a leading `...` any number of extents.

    Args:
        x: The values.
        shape: The required shape of an example.
        members: The number of members of a population; if it is not 1, their axis is before that of the examples. Default: 1.

    Raises:
        ValueError: If they have another shape.
    """
    required = shape[1:] if shape[0] is ... else shape
    first = 1 + (members > 1)
    actual = x.shape[max(first, x.ndim - len(required)) :] if shape[0] is ... else x.shape[first:]
    if len(actual) != len(required) or any(a not in (None, b) for a, b in zip(required, actual, strict=True)):
        names = {None: "any", ...: "..."}
        raise ValueError(f"it takes ({', '.join(['N', *(names.get(extent, str(extent)) for extent in shape)])})")
