"""The JAX engine: the same forward passes, kernels, losses and metrics, differentiated and compiled.

One program folds any batches of an epoch, from any first to any last: an epoch, the rest of one and a single step are the same
instructions, so the bits are those of the run however it is taken, and a run compiles once.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from fnloop.data import Dataset, count_batches
from fnloop.engines import pytrees as pytrees  # states become pytrees where JAX is used
from fnloop.engines.numpy import ROWS, Moved, Sums
from fnloop.errors import EngineError
from fnloop.optimizers import Elementwise
from fnloop.optimizers.elementwise import Now, global_norm
from fnloop.parameters import layout_of
from fnloop.random import permutation
from fnloop.state import TrainState
from fnloop.trainer import Trainer
from fnloop.typing import Array


def find_device(name: str) -> Any:
    """The device of an engine's name, such as `"jax"`, `"jax:gpu"` or `"jax:cpu:0"`.

    Raises: EngineError: if it is not there, with those that are.
    """
    _, _, place = name.partition(":")
    platform, _, index = place.partition(":")
    try:
        return jax.devices(platform or None)[int(index or 0)]
    except (RuntimeError, ValueError, IndexError):
        there = ", ".join(f"jax:{device.platform}:{device.id}" for device in jax.devices())
        raise EngineError(f"engine {name!r} asks for a device that is not there; there are {there}") from None


# Numbers have the types that they have in NumPy, where a sum can be of float64: metrics are the same on both engines. The
# arrays of the model keep the trainer's dtype, for an array's type outweighs a number's.
_numpys_types = partial(jax.enable_x64, True)


class JaxEngine(NamedTuple):
    """The engine on a device."""

    device: Any

    def make_run(self, trainer: Trainer, data: Dataset) -> Callable[[TrainState, Sequence[float], int], Moved | None]:
        """As `make_run` of the NumPy engine. The data is placed on the device here, once; batches are gathered there."""
        program = _program(trainer)
        x, y = self._place(trainer, data.x), self._place(trainer, data.y)
        _refuse(*_computation(trainer), y.shape[1:], y.dtype)
        total = count_batches(data, program.batch)
        held: Any = (), ()  # the arrays handed out last, and their pieces, which the user has not seen

        def run(state: TrainState, rates: Sequence[float], stop: int) -> Moved | None:
            nonlocal held
            first, count = state.running.batches, state.optimizer.count
            lrs = np.zeros(total)
            lrs[first:stop] = rates
            counts = np.maximum(1, np.arange(total) + (count + 1 - first))
            scalars = _early_scalars(trainer.optimizer, _layers(trainer.model), Now(counts, lrs), total, trainer.dtype)
            steps = lrs.astype(trainer.dtype), counts.astype(np.int32), scalars
            order = permutation(len(data), trainer.seed, state.epoch).astype(np.int32)
            (known, pieces), held = held, ((), ())
            arrays = state.params.vector, *state.optimizer.slots
            if len(known) != len(arrays) or any(a is not b for a, b in zip(known, arrays, strict=True)):
                pieces = program.split(*jax.device_put(arrays, self.device))
            with _numpys_types():
                pieces, sums, finite = program.fold(pieces, x, y, order, *steps, first, stop)
            if not finite:
                return None
            vector, *slots = arrays = tuple(np.asarray(array) for array in program.join(pieces))
            held = arrays, pieces
            before = state.running.sums[None] if state.running.sums.size else np.zeros((0, sums.shape[1]))
            folded = np.cumsum(np.concatenate([before, np.asarray(sums)[first:stop]]), axis=0, dtype=np.float64)
            return Moved(vector, tuple(slots), folded[-1].tolist())

        return run

    def make_measure(self, trainer: Trainer, data: Dataset) -> Callable[[TrainState], Sums]:
        """As `make_measure` of the NumPy engine."""
        program = _program(trainer)
        x, y = self._place(trainer, data.x), self._place(trainer, data.y)
        _refuse(*_computation(trainer), y.shape[1:], y.dtype)

        def measure(state: TrainState) -> Sums:
            with _numpys_types():
                sums = program.measure(state.params.vector, x, y)
            return list(map(float, np.asarray(sums).sum(0)))

        return measure

    def outputs_over(self, trainer: Trainer, state: TrainState, x: Array) -> Array:
        """The model's outputs for each row of x."""
        return np.asarray(_program(trainer).outputs(state.params.vector, self._place(trainer, x)))

    def _place(self, trainer: Trainer, array: Array) -> Any:
        if jax.dtypes.canonicalize_dtype(trainer.dtype) != trainer.dtype:
            raise EngineError(
                "dtype must be 'float32' while JAX is set to it, got 'float64'; to have float64 call "
                "jax.config.update('jax_enable_x64', True) first, or set JAX_ENABLE_X64=1"
            )
        return jax.device_put(np.asarray(array).astype(trainer.dtype, copy=False), self.device)


