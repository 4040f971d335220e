"""The JAX engine: the same forward passes, kernels, losses and metrics, differentiated and compiled."""

from collections import deque
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import attrs
import jax
import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.errors import EngineError
from fnloop.core.formatting import short
from fnloop.core.random import permutation
from fnloop.data.dataset import Dataset
from fnloop.engines.base import (
    FAULTS,
    ROWS,
    Arrays,
    Carry,
    Computation,
    Examples,
    Fault,
    Fold,
    Measure,
    PopulationFold,
    PopulationMeasure,
    Step,
    Sums,
)
from fnloop.engines.jax.fold import Layered, Program, get_outputs, get_program
from fnloop.engines.jax.hyperparameters import Numbers, split_numbers
from fnloop.engines.jax.measure import Parts, cut, padded, padded_chunks, sum_up_rest
from fnloop.engines.jax.population import make_population_fold, make_population_measure
from fnloop.engines.jax.resident_data import ResidentData
from fnloop.engines.jax.schedule import make_schedule
from fnloop.engines.jax.tracing import check_traceable, code_of, with_float64
from fnloop.metrics.metric import make_merge

_RESIDENT = ResidentData()


def find_device(name: str) -> jax.Device:
    """Return the device of an engine's name, such as `"jax"`, `"jax:gpu"` or `"jax:cpu:0"`.

    Raises:
        EngineError: If JAX does not have it. The message lists the devices that JAX has.
    """
    _, _, address = name.partition(":")
    platform, _, index = address.partition(":")
    try:
        return jax.devices(platform or None)[int(index or 0)]
    except (RuntimeError, ValueError, IndexError):
        devices = ", ".join(f"jax:{device.platform}:{device.id}" for device in jax.devices())
        raise EngineError(f"engine {short(name)} needs a device that JAX does not have; it has {devices}") from None


class Batches(NamedTuple):
    """Examples on the device, and how they are cut into batches.

    Args:
        examples: Features, targets and, if there are any, weights.
        order: The order of the examples.
        size: Examples in a batch; the last batch may be smaller.
        first: The first batch to fold.
    """

    examples: tuple[AnyArray, ...]
    order: Array
    size: int
    first: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)


class Resident:
    """The arrays that a fold returned last, and their copies on the device, which the next fold continues from.

    An epoch usually continues from the state that the last epoch returned. Then its arrays are neither sent to the device nor
    split into those of the layers. They are recognised by identity: they are read-only, so their values are still the same. A
    fold overwrites the copies on the device, so `take` gives them away once, also if several Python threads ask.
    """

    def __init__(self) -> None:
        self._last: deque[tuple[Arrays, Layered]] = deque(maxlen=1)  # its `pop` is atomic: one thread gets the item

    def take(self, arrays: Arrays) -> Layered | None:
        """Return the copies of these arrays on the device, if they are the last ones, and forget them."""
        try:
            last, copies = self._last.pop()
        except IndexError:  # another thread has them
            return None
        same = len(last) == len(arrays) and all(a is b for a, b in zip(last, arrays, strict=True))
        return copies if same else None

    def keep(self, arrays: Arrays, copies: Layered) -> None:
        """Remember arrays and their copies on the device."""
        self._last.append((arrays, copies))


