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

from fnloop.core.arrays import Array
from fnloop.core.errors import EngineError
from fnloop.core.formatting import short
from fnloop.core.random import Stream, permutation
from fnloop.data.batching import count_batches
from fnloop.data.dataset import Dataset
from fnloop.engines.jax import pytrees as pytrees  # states become pytrees where JAX is used
from fnloop.engines.jax.kernels import early_scalars, run_chain
from fnloop.engines.jax.random import uniform
from fnloop.engines.jax.tracing import functions_of, numpys_types, refuse
from fnloop.engines.numpy.fold import CAUSES, ROWS, Moved, Run, Sums, weighted
from fnloop.metrics.metric import make_merge
from fnloop.nn import Context
from fnloop.optimizers import Elementwise
from fnloop.optimizers.kernel import StepContext
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


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
        raise EngineError(f"engine {short(name)} asks for a device that is not there; there are {there}") from None


class JaxEngine(NamedTuple):
    """The engine on a device."""

    device: Any

    def make_run(self, trainer: Trainer, data: Dataset) -> Run:
        """As `make_run` of the NumPy engine. The data is placed on the device here, once; batches are gathered there."""
        program = _program(trainer)
        examples = self._examples(trainer, data)
        total = count_batches(data, program.batch)
        merge = make_merge(trainer.summed_metrics(), trainer.model.outputs)
        held: Any = (), ()  # the arrays handed out last, and their pieces, which the user has not seen

        def run(state: TrainState, rates: Sequence[float], stop: int) -> Moved | str:
            nonlocal held
            first, count = state.progress.batches, state.optimizer.count
            lrs = np.zeros(total)
            lrs[first:stop] = rates
            counts = np.maximum(1, np.arange(total) + (count + 1 - first))
            scalars = early_scalars(trainer.optimizer, trainer.model.layout, StepContext(counts, lrs), total, trainer.dtype)
            steps = lrs.astype(trainer.dtype), counts.astype(np.int32), scalars
            order = permutation(len(data), trainer.seed, state.epoch).astype(np.int32)
            (known, pieces), held = held, ((), ())
            arrays = state.params.vector, *state.buffers, *state.optimizer.slots
            if len(known) != len(arrays) or any(a is not b for a, b in zip(known, arrays, strict=True)):
                pieces = program.split(*jax.device_put(arrays, self.device))
            at = np.uint64(trainer.seed), np.uint64(state.step - first)
            with numpys_types():
                pieces, sums, finite = program.fold(pieces, examples, order, *steps, first, stop, at)
            if not finite.all():
                return CAUSES[int(np.argmin(finite))]
            vector, *rest = arrays = tuple(np.asarray(array) for array in program.join(pieces))
            buffers, slots = rest[: len(state.buffers)], rest[len(state.buffers) :]
            held = arrays, pieces
            before = [state.progress.sums.tolist()] if state.progress.sums.size else []
            return Moved(vector, tuple(buffers), tuple(slots), reduce(merge, before + np.asarray(sums)[first:stop].tolist()))

        return run

    def make_measure(self, trainer: Trainer, data: Dataset) -> Callable[[TrainState], Sums]:
        """As `make_measure` of the NumPy engine."""
        program, examples = _program(trainer), self._examples(trainer, data)
        merge = make_merge(trainer.summed_metrics(), trainer.model.outputs)

        def measure(state: TrainState) -> Sums:
            with numpys_types():
                sums = program.measure(state.params.vector, state.buffers, *examples)
            return reduce(merge, np.asarray(sums).tolist())

        return measure

    def outputs_over(self, trainer: Trainer, state: TrainState, x: Array) -> Array:
        """The model's outputs for each row of x."""
        return np.asarray(_program(trainer).outputs(state.params.vector, state.buffers, self._place(trainer, x)))

    def _examples(self, trainer: Trainer, data: Dataset) -> tuple[Any, ...]:
        """The examples on the device, with their weights if they have any; refused if something cannot be traced with them."""
        arrays = (data.x, data.y) if data.weights is None else (data.x, data.y, data.weights)
        placed = tuple(self._place(trainer, array) for array in arrays)
        computation = _computation(trainer)
        refuse(functions_of(computation), *computation, placed[1].shape[1:], placed[1].dtype)
        return placed

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
    computation = _computation(trainer)
    return _compiled(functions_of(computation), *computation, trainer.batch_size, trainer.accumulate)


def _computation(trainer: Trainer) -> tuple[Any, ...]:
    return trainer.model, trainer.loss, trainer.optimizer, trainer.summed_metrics()


