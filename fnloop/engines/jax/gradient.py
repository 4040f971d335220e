"""The gradient of the mean loss on JAX, which differentiates the forward pass."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.core.random import Stream
from fnloop.engines.base import Computation, apply_weights
from fnloop.engines.jax.random import uniform
from fnloop.metrics.metric import make_merge
from fnloop.nn import Context

Forward = Callable[..., tuple[AnyArray, tuple[AnyArray, Any]]]


def make_forward(computation: Computation) -> Forward:
    """Return the function `forward(params, context, x, y, weights=None) -> (mean loss, (sums, buffers))`."""
    model, loss, metrics = computation.model, computation.loss, computation.metrics

    def forward(
        params: Any, context: Context, x: AnyArray, y: AnyArray, weights: AnyArray | None = None
    ) -> tuple[AnyArray, tuple[AnyArray, Any]]:
        outputs, _, buffers = model.forward(params, x, context)
        losses, _ = apply_weights(loss.forward(outputs, y), weights)
        sums = [losses.astype(np.float64).sum(), *(s for metric in metrics for s in metric.sums(outputs, y))]
        return losses.mean(), (jnp.stack([jnp.asarray(s, np.float64) for s in sums]), buffers)

    return forward


def make_gradient(computation: Computation, forward: Forward) -> Callable[..., tuple[Any, Any, AnyArray]]:
    """Return the function `gradient_of(params, buffers, examples, seed, step) -> (gradient, buffers, sums)`.

    Each micro-batch counts by its examples, so that the mean is that of one large batch.
    """
    accumulate, merge = computation.accumulate, make_merge(computation.metrics, computation.model.outputs)

    def gradient_of(
        params: Any, buffers: Any, examples: list[AnyArray], seed: AnyArray, step: AnyArray
    ) -> tuple[Any, Any, AnyArray]:
        parts, n = [], len(examples[0])
        size = n if accumulate == 1 else computation.batch_size
        for i, start in enumerate(range(0, n, size)):
            micro_batch = [array[start : start + size] for array in examples]
            index = step * np.uint64(accumulate) + np.uint64(i)
            context = Context(buffers, partial(_draw, seed, index))
            (_, (sums, buffers)), gradient = jax.value_and_grad(forward, has_aux=True)(params, context, *micro_batch)
            share = len(micro_batch[0]) / n
            parts.append((gradient if share == 1 else jax.tree.map(lambda g, s=share: g * s, gradient), sums))
        gradients, sums = zip(*parts, strict=True)
        return reduce(partial(jax.tree.map, jnp.add), gradients), buffers, reduce(lambda a, b: jnp.stack(merge(a, b)), sums)

    return gradient_of


def _draw(seed: AnyArray, index: AnyArray, n: int, address: int) -> AnyArray:
    """Draw for a layer, in the (micro-)batch of that index in the run."""
    return uniform(n, seed, Stream.DROPOUT, index, address)
