"""Inputs for the layers of the catalog."""

import numpy as np

from fnloop import nn
from fnloop.testing.catalog import LAYERS, MODELS

__all__ = ["LAYERS", "MODELS", "examples"]


def examples(name, rows, seed, dtype="float64"):
    """Random inputs for a layer of the catalog."""
    layer, shape = LAYERS[name]
    draw = np.random.default_rng(seed)
    if isinstance(layer, nn.Embedding):
        return draw.integers(0, layer.inputs, (rows, *shape)).astype(dtype)
    return draw.standard_normal((rows, *shape)).astype(dtype)
