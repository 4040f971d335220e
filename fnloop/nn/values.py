"""How many numbers a step computes for an example: the size of a group of models that train together depends on it."""

import math
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.nn.convolution import Convolution
from fnloop.nn.layer import Layer, trial_outputs
from fnloop.nn.pooling import Pool
from fnloop.nn.residual import Residual
from fnloop.nn.sequential import Sequential

OF_OUTPUTS = 4  # numbers for each output of a layer: itself, its gradient, and what they are computed from
OF_WINDOWS = 2  # numbers for each value of a window: itself and its gradient


def values_of(model: Any) -> int:
    """Return about how many numbers a training step computes for each example.

    Args:
        model: The model.

    Examples:
        >>> from fnloop import nn
        >>> values_of(nn.mlp([10, 16, 1]))  # 4 (10 + 16 + 16 + 1)
        172
    """
    of_inputs: int = OF_OUTPUTS * math.prod(model.inputs)
    if isinstance(model, Sequential):
        return of_inputs + _of_layer(model, np.zeros((2, *model.inputs), np.float32))
    return of_inputs + OF_OUTPUTS * int(math.prod(model.shape))


def _of_layer(layer: Layer, x: AnyArray) -> int:
    """Return the numbers that a layer computes for each example of x."""
    if isinstance(layer, Sequential):
        total = 0
        for inner in layer.layers:
            total += _of_layer(inner, x)
            x = trial_outputs(inner, x)
        return total
    outputs: int = math.prod(trial_outputs(layer, x).shape[1:])
    if isinstance(layer, Residual):
        return OF_OUTPUTS * outputs + _of_layer(layer.layer, x)
    return OF_OUTPUTS * outputs + OF_WINDOWS * _in_windows(layer, outputs)


def _in_windows(layer: Layer, outputs: int) -> int:
    """Return the number of values in the windows of a layer."""
    if isinstance(layer, Convolution):
        return outputs // layer.outputs * math.prod(layer.kernel_size) * layer.inputs
    return outputs * math.prod(layer.kernel_size) if isinstance(layer, Pool) else 0
