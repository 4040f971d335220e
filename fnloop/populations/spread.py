"""An epoch of members of any kinds that other processes compute, some epochs ahead."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import toolz

from fnloop.core.formatting import listed
from fnloop.core.stacking import split_evenly
from fnloop.data.dataset import Dataset
from fnloop.populations.lockstep import Epoch, States
from fnloop.populations.memory import bytes_of
from fnloop.runs.parallel import Map, stream_tasks
from fnloop.training.population import kind_of, make_population_epoch, members_at_once, prepare_population
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

KEPT = 1 << 28  # bytes of states that are computed ahead


class _Task(NamedTuple):
    """A group of members of one kind.

    Args:
        trainers: Their trainers, resolved.
        states: Their states.
        epochs: The number of epochs to compute.
    """

    trainers: Sequence[Trainer]
    states: Sequence[TrainState]
    epochs: int


def make_spread_epoch(
    map: Map,
    trainers: Sequence[Trainer],
    train: Dataset,
    validation: Dataset | None,
    *,
    engine: str,
    together: bool,
    ahead: Callable[[int], int],
) -> Epoch:
    """Return the function `epoch(states) -> states` of members, whose groups the tasks of a `map` train.

    The states of a member must be those that the function returned before, in this order.

    Args:
        map: As in `sweep`.
        trainers: The trainer of each member, resolved.
        train: The training set.
        validation: The validation set, or None.
        engine: The name of the engine.
        together: Whether members are computed together, rather than one by one.
        ahead: A function of the number of epochs that a member has trained: how many it trains until the next task.
    """
    kinds = [kind_of(trainer) for trainer in trainers]
    at_most = max(1, KEPT // sum(bytes_of(trainer) for trainer in trainers))
    ready: dict[int, list[TrainState]] = {}  # the last one first
    run = partial(_train, train=train, validation=validation, engine=engine, together=together)

    def compute(states: States) -> None:
        groups = [
            part
            for group in toolz.groupby(lambda index: (kinds[index], states[index].epoch), states).values()
            for part in split_evenly(group, members_at_once(trainers[group[0]]))
        ]
        tasks = [
            _Task([trainers[i] for i in group], [states[i] for i in group], min(at_most, ahead(states[group[0]].epoch)))
            for group in groups
        ]
        names = [f"map: the group of members {listed(group)}" for group in groups]
        for index, computed in stream_tasks(map, run, tasks, names):
            ready.update(zip(groups[index], computed, strict=True))

    def epoch(states: States) -> dict[int, TrainState]:
        missing = {index: state for index, state in states.items() if not ready.get(index)}
        if missing:
            compute(missing)
        return {index: ready[index].pop() for index in states}

    return epoch


def _train(task: _Task, *, train: Dataset, validation: Dataset | None, engine: str, together: bool) -> list[list[TrainState]]:
    """Return the states of each member after each epoch, the last one first."""
    epoch = make_population_epoch(
        prepare_population(task.trainers, train, validation, engine), engine=engine, together=together
    )
    computed: list[list[TrainState]] = [[] for _ in task.states]
    states = dict(enumerate(task.states))
    for _ in range(task.epochs):
        states = epoch(states)
        for index, state in states.items():
            computed[index].append(state)
        states = {index: state for index, state in states.items() if state.stopped is None}
        if not states:
            break
    return [of_member[::-1] for of_member in computed]
