"""The names of a layer's arrays, such as weights and biases."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fnloop.nn.dense import DenseParams
from fnloop.nn.embedding import EmbeddingParams
from fnloop.nn.layer import Layer, make_params
from fnloop.nn.normalization import NormParams

PARAMETER_NAMES = DenseParams._fields + NormParams._fields + EmbeddingParams._fields  # of the package's layers


def parameter_names(layer: Layer) -> tuple[str, ...]:
    """Return the name of each of a layer's arrays in its record of parameters; `""` for an array without a name.

    Examples:
        >>> from fnloop.nn import Dense
        >>> parameter_names(Dense(3, 2))
        ('weights', 'biases')
    """
    arrays = [np.broadcast_to(np.float32(0), shape) for shape in layer.shapes]
    named = list(_named(make_params(layer, arrays)))
    return tuple(next((name for name, leaf in named if leaf is array), "") for array in arrays)


def _named(record: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a record and of its inner records, each with its name in the innermost one."""
    if isinstance(record, Mapping):
        pairs = list(record.items())
    elif isinstance(record, tuple | list):
        pairs = list(zip(getattr(record, "_fields", [""] * len(record)), record, strict=True))
    else:
        pairs = []
        yield name, record
    for inner, value in pairs:
        yield from _named(value, str(inner))
