"""The members of a population as fits that read their streams in turn."""

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit, StreamFunction, fit_stream
from fnloop.populations.lockstep import Epoch, Lockstep
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.non_finite import warn_non_finite
from fnloop.training.population import Pool, make_population_epoch
from fnloop.training.preparation import Preparation
from fnloop.training.start import init_state
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer

Fitting = Generator[TrainState, None, Fit]


class Member(NamedTuple):
    """A run of a population.

    Args:
        trainer: The trainer, resolved.
        train: The training set.
        validation: The validation set, or None.
        recorder: The function that records its stream, or None.
    """

    trainer: Trainer
    train: Dataset
    validation: Dataset | None
    recorder: StreamFunction | None = None


def start_fits(
    members: Sequence[Member],
    prepared: Sequence[Preparation],
    *,
    epochs: int,
    monitor: str | None,
    engine: str,
    pool: Pool | None = None,
) -> dict[int, Fitting]:
    """Return the fit of each member of one kind, by its position; they train in lockstep.

    On JAX, where a member of a population has the bits of its own run only to rounding, members that are recorded train one by
    one: a run file is replayed to the bit.

    Args:
        members: The members.
        prepared: Their trainers and data, prepared for the engine.
        epochs: As in `fit`.
        monitor: As in `fit`.
        engine: The name of the engine.
        pool: The data that theirs are rows of. Default: None, for which all have the same data.
    """
    together = engine == "numpy" or not any(member.recorder for member in members)
    epoch = make_population_epoch(prepared, pool=pool, engine=engine, together=together)
    return fits_of(epoch, members, epochs=epochs, monitor=monitor, engine=engine)


def fits_of(epoch: Epoch, members: Sequence[Member], *, epochs: int, monitor: str | None, engine: str) -> dict[int, Fitting]:
    """Return the fit of each member, by its position; they train in lockstep.

    Args:
        epoch: The function from states by member to the states an epoch later.
        members: The members.
        epochs: As in `fit`.
        monitor: As in `fit`.
        engine: The name of the engine.
    """
    lockstep = Lockstep(epoch, {i: init_state(member.trainer, member.train) for i, member in enumerate(members)})

    def start(i: int, member: Member) -> Fitting:
        states = warn_non_finite(lockstep.stream(i))
        stream = EpochStream(member.trainer, member.train, member.validation, engine, states)
        return fit_stream(stream, epochs=epochs, monitor=monitor, recorder=member.recorder, timer=lockstep.timed)

    return {i: start(i, member) for i, member in enumerate(members)}


def run_together(fits: dict[int, Fitting], show: Callable[[dict[int, TrainState]], None]) -> dict[int, Fit]:
    """Return the results of fits that read their streams in turn, one state each.

    Args:
        fits: The fits, by member; the dictionary is emptied.
        show: A function of the newest state of each member that still trains.

    Raises:
        KeyboardInterrupt: If Ctrl-C is pressed before any member has finished an epoch. Later it ends all members: those that
            have not finished an epoch have no result.
    """
    results: dict[int, Fit] = {}
    interrupted = False
    while fits:
        states = {}
        for member, fit in list(fits.items()):
            try:
                states[member] = fit.throw(KeyboardInterrupt) if interrupted else next(fit)
            except StopIteration as stop:
                results[member] = stop.value
                del fits[member]
                interrupted = interrupted or stop.value.stop_reason == StopReason.INTERRUPTED.value
            except KeyboardInterrupt:
                interrupted = True
                del fits[member]
        try:
            show(states)
        except KeyboardInterrupt:
            interrupted = True
    if not results:
        raise KeyboardInterrupt
    return results
