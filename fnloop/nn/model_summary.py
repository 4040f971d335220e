"""What a model is made of: its layers, the shapes of their values, and how many parameters each has."""

import math
from collections.abc import Callable, Iterator
from html import escape
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.display import short_call
from fnloop.core.records import frozen
from fnloop.nn.layer import Context, Layer, contextual
from fnloop.nn.residual import Residual
from fnloop.nn.sequential import Sequential

EXAMPLES = 3  # tried, to see shapes; not two, as which one value alone would pass for a value and its backward
LONGEST = 60  # characters of a layer


class Row(NamedTuple):
    """A layer, or a model: how deep it lies in others, and the shape of its value for one example.

    `parameters` and `buffers` count its numbers, those of the layers inside it included.
    """

    depth: int
    layer: str
    shape: tuple[int, ...]
    parameters: int
    buffers: int


@frozen
class Summary:
    """A model's layers in their order, with the shapes of their values and the numbers of their parameters.

    `str` and `repr` of it are a table. A layer that is made of others, such as a `Residual`, comes before them; its parameters
    are the sum of theirs.
    """

    inputs: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    buffers: int

    def __str__(self) -> str:
        lines = [_HEADER, *self._lines()]
        first, second, third = (max(map(len, column)) for column in zip(*lines, strict=True))
        table = [f"{layer:{first}}  {shape:{second}}  {count:>{third}}".rstrip() for layer, shape, count in lines]
        return "\n".join([table[0], "-" * len(table[0]), *table[1:], "-" * len(table[0]), self._total()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def row(tag: str, line: tuple[str, str, str]) -> str:
            cells = (f'<{tag} style="{style}">{escape(text)}</{tag}>' for style, text in zip(_STYLES, line, strict=True))
            return f"<tr>{''.join(cells)}</tr>"

        rows = "".join(row("td", line) for line in self._lines())
        return f"<table>{row('th', _HEADER)}{rows}</table><p>{escape(self._total())}</p>"

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        yield "inputs", _shape(self.inputs), ""
        for row in self.rows:
            layer = "  " * row.depth + " ".join(row.layer.split())
            cut = layer if len(layer) <= LONGEST else f"{layer[: LONGEST - 3]}..."
            yield cut, _shape(row.shape), f"{row.parameters:,}"

    def _total(self) -> str:
        beside = f", {self.buffers:,} numbers in buffers" if self.buffers else ""
        return f"{self.parameters:,} parameters{beside}"


_HEADER = "layer", "output shape", "parameters"
_STYLES = "text-align: left; white-space: pre", "text-align: left", "text-align: right"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['N', *map(str, shape)])})"


def summary(model: Any) -> Summary:
    """The layers of a model, with the shapes of their values and the numbers of their parameters; print it, or look at it.

    Args:
        model: An `fl.mlp`, `nn.Sequential` or `nn.Function`, or a trainer, whose model it is then.

    Raises:
        TypeError: If it is neither.

    Examples:
        >>> from fnloop import nn
        >>> summary(nn.Sequential(4, [nn.Residual(nn.Dense(4, 4)), nn.Dense(4, 2)]))
        layer          output shape  parameters
        ---------------------------------------
        inputs         (N, 4)
        Residual       (N, 4)                20
          Dense(4, 4)  (N, 4)                20
        Dense(4, 2)    (N, 2)                10
        ---------------------------------------
        30 parameters
    """
    model = getattr(model, "model", model)
    if isinstance(model, type) or not all(hasattr(model, part) for part in ("inputs", "shape", "size", "buffers")):
        raise TypeError(f"model must be a model, such as fl.mlp([10, 16, 1]), or a trainer, got {type(model).__name__}")
    if isinstance(model, Sequential):
        rows = list(_chain(model.layers, np.zeros((EXAMPLES, *model.inputs), np.float32), 0))
    else:
        rows = [Row(0, type(model).__name__, model.shape, model.size, _numbers(model.buffers))]
    return Summary(model.inputs, tuple(rows), model.size, _numbers(model.buffers))


def _chain(layers: tuple[Layer, ...], x: Any, depth: int) -> Iterator[Row]:
    """The rows of layers one after the other, for values x that come to the first."""
    for layer in layers:
        y = _value(layer, x)
        parameters = sum(math.prod(shape) for shape in layer.shapes)
        inner = _INSIDE.get(type(layer))
        name = short_call(layer) if inner is None else type(layer).__name__
        yield Row(depth, name, y.shape[1:], parameters, _numbers(getattr(layer, "buffers", ())))
        if inner is not None:
            yield from _chain(inner(layer), x, depth + 1)
        x = y


def _value(layer: Layer, x: Any) -> Any:
    """The layer's value for x, with parameters of zeros."""
    arrays = [np.zeros(shape, np.float32) for shape in layer.shapes]
    buffers = tuple(buffer.astype(np.float32) for buffer in getattr(layer, "buffers", ()))
    params = getattr(layer.params, "_make", layer.params)(arrays)
    return contextual(layer)(params, x, Context(buffers))[0]


def _numbers(buffers: Any) -> int:
    return sum(buffer.size for buffer in buffers)


_INSIDE: dict[type, Callable[[Any], tuple[Layer, ...]]] = {
    Sequential: lambda layer: layer.layers,
    Residual: lambda layer: (layer.layer,),
}
