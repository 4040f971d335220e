"""The summary of a model: its layers, the shapes of their outputs, and the number of parameters of each."""

import math
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import instance_of
from fnloop.core.display import short_call
from fnloop.core.formatting import cut_end
from fnloop.core.records import frozen
from fnloop.nn.layer import Layer, trial_outputs
from fnloop.nn.model import Model
from fnloop.nn.residual import Residual
from fnloop.nn.sequential import Sequential

MAX_LENGTH = 60  # of a layer, in characters


class Row(NamedTuple):
    """A layer of a model.

    Attributes:
        depth: The number of layers that it is inside of.
        layer: The layer, as a call.
        shape: The shape of its outputs for one example.
        parameters: The number of parameters, with those of inner layers.
        buffers: The number of values in its buffers, with those of inner layers.
    """

    depth: int
    layer: str
    shape: tuple[int, ...]
    parameters: int
    buffers: int


@frozen
class Summary:
    """The layers of a model in order, with the shapes of their outputs and their numbers of parameters.

    `str` and `repr` return a table. A layer that contains others, such as a `Residual`, comes before them; its parameters are
    the sum of theirs.

    Attributes:
        inputs: The shape of an example.
        rows: A row for each layer.
        parameters: The number of parameters of the model.
        buffers: The number of values in its buffers.
    """

    inputs: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    buffers: int

    def __str__(self) -> str:
        lines = [_HEADER, *self._lines()]
        layer_width, shape_width, count_width = (max(map(len, column)) for column in zip(*lines, strict=True))
        table = [f"{a:{layer_width}}  {b:{shape_width}}  {c:>{count_width}}".rstrip() for a, b, c in lines]
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
            yield cut_end(layer, MAX_LENGTH), _shape(row.shape), f"{row.parameters:,}"

    def _total(self) -> str:
        buffers = f", {self.buffers:,} numbers in buffers" if self.buffers else ""
        return f"{self.parameters:,} parameters{buffers}"


_HEADER = "layer", "output shape", "parameters"
_STYLES = "text-align: left; white-space: pre", "text-align: left", "text-align: right"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['N', *map(str, shape)])})"


def summary(model: Any) -> Summary:
    """Return a table of a model's layers, with the shapes of their outputs and their numbers of parameters.

    Args:
        model: A model, such as an `nn.Sequential`, or a trainer with a model.

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
    found: Model = _is_model("model", getattr(model, "model", model))
    if isinstance(found, Sequential):
        rows = list(_rows(found.layers, np.zeros((2, *found.inputs), np.float32), 0))
    else:
        rows = [Row(0, type(found).__name__, found.shape, found.size, _count(found.buffers))]
    return Summary(found.inputs, tuple(rows), found.size, _count(found.buffers))


_is_model = instance_of(Model, "a model, such as fl.mlp([10, 16, 1]), or a trainer")


def _rows(layers: tuple[Layer, ...], x: AnyArray, depth: int) -> Iterator[Row]:
    """Yield the rows of a chain of layers with inputs x."""
    for layer in layers:
        y = trial_outputs(layer, x)
        parameters = sum(math.prod(shape) for shape in layer.shapes)
        inner_layers = _INNER_LAYERS.get(type(layer))
        name = short_call(layer) if inner_layers is None else type(layer).__name__
        yield Row(depth, name, y.shape[1:], parameters, _count(layer.buffers))
        if inner_layers is not None:
            yield from _rows(inner_layers(layer), x, depth + 1)
        x = y


def _count(buffers: Iterable[Array]) -> int:
    return sum(buffer.size for buffer in buffers)


_INNER_LAYERS: dict[type, Callable[[Any], tuple[Layer, ...]]] = {
    Sequential: lambda layer: layer.layers,
    Residual: lambda layer: (layer.layer,),
}
