"""The members of a population as fits that read their streams in turn."""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from fnloop.core.checks import Mode
from fnloop.core.errors import NonFiniteError
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit, fit_stream
from fnloop.populations.lockstep import Epoch, Lockstep
from fnloop.populations.recorded import Recorder
from fnloop.streams.select import update_best
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.non_finite import warn_non_finite
from fnloop.training.population import Pool, make_population_epoch
from fnloop.training.preparation import Preparation
from fnloop.training.start import init_state
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer

Key = TypeVar("Key", bound=Hashable)
Fitting = Generator[TrainState, None, Fit]
Show = Callable[[Mapping[Any, TrainState]], None]


class Member(NamedTuple):
    """A run of a population.

    Args:
        trainer: The trainer, resolved.
        train: The training set.
        validation: The validation set, or None.
        recorder: The function that records its stream, or None.
        name: What it is called in warnings. Default: None, nothing.
    """

    trainer: Trainer
    train: Dataset
    validation: Dataset | None
    recorder: Recorder | None = None
    name: str | None = None


class Population(NamedTuple, Generic[Key]):
    """The fits of members of one kind, which train in lockstep.

    Attributes:
        fits: The fit of each member; they are read in turn.
        advance: The function that computes the next epoch of all, before they are read. A `NonFiniteError` that it raises has
            the member.
    """

    fits: dict[Key, Fitting]
    advance: Callable[[], None]


class Ended(NamedTuple, Generic[Key]):
    """The results of the members of populations, and why they ended.

    Attributes:
        fits: Their results. After Ctrl-C or a failure, those that had not finished an epoch have none.
        failed: The error of a member that met a value that is not finite under `non_finite="raise"`, which ended all; or None.
    """

    fits: dict[Key, Fit]
    failed: NonFiniteError | None = None


def start_fits(
    members: Mapping[Key, Member],
    prepared: Sequence[Preparation],
    *,
    epochs: int,
    monitor: str | None,
    engine: str,
    pool: Pool | None = None,
) -> Population[Key]:
    """Return the fit of each member of one kind; they train in lockstep.

    On JAX, where a member of a population has the bits of its own run only to rounding, members that are recorded train one by
    one: a run file is replayed to the bit.

    Args:
        members: The members.
        prepared: Their trainers and data, prepared for the engine, in their order.
        epochs: As in `fit`.
        monitor: As in `fit`.
        engine: The name of the engine.
        pool: The data that theirs are rows of. Default: None, for which all have the same data.
    """
    together = engine == "numpy" or not any(member.recorder for member in members.values())
    epoch = make_population_epoch(prepared, pool=pool, engine=engine, together=together)
    return fits_of(epoch, members, epochs=epochs, monitor=monitor, engine=engine)


def fits_of(epoch: Epoch, members: Mapping[Key, Member], *, epochs: int, monitor: str | None, engine: str) -> Population[Key]:
    """Return the fit of each member; they train in lockstep.

    Args:
        epoch: The function from states to the states an epoch later, by the position of the member.
        members: The members.
        epochs: As in `fit`.
        monitor: As in `fit`.
        engine: The name of the engine.
    """
    keys = list(members)

    def named(states: Mapping[int, TrainState]) -> dict[int, TrainState]:
        try:
            return epoch(states)
        except NonFiniteError as error:
            error.member = keys[error.member]
            raise

    lockstep = Lockstep(named, {i: init_state(one.trainer, one.train) for i, one in enumerate(members.values())})

    def start(i: int, member: Member) -> Fitting:
        states = warn_non_finite(lockstep.stream(i), member.name)
        stream = EpochStream(member.trainer, member.train, member.validation, engine, states)
        recorder = None if member.recorder is None else partial(member.recorder, timer=lockstep.timed)
        return fit_stream(stream, epochs=epochs, monitor=monitor, recorder=recorder, timer=lockstep.timed)

    fits = {key: start(i, member) for i, (key, member) in enumerate(members.items())}
    return Population(fits, partial(lockstep.advance, epochs))


