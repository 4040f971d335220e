"""The iterations of one fit: a fold over all its batches, in place in one vector."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.engines.base import ROWS, Carry, Computation, Examples
from fnloop.engines.numpy.fold import copied, make_update
from fnloop.engines.threads import with_threads
from fnloop.losses import Loss
from fnloop.nn import Sequential
from fnloop.optimizers import Elementwise
from fnloop.sklearn.mlp_rows import Rows, iteration_batches
from fnloop.sklearn.network import blas_threads
from fnloop.training.measurement import quiet

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed: "
    "{} became infinite or NaN."
)

Iterate = Callable[[Carry, Iterable[Examples], float], tuple[Carry, float, float]]


class Settings(NamedTuple):
    """The settings that stay the same in all iterations.

    Attributes:
        network: The network.
        loss: The loss.
        optimizer: The optimizer.
        batch_size: Examples in a batch.
        dtype: The dtype of all computation.
        alpha: The weight of the penalty.
        divisor: What the loss is divided by to be reported.
    """

    network: Sequential
    loss: Loss
    optimizer: Elementwise
    batch_size: int
    dtype: str
    alpha: float
    divisor: float

    def reported(self, losses: float, squares: float, n: int) -> float:
        """Return the loss to report.

        Args:
            losses: The sum of the losses over the examples.
            squares: The sum of w² over the weights, summed over the batches.
            n: The number of examples.
        """
        return np.float64((losses / self.divisor + self.alpha / 2 * squares) / n)

    def computation(self) -> Computation:
        """Return what the engine computes."""
        return Computation(
            model=self.network,
            loss=self.loss,
            optimizer=self.optimizer,
            metrics=(),
            batch_size=self.batch_size,
            accumulate=1,
            seed=0,
            dtype=self.dtype,
            threads=blas_threads(self.network),
        )


def start_carry(settings: Settings, vector: Array) -> Carry:
    """Return the carry before the first update of an optimizer."""
    slots = settings.optimizer.init(vector).slots
    return Carry(vector=vector, buffers=(), slots=slots, optimizer_count=0, step=0, sums=[])


def make_iterate(settings: Settings, carry: Carry) -> tuple[Iterate, Carry]:
    """Return the function of one iteration, and a copy of the carry that it starts from and writes into.

    The function takes the carry, the batches and the learning rate. It returns the carry after the batches, the sum of the
    losses over the examples, and the sum of w² over the weights, summed over the batches: of the weights that each batch saw.
    It raises a ValueError if a loss is not finite.

    Args:
        settings: The settings.
        carry: The carry before the first iteration.
    """
    computation, carry = settings.computation(), copied(carry)
    update = make_update(computation, carry, checks_gradient=False)
    weights = [layer.weights.reshape(-1) for layer in settings.network.unflatten(carry.vector)]

    def fold(carry: Carry, batches: Iterable[Examples], rate: float) -> tuple[Carry, float]:
        squares = 0.0
        for batch in batches:
            squares += sum_of_squares(weights)
            carry = update(carry, (rate, batch))
        return carry, squares

    def iterate(carry: Carry, batches: Iterable[Examples], rate: float) -> tuple[Carry, float, float]:
        with quiet():
            after, squares = with_threads(computation.threads, fold, carry._replace(sums=[]), batches, rate)
        if after.fault is not None:
            raise ValueError(NOT_FINITE.format(after.fault))
        return after, after.sums[0], squares

    return iterate, carry


def compute_outputs(settings: Settings, vector: Array, rows: Rows) -> Array:
    """Return the outputs of the network, before the last activation, for each row, (N, K)."""
    batches = iteration_batches(rows, ROWS, None)
    with quiet():
        outputs = with_threads(blas_threads(settings.network), lambda: [settings.network(vector, x) for x, _, _ in batches])
    return np.concatenate(outputs)


def sum_of_squares(arrays: Iterable[Array]) -> float:
    """Return the sum of the squares of all elements of vectors."""
    return sum(float(np.dot(array, array)) for array in arrays)
