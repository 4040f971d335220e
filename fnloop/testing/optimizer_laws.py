"""The laws of optimizers."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fnloop.core.arrays import Array
from fnloop.core.checks import instance_of
from fnloop.losses import MeanSquaredError
from fnloop.nn import mlp
from fnloop.optimizers import Elementwise
from fnloop.testing.catalog import dataset
from fnloop.testing.engine_laws import check_engine
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.law import Law
from fnloop.testing.requirements import (
    arrays_of,
    copy_leaves,
    require,
    require_read_only,
    require_same,
    require_unchanged,
    round_trip,
)
from fnloop.training.trainer import Trainer

CONTRACT = Law(
    "contract",
    "update must return a direction of the parameters' shape and dtype, and a frozen state with the layout of the initial one",
)
PURITY = Law("purity", "the same update must give the same bits each time, and must not change gradient, state or parameters")
RESUME = Law("resume = uninterrupted run", "resuming from a state read back from a file must give the bits of the whole run")
BLOCKS = Law("blocks", "an elementwise kernel must compute the same bits in one block as in several")
KEEPS_NON_FINITE = Law(
    "keeps non-finite", "after a non-finite gradient, an optimizer with `keeps_non_finite` must keep a slot that is not finite"
)
ORDER = Law("order of elements", "permuting the elements must permute the directions of an elementwise kernel, to the bit")


@runtime_checkable
class UpdateRule(Protocol):
    """The members that `check_optimizer` needs: those of `fnloop.optimizers.Elementwise`, or of a custom class."""

    def init(self, vector: Array) -> Any:
        """Return the state before the first update."""

    def update(self, gradient: Array, state: Any, vector: Array) -> tuple[Array, Any]:
        """Return the direction, by which the parameters move as `vector - lr * direction`, and the next state."""


_require_optimizer = instance_of(UpdateRule, "an optimizer, such as fl.optimizers.Adam()")

_ELEMENTS = st.integers(-8, 8).map(float) | st.floats(-8, 8, width=32)
_GRADIENTS = st.sampled_from(["float32", "float64"]).flatmap(
    lambda dtype: st.tuples(st.integers(1, 5), st.integers(1, 8)).flatmap(
        lambda shape: arrays(dtype, shape, elements=_ELEMENTS, fill=st.nothing())
    )
)  # (updates, P)


class Update(NamedTuple):
    """The results of an update.

    Attributes:
        vector: The parameters after it.
        direction: The direction.
        state: The state after it.
    """

    vector: Array
    direction: Array
    state: Any


def check_optimizer(optimizer: UpdateRule, *, engine: str | None = None, max_examples: int | None = None) -> None:
    """Check the laws of an optimizer.

    The laws are contract, purity, no global random state and resume; for an optimizer with `keeps_non_finite` that it does;
    blocks and order of elements for each elementwise part whose scalars do not depend on a gradient. The parameters start at
    one and move by the drawn gradients, in float32 and float64.

    Args:
        optimizer: A `fnloop.optimizers.Elementwise`, or any object with `init(vector)` and `update(gradient, state, vector)`.
        engine: Name of an engine, such as `"jax"`, to check that it agrees with the NumPy engine; by default none.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample.
        TypeError: If `optimizer` is not an optimizer. The message has the members that it lacks.
        ValueError: If `max_examples` is below 1.

    Examples:
        >>> from fnloop.optimizers import Adam
        >>> check_optimizer(Adam(), max_examples=20)

    See Also:
        `fnloop.testing.optimizers`
    """
    _require_optimizer("optimizer", optimizer)

    def contract(gradients: Array) -> None:
        initial = optimizer.init(_start(gradients))
        expected = f"{gradients.dtype} {gradients[0].shape}"
        for _, direction, state in _run(optimizer, gradients):
            require(f"{direction.dtype} {direction.shape}" == expected, direction=direction, expected=expected)
            require(_layout(state) == _layout(initial), state=_layout(state), initial_state=_layout(initial))
            require_read_only(state)

    def purity(gradients: Array) -> None:
        vector = _start(gradients)
        require_same(optimizer.init(vector), optimizer.init(vector), ("init", "init again"))
        state = optimizer.init(vector)
        for i in range(len(gradients)):
            gradient = gradients[i].copy()
            before = copy_leaves(gradient=gradient, state=state, vector=vector)
            first, second = optimizer.update(gradient, state, vector), optimizer.update(gradient, state, vector)
            require_unchanged(before, gradient=gradient, state=state, vector=vector)
            require_same(first, second, ("update", "update again"))
            direction, state = first
            vector = _move(vector, direction)

    def no_global_randomness(gradients: Array) -> None:
        require_no_global_randomness(lambda: list(_run(optimizer, gradients)))

    def resume(gradients: Array, cut: int) -> None:
        whole = list(_run(optimizer, gradients))
        list(_run(optimizer, -gradients))  # another run, whose hidden traces must not affect the resumed one
        cut %= len(whole)
        vector, _, state = whole[cut]
        resumed = list(_run(optimizer, gradients[cut + 1 :], vector, round_trip(state)))
        require_same(whole[cut + 1 :], resumed, ("the whole run", "the resumed run"))

    CONTRACT.check(contract, max_examples, gradients=_GRADIENTS)
    GLOBAL.check(no_global_randomness, max_examples, gradients=_GRADIENTS)
    PURITY.check(purity, max_examples, gradients=_GRADIENTS)
    RESUME.check(resume, max_examples, gradients=_GRADIENTS, cut=st.integers(0, 4))
    if isinstance(optimizer, Elementwise):
        _check_elementwise(optimizer, max_examples)
    if engine is not None:
        # A trainer has an `Elementwise` only, and refuses any other optimizer.
        trainer = Trainer(model=mlp([3, 4, 2], "tanh"), loss=MeanSquaredError(), optimizer=optimizer, batch_size=4)  # type: ignore[arg-type]
        check_engine(trainer, dataset("mse", 10), engine)


def _check_elementwise(optimizer: Elementwise, max_examples: int | None) -> None:
    def keeps_non_finite(gradients: Array, at: int, bad: float) -> None:
        gradients = gradients.copy()
        gradients.reshape(-1)[at % gradients.size] = bad
        with np.errstate(all="ignore"):
            *_, (_, _, state) = _run(optimizer, gradients)
        require(not all(np.isfinite(slot).all() for slot in state.slots), final_slots=state.slots)

    if optimizer.keeps_non_finite:
        bad = st.sampled_from([np.nan, np.inf, -np.inf])
        KEEPS_NON_FINITE.check(keeps_non_finite, max_examples, gradients=_GRADIENTS, at=st.integers(0, 39), bad=bad)
    for part in optimizer.parts:
        if part.depends_on is None:
            _check_elements(part, max_examples)


def _check_elements(part: Elementwise, max_examples: int | None) -> None:
    def blocks(gradients: Array, cut: int) -> None:
        cut %= gradients.shape[1]
        whole = _directions(part, gradients)
        parts = [_directions(part, gradients[:, block]) for block in (slice(cut), slice(cut, None))]
        require_same(whole, np.concatenate(parts, axis=1), ("in one block", f"in two, cut at {cut}"))

    def order(gradients: Array, seed: int) -> None:
        permutation = np.random.default_rng(seed).permutation(gradients.shape[1])
        after, before = _directions(part, gradients)[:, permutation], _directions(part, gradients[:, permutation])
        require_same(after, before, ("permuted after the updates", "permuted before"))

    BLOCKS.check(blocks, max_examples, gradients=_GRADIENTS, cut=st.integers(1, 7))
    ORDER.check(order, max_examples, gradients=_GRADIENTS, seed=st.integers(0, 99))


def _start(gradients: Array) -> Array:
    return np.ones_like(gradients[0])


def _move(vector: Array, direction: Array) -> Array:
    """The parameters after a step with a learning rate of 1/8."""
    moved: Array = vector - direction * vector.dtype.type(0.125)
    return moved


def _run(optimizer: UpdateRule, gradients: Array, vector: Array | None = None, state: Any = None) -> Iterator[Update]:
    """The updates by these gradients, from the start unless a vector and a state are given."""
    vector = _start(gradients) if vector is None else vector
    state = optimizer.init(vector) if state is None else state
    for gradient in gradients:
        direction, state = optimizer.update(gradient, state, vector)
        vector = _move(vector, direction)
        yield Update(vector, direction, state)


def _directions(optimizer: UpdateRule, gradients: Array) -> Array:
    """The direction of each update, (updates, P)."""
    if not gradients.size:
        return gradients
    return np.array([update.direction for update in _run(optimizer, gradients)])


def _layout(state: Any) -> list[str]:
    """The class of a state, and the path, dtype and shape of each of its arrays."""
    return [type(state).__name__, *(f"{path} {array.dtype} {array.shape}" for path, array in arrays_of(state))]