class Program(NamedTuple):
    """The compiled functions of a trainer, and the examples of one update.

    `split` takes flat arrays to those by layer that the fold works on, `join` takes them back. (Within the fold's own program
    XLA makes slower code of them.)
    """

    split: Callable[..., Any]
    fold: Callable[..., Any]
    join: Callable[..., Any]
    measure: Callable[..., Any]
    outputs: Callable[..., Any]
    batch: int


def _program(trainer: Trainer) -> Program:
    """The functions for all trainers that differ only in what is no part of the computation: seed, schedule, policies."""
    return _compiled(*_computation(trainer), trainer.batch_size, trainer.accumulate)


def _computation(trainer: Trainer) -> tuple[Any, ...]:
    return trainer.model, trainer.loss, trainer.optimizer, trainer.measured()


@lru_cache(maxsize=64)
def _compiled(model: Any, loss: Any, optimizer: Elementwise, metrics: Any, size: int, accumulate: int) -> Program:
    batch = size * accumulate

    forward = _make_forward(model, loss, metrics)
    gradient_of = _make_gradient(forward, size)

    def update(carry: Any, x: Any, y: Any, lr: Any, count: Any, scalars: Any) -> tuple[Any, Any, Any]:
        params, slots = carry
        gradient, sums = gradient_of(params, x, y)
        direction, slots = _chain(optimizer, _layers(model), gradient, slots, params, Now(count, lr), scalars)
        finite = jnp.isfinite(sums[0]) & _is_finite(gradient)
        return (jax.tree.map(lambda p, d: p - lr * d, params, direction), slots), sums, finite

    @jax.jit
    def split(vector: Any, *slots: Any) -> Any:
        pieces = model.views(vector), [model.views(slot) for slot in slots]
        return jax.tree.map(jnp.copy, pieces)  # nothing that is handed out may share memory with what the fold writes over

    @jax.jit
    def join(pieces: Any) -> Any:
        params, slots = pieces
        flat = [jnp.concatenate([array.reshape(-1) for array in jax.tree.leaves(each)]) for each in (params, *slots)]
        return [jnp.copy(array) for array in flat]

    @partial(jax.jit, donate_argnums=0)
    def fold(pieces: Any, x: Any, y: Any, order: Any, lrs: Any, counts: Any, scalars: Any, first: Any, stop: Any) -> Any:
        full, tail = divmod(len(x), batch)

        def body(i: Any, rows: Any, carry: Any, sums: Any, finite: Any) -> Any:
            here = jax.tree.map(lambda a: a[i], scalars)
            carry, more, good = update(carry, x[rows], y[rows], lrs[i], counts[i], here)
            return carry, sums.at[i].set(more), finite & good

        def step(i: Any, all_: Any) -> Any:
            return body(i, lax.dynamic_slice(order, (i * batch,), (batch,)), *all_)

        width = 1 + sum(metric.width(model.outputs) for metric in metrics)
        all_ = pieces, jnp.zeros((len(lrs), width), np.float64), jnp.asarray(True)
        if full:
            all_ = lax.fori_loop(first, jnp.minimum(stop, full), step, all_)
        if tail:
            all_ = lax.cond(stop > full, lambda all_: body(full, order[full * batch :], *all_), lambda all_: all_, all_)
        pieces, sums, finite = all_
        return pieces, sums, finite & _is_finite(pieces[0])

    @jax.jit
    def measure(vector: Any, x: Any, y: Any) -> Any:
        return jnp.concatenate(_in_chunks(lambda x, y: forward(model.views(vector), x, y)[1], x, y))

    @jax.jit
    def outputs(vector: Any, x: Any) -> Any:
        return jnp.concatenate([done.reshape(-1, model.outputs) for done in _in_chunks(partial(model, vector), x)])

    return Program(split, fold, join, measure, outputs, batch)


def _make_forward(model: Any, loss: Any, metrics: Any) -> Callable[..., tuple[Any, Any]]:
    def forward(params: Any, x: Any, y: Any) -> tuple[Any, Any]:
        """The mean loss, and the sums of the loss and of each metric."""
        outputs, _ = model.forward(params, x)
        losses, _ = loss.forward(outputs, y)
        sums = [losses.astype(np.float64).sum(), *(s for metric in metrics for s in metric.sums(outputs, y))]
        return losses.mean(), jnp.stack([jnp.asarray(s, np.float64) for s in sums])

    return forward


def _make_gradient(forward: Callable[..., tuple[Any, Any]], size: int) -> Callable[..., tuple[Any, Any]]:
    def gradient_of(params: Any, x: Any, y: Any) -> tuple[Any, Any]:
        """The gradient of the mean loss over micro-batches, each counted by its examples, and the sums."""
        parts = []
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            (_, sums), gradient = jax.value_and_grad(forward, has_aux=True)(params, x[part], y[part])
            share = len(x[part]) / len(x)
            parts.append((gradient if share == 1 else jax.tree.map(lambda g, s=share: g * s, gradient), sums))
        total: tuple[Any, Any] = reduce(partial(jax.tree.map, jnp.add), parts)
        return total

    return gradient_of


