"""What holds of every step, and of the epochs that are its fold."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from hypothesis import strategies as st
from toolz import accumulate, nth, reduce, take

from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.batching import batches, count_batches
from fnloop.data.dataset import Dataset
from fnloop.streams.select import last
from fnloop.testing.engine_laws import check_engine
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.law import Law, arrays_of, check_part, copy_leaves, require, require_same, require_unchanged, round_trip
from fnloop.training.loop import init_state, make_epoch, make_step, steps
from fnloop.training.state import Stopped, StopReason, TrainState
from fnloop.training.trainer import Trainer

FROZEN = Law("frozen states", "no array of a state that a step returns may be written to")
PURITY = Law("purity", "the same step must give the same bits again, and leave state and batch as they were")
SNAPSHOT = Law("snapshots stay", "a state must be the same value after later steps as it was before them")
FOLD = Law("fold law", "folding batches in two parts, another run between them, must give the bits of folding them at once")
RESUME = Law("resume = whole", "a state, written down and read back, must go on to the bits of the run that never stopped")
STOPPED = Law("stopped is absorbing", "a step must give back a state whose stop_reason is not None")
EPOCH = Law("fold law", "an epoch must leave the parameters of its batches' steps, one by one")


def check_step(
    step: Callable[[Any, Any], Any],
    state: Any,
    batches: Sequence[Any] | st.SearchStrategy[Any],
    *,
    stopped: Any = None,
    max_examples: int | None = None,
) -> None:
    """Check that a step keeps the laws: frozen states, purity, no global random state, snapshots, fold, resume, stopping.

    Args:
        step: any function of (state, batch) that returns the next state.
        state: to begin with: a frozen record (`fnloop.frozen`) of numbers, strings, arrays, mappings, and records.
        batches: what the step takes, as a sequence or a strategy; each of such values, too.
        stopped: a state with a `stop_reason`, which no step may move; those that are met on the way are tried anyway.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example.

    Examples:
        >>> check_step(lambda total, batch: total + batch, 0.0, [1.0, 0.1], max_examples=20)

    See Also: check_trainer, fnloop.testing.states
    """
    check_part("step", step, "__call__")
    one = batches if isinstance(batches, st.SearchStrategy) else _one_of(batches)
    several = st.lists(one.map(deepcopy), min_size=1, max_size=5)  # the user's own are not to be harmed
    start = partial(deepcopy, state)

    def addressed(batches: list[Any]) -> None:
        require_no_global_randomness(lambda: reduce(step, batches, start()))

    def frozen(batches: list[Any]) -> None:
        for path, array in arrays_of(reduce(step, batches, start())):
            require(not array.flags.writeable, path, an_array_that_can_be_written=array)

    def purity(batches: list[Any]) -> None:
        now = start()
        for batch in batches:
            before = copy_leaves(state=now, batch=batch)
            after, again = step(now, batch), step(now, batch)
            require_unchanged(before, state=now, batch=batch)
            require_same(after, again, ("once", "again"))
            now = after

    def snapshot(batches: list[Any]) -> None:
        seen = [(now, copy_leaves(state=now)) for now in accumulate(step, batches, start())]
        for now, before in seen:
            require_unchanged(before, state=now)

    def fold(batches: list[Any], cut: int) -> None:
        whole = reduce(step, batches, start())
        first = reduce(step, batches[:cut], start())
        reduce(step, batches[::-1], start())
        require_same(whole, reduce(step, batches[cut:], first), ("at once", f"in two parts, cut at {cut}"))

    def resume(batches: list[Any], cut: int) -> None:
        whole = reduce(step, batches, start())
        middle = reduce(step, batches[:cut], start())
        require_same(middle, round_trip(middle), ("the state", "read back"))
        require_same(whole, reduce(step, batches[cut:], round_trip(middle)), ("the whole run", "gone on with"))

    def absorbing(batches: list[Any]) -> None:
        reached = reduce(step, batches, start()) if stopped is None else stopped
        if getattr(reached, "stop_reason", None) is not None:
            require_same(reached, step(reached, batches[-1]), ("the stopped state", "after a step"))

    GLOBAL.check(addressed, max_examples, batches=several)
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
    """Check that the step of a trainer keeps the laws, and that an epoch is the fold of its steps.

    So a part of your own (layer, loss, optimizer, scheduler, metric) is checked in its place.

    Args:
        trainer, train, validation: as in `make_epoch`.
        engine: `"jax"` to check as well that JAX traces all parts and agrees.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example; ValueError: if trainer and data do not fit.

    Examples:
        >>> from fnloop.losses import MeanSquaredError
        >>> from fnloop.nn import mlp
        >>> from fnloop.testing.catalog import dataset
        >>> check_trainer(Trainer(model=mlp([3, 2]), loss=MeanSquaredError()), dataset("mse", 9), max_examples=5)

    See Also: check_step, fnloop.testing.trainers
    """
    step, epoch = make_step(trainer), make_epoch(trainer, train, validation)
    start, size = init_state(trainer), trainer.batch_size * trainer.accumulate
    stopped = evolve(start, stopped=Stopped(StopReason.FINISHED.value, 0, 0, "for the law"))

    def epochs_fold(number: int) -> None:
        before = nth(number, accumulate(lambda state, _: epoch(state), range(number), start))
        own = batches(train, size, seed=trainer.seed, epoch=before.epoch)
        by_hand, at_once = reduce(step, own, before), epoch(before)
        by_stream = last(take(count_batches(train, size) + 1, steps(trainer, train, validation, start=before)))
        require_same(by_stream, at_once, ("as a stream", "at once"))
        require_same(_trained(by_hand), _trained(at_once), ("by hand", "at once"))
        require_same(epoch(stopped), stopped, ("an epoch from a stopped state", "the stopped state"))

    first = list(batches(train, size, seed=trainer.seed, epoch=0))
    check_step(step, start, first, stopped=stopped, max_examples=max_examples)
    EPOCH.check(epochs_fold, max_examples, number=st.integers(0, 2))
    if engine is not None:
        check_engine(trainer, train, engine)


def _trained(state: TrainState) -> dict[str, Any]:
    """What of a state training moves, and the end of an epoch does not."""
    return {"params": state.params, "optimizer": state.optimizer, "step": state.step}


def _one_of(batches: Sequence[Any]) -> st.SearchStrategy[Any]:
    if not len(batches):
        raise ValueError(f"batches must hold at least one batch, got {short(batches)}")
    return st.sampled_from(list(batches))
