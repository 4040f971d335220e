"""The contract of an engine, and the values that go into and come out of it."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from fnloop.core.arrays import AnyArray, Array
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.metrics import Metric
from fnloop.nn import Model
from fnloop.optimizers import Elementwise

ROWS = 1024  # examples of one forward pass where no gradient is computed: outputs and metrics of a dataset

Sums = list[float]  # over examples: of the loss, then the statistics of each metric
Arrays = tuple[Array, ...]
Examples = tuple[Array, Array, Array | None]  # features, targets and weights of a batch, in the computation's dtype


class Computation(NamedTuple):
    """Everything that an engine needs for a training run, and that stays the same during it.

    Args:
        model: The model.
        loss: The loss.
        optimizer: The optimizer.
        metrics: The metrics that are sums over examples, in the order of their sums.
        batch_size: Examples in a micro-batch.
        accumulate: Micro-batches in an update.
        seed: Seed of the order of the examples and of the random numbers that layers draw.
        dtype: Dtype of all arrays, `"float32"` or `"float64"`.
        threads: Number of BLAS threads of the NumPy engine.
    """

    model: Model
    loss: Loss
    optimizer: Elementwise
    metrics: tuple[Metric, ...]
    batch_size: int
    accumulate: int
    seed: int
    dtype: str
    threads: int

    @property
    def update_size(self) -> int:
        """The number of examples in an update."""
        return self.batch_size * self.accumulate


class Fault(StrEnum):
    """A quantity that was not finite; the members are in the order in which a step computes them."""

    LOSS = "the loss"
    GRADIENT = "the gradient"
    PARAMETERS = "the parameters"
    SLOTS = "the optimizer's slots"
    BUFFERS = "the model's buffers"


FAULTS = tuple(Fault)


class Carry(NamedTuple):
    """The value that a fold over batches passes from one update to the next.

    Args:
        vector: The parameters.
        buffers: The model's buffers.
        slots: The optimizer's slots.
        optimizer_count: Updates that the optimizer has counted.
        step: Batches seen in the whole run; random numbers that layers draw depend on it.
        sums: The sums of the loss and the metrics over the epoch's batches; `[]` before the first.
        fault: The quantity that was not finite, or None. A carry with a fault is not updated, and its arrays are invalid.

    Shapes:
        vector and each slot: (P,).
    """

    vector: Array
    buffers: Arrays
    slots: Arrays
    optimizer_count: int
    step: int
    sums: Sums
    fault: Fault | None = None


Fold = Callable[[Carry, Sequence[float], int, int], Carry]
Step = Callable[[Carry, float, Examples], Carry]
Measure = Callable[[Array, Arrays], Sums]
PopulationFold = Callable[[Sequence[Carry], Sequence[Sequence[float]], int, int], list[Carry | None]]
PopulationMeasure = Callable[[Sequence[Array], Sequence[Arrays]], list[Sums]]


@runtime_checkable
class Engine(Protocol):
    """An engine folds the update of a computation over batches, and measures parameters on data."""

    def make_fold(self, computation: Computation, data: Dataset) -> Fold:
        """Return the function `fold(carry, rates, epoch, first) -> carry`.

        It updates the carry with the batches of that epoch from number `first` on, one batch for each learning rate. If
        something is not finite, the carry that it returns has a fault; the carry that it was given is unchanged.

        Raises:
            EngineError: If the engine cannot compute a part of the computation.
        """
        ...

    def make_step(self, computation: Computation) -> Step:
        """Return the function `step(carry, lr, examples) -> carry`: one update, with examples of any data.

        Raises:
            EngineError: From the function, if the engine cannot compute a part of the computation.
        """
        ...

    def make_measure(self, computation: Computation, data: Dataset) -> Measure:
        """Return the function `measure(vector, buffers) -> sums` over the examples of the dataset."""
        ...

    def make_population_fold(
        self, computations: Sequence[Computation], data: Dataset, rows: Sequence[Array] | None = None
    ) -> PopulationFold:
        """Return the function `fold(carries, rates, epoch, first) -> carries` for all members of a population at once.

        A member's new carry is that of its own fold, on JAX to rounding; it is None if anything was not finite, or if the
        members cannot be computed together. All members must have seen as many batches and made as many updates.

        Args:
            computations: A computation for each member. They differ only in the seed and the optimizer.
            data: The training data.
            rows: For each member the rows that it trains on, equally many; None (the default) for all rows.
        """
        ...

    def make_population_measure(self, computation: Computation, data: Dataset) -> PopulationMeasure:
        """Return the function `measure(vectors, buffers)`: the sums of each member over the examples of the dataset."""
        ...

    def outputs(self, computation: Computation, vector: Array, buffers: Arrays, x: Array) -> Array:
        """Return the model's outputs for each row of x."""
        ...


def apply_weights(
    loss: tuple[AnyArray, Callable[[], AnyArray]], weights: AnyArray | None
) -> tuple[AnyArray, Callable[[], AnyArray]]:
    """Multiply the loss of each example, and its gradient, by the example's weight; without weights, return them unchanged."""
    losses, backward = loss
    return loss if weights is None else (losses * weights, lambda: backward() * weights[..., None])
