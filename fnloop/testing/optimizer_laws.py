"""What holds of every optimizer."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fnloop.core.arrays import Array
from fnloop.losses import MeanSquaredError
from fnloop.nn import mlp
from fnloop.testing.catalog import dataset
from fnloop.testing.engine_laws import check_engine
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.law import Law, arrays_of, check_part, copy_leaves, require, require_same, require_unchanged, round_trip
from fnloop.training.trainer import Trainer

CONTRACT = Law(
    "contract", "update must return a direction of the parameters' shape and dtype, and a frozen state that is built as before"
)
PURITY = Law("purity", "the same update must give the same bits again, and leave gradient, state and parameters as they were")
RESUME = Law("resume = whole", "going on from a state, written down and read back, must give the bits of the whole run")
BLOCKS = Law("blocks", "an elementwise kernel must give each element the same bits, whatever block it is computed in")
KEEPS_NON_FINITE = Law(
    "keeps non-finite", "after a non-finite gradient, an optimizer with `keeps_non_finite` must keep a slot that is not finite"
)
ORDER = Law("order of elements", "permuting the elements must permute the directions of an elementwise kernel, to the bit")

_ELEMENTS = st.integers(-8, 8).map(float) | st.floats(-8, 8, width=32)
_SEVERAL = st.sampled_from(["float32", "float64"]).flatmap(
    lambda dtype: st.tuples(st.integers(1, 5), st.integers(1, 8)).flatmap(
        lambda shape: arrays(dtype, shape, elements=_ELEMENTS, fill=st.nothing())
    )
)


def check_optimizer(optimizer: Any, *, engine: str | None = None, max_examples: int | None = None) -> None:
    """Check that an optimizer keeps the laws: contract, purity, no global random state, resume, keeps non-finite, block and
    order of elements.

    The parameters start as ones and move by the drawn gradients, in float32 and float64. "Keeps non-finite" is checked if the
    optimizer sets `keeps_non_finite`; block and order for each part whose scalars depend on no gradient.

    Args:
        optimizer: anything with `init(vector)` and `update(gradient, state, vector)`.
        engine: `"jax"` to check as well that JAX traces it and agrees.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example.

    Examples:
        >>> from fnloop.optimizers import Adam
        >>> check_optimizer(Adam(), max_examples=20)

    See Also: fnloop.testing.optimizers
    """
    check_part("optimizer", optimizer, "init", "update")

    def contract(gradients: Array) -> None:
        first = optimizer.init(_start(gradients))
        for _, direction, state in _along(optimizer, gradients):
            kind = f"{gradients.dtype} {gradients[0].shape}"
            require(f"{direction.dtype} {direction.shape}" == kind, direction=direction, of_the_shape_and_dtype=kind)
            require(_build(state) == _build(first), a_state=_build(state), init=_build(first))
            for path, array in arrays_of(state):
                require(not array.flags.writeable, path, an_array_that_can_be_written=array)

    def purity(gradients: Array) -> None:
        vector = _start(gradients)
        require_same(optimizer.init(vector), optimizer.init(vector), ("init once", "init again"))
        for gradient, (vector, _, state) in zip(gradients, _befores(optimizer, gradients), strict=True):
            before = copy_leaves(gradient=gradient, state=state, vector=vector)
            once, again = optimizer.update(gradient, state, vector), optimizer.update(gradient, state, vector)
            require_unchanged(before, gradient=gradient, state=state, vector=vector)
            require_same(once, again, ("update once", "update again"))

    def addressed(gradients: Array) -> None:
        require_no_global_randomness(lambda: list(_along(optimizer, gradients)))

    def resume(gradients: Array, cut: int) -> None:
        whole = list(_along(optimizer, gradients))
        list(_along(optimizer, -gradients))  # another run between: what it leaves behind must not be met again
        cut %= len(whole)
        vector, _, state = whole[cut]
        again = list(_along(optimizer, gradients[cut + 1 :], vector, round_trip(state)))
        require_same(whole[cut + 1 :], again, ("the whole run", "gone on with"))

    CONTRACT.check(contract, max_examples, gradients=_SEVERAL)
    GLOBAL.check(addressed, max_examples, gradients=_SEVERAL)
    PURITY.check(purity, max_examples, gradients=_SEVERAL)
    RESUME.check(resume, max_examples, gradients=_SEVERAL, cut=st.integers(0, 4))
    if getattr(optimizer, "keeps_non_finite", False):
        _check_keeps_non_finite(optimizer, max_examples)
    for part in _elementwise(optimizer):
        _check_elements(part, max_examples)
    if engine is not None:
        trainer = Trainer(model=mlp([3, 4, 2], "tanh"), loss=MeanSquaredError(), optimizer=optimizer, batch_size=4)
        check_engine(trainer, dataset("mse", 10), engine)


def _check_keeps_non_finite(optimizer: Any, max_examples: int | None) -> None:
    def keeps_non_finite(gradients: Array, at: int, bad: float) -> None:
        gradients = gradients.copy()
        gradients.reshape(-1)[at % gradients.size] = bad
        with np.errstate(all="ignore"):
            *_, (_, _, state) = _along(optimizer, gradients)
        require(not all(np.isfinite(slot).all() for slot in state.slots), finite_in_the_end=state.slots)

    bad = st.sampled_from([np.nan, np.inf, -np.inf])
    KEEPS_NON_FINITE.check(keeps_non_finite, max_examples, gradients=_SEVERAL, at=st.integers(0, 39), bad=bad)


def _check_elements(part: Any, max_examples: int | None) -> None:
    def blocks(gradients: Array, cut: int) -> None:
        at = cut % gradients.shape[1]
        whole = _directions(part, gradients)
        parts = [_directions(part, gradients[:, piece]) for piece in (slice(at), slice(at, None))]
        require_same(whole, np.concatenate(parts, axis=1), ("in one block", f"in two, cut at {at}"))

    def order(gradients: Array, seed: int) -> None:
        permutation = np.random.default_rng(seed).permutation(gradients.shape[1])
        whole, permuted = _directions(part, gradients)[:, permutation], _directions(part, gradients[:, permutation])
        require_same(whole, permuted, ("permuted after the updates", "permuted before"))

    BLOCKS.check(blocks, max_examples, gradients=_SEVERAL, cut=st.integers(1, 7))
    ORDER.check(order, max_examples, gradients=_SEVERAL, seed=st.integers(0, 99))


def _elementwise(optimizer: Any) -> list[Any]:
    """The parts that need nothing of the gradient as a whole."""
    parts = getattr(optimizer, "parts", ())
    return [part for part in parts if getattr(part, "depends_on", None) is None]


def _start(gradients: Array) -> Array:
    return np.ones_like(gradients[0])


def _along(optimizer: Any, gradients: Array, vector: Any = None, state: Any = None) -> Iterator[tuple[Array, Array, Any]]:
    """The parameters, the direction and the state behind each update, at a rate of 1/8."""
    vector = _start(gradients) if vector is None else vector
    state = optimizer.init(vector) if state is None else state
    for gradient in gradients:
        direction, state = optimizer.update(gradient, state, vector)
        vector = vector - direction * vector.dtype.type(0.125)
        yield vector, direction, state


def _befores(optimizer: Any, gradients: Array) -> Sequence[tuple[Array, Any, Any]]:
    """What stands before each update."""
    start = _start(gradients)
    return [(start, None, optimizer.init(start)), *_along(optimizer, gradients.copy())][: len(gradients)]


def _directions(optimizer: Any, gradients: Array) -> Array:
    """The direction of each update; none for no elements."""
    if not gradients.size:
        return gradients
    return np.array([direction for _, direction, _ in _along(optimizer, gradients)])


def _build(state: Any) -> list[str]:
    """How a state is built: the class, and the shape and dtype of each of its arrays."""
    return [type(state).__name__, *(f"{path} {array.dtype} {array.shape}" for path, array in arrays_of(state))]
