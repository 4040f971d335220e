"""What holds of every loss."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fnloop.core.arrays import Array
from fnloop.core.checks import integer, real
from fnloop.core.formatting import short
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.gradients import GRADIENT, require_gradient
from fnloop.testing.law import Law, check_part, copy_leaves, require, require_same, require_unchanged

CONTRACT = Law("contract", "forward must return one loss an example, and backward a gradient like the outputs, in their dtype")
PURITY = Law("purity", "forward and backward must give the same bits again, and leave outputs and targets as they were")
MEAN = Law("mean over examples", "each example's loss, and its gradient times N, must not depend on the rest of the batch")
FINITE = Law("finite", "losses and gradients must be finite for any logits up to the largest")


class Pass(NamedTuple):
    """Each example's loss, (N,), and the gradient of their mean over the outputs, (N, K)."""

    losses: Any
    gradient: Any


def check_loss(
    loss: Any,
    outputs: int,
    targets: Array | st.SearchStrategy[Any],
    *,
    largest: float = 1e4,
    max_examples: int | None = None,
) -> None:
    """Check that a loss keeps the laws: contract, purity, no global random state, gradient, mean over examples, finite.

    Args:
        loss: anything with `forward(outputs, targets) -> (losses, backward())`; see `fnloop.losses`.
        outputs: K, for outputs of shape (N, K).
        targets: a sample of targets, (M,) or (M, J), whose rows are drawn; or a strategy for the target of one example, a
            number or a list of numbers.
        largest: the size of logits up to which the loss must be finite, above 0.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example.

    Examples:
        >>> from fnloop.losses import BinaryCrossEntropy
        >>> check_loss(BinaryCrossEntropy(), 1, np.array([0.0, 1.0]), max_examples=20)

    See Also: check_gradients, fnloop.testing.losses
    """
    check_part("loss", loss, "forward")
    k, largest = integer(1)("outputs", outputs), real("(0, inf)")("largest", largest)
    batches = _batches(k, targets, 4.0)

    def contract(batch: tuple[Array, Array], dtype: str) -> None:
        z, y = (array.astype(dtype) for array in batch)
        done = _run(loss, z, y)
        for name, array, shape in (("losses", done.losses, z.shape[:1]), ("gradient", done.gradient, z.shape)):
            require(array.shape == shape, name, shape=array.shape, expected=shape)
            require(array.dtype == dtype, name, dtype=str(array.dtype), dtype_of_the_outputs=dtype)

    def purity(batch: tuple[Array, Array]) -> None:
        before = copy_leaves(outputs=batch[0], targets=batch[1])
        require_same(_run(loss, *batch)._asdict(), _run(loss, *batch)._asdict(), ("once", "again"))
        require_unchanged(before, outputs=batch[0], targets=batch[1])

    def addressed(batch: tuple[Array, Array]) -> None:
        require_no_global_randomness(lambda: _run(loss, *batch))

    def gradient(batch: tuple[Array, Array]) -> None:
        z, y = batch
        require_gradient(lambda z: loss.forward(z, y)[0].mean(), z, _run(loss, z, y).gradient, name="outputs")

    def mean(batch: tuple[Array, Array]) -> None:
        z, y = batch
        whole = _run(loss, z, y)
        for i in range(len(z)):
            alone = _run(loss, z[i : i + 1], y[i : i + 1])
            _require_close(whole.losses[i], alone.losses[0], f"the loss of example {i}")
            _require_close(whole.gradient[i] * len(z), alone.gradient[0], f"the gradient of example {i}, times N")

    def finite(batch: tuple[Array, Array], dtype: str) -> None:
        z, y = (array.astype(dtype) for array in batch)
        done = _run(loss, z, y)
        require(np.isfinite(done.losses).all(), losses=done.losses)
        require(np.isfinite(done.gradient).all(), gradient=done.gradient)

    dtypes = st.sampled_from(["float32", "float64"])
    CONTRACT.check(contract, max_examples, batch=batches, dtype=dtypes)
    GLOBAL.check(addressed, max_examples, batch=batches)
    PURITY.check(purity, max_examples, batch=batches)
    MEAN.check(mean, max_examples, batch=batches)
    GRADIENT.check(gradient, max_examples, batch=batches)
    FINITE.check(finite, max_examples, batch=_batches(k, targets, largest), dtype=dtypes)


def _batches(outputs: int, targets: Any, largest: float) -> st.SearchStrategy[tuple[Array, Array]]:
    """Outputs and targets for one to four examples, of float64."""
    if isinstance(targets, np.ndarray):
        targets = st.sampled_from(targets.tolist())
    elif not isinstance(targets, st.SearchStrategy):
        raise TypeError(f"targets must be an array or a strategy for the target of one example, got {short(targets)}")
    sizes = st.integers(1, 4)
    # Multiples of 1/16: what differs by less than float32 can tell is no counter-example.
    values = st.integers(-int(largest * 16), int(largest * 16)).map(lambda n: n / 16)
    return sizes.flatmap(
        lambda n: st.tuples(
            arrays("float64", (n, outputs), elements=values, fill=st.nothing()),
            st.lists(targets, min_size=n, max_size=n).map(lambda rows: np.array(rows, dtype=np.float64)),
        )
    )


def _require_close(a: Any, b: Any, where: str) -> None:
    require(np.allclose(a, b, rtol=1e-9, atol=1e-12), where, in_the_batch=a, alone=b)


def _run(loss: Any, outputs: Array, targets: Array) -> Pass:
    losses, backward = loss.forward(outputs, targets)
    return Pass(losses.copy(), np.array(backward()))
