"""Check that JAX can trace each part of a computation before anything is trained, and name the part that it cannot."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.errors import EngineError
from fnloop.core.fields import children_of
from fnloop.core.formatting import short
from fnloop.core.parameters import Slot
from fnloop.engines.base import Computation
from fnloop.engines.jax.kernel_pass import Part, precompute_scalars, run_kernels
from fnloop.nn import Context
from fnloop.optimizers import Elementwise
from fnloop.optimizers.chaining import chain
from fnloop.optimizers.kernel import StepContext

# Python numbers become float64, as in NumPy, so that sums can be float64 and metrics are the same on both engines. Arrays keep
# their dtype: an array's type takes precedence over a number's.
with_float64 = partial(jax.enable_x64, True)


def code_of(value: Any) -> tuple[Any, ...]:
    """Return the classes of all records in a computation, and the functions that they hold: a part of a cache's key.

    Records are equal if the ids of their classes are, and the code and values of their functions. That is not enough here:
    a class may have been defined again, as in a notebook, or what a function calls.
    """
    children = children_of(value)
    if children is None:
        return (value,) if callable(value) else ()
    return (type(value), *(code for _, child in children for code in code_of(child)))


def check_traceable(computation: Computation, parts: Sequence[Elementwise], target_shape: tuple[int, ...], dtype: Any) -> None:
    """Check that JAX can trace the model, the loss, the metrics and parts of the optimizer.

    Args:
        computation: The computation.
        parts: The parts of the optimizer that are not known to be traceable.
        target_shape: The shape of the targets of one example.
        dtype: The dtype of the arrays.

    Raises:
        EngineError: If it cannot. The message names the part.
    """
    shared = computation._replace(seed=0, threads=1, optimizer=chain())
    _check((code_of(shared), code_of(parts)), shared, tuple(parts), target_shape, dtype)


@lru_cache(maxsize=64)  # computations that were checked: tracing takes longer than small data do
def _check(
    code: tuple[Any, ...],
    computation: Computation,
    parts: tuple[Elementwise, ...],
    target_shape: tuple[int, ...],
    dtype: Any,
) -> None:
    model, loss, metrics = computation.model, computation.loss, computation.metrics
    vector = _abstract((model.size,), dtype)
    x, y = _abstract((2, *model.inputs), dtype), _abstract((2, *target_shape), dtype)
    outputs = _check_model(model, vector, x, dtype)
    _trace(f"loss {short(loss)}", lambda outputs, y: loss.forward(outputs, y)[0], outputs, y)
    for metric in metrics:
        name = f"metric {short(metric.name)}"
        sums = _trace(name, lambda outputs, y, metric=metric: jnp.stack(metric.sums(outputs, y)), outputs, y)
        if computation.accumulate > 1:  # micro-batches are merged in the program, other batches outside it
            _trace(name, lambda a, b, metric=metric: jnp.stack(metric.merge(a, b)), sums, sums)
    for part in parts:
        _check_kernel(part, vector, dtype)


def _check_model(model: Any, vector: Any, x: Any, dtype: Any) -> Any:
    """Trace each layer, or a model without layers as a whole, and return its abstract outputs."""
    for i, layer in enumerate(getattr(model, "layers", ())):
        buffers = tuple(buffer.astype(dtype) for buffer in layer.buffers)

        def forward(v: Any, x: Any, i: int = i, layer: Any = layer, buffers: Any = buffers) -> Any:
            return layer.forward(model.views(v)[i], x, Context(buffers, lambda n, address: jnp.zeros(n)))[0]

        x = _trace(f"layer {i}, {short(layer)},", forward, vector, x)
    return x if hasattr(model, "layers") else _trace(f"model {short(model)}", model, vector, x)


def _check_kernel(part: Elementwise, vector: Any, dtype: Any) -> None:
    """Trace one part of an optimizer, on a vector that is one array."""
    layout = (Slot(0, vector.size, vector.shape),)

    def run(vector: Any, count: Any) -> Any:
        scalars = precompute_scalars((part,), layout, StepContext(np.arange(1, 3), np.ones(2)), 2, dtype)
        traced = jax.tree.map(lambda values: vector.sum() * values[0], scalars)
        slots = [vector] * len(part.slots)
        return run_kernels([Part(part, len(slots))], layout, vector, slots, vector, StepContext(count, vector.sum()), traced)

    _trace(f"optimizer {short(part)}", run, vector, _abstract((), np.int32))


def _abstract(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def _trace(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        with with_float64():
            return jax.eval_shape(function, *arguments)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(
            f"{name} cannot be traced by JAX, engine='numpy' runs it: {type(error).__name__}: {reason}"
        ) from error
