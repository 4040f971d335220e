"""What each array of a layer is called: its kind, such as weights or biases."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fnloop.nn.dense import DenseParams
from fnloop.nn.embedding import EmbeddingParams
from fnloop.nn.layer import Layer
from fnloop.nn.normalization import NormParams

PARAMETER_NAMES = DenseParams._fields + NormParams._fields + EmbeddingParams._fields  # of the layers that there are


def parameter_names(layer: Layer) -> tuple[str, ...]:
    """The kind of each of a layer's arrays: its name in the layer's record of parameters, or "" where it has none.

    Examples:
        >>> from fnloop.nn import Dense
        >>> parameter_names(Dense(3, 2))
        ('weights', 'biases')
    """
    arrays = [np.broadcast_to(np.float32(0), shape) for shape in layer.shapes]
    named = list(_named(getattr(layer.params, "_make", layer.params)(arrays)))
    return tuple(next((name for name, there in named if there is array), "") for array in arrays)


def _named(record: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of a record, and of the records within it, each with its name in the innermost one."""
    if isinstance(record, Mapping):
        pairs = list(record.items())
    elif isinstance(record, tuple | list):
        pairs = list(zip(getattr(record, "_fields", [""] * len(record)), record, strict=True))
    else:
        pairs = []
        yield name, record
    for inner, value in pairs:
        yield from _named(value, str(inner))
