"""The law of every layer that takes an axis of members: each member has the bits that it has alone."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fnloop import nn
from fnloop.core.parameters import lay_out
from fnloop.core.random import Stream, uniform
from fnloop.nn.layer import Context, make_params
from tests.models import LAYERS, examples


def draw_of(seed):
    return lambda n, address: uniform(n, seed, Stream.DROPOUT, 5, address)


def run(layer, vector, x, dy, buffers, draw, members=1):
    """The results of a forward and a backward pass: y, the gradients, dx and the new buffers."""
    slots, gradient = lay_out([layer.shapes]), np.full_like(vector, np.nan)
    params, grads = (make_params(layer, [slot.view(array) for slot in slots]) for array in (vector, gradient))
    y, backward, new = layer.forward(params, x, Context(buffers, draw, 7, members))
    return y, gradient, backward(np.broadcast_to(dy, y.shape), grads, True), *new


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
@given(
    members=st.integers(2, 5), rows=st.integers(1, 6), seed=st.integers(0, 99), dtype=st.sampled_from(["float32", "float64"])
)
@example(members=3, rows=1, seed=0, dtype="float32")
def test_a_member_of_a_layer_has_the_bits_that_it_has_alone(name, training, members, rows, seed, dtype):
    """Values have zeros of both signs; parameters are views into wider rows; dy is an array, or a view of one row."""
    (layer, inputs), generator = LAYERS[name], np.random.default_rng(seed)
    x = np.stack([examples(name, rows, seed + k, dtype) for k in range(members)])
    x[generator.random(x.shape) < 0.3] *= 0
    size = sum(map(math.prod, layer.shapes))
    matrix = generator.normal(size=(members, size + 3)).astype(dtype)[:, :size]
    buffers = tuple(abs(generator.normal(size=(members, *buffer.shape))).astype(dtype) for buffer in layer.buffers)
    draws = [draw_of(seed + k) for k in range(members)] if training else [None] * members
    alone = [(matrix[k].copy(), x[k], tuple(buffer[k] for buffer in buffers), draws[k]) for k in range(members)]
    shape = nn.Sequential(inputs, [layer]).shape
    for rows_of_dy in {rows, 1}:
        dy = generator.normal(size=(members, rows_of_dy, *shape)).astype(dtype)
        draw = (lambda n, address: np.stack([draw(n, address) for draw in draws])) if training else None
        together = run(layer, matrix, x, dy, buffers, draw, members)
        for k, (vector, own, own_buffers, own_draw) in enumerate(alone):
            expected = run(layer, vector, own, dy[k], own_buffers, own_draw)
            assert [array[k].tobytes() for array in together] == [array.tobytes() for array in expected]
