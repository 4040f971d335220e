"""What JAX cannot trace is refused by its name, before anything is trained."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.errors import EngineError
from fnloop.core.fields import leaves
from fnloop.core.formatting import short
from fnloop.core.parameters import Slot
from fnloop.engines.jax.kernels import early_scalars, run_chain
from fnloop.nn import Context
from fnloop.optimizers import Elementwise
from fnloop.optimizers.kernel import StepContext

# Numbers have the types that they have in NumPy, where a sum can be of float64: metrics are the same on both engines. The
# arrays of the model keep the trainer's dtype, for an array's type outweighs a number's.
numpys_types = partial(jax.enable_x64, True)


def functions_of(computation: Any) -> tuple[Any, ...]:
    """The functions that a computation's records hold: records are equal by the names of these, which are not enough."""
    return tuple(leaf for _, leaf in leaves(computation) if callable(leaf))


@lru_cache(maxsize=64)
def refuse(
    functions: Any, model: Any, loss: Any, optimizer: Elementwise, metrics: Any, columns: tuple[int, ...], dtype: Any
) -> None:
    """Refuse what cannot be traced, by its name, before anything is trained."""
    vector, count = _abstract((model.size,), dtype), _abstract((), np.int32)
    x, y = _abstract((2, *model.inputs), dtype), _abstract((2, *columns), dtype)
    for i, layer in enumerate(getattr(model, "layers", ())):
        buffers = tuple(buffer.astype(dtype) for buffer in layer.buffers)

        def values(v: Any, x: Any, i: int = i, layer: Any = layer, buffers: Any = buffers) -> Any:
            return layer.forward(model.views(v)[i], x, Context(buffers, lambda n, address: jnp.zeros(n)))[0]

        x = _traced(f"layer {i}, {short(layer)},", values, vector, x)
    if not hasattr(model, "layers"):
        x = _traced(f"model {short(model)}", model, vector, x)
    _traced(f"loss {short(loss)}", lambda outputs, y: loss.forward(outputs, y)[0], x, y)
    for metric in metrics:
        _traced(f"metric {short(metric.name)}", lambda outputs, y, metric=metric: jnp.stack(metric.sums(outputs, y)), x, y)
    whole = (Slot(0, model.size, (model.size,)),)
    for part in optimizer.parts:

        def kernel(vector: Any, count: Any, part: Any = part) -> Any:
            rows = early_scalars(part, whole, StepContext(np.arange(1, 3), np.ones(2)), 2, dtype)
            early = jax.tree.map(lambda row: vector.sum() * row[0], rows)
            return run_chain(part, whole, vector, [vector] * len(part.slots), vector, StepContext(count, vector.sum()), early)

        _traced(f"optimizer {short(part)}", kernel, vector, count)


def _abstract(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def _traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        with numpys_types():
            return jax.eval_shape(function, *arguments)
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise EngineError(f"{name} cannot be traced by JAX, engine='numpy' runs it: {type(error).__name__}: {why}") from error
