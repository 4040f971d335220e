"""Trials of a search, which train together: asked for, reported after each epoch, pruned, and told."""

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import toolz

from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit, fit_stream
from fnloop.populations.lockstep import Lockstep
from fnloop.populations.spaces import Distribution
from fnloop.populations.studies import make_sampler, of_optuna
from fnloop.runs.recording import record as record_to
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.non_finite import warn_non_finite
from fnloop.training.population import kind_of, make_population_epoch, prepare_population
from fnloop.training.start import init_state
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer

if TYPE_CHECKING:
    from optuna import Study, Trial

Fitting = Generator[TrainState, None, Fit]


class Training(NamedTuple):
    """How the trials of a search train.

    Attributes:
        make_trainer: The function from what Optuna drew to the trainer of a trial.
        train: The training set.
        validation: The validation set, or None.
        epochs: The number of epochs of a trial.
        monitor: The name of the metric.
        folder: The folder of the run files, or None.
    """

    make_trainer: Callable[[Mapping[str, Any]], Trainer]
    train: Dataset
    validation: Dataset | None
    epochs: int
    monitor: str
    folder: Path | None


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
    fittings = {}
    for kind in toolz.groupby(lambda number: kind_of(made[number]), made).values():
        prepared = prepare_population([made[number] for number in kind], training.train, training.validation)
        starts = {i: init_state(made[number], training.train) for i, number in enumerate(kind)}
        lockstep = Lockstep(make_population_epoch(prepared), starts)
        for i, number in enumerate(kind):
            states = warn_non_finite(lockstep.stream(i))
            stream = EpochStream(made[number], training.train, training.validation, "numpy", states)
            fittings[number] = fit_stream(
                stream,
                epochs=training.epochs,
                monitor=training.monitor,
                recorder=_recorder(next(trial for trial in trials if trial.number == number), training),
                timer=lockstep.timed,
            )
    return {trial.number: fittings[trial.number] for trial in trials}


def _recorder(trial: "Trial", training: Training) -> Any:
    """Return the function that records the stream of a trial, and name its file in the trial."""
    if training.folder is None:
        return None
    path = training.folder / f"{trial.number:0>4}.run"
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
