"""The law of every layer, loss and metric that takes an axis of members: each member has the bits that it has alone."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fnloop import nn
from fnloop.core.parameters import lay_out
from fnloop.core.random import Stream, uniform
from fnloop.core.stacking import can_stack
from fnloop.metrics.named import get_metric
from fnloop.nn.layer import Context, make_params
from fnloop.testing import catalog
from tests.models import LAYERS, examples

cases = given(
    members=st.integers(2, 5), rows=st.integers(1, 6), seed=st.integers(0, 99), dtype=st.sampled_from(["float32", "float64"])
)


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
@cases
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


def outputs_and_targets(kind, members, rows, seed, dtype):
    """Random outputs and targets of members; some outputs are equal, and some large."""
    generator = np.random.default_rng(seed)
    outputs = generator.normal(size=(members, rows, catalog.LOSSES[kind].outputs)).round(1) * generator.choice([1, 30])
    targets = np.stack([catalog.dataset(kind, rows, seed + k).y for k in range(members)])
    return outputs.astype(dtype), targets.astype(dtype)


@pytest.mark.parametrize("form", ["as they are", "columns or rows"])
@pytest.mark.parametrize("kind", catalog.LOSSES)
@cases
@example(members=2, rows=9000, seed=0, dtype="float32")
def test_a_member_of_a_loss_and_its_metrics_has_the_bits_that_it_has_alone(kind, form, members, rows, seed, dtype):
    loss, size = catalog.LOSSES[kind]
    outputs, targets = outputs_and_targets(kind, members, rows, seed, dtype)
    if form != "as they are" and targets.ndim == 2:
        is_label = loss.task(size) == "classification" and size > 1
        targets = (targets[..., None] == np.arange(size)).astype(dtype) if is_label else targets[..., None]
    losses, backward = loss.forward(outputs, targets)
    gradient = backward()
    metrics = [get_metric(metric).for_task(loss.task(size)) for metric in catalog.metrics_of(kind)]
    assert all(map(can_stack, (loss, *metrics)))
    sums = [metric.sums(outputs, targets) for metric in metrics]
    for k in range(members):
        own_losses, own_backward = loss.forward(outputs[k].copy(), targets[k].copy())
        assert (losses[k].tobytes(), gradient[k].tobytes()) == (own_losses.tobytes(), own_backward().tobytes())
        for metric, together in zip(metrics, sums, strict=True):
            alone = [float(number) for number in metric.sums(outputs[k].copy(), targets[k].copy())]
            assert [float(np.broadcast_to(numbers, members)[k]) for numbers in together] == alone