def _in_chunks(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The function over rows, ROWS at a time, so that what lies between its input and output stays small."""
    full = len(arrays[0]) // ROWS * ROWS
    chunks = [a[:full].reshape(-1, ROWS, *a.shape[1:]) for a in arrays]
    done = [lax.map(lambda parts: function(*parts), tuple(chunks))] if full else []
    return [*done, function(*(a[full:] for a in arrays))[None]] if full < len(arrays[0]) else done


def _chain(
    optimizer: Elementwise, layers: Sequence[int], value: Any, slots: Any, params: Any, now: Now, early: Sequence[Any]
) -> Any:
    """The kernels of a chain, one behind the other, on each array; the compiler makes one pass of them."""
    moved: list[Any] = []
    values, leaves, tree = jax.tree.leaves(value), jax.tree.leaves(params), jax.tree.structure(params)
    for part, known in zip(optimizer.parts, early, strict=True):
        scalars = _scalars(part, layers, values, leaves, now, known)
        own = [jax.tree.leaves(slot) for slot in slots[len(moved) : len(moved) + part.slots]]
        done = [part.kernel(v, list(kept), p, s) for v, p, s, *kept in zip(values, leaves, scalars, *own, strict=True)]
        values = [direction for direction, _ in done]
        moved += [jax.tree.unflatten(tree, kept) for kept in zip(*(kept for _, kept in done), strict=True)]
    return jax.tree.unflatten(tree, values), moved


def _scalars(part: Elementwise, layers: Sequence[int], values: Sequence[Any], params: Any, now: Now, early: Any) -> list[Any]:
    """A part's scalars for each array: those known early, or made of the values that come in."""
    if part.needs == "arrays":
        return [part.scalars(Now(now.count, now.lr, None, *known)) for known in zip(values, params, layers, strict=True)]
    if part.needs == "norm":
        norm = global_norm(jnp.concatenate([v.reshape(-1) for v in values]))
        return [part.scalars(now._replace(norm=norm))] * len(values)
    return early if part.needs == "layer" else [early] * len(values)


def _early_scalars(optimizer: Elementwise, layers: Sequence[int], now: Now, n: int, dtype: str) -> list[Any]:
    """The scalars of n updates that depend on no values, part by part, where the layer counts array by array."""
    return [
        None
        if part.needs in ("norm", "arrays")
        else [_rows(part.scalars(now._replace(layer=layer)), n, dtype) for layer in layers]
        if part.needs == "layer"
        else _rows(part.scalars(now), n, dtype)
        for part in optimizer.parts
    ]


def _layers(model: Any) -> list[int]:
    return [place.layer for place in layout_of(model)]


def _is_finite(arrays: Any) -> Any:
    """Whether every element is finite, at the cost of a dot product where it is: a reduction with `all` takes much longer."""
    flat = [array.reshape(-1) for array in jax.tree.leaves(arrays)]
    squares = sum(jnp.dot(array, array) for array in flat)
    return lax.cond(
        jnp.isfinite(squares),
        lambda: jnp.asarray(True),
        lambda: jnp.stack([jnp.isfinite(array).all() for array in flat]).all(),
    )


def _rows(scalars: Any, n: int, dtype: str) -> Any:
    """Scalars for n steps, computed at once in float64: the i-th entry of each array is the i-th step's."""
    if scalars is None:
        return None
    if isinstance(scalars, tuple):
        return tuple(_rows(scalar, n, dtype) for scalar in scalars)
    return np.broadcast_to(np.asarray(scalars, dtype), (n,))


@lru_cache(maxsize=64)
def _refuse(model: Any, loss: Any, optimizer: Elementwise, metrics: Any, columns: tuple[int, ...], dtype: Any) -> None:
    """Refuse what cannot be traced, by its name, before anything is trained."""
    vector, count = _abstract((model.size,), dtype), _abstract((), np.int32)
    x, y = _abstract((2, model.inputs), dtype), _abstract((2, *columns), dtype)
    for i, layer in enumerate(model.layers):
        x = _traced(f"layer {i}, {layer!r},", lambda v, x, i=i, layer=layer: layer.forward(model.views(v)[i], x)[0], vector, x)
    _traced(f"loss {loss!r}", lambda outputs, y: loss.forward(outputs, y)[0], x, y)
    for metric in metrics:
        _traced(f"metric {metric.name!r}", lambda outputs, y, metric=metric: jnp.stack(metric.sums(outputs, y)), x, y)
    for part in optimizer.parts:

        def kernel(vector: Any, count: Any, part: Any = part) -> Any:
            rows = _early_scalars(part, [0], Now(np.arange(1, 2), np.ones(1)), 1, dtype)
            early = jax.tree.map(lambda row: vector[0] * row[0], rows)
            return _chain(part, [0], vector, [vector] * part.slots, vector, Now(count, vector[0]), early)

        _traced(f"optimizer {part!r}", kernel, vector, count)


def _abstract(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def _traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        with _numpys_types():
            return jax.eval_shape(function, *arguments)
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise EngineError(f"{name} cannot be traced by JAX, engine='numpy' runs it: {type(error).__name__}: {why}") from error
