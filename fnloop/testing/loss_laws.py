"""The laws of losses."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fnloop.core.arrays import Array
from fnloop.core.checks import instance_of, integer, real
from fnloop.core.formatting import short
from fnloop.losses import Loss
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.gradients import GRADIENT, require_gradient
from fnloop.testing.law import Law
from fnloop.testing.requirements import copy_leaves, require, require_same, require_unchanged

CONTRACT = Law(
    "contract", "forward must return one loss for each example, and backward a gradient like the outputs, all in their dtype"
)
PURITY = Law("purity", "forward and backward must give the same bits each time, and must not change outputs or targets")
MEAN = Law("mean over examples", "an example's loss, and its gradient times N, must not depend on the rest of the batch")
FINITE = Law("finite", "losses and gradients must be finite for all outputs up to the largest size")

_require_loss = instance_of(Loss, "a loss, such as fl.losses.Huber(delta=2.0)")
Batch = tuple[Array, Array]  # outputs and targets


class Pass(NamedTuple):
    """The results of a forward and a backward pass.

    Attributes:
        losses: The loss of each example, (N,).
        gradient: The gradient of their mean with respect to the outputs, (N, K).
    """

    losses: Any
    gradient: Any


def check_loss(
    loss: Loss,
    outputs: int,
    targets: Array | st.SearchStrategy[Any],
    *,
    largest: float = 1e4,
    max_examples: int | None = None,
) -> None:
    """Check the laws of a loss: contract, purity, no global random state, mean over examples, gradient, finite.

    Args:
        loss: A `fnloop.losses.Loss`.
        outputs: K, for outputs of shape (N, K).
        targets: Sample targets, (M,) or (M, J), from which rows are drawn; or a strategy for the target of one example, a
            number or a list of numbers.
        largest: The loss must be finite for outputs up to this size; above 0.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample.
        TypeError: If `loss` is not a loss (the message has the members that it lacks), or `targets` is neither.
        ValueError: If a number is outside its range.

    Examples:
        >>> from fnloop.losses import BinaryCrossEntropy
        >>> check_loss(BinaryCrossEntropy(), 1, np.array([0.0, 1.0]), max_examples=20)

    See Also:
        `check_gradients`, `fnloop.testing.losses`
    """
    _require_loss("loss", loss)
    k, largest = integer(1)("outputs", outputs), real("(0, inf)")("largest", largest)
    batches = _batches(k, targets, 4.0)

    def contract(batch: Batch, dtype: str) -> None:
        z, y = (array.astype(dtype) for array in batch)
        result = _run(loss, z, y)
        for name, array, shape in (("losses", result.losses, z.shape[:1]), ("gradient", result.gradient, z.shape)):
            require(array.shape == shape, name, shape=array.shape, expected=shape)
            require(array.dtype == dtype, name, dtype=str(array.dtype), dtype_of_the_outputs=dtype)

    def purity(batch: Batch) -> None:
        before = copy_leaves(outputs=batch[0], targets=batch[1])
        require_same(_run(loss, *batch)._asdict(), _run(loss, *batch)._asdict(), ("once", "again"))
        require_unchanged(before, outputs=batch[0], targets=batch[1])

    def no_global_randomness(batch: Batch) -> None:
        require_no_global_randomness(lambda: _run(loss, *batch))

    def gradient(batch: Batch) -> None:
        z, y = batch
        require_gradient(lambda z: loss.forward(z, y)[0].mean(), z, _run(loss, z, y).gradient, name="outputs")

    def mean(batch: Batch) -> None:
        z, y = batch
        together = _run(loss, z, y)
        for i in range(len(z)):
            alone = _run(loss, z[i : i + 1], y[i : i + 1])
            _require_close(together.losses[i], alone.losses[0], f"the loss of example {i}")
            _require_close(together.gradient[i] * len(z), alone.gradient[0], f"the gradient of example {i}, times N")

    def finite(batch: Batch, dtype: str) -> None:
        z, y = (array.astype(dtype) for array in batch)
        result = _run(loss, z, y)
        require(np.isfinite(result.losses).all(), losses=result.losses)
        require(np.isfinite(result.gradient).all(), gradient=result.gradient)

    dtypes = st.sampled_from(["float32", "float64"])
    CONTRACT.check(contract, max_examples, batch=batches, dtype=dtypes)
    GLOBAL.check(no_global_randomness, max_examples, batch=batches)
    PURITY.check(purity, max_examples, batch=batches)
    MEAN.check(mean, max_examples, batch=batches)
    GRADIENT.check(gradient, max_examples, batch=batches)
    FINITE.check(finite, max_examples, batch=_batches(k, targets, largest), dtype=dtypes)


def _batches(outputs: int, targets: Any, largest: float) -> st.SearchStrategy[Batch]:
    """Outputs and targets of one to four examples, float64."""
    if isinstance(targets, np.ndarray):
        targets = st.sampled_from(targets.tolist())
    elif not isinstance(targets, st.SearchStrategy):
        raise TypeError(f"targets must be an array or a strategy for the target of one example, got {short(targets)}")
    sizes = st.integers(1, 4)
    # Multiples of 1/16: values that float32 cannot distinguish would be false counterexamples.
    values = st.integers(-int(largest * 16), int(largest * 16)).map(lambda n: n / 16)
    return sizes.flatmap(
        lambda n: st.tuples(
            arrays("float64", (n, outputs), elements=values, fill=st.nothing()),
            st.lists(targets, min_size=n, max_size=n).map(lambda rows: np.array(rows, dtype=np.float64)),
        )
    )


def _require_close(in_batch: Any, alone: Any, path: str) -> None:
    require(np.allclose(in_batch, alone, rtol=1e-9, atol=1e-12), path, in_the_batch=in_batch, alone=alone)


def _run(loss: Loss, outputs: Array, targets: Array) -> Pass:
    losses, backward = loss.forward(outputs, targets)
    return Pass(losses.copy(), np.array(backward()))
