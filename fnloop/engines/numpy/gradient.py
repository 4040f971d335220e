"""The gradient of the mean loss on NumPy, by the layers' own backward functions."""

from collections.abc import Callable, Sequence

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.random import Stream, uniform
from fnloop.engines.base import Arrays, Computation, Examples, Sums, apply_weights
from fnloop.metrics import Metric
from fnloop.metrics.metric import make_merge
from fnloop.nn import Context, Model
from fnloop.nn.layer import ForwardError

Gradient = Callable[[Examples, Arrays, int], tuple[Sums, Arrays]]


def make_gradient(computation: Computation, vector: Array, gradient: Array) -> Gradient:
    """Return the function `gradient_of(examples, buffers, step) -> (sums, buffers)`.

    It writes the gradient of the mean loss over the examples into `gradient`. It returns the sums of the loss and the metrics,
    and the new buffers.

    Args:
        computation: The computation.
        vector: The parameters, read at each call.
        gradient: The array that each call overwrites.

    Shapes:
        vector, gradient: (P,).
    """
    model, loss, metrics, seed = computation.model, computation.loss.forward, computation.metrics, computation.seed
    forward, params, grads = model.forward, model.views(vector), model.views(gradient)
    context_of = _make_context(model, seed)

    def gradient_of(examples: Examples, buffers: Arrays, index: int) -> tuple[Sums, Arrays]:
        x, y, weights = examples
        outputs, backward, buffers = forward(params, x, context_of(buffers, index))
        losses, loss_backward = apply_weights(loss(outputs, y), weights)
        backward(loss_backward(), grads, False)
        return sum_up(metrics, losses, outputs, y), buffers

    return gradient_of if computation.accumulate == 1 else _accumulated(gradient_of, gradient, computation)


def sum_up(metrics: Sequence[Metric], losses: Array, outputs: Array, targets: Array) -> Sums:
    """Return the sum of the losses, followed by the sums of each metric."""
    sums = [float(np.add.reduce(losses, dtype=np.float64))]
    for metric in metrics:
        sums += metric.sums(outputs, targets)
    return sums


def _make_context(model: Model, seed: int) -> Callable[[Arrays, int], Context]:
    """Return the function `context_of(buffers, index)`; a model without buffers and random numbers has one for all batches."""
    if model.random or model.buffers:
        return lambda buffers, index: Context(buffers, make_draw(seed, index))
    shared = Context((), refuse_draw)
    return lambda buffers, index: shared


def refuse_draw(n: int, address: int) -> Array:
    """Raise an error: no layer of the model draws. A context has this function only to show that this is training."""
    raise ForwardError("a layer draws random numbers although its `random` is False; a layer that draws must set it to True")


def make_draw(seed: int, index: int) -> Callable[[int, int], Array]:
    """Return the function that layers draw with, for the (micro-)batch of that index in the run."""
    return lambda n, address: uniform(n, seed, Stream.DROPOUT, index, address)


def _accumulated(gradient_of: Gradient, gradient: Array, computation: Computation) -> Gradient:
    """Apply `gradient_of` to micro-batches: each counts by its examples, so that the mean is that of one large batch."""
    size, accumulate = computation.batch_size, computation.accumulate
    merge = make_merge(computation.metrics, computation.model.outputs)

    def accumulated(examples: Examples, buffers: Arrays, step: int) -> tuple[Sums, Arrays]:
        x, y, weights = examples
        total, mean, n = [0.0], np.zeros_like(gradient), len(x)
        for i, start in enumerate(range(0, n, size)):
            rows = slice(start, start + size)
            micro_batch = x[rows], y[rows], None if weights is None else weights[rows]
            sums, buffers = gradient_of(micro_batch, buffers, step * accumulate + i)
            mean += gradient * (len(micro_batch[0]) / n)
            total = merge(total, sums) if start else sums
        gradient[:] = mean
        return total, buffers

    return accumulated
