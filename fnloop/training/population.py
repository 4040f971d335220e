"""An epoch of a population: the states of many trainers of one kind, advanced together to the bits of their own runs."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import toolz

from fnloop.core.arrays import Array
from fnloop.core.columns import ColumnError
from fnloop.core.digest import digest
from fnloop.core.errors import NonFiniteError
from fnloop.core.stacking import members_that_fit, split_evenly
from fnloop.data.dataset import Dataset
from fnloop.engines import Computation, Engine
from fnloop.engines.base import PopulationFold
from fnloop.engines.threads import with_threads
from fnloop.nn.values import values_of
from fnloop.training.advance import carry_of, next_rates, with_carry
from fnloop.training.engine import computation_of, select_engine
from fnloop.training.epoch_end import end_epoch
from fnloop.training.loop import make_prepared_epoch
from fnloop.training.measurement import Metrics, metrics_from_sums, quiet
from fnloop.training.preparation import Preparation, prepare
from fnloop.training.state import EpochPlan, TrainState
from fnloop.training.state_checks import make_plan
from fnloop.training.trainer import Trainer

FOLDS = 64  # groups whose fold is kept

States = Mapping[int, TrainState]


def kind_of(trainer: Trainer) -> str:
    """Return the digest of all that the members of one population share.

    They may differ in seed, schedule, early stopping, `non_finite`, and the numbers of the optimizer.

    Args:
        trainer: A resolved trainer.
    """
    parts = trainer.optimizer.parts
    shared = (trainer.model, trainer.loss, trainer.metrics, trainer.dtype)
    numbers = (trainer.batch_size, trainer.accumulate, trainer.blas_threads())
    return digest((shared, numbers, tuple(map(_class_of, parts)), tuple(tuple(part.slots) for part in parts)))


def _class_of(part: Any) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def members_at_once(trainer: Trainer) -> int:
    """Return the number of members whose arrays fit into the cache together; 1 if a solo run is as fast.

    Args:
        trainer: The trainer of a member.
    """
    model = trainer.model
    arrays = 2 + len(trainer.optimizer.init(model.init(0).vector[:0]).slots)
    return members_that_fit(arrays * model.size + trainer.batch_size * values_of(model), trainer.dtype)


def prepare_population(
    trainers: Sequence[Trainer], train: Dataset, validation: Dataset | None, engine: str = "numpy"
) -> list[Preparation]:
    """Return the trainers of one kind, with the same encoded data.

    Args:
        trainers: Resolved trainers.
        train: The training data.
        validation: The validation data, or None.
        engine: The name of the engine. Default: `"numpy"`.

    Raises:
        ValueError: If the data does not fit the trainers, or one monitors a metric that the run does not produce.
    """
    for trainer in trainers:
        trainer.check_monitored(validation is not None)
    first = prepare(trainers[0], train, validation, engine)
    return [first._replace(trainer=trainer) for trainer in trainers]


class Pool(NamedTuple):
    """The data of members that train on different rows of it.

    Args:
        data: All rows, encoded.
        rows: For each member the rows that are its training data.
    """

    data: Dataset
    rows: Sequence[Array]


def make_population_epoch(
    prepared: Sequence[Preparation], pool: Pool | None = None, engine: str = "numpy", *, together: bool = True
) -> Callable[[States], dict[int, TrainState]]:
    """Return the pure function `epoch(states) -> states`: for each member the state that its own `make_epoch` returns.

    The states are by the index of the member; a member without a state is left out, and costs nothing.

    A `NonFiniteError` that it raises has the index of the member.

    Args:
        prepared: The trainers, all of one kind, and their data.
        pool: The data that theirs are rows of. Default: None, for which all have the data of the first.
        engine: The name of the engine; on JAX states are those of the members' own epochs to rounding. Default: `"numpy"`.
        together: Whether members are computed together, rather than one by one. Default: True.
    """
    first, selected = prepared[0], select_engine(engine)
    at_once = members_at_once(first.trainer) if together else 1
    solo = toolz.memoize(lambda index: make_prepared_epoch(prepared[index], engine))
    measures = {id(member.validation): _make_measure(member, selected) for member in prepared}
    data_of = {index: id(member.validation) for index, member in enumerate(prepared)}
    members = [
        _Member(member.trainer, computation_of(member.trainer), make_plan(member.trainer, member.train)) for member in prepared
    ]
    data = first.train if pool is None else pool.data

    @lru_cache(maxsize=FOLDS)
    def fold_of(group: tuple[int, ...]) -> PopulationFold:
        rows = None if pool is None else [pool.rows[index] for index in group]
        return selected.make_population_fold([members[index].computation for index in group], data, rows)

    def advance_alone(index: int, state: TrainState) -> TrainState:
        try:
            advanced: TrainState = solo(index)(state)
            return advanced
        except NonFiniteError as error:
            error.member = index
            raise

    def epoch(states: States) -> dict[int, TrainState]:
        result: dict[int, TrainState] = {}
        for in_step in toolz.groupby(lambda index: (members[index].plan.examples, *_position(states[index])), states).values():
            for group in split_evenly(in_step, at_once):
                trained = (
                    _fold(fold_of(tuple(group)), [members[i] for i in group], [states[i] for i in group])
                    if len(group) > 1
                    else []
                )
                sound = {index: state for index, state in zip(group, trained, strict=False) if state is not None}
                for validation, of_data in toolz.groupby(data_of.__getitem__, sound).items():
                    for index, measured in zip(of_data, measures[validation]([sound[i] for i in of_data]), strict=True):
                        result[index] = end_epoch(prepared[index].trainer, sound[index], measured)
                for index in set(group) - set(sound):
                    result[index] = advance_alone(index, states[index])
        return result

    return lambda states: with_threads(first.trainer.blas_threads(), epoch, states)


def _position(state: TrainState) -> tuple[int, int, int, int]:
    """Return what is the same for members that are trained together."""
    return state.epoch, state.progress.batches, state.step, state.optimizer.count


class _Member(NamedTuple):
    """The parts of a member that an epoch uses."""

    trainer: Trainer
    computation: Computation
    plan: EpochPlan


def _fold(fold: PopulationFold, members: Sequence[_Member], states: Sequence[TrainState]) -> list[TrainState | None]:
    """Return each member's state after the last batch of the epoch; None if anything was not finite."""
    plan, first = members[0].plan, states[0].progress.batches
    pairs = [next_rates(member.trainer, state, plan.batches - first) for member, state in zip(members, states, strict=True)]
    try:
        with quiet():
            carries = fold([carry_of(state) for state in states], [rates for rates, _ in pairs], states[0].epoch, first)
    except ColumnError:
        return [None] * len(states)
    examples = plan.examples - first * plan.examples_per_update
    return [
        None if carry is None else with_carry(state, carry, rates, scheduler, examples, member.plan)
        for state, carry, (rates, scheduler), member in zip(states, carries, pairs, members, strict=True)
    ]


def _make_measure(member: Preparation, engine: Engine) -> Callable[[Sequence[TrainState]], list[Metrics]]:
    """Return the function from the states of members to their metrics on the validation data."""
    trainer, measure, validation = member.trainer, member.measure, member.validation
    if validation is None or measure is None:
        return lambda states: [{}] * len(states)
    sums_of = engine.make_population_measure(computation_of(trainer), validation)

    def measure_all(states: Sequence[TrainState]) -> list[Metrics]:
        if len(states) < 2 or trainer.whole_metrics():
            return list(map(measure, states))
        with quiet():
            sums = sums_of([state.params.vector for state in states], [state.buffers for state in states])
            return [metrics_from_sums(trainer, of_member, len(validation)) for of_member in sums]

    return measure_all
