"""Trials of a search, which train together: asked for, reported after each epoch, pruned, and told."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import toolz

from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit
from fnloop.populations.members import Fitting, Member, start_fits
from fnloop.populations.recorded import Files
from fnloop.populations.spaces import Distribution
from fnloop.populations.studies import make_sampler, of_optuna
from fnloop.runs.recording import record as record_to
from fnloop.training.population import kind_of, prepare_population
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer

if TYPE_CHECKING:
    from optuna import Study, Trial


class Training(NamedTuple):
    """How the trials of a search train.

    Attributes:
        make_trainer: The function from what Optuna drew to the trainer of a trial.
        train: The training set.
        validation: The validation set, or None.
        epochs: The number of epochs of a trial.
        monitor: The name of the metric.
        engine: The name of the engine.
        files: The run files, or None.
    """

    make_trainer: Callable[[Mapping[str, Any]], Trainer]
    train: Dataset
    validation: Dataset | None
    epochs: int
    monitor: str
    engine: str
    files: Files | None


def finished(study: "Study") -> int:
    """Return the number of trials that are complete or pruned.

    Args:
        study: The study.
    """
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def ask(study: "Study", count: int, space: Mapping[str, Distribution], seed: int | None) -> "list[Trial]":
    """Return new trials of a study.

    Args:
        study: The study.
        count: The number of trials.
        space: The distribution of each hyperparameter.
        seed: The seed of the sampler, or None for a study that has a sampler of its own.
    """
    if seed is not None:
        study.sampler = make_sampler(seed, len(study.get_trials(deepcopy=False)))
    distributions = {name: of_optuna(distribution) for name, distribution in space.items()}
    return [study.ask(distributions) for _ in range(count)]


def train_trials(study: "Study", trials: "Sequence[Trial]", training: Training) -> tuple[dict[int, Fit], bool]:
    """Train trials together, and tell the study their values.

    Args:
        study: The study.
        trials: Its new trials.
        training: How they train.

    Returns:
        The results of the complete trials, by number, and whether Ctrl-C ended the training.
    """
    running = {trial.number: trial for trial in trials}
    results: dict[int, Fit] = {}
    fittings: dict[int, Fitting] = {}
    try:
        fittings = _start(trials, training)
        while fittings:
            for number, result in _advance(fittings, running, training.monitor).items():
                if result.stop_reason == StopReason.INTERRUPTED.value:
                    raise KeyboardInterrupt
                if _tell(study, running.pop(number), result):
                    results[number] = result
            for number in [number for number in fittings if running[number].should_prune()]:
                fittings.pop(number).close()
                _tell(study, running.pop(number), None)
    except KeyboardInterrupt:
        if not any(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False)):
            raise
        return results, True
    finally:
        for fitting in fittings.values():
            fitting.close()
        for trial in running.values():
            study.tell(trial, state=_state("FAIL"))
    return results, False


def _start(trials: "Sequence[Trial]", training: Training) -> dict[int, Fitting]:
    """Return the fit of each trial; those of one kind train in lockstep."""
    made = {trial.number: training.make_trainer(trial.params).resolve(training.train) for trial in trials}
    by_number, fittings = {trial.number: trial for trial in trials}, dict[int, Fitting]()
    for kind in toolz.groupby(lambda number: kind_of(made[number]), made).values():
        of_kind = [made[number] for number in kind]
        prepared = prepare_population(of_kind, training.train, training.validation, training.engine)
        members = [
            Member(made[number], training.train, training.validation, _recorder(by_number[number], training))
            for number in kind
        ]
        started = start_fits(members, prepared, epochs=training.epochs, monitor=training.monitor, engine=training.engine)
        fittings |= {kind[i]: fitting for i, fitting in started.items()}
    return {trial.number: fittings[trial.number] for trial in trials}


def _recorder(trial: "Trial", training: Training) -> Any:
    """Return the function that records the stream of a trial, and name its file in the trial."""
    if training.files is None:
        return None
    path = training.files.path(trial.number)
    trial.set_user_attr("run", str(path.absolute()))
    return record_to(path, monitor=training.monitor)


def _advance(fittings: dict[int, Fitting], trials: "Mapping[int, Trial]", monitor: str) -> dict[int, Fit]:
    """Train all for an epoch and report its values; return the results of those that end, which leave."""
    ended = {}
    for number, fitting in list(fittings.items()):
        try:
            state = next(fitting)
        except StopIteration as end:
            ended[number] = end.value
            del fittings[number]
        else:
            if monitor in state.metrics:
                trials[number].report(state.metrics[monitor], state.epoch)
    return ended


def _tell(study: "Study", trial: "Trial", result: Fit | None) -> bool:
    """Tell the value of a trial, which is pruned if it has no result, or no best state; return whether it is complete."""
    if result is None or result.best_state is None:
        study.tell(trial, state=_state("PRUNED"))
        return False
    trial.set_user_attr("best_epoch", result.best.epoch)
    study.tell(trial, result.best.metrics[result.monitor])
    return True


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
