"""The laws of steps, and of the epochs that fold them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from hypothesis import strategies as st
from toolz import accumulate, nth, reduce, take

from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.batching import batches as batches_of_epoch
from fnloop.data.batching import count_batches
from fnloop.data.dataset import Dataset
from fnloop.streams.select import last
from fnloop.testing.engine_laws import check_engine
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.law import Law, require_callable
from fnloop.testing.requirements import (
    copy_leaves,
    require_read_only,
    require_same,
    require_unchanged,
    round_trip,
)
from fnloop.training.loop import make_epoch, make_step, steps
from fnloop.training.start import init_state
from fnloop.training.state import Stopped, StopReason, TrainState
from fnloop.training.trainer import Trainer

FROZEN = Law("frozen states", "every array of a state that a step returns must be read-only")
PURITY = Law("purity", "the same step must give the same bits each time, and must not change state or batch")
SNAPSHOT = Law("snapshots never change", "a state must be the same before and after later steps")
FOLD = Law("fold law", "folding batches in two parts, with another run in between, must give the bits of one fold")
RESUME = Law("resume = uninterrupted run", "resuming from a state read back from a file must give the bits of the whole run")
STOPPED = Law("stopped is absorbing", "a step must return a state whose stop_reason is not None unchanged")
EPOCH = Law("epoch = fold of steps", "an epoch must give the parameters of its steps, one by one and as a stream")


def check_step(
    step: Callable[[Any, Any], Any],
    state: Any,
    batches: Sequence[Any] | st.SearchStrategy[Any],
    *,
    stopped: Any = None,
    max_examples: int | None = None,
) -> None:
    """Check the laws of a step: purity, no global random state, frozen states, snapshots, fold, resume, stopping.

    Args:
        step: Returns the next state for a state and a batch.
        state: The first state: a frozen record (`fnloop.frozen`), mapping or sequence of numbers, strings and arrays.
        batches: The batches, as a sequence or a strategy; each is such a value, too.
        stopped: A state with a `stop_reason`, which no step may change. By default only the stopped states that the steps
            reach are checked.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample.
        TypeError: If `step` is not a function.
        ValueError: If `batches` is empty, or `max_examples` is below 1.

    Examples:
        >>> check_step(lambda total, batch: total + batch, 0.0, [1.0, 0.1], max_examples=20)

    See Also:
        `check_trainer`, `fnloop.testing.states`
    """
    require_callable("step", step)
    batch_strategy = batches if isinstance(batches, st.SearchStrategy) else _one_of(batches)
    several = st.lists(batch_strategy.map(deepcopy), min_size=1, max_size=5)  # copies: a broken step may write to them
    start = partial(deepcopy, state)

    def no_global_randomness(batches: list[Any]) -> None:
        require_no_global_randomness(lambda: reduce(step, batches, start()))

    def frozen(batches: list[Any]) -> None:
        require_read_only(reduce(step, batches, start()))

    def purity(batches: list[Any]) -> None:
        current = start()
        for batch in batches:
            before = copy_leaves(state=current, batch=batch)
            first, second = step(current, batch), step(current, batch)
            require_unchanged(before, state=current, batch=batch)
            require_same(first, second, ("once", "again"))
            current = first

    def snapshot(batches: list[Any]) -> None:
        copies = [(current, copy_leaves(state=current)) for current in accumulate(step, batches, start())]
        for current, before in copies:
            require_unchanged(before, state=current)

    def fold(batches: list[Any], cut: int) -> None:
        whole = reduce(step, batches, start())
        first_part = reduce(step, batches[:cut], start())
        reduce(step, batches[::-1], start())  # another run, whose hidden traces must not affect the second part
        require_same(whole, reduce(step, batches[cut:], first_part), ("at once", f"in two parts, cut at {cut}"))

    def resume(batches: list[Any], cut: int) -> None:
        whole = reduce(step, batches, start())
        middle = reduce(step, batches[:cut], start())
        require_same(middle, round_trip(middle), ("the state", "read back"))
        require_same(whole, reduce(step, batches[cut:], round_trip(middle)), ("the whole run", "the resumed run"))

    def absorbing(batches: list[Any]) -> None:
        reached = reduce(step, batches, start()) if stopped is None else stopped
        if getattr(reached, "stop_reason", None) is not None:
            require_same(reached, step(reached, batches[-1]), ("the stopped state", "after a step"))

    GLOBAL.check(no_global_randomness, max_examples, batches=several)
    PURITY.check(purity, max_examples, batches=several)
    FROZEN.check(frozen, max_examples, batches=several)
    SNAPSHOT.check(snapshot, max_examples, batches=several)
    FOLD.check(fold, max_examples, batches=several, cut=st.integers(0, 5))
    RESUME.check(resume, max_examples, batches=several, cut=st.integers(0, 5))
    STOPPED.check(absorbing, max_examples, batches=several)


def check_trainer(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    engine: str | None = None,
    max_examples: int | None = None,
) -> None:
    """Check the laws of a trainer's step, and that an epoch is the fold of its steps.

    This checks a custom layer, loss, optimizer, schedule or metric together with everything else.

    Args:
        trainer: The trainer.
        train: The training set.
        validation: The validation set, or None.
        engine: Name of an engine, such as `"jax"`, to check that it agrees with the NumPy engine; by default none.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample.
        TypeError: If an argument has the wrong type.
        ValueError: If the data does not match the trainer, or `max_examples` is below 1.

    Examples:
        >>> from fnloop.losses import MeanSquaredError
        >>> from fnloop.nn import mlp
        >>> from fnloop.testing.catalog import dataset
        >>> check_trainer(Trainer(model=mlp([3, 2]), loss=MeanSquaredError()), dataset("mse", 9), max_examples=5)

    See Also:
        `check_step`, `fnloop.testing.trainers`
    """
    step, epoch = make_step(trainer), make_epoch(trainer, train, validation)
    start, size = init_state(trainer), trainer.batch_size * trainer.accumulate
    stopped = evolve(start, stopped=Stopped(StopReason.FINISHED.value, 0, 0, "for the law"))

    def epoch_is_a_fold(number: int) -> None:
        before = nth(number, accumulate(lambda state, _: epoch(state), range(number), start))
        batches = batches_of_epoch(train, size, seed=trainer.seed, epoch=before.epoch)
        by_steps, at_once = reduce(step, batches, before), epoch(before)
        by_stream = last(take(count_batches(train, size) + 1, steps(trainer, train, validation, start=before)))
        require_same(by_stream, at_once, ("as a stream", "at once"))
        require_same(_trained_fields(by_steps), _trained_fields(at_once), ("step by step", "at once"))
        require_same(epoch(stopped), stopped, ("an epoch from a stopped state", "the stopped state"))

    batches = list(batches_of_epoch(train, size, seed=trainer.seed, epoch=0))
    check_step(step, start, batches, stopped=stopped, max_examples=max_examples)
    EPOCH.check(epoch_is_a_fold, max_examples, number=st.integers(0, 2))
    if engine is not None:
        check_engine(trainer, train, engine)


def _trained_fields(state: TrainState) -> dict[str, Any]:
    """The fields that a step changes and the end of an epoch does not."""
    return {"params": state.params, "optimizer": state.optimizer, "step": state.step}


def _one_of(batches: Sequence[Any]) -> st.SearchStrategy[Any]:
    if not len(batches):
        raise ValueError(f"batches must have at least one batch, got {short(batches)}")
    return st.sampled_from(list(batches))