@lru_cache(maxsize=64)
def _compiled(
    functions: Any, model: Any, loss: Any, optimizer: Elementwise, metrics: Any, size: int, accumulate: int
) -> Program:
    batch = size * accumulate

    forward = _make_forward(model, loss, metrics)
    gradient_of = _make_gradient(forward, make_merge(metrics, model.outputs), size, accumulate)

    def update(carry: Any, examples: Any, lr: Any, count: Any, scalars: Any, at: Any) -> tuple[Any, Any, Any]:
        params, buffers, slots = carry
        gradient, buffers, sums = gradient_of(params, buffers, examples, *at)
        direction, slots = run_chain(optimizer, model.layout, gradient, slots, params, StepContext(count, lr), scalars)
        finite = jnp.stack([jnp.isfinite(sums[0]), _is_finite(gradient)])
        return (jax.tree.map(lambda p, d: p - lr * d, params, direction), buffers, slots), sums, finite

    @jax.jit
    def split(vector: Any, *rest: Any) -> Any:
        kept = len(model.buffers)
        pieces = model.views(vector), rest[:kept], [model.views(slot) for slot in rest[kept:]]
        return jax.tree.map(jnp.copy, pieces)  # nothing that is handed out may share memory with what the fold writes over

    @jax.jit
    def join(pieces: Any) -> Any:
        params, buffers, slots = pieces
        flat = [jnp.concatenate([array.reshape(-1) for array in jax.tree.leaves(each)]) for each in (params, *slots)]
        return [jnp.copy(array) for array in (flat[0], *buffers, *flat[1:])]

    @partial(jax.jit, donate_argnums=0)
    def fold(
        pieces: Any, examples: Any, order: Any, lrs: Any, counts: Any, scalars: Any, first: Any, stop: Any, at: Any
    ) -> Any:
        full, tail = divmod(len(order), batch)
        seed, step = at

        def body(i: Any, rows: Any, carry: Any, sums: Any, finite: Any) -> Any:
            here = jax.tree.map(lambda a: a[i], scalars)
            batch_of = [array[rows] for array in examples]
            place = seed, step + jnp.asarray(i, np.uint64)
            carry, more, good = update(carry, batch_of, lrs[i], counts[i], here, place)
            return carry, sums.at[i].set(more), finite & good

        def whole(i: Any, all_: Any) -> Any:
            return body(i, lax.dynamic_slice(order, (i * batch,), (batch,)), *all_)

        width = 1 + sum(metric.width(model.outputs) for metric in metrics)
        all_ = pieces, jnp.zeros((len(lrs), width), np.float64), jnp.ones(2, bool)
        if full:
            all_ = lax.fori_loop(first, jnp.minimum(stop, full), whole, all_)
        if tail:
            all_ = lax.cond(stop > full, lambda all_: body(full, order[full * batch :], *all_), lambda all_: all_, all_)
        pieces, sums, finite = all_
        params, buffers, slots = pieces
        return pieces, sums, jnp.stack([*finite, *map(_is_finite, (params, slots, buffers))])

    @jax.jit
    def measure(vector: Any, buffers: Any, *examples: Any) -> Any:
        sums = _in_chunks(lambda *part: forward(model.views(vector), Context(buffers), *part)[1][0], *examples)
        return jnp.concatenate(sums)

    @jax.jit
    def outputs(vector: Any, buffers: Any, x: Any) -> Any:
        done = _in_chunks(lambda part: model(vector, part, buffers), x)
        return jnp.concatenate([part.reshape(-1, *model.shape) for part in done])

    return Program(split, fold, join, measure, outputs, batch)


def _make_forward(model: Any, loss: Any, metrics: Any) -> Callable[..., tuple[Any, Any]]:
    def forward(params: Any, context: Context, x: Any, y: Any, weights: Any = None) -> tuple[Any, Any]:
        """The mean loss; and the sums of the loss and of each metric, and the new buffers."""
        outputs, _, buffers = model.forward(params, x, context)
        losses, _ = weighted(loss.forward(outputs, y), weights)
        sums = [losses.astype(np.float64).sum(), *(s for metric in metrics for s in metric.sums(outputs, y))]
        return losses.mean(), (jnp.stack([jnp.asarray(s, np.float64) for s in sums]), buffers)

    return forward


def _draw(seed: Any, place: Any, n: int, address: int) -> Any:
    return uniform(n, seed, Stream.DROPOUT, place, address)


def _make_gradient(
    forward: Callable[..., tuple[Any, Any]], merge: Callable[..., list[Any]], size: int, accumulate: int
) -> Callable[..., tuple[Any, Any, Any]]:
    def gradient_of(params: Any, buffers: Any, examples: Any, seed: Any, step: Any) -> tuple[Any, Any, Any]:
        """The gradient of the mean loss over micro-batches, each counted by its examples, the new buffers, and the sums."""
        parts, n = [], len(examples[0])
        for i, start in enumerate(range(0, n, size)):
            part = [array[start : start + size] for array in examples]
            place = step * np.uint64(accumulate) + np.uint64(i)
            context = Context(buffers, partial(_draw, seed, place))
            (_, (sums, buffers)), gradient = jax.value_and_grad(forward, has_aux=True)(params, context, *part)
            share = len(part[0]) / n
            parts.append((gradient if share == 1 else jax.tree.map(lambda g, s=share: g * s, gradient), sums))
        gradients, sums = zip(*parts, strict=True)
        return reduce(partial(jax.tree.map, jnp.add), gradients), buffers, reduce(lambda a, b: jnp.stack(merge(a, b)), sums)

    return gradient_of


def _in_chunks(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The function over rows, ROWS at a time, so that what lies between its input and output stays small."""
    full = len(arrays[0]) // ROWS * ROWS
    chunks = [a[:full].reshape(-1, ROWS, *a.shape[1:]) for a in arrays]
    done = [lax.map(lambda parts: function(*parts), tuple(chunks))] if full else []
    return [*done, function(*(a[full:] for a in arrays))[None]] if full < len(arrays[0]) else done


def _is_finite(arrays: Any) -> Any:
    """Whether every element is finite, at the cost of a dot product where it is: a reduction with `all` takes much longer."""
    flat = [array.reshape(-1) for array in jax.tree.leaves(arrays)]
    if not flat:
        return jnp.asarray(True)
    squares = sum(jnp.dot(array, array) for array in flat)
    return lax.cond(
        jnp.isfinite(squares),
        lambda: jnp.asarray(True),
        lambda: jnp.stack([jnp.isfinite(array).all() for array in flat]).all(),
    )