@attrs.frozen
class JaxEngine:
    """The engine that computes with JAX on a device."""

    device: jax.Device

    def make_fold(self, computation: Computation, data: Dataset) -> Fold:
        """Return the function that folds batches of an epoch, as in `Engine.make_fold`.

        The data is sent to the device once, and batches are gathered there.
        """
        programs, resident = get_program(computation), Resident()
        examples = self._send_examples(computation, (data.x, data.y, data.weights))

        def fold(carry: Carry, rates: Sequence[float], epoch: int, first: int) -> Carry:
            order = permutation(len(data), computation.seed, epoch).astype(np.int32)
            batches = Batches(examples, order, computation.update_size, first)
            return self._fold(computation, programs, resident, carry, rates, batches)

        return fold

    def make_step(self, computation: Computation) -> Step:
        """Return the function that does one update, as in `Engine.make_step`: the fold over one batch."""
        programs, resident = get_program(computation), Resident()

        def step(carry: Carry, lr: float, examples: Examples) -> Carry:
            sent, n = self._send_examples(computation, examples), len(examples[0])
            batches = Batches(sent, np.arange(n, dtype=np.int32), n, 0)
            return self._fold(computation, programs, resident, carry, [lr], batches)

        return step

    def make_measure(self, computation: Computation, data: Dataset) -> Measure:
        """Return the function that measures parameters, as in `Engine.make_measure`."""
        parts = self._send_parts(computation, data)
        (program, _), outputs_of = get_program(computation), get_outputs(computation.model)
        merge = make_merge(computation.metrics, computation.model.outputs)

        def measure(vector: Array, buffers: Arrays) -> list[float]:
            sums: list[Sums] = []
            for chunks in parts.chunks:
                with with_float64():
                    sums += np.asarray(program.measure(vector, buffers, *chunks)).tolist()
            if parts.rest is not None:
                outputs = np.asarray(outputs_of(vector, buffers, parts.features))
                sums += sum_up_rest(computation, parts.rest, outputs[None])
            return reduce(merge, sums)

        return measure

    def make_population_fold(
        self, computations: Sequence[Computation], data: Dataset, rows: Sequence[Array] | None = None
    ) -> PopulationFold:
        """Return the function that folds batches for many members at once, as in `Engine.make_population_fold`."""
        examples = self._send_examples(computations[0], (data.x, data.y, data.weights))
        of_members = [np.arange(len(data))] * len(computations) if rows is None else rows
        return make_population_fold(computations, examples, of_members)

    def make_population_measure(self, computation: Computation, data: Dataset) -> PopulationMeasure:
        """Return the function that measures many members at once, as in `Engine.make_population_measure`."""
        parts, solo = self._send_parts(computation, data), self.make_measure(computation, data)
        return make_population_measure(computation, parts, solo)

    def outputs(self, computation: Computation, vector: Array, buffers: Arrays, x: Array) -> Array:
        """Return the model's outputs for each row of x."""
        self._check_dtype(computation)
        compute, x = get_outputs(computation.model), np.asarray(x)
        own = jax.device_put((vector, buffers), self.device)
        chunks = [compute(*own, jax.device_put(chunk, self.device)) for chunk in padded_chunks(x, computation.dtype)]
        return np.concatenate([np.asarray(chunk) for chunk in chunks])[: len(x)]

    def _fold(
        self,
        computation: Computation,
        programs: tuple[Program, Numbers],
        resident: Resident,
        carry: Carry,
        rates: Sequence[float],
        batches: Batches,
    ) -> Carry:
        """Fold the update over batches, one for each learning rate."""
        (program, numbers), first, stop = programs, batches.first, batches.first + len(rates)
        arrays = carry.vector, *carry.buffers, *carry.slots
        copies = resident.take(arrays)
        if copies is None:
            copies = program.split(*jax.device_put(arrays, self.device))
        schedule = make_schedule(computation, carry, rates, first, len(batches))
        address = np.uint64(computation.seed), np.uint64(carry.step - first)
        with with_float64():
            copies, flat, sums, finite = program.fold(
                copies, batches.examples, batches.order, schedule, numbers, first, stop, address, size=batches.size
            )
        sound = np.asarray(finite)
        if not sound.all():
            fault, kept = FAULTS[int(sound.argmin())], computation.optimizer.keeps_non_finite
            if kept and len(rates) == 1 and fault is not Fault.LOSS:  # a single step reports its fault exactly
                is_finite = self._has_finite_gradient(program, arrays, carry.step, batches, address[0])
                fault = fault if is_finite else Fault.GRADIENT
            return carry._replace(fault=fault)
        vector, *others = arrays = tuple(map(np.asarray, flat))
        buffers, slots = others[: len(carry.buffers)], others[len(carry.buffers) :]
        resident.keep(arrays, copies)
        merge = make_merge(computation.metrics, computation.model.outputs)
        sums_so_far = [carry.sums] if carry.sums else []
        return Carry(
            vector=vector,
            buffers=tuple(buffers),
            slots=tuple(slots),
            optimizer_count=carry.optimizer_count + len(rates),
            step=carry.step + len(rates),
            sums=reduce(merge, sums_so_far + np.asarray(sums)[first:stop].tolist()),
        )

    def _has_finite_gradient(self, program: Program, arrays: Arrays, step: int, batches: Batches, seed: np.uint64) -> bool:
        """Return whether the gradient of the first batch is finite, from arrays before the update."""
        rows = batches.order[batches.first * batches.size :][: batches.size]
        copies = program.split(*jax.device_put(arrays, self.device))
        with with_float64():
            return bool(program.check(copies, batches.examples, rows, (seed, np.uint64(step))))

    def _send_examples(self, computation: Computation, arrays: Examples) -> tuple[AnyArray, ...]:
        """Send examples to the device, and check that JAX can trace the computation on them."""
        sent = tuple(self._send(computation, array, slice(len(array))) for array in arrays if array is not None)
        self._check_traceable(computation, arrays[1])
        return sent

    def _send_parts(self, computation: Computation, data: Dataset) -> Parts:
        """Send a dataset in parts, and check that JAX can trace the computation on it."""
        arrays = [array for array in (data.x, data.y, data.weights) if array is not None]
        self._check_traceable(computation, data.y)
        chunks = [tuple(self._send(computation, array, slice(*ends)) for array in arrays) for ends in cut(len(data))]
        rest = slice(len(data) // ROWS * ROWS, len(data))
        if rest.start == rest.stop:
            return Parts(chunks, None, None)
        features = self._send(computation, data.x, rest, pad=True)
        weights = None if data.weights is None else data.weights[rest]
        return Parts(chunks, features, Dataset(data.x[rest], data.y[rest], weights))

    def _check_traceable(self, computation: Computation, targets: Array) -> None:
        self._check_dtype(computation)
        kind, _ = split_numbers(computation.optimizer, computation.dtype)
        pairs = zip(computation.optimizer.parts, kind.parts, strict=True)  # those that are tried have no schedules
        unknown = [part for part, tried in pairs if not tried.takes_numbers or code_of(part) != code_of(tried.part)]
        check_traceable(computation, unknown, np.shape(targets)[1:], computation.dtype)

    def _send(self, computation: Computation, array: Array, rows: slice, *, pad: bool = False) -> AnyArray:
        """Return some rows of an array on the device, with padding after them if that is asked for."""
        self._check_dtype(computation)
        key = computation.dtype, self.device, rows.start, rows.stop, pad
        sent = _RESIDENT.get(array, key)
        if sent is None:
            part = np.asarray(array)[rows].astype(computation.dtype, copy=False)
            sent = jax.device_put(padded(part, computation.dtype) if pad else part, self.device)
            _RESIDENT.keep(array, key, sent)
        return sent

    def _check_dtype(self, computation: Computation) -> None:
        if jax.dtypes.canonicalize_dtype(computation.dtype) != computation.dtype:
            raise EngineError(
                "dtype must be 'float32' while JAX is set to it, got 'float64'; to have float64 call "
                "jax.config.update('jax_enable_x64', True) first, or set JAX_ENABLE_X64=1"
            )