def run_together(populations: Sequence[Population[Key]], show: Show) -> Ended[Key]:
    """Return the results of fits that read their streams in turn, one state each.

    Args:
        populations: The populations.
        show: A function of the newest state of each member that still trains.

    Raises:
        KeyboardInterrupt: If Ctrl-C is pressed before any member has finished an epoch. Later it ends all members.
    """
    fits = {key: fit for population in populations for key, fit in population.fits.items()}
    results: dict[Key, Fit] = {}
    failed = None
    try:
        while fits:
            for population in populations:
                population.advance()
            show(_read(fits, results))
    except KeyboardInterrupt:
        _interrupt(fits, results)
    except NonFiniteError as error:
        failed = error
        _interrupt(fits, results)
    if not results and failed is None:
        raise KeyboardInterrupt
    return Ended(results, failed)


def _read(fits: dict[Key, Fitting], results: dict[Key, Fit]) -> dict[Key, TrainState]:
    """Return the next state of each fit; a fit that has ended is moved to the results.

    Raises:
        KeyboardInterrupt: If Ctrl-C ended one.
    """
    states = {}
    for key, fit in list(fits.items()):
        try:
            states[key] = next(fit)
        except StopIteration as end:
            results[key] = end.value
            del fits[key]
            if is_interrupted(end.value):
                raise KeyboardInterrupt from None
    return states


def _interrupt(fits: Mapping[Key, Fitting], results: dict[Key, Fit]) -> None:
    """End fits as Ctrl-C does; those that have finished an epoch get a result."""
    for key, fit in fits.items():
        try:
            fit.throw(KeyboardInterrupt)
        except StopIteration as end:
            results.setdefault(key, end.value)
        except KeyboardInterrupt:
            pass


def run_in_step(populations: Sequence[Population[Key]], monitor: str, mode: Mode, show: Show) -> Ended[Key]:
    """Return results as `run_together`; after Ctrl-C or a failure every run has the same number of epochs.

    Those that ended by themselves before have fewer. So the runs may be compared.

    Args:
        populations: The populations.
        monitor: Name of the metric that selects the best states.
        mode: Its mode.
        show: A function of the newest state of each member that still trains.

    Raises:
        KeyboardInterrupt: If Ctrl-C is pressed before every member has finished an epoch.
    """
    kept: dict[Key, tuple[TrainState, TrainState | None]] = {}  # the newest and the best state of each

    def keep(states: Mapping[Key, TrainState]) -> None:
        nonlocal kept
        before = {key: kept[key][1] if key in kept else None for key in states}
        kept = {**kept, **{key: (state, update_best(before[key], state, monitor, mode)) for key, state in states.items()}}
        show(states)

    ended = run_together(populations, keep)
    if ended.failed is None and ended.fits.keys() == kept.keys() and not any(map(is_interrupted, ended.fits.values())):
        return ended
    if not all(key in ended.fits and state.epoch for key, (state, _) in kept.items()):
        if ended.failed is None:
            raise KeyboardInterrupt
        return Ended({}, ended.failed)
    return Ended({key: _up_to(fit, *kept[key]) for key, fit in ended.fits.items()}, ended.failed)


def _up_to(fit: Fit, last: TrainState, best: TrainState | None) -> Fit:
    """Return a result up to a state, after which it may have an epoch more."""
    if not is_interrupted(fit) and fit.last.epoch == last.epoch:
        return fit
    metrics = {name: values[: last.epoch] for name, values in fit.metrics.items()}
    return evolve(fit, last=last, best_state=best, metrics=metrics, stop_reason=StopReason.INTERRUPTED.value)


def is_interrupted(fit: Fit) -> bool:
    """Return whether Ctrl-C ended a run."""
    return fit.stop_reason == StopReason.INTERRUPTED.value


def failure_of(name: str, failed: NonFiniteError, result: Any) -> NonFiniteError:
    """Return the error of a population: that of a member, with its name, and what was trained until then.

    Args:
        name: What the member is.
        failed: The error of the member.
        result: The result, or None.
    """
    error = NonFiniteError(f"{name}: {failed}")
    error.member, error.result = failed.member, result
    return error
