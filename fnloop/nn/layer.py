"""What a layer is, and what it is given beside its parameters."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol

from fnloop.core.arrays import Array
from fnloop.core.checks import sequence_of
from fnloop.core.formatting import short
from fnloop.core.signatures import call_hint

Backward = Callable[[Any, Any, bool], Any]
Draw = Callable[[int, int], Any]


class Context(NamedTuple):
    """What a forward pass has beside parameters and values.

    `buffers` are the layer's arrays that are no parameters, such as running moments. `draw(n, address)` gives n uniform
    numbers in [0, 1), the same for the same step and address, on every engine; it is None where nothing is trained.
    """

    buffers: tuple[Any, ...] = ()
    draw: Draw | None = None
    address: int = 0


EVALUATION = Context()


class Layer(Protocol):
    """What a model is made of.

    `shapes` says what arrays of parameters it has, `initial` what they start as, and `params` makes the record of them;
    `forward(params, x)` returns the value and its `backward(dy, grads, wanted)`, which writes the gradients into `grads`, a
    record like `params`, and returns dx if it is wanted. `address` is the layer's own in what it draws.

    A layer that has `buffers`, a tuple of arrays (which may be empty), is given a `Context` too: its `forward(params, x,
    context)` returns the value, its backward, and the new buffers.
    """

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]: ...
    @property
    def params(self) -> Callable[..., Any]: ...
    def initial(self, seed: int, address: int) -> tuple[Array, ...]: ...
    @property
    def forward(self) -> Callable[..., tuple[Any, ...]]: ...


def layer(name: str, value: Any) -> Layer:
    """The check for a layer."""
    if isinstance(value, type) or not all(hasattr(value, part) for part in ("shapes", "params", "initial", "forward")):
        hint = f"; write fl.nn.Activation({short(value, 40)})" if isinstance(value, str) else call_hint(value)
        raise TypeError(f"{name} must be an instance with shapes, params, initial and forward, got {short(value)}{hint}")
    checked: Layer = value
    return checked


OneLayer = Annotated[Layer, layer]
Layers = Annotated[tuple[Layer, ...], sequence_of(layer)]


class Plain:
    """What a layer without parameters of its own has to say of them."""

    __slots__ = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    params = staticmethod(tuple)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """No arrays."""
        return ()


def child_address(address: int, i: int) -> int:
    """The address of the i-th layer inside a layer: one of its own, spread over 64 bits at any depth."""
    return ((address + 1) * 0x9E3779B97F4A7C15 + i) % 2**64


def contextual(layer: Layer) -> Callable[[Any, Any, Context], tuple[Any, Backward, tuple[Any, ...]]]:
    """The forward pass of any layer, with a context, and with the new buffers in what it returns."""
    if hasattr(layer, "buffers"):
        return layer.forward

    def forward(params: Any, x: Any, context: Context) -> tuple[Any, Backward, tuple[Any, ...]]:
        y, backward = layer.forward(params, x)
        return y, backward, ()

    return forward


def expect(x: Any, *extents: Any) -> None:
    """Refuse values that are not of shape (N, *extents): None stands for any extent, and a first `...` for any number of
    them.
    """
    kept = extents[1:] if extents[0] is ... else extents
    given = x.shape[max(1, x.ndim - len(kept)) :] if extents[0] is ... else x.shape[1:]
    if len(given) != len(kept) or any(e not in (None, n) for e, n in zip(kept, given, strict=True)):
        words = {None: "any", ...: "..."}
        raise ValueError(f"it takes ({', '.join(['N', *(words.get(extent, str(extent)) for extent in extents)])})")
