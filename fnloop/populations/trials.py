"""Trials of a search, which train together: asked for, reported after each epoch, pruned, and told."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import toolz

from fnloop.core.errors import NonFiniteError
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.fitting import Fit
from fnloop.populations.abandoned import name_process
from fnloop.populations.members import Fitting, Member, failure_of, fits_of, is_interrupted, start_fits
from fnloop.populations.memory import check_memory
from fnloop.populations.recorded import Files, Recorder, Recording
from fnloop.populations.repeated import leave_out_repeated, tell_same
from fnloop.populations.spaces import Distribution
from fnloop.populations.spread import make_spread_epoch
from fnloop.populations.studies import make_sampler, of_optuna, prunes
from fnloop.runs.parallel import Map
from fnloop.runs.recording import Options
from fnloop.training.population import kind_of, prepare_population
from fnloop.training.trainer import Trainer

if TYPE_CHECKING:
    from optuna import Study, Trial

Run = tuple[int, int]  # the number of a trial, and the index of its run


class Training(NamedTuple):
    """How the trials of a search train.

    Attributes:
        make_trainer: The function from a trial of Optuna to its trainer.
        train: The training set.
        validation: The validation set, or None.
        epochs: The number of epochs of a trial.
        monitor: The name of the metric.
        seeds: The number of runs of a trial.
        engine: The name of the engine.
        files: The run files, or None.
        preprocessing: How a table became the data, or None; kept in each run file.
        map: What spreads groups of runs over processes, or None.
    """

    make_trainer: Callable[[Any], Trainer]
    train: Dataset
    validation: Dataset | None
    epochs: int
    monitor: str
    seeds: int
    engine: str
    files: Files | None
    preprocessing: Preprocessing | None
    map: Map | None

    def trainers(self, trial: Any) -> list[Trainer]:
        """Return the trainers of a trial's runs, resolved: they differ in the seed.

        Raises:
            TypeError: If a hyperparameter has the wrong type, or the function returns no trainer.
            ValueError: If a hyperparameter is invalid. The message names the trial.
        """
        try:
            trainer = self.make_trainer(trial).resolve(self.train)
        except (TypeError, ValueError) as error:
            drawn = ", ".join(f"{name}={short(value)}" for name, value in trial.params.items())
            raise type(error)(f"trial {trial.number} ({drawn}): {error}") from error
        return [trainer.replace(seed=(trainer.seed + i) % 2**64) if i else trainer for i in range(self.seeds)]


class Running:
    """A trial that trains.

    Args:
        trial: The trial.
        fittings: The fit of each of its runs.

    Attributes:
        results: The results of the runs that have ended.
        goes_on: Whether a run has epochs left: else nothing is saved by pruning the trial.
    """

    __slots__ = ("_newest", "fittings", "goes_on", "results", "trial")

    def __init__(self, trial: "Trial", fittings: dict[int, Fitting]) -> None:
        self.trial, self.fittings = trial, fittings
        self.results: dict[int, Fit] = {}
        self.goes_on = True
        self._newest: dict[int, float] = {}

    def advance(self, monitor: str, epochs: int) -> None:
        """Train all runs for an epoch, and report the mean of their newest values.

        Args:
            monitor: The name of the metric.
            epochs: The number of epochs of a run.

        Raises:
            KeyboardInterrupt: If Ctrl-C ended a run.
        """
        runs, epoch = len(self.fittings) + len(self.results), None
        self.goes_on = False
        for run, fitting in list(self.fittings.items()):
            try:
                state = next(fitting)
            except StopIteration as end:
                del self.fittings[run]
                self.results[run] = end.value
                if is_interrupted(end.value):
                    raise KeyboardInterrupt from None
            else:
                self.goes_on |= state.stopped is None and state.epoch < epochs
                if monitor in state.metrics:
                    self._newest[run], epoch = state.metrics[monitor], state.epoch
        if epoch is not None and len(self._newest) == runs:
            self.trial.report(fmean(self._newest.values()), epoch)

    def close(self) -> None:
        """End all runs."""
        for fitting in self.fittings.values():
            fitting.close()


def finished(study: "Study") -> int:
    """Return the number of trials that are complete or pruned.

    Args:
        study: The study.
    """
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def has_complete(study: "Study") -> bool:
    """Return whether a trial is complete.

    Args:
        study: The study.
    """
    return any(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))


def ask(study: "Study", count: int, space: Mapping[str, Distribution], seed: int | None) -> "list[Trial]":
    """Return new trials of a study.

    Args:
        study: The study.
        count: The number of trials.
        space: The distribution of each hyperparameter.
        seed: The seed of the sampler, or None for a study that has a sampler of its own.
    """
    if seed is not None:
        before = sum(trial.state.name != "FAIL" for trial in study.get_trials(deepcopy=False))
        study.sampler = make_sampler(seed, before, conditional=not space)
    distributions = {name: of_optuna(distribution) for name, distribution in space.items()}
    trials = [study.ask(distributions) for _ in range(count)]
    name_process(trials)
    return trials


def train_trials(study: "Study", trials: "Sequence[Trial]", training: Training) -> tuple[dict[int, list[Fit]], bool]:
    """Train trials together, and tell the study their values; equal ones are trained once.

    Args:
        study: The study.
        trials: Its new trials.
        training: How they train.

    Returns:
        The results of the runs of each complete trial, by its number, and whether Ctrl-C ended the training.
    """
    copies = leave_out_repeated(study, trials)
    trials = [trial for trial in trials if trial.number in copies]
    waiting = {trial.number: trial for trial in trials}  # to be told
    results: dict[int, list[Fit]] = {}
    running: list[Running] = []
    recording = Recording(Options(training.monitor, preprocessing=training.preprocessing))
    try:
        may_prune = prunes(study)
        running = _start(trials, training, recording, may_prune)
        while running:
            for one in running:
                one.advance(training.monitor, training.epochs)
                number = one.trial.number
                if not one.fittings:
                    if _tell(study, waiting.pop(number), one.results):
                        results[number] = [one.results[run] for run in sorted(one.results)]
                    tell_same(study, copies.pop(number), number)
            for one in running if may_prune else ():
                if one.goes_on and one.trial.should_prune():
                    one.close()
                    one.fittings.clear()
                    _tell(study, waiting.pop(one.trial.number), {})
                    tell_same(study, copies.pop(one.trial.number), one.trial.number)
            running = [one for one in running if one.fittings]
    except NonFiniteError as failed:
        number, _ = failed.member
        values = ", ".join(f"{name}={value}" for name, value in waiting[number].params.items())
        raise failure_of(f"trial {number} ({values})", failed, None) from failed
    except KeyboardInterrupt:
        if not has_complete(study):
            raise
        return results, True
    finally:
        for one in running:
            one.close()
        recording.close()
        for trial in [*waiting.values(), *chain.from_iterable(copies.values())]:
            study.tell(trial, state=_state("FAIL"))
    return results, False


def _start(trials: "Sequence[Trial]", training: Training, recording: Recording, may_prune: bool) -> list[Running]:
    """Return the trials with the fits of their runs, of which those of one kind train in lockstep."""
    trainers = {trial.number: training.trainers(trial) for trial in trials}
    check_memory(list(chain.from_iterable(trainers.values())))
    members = {
        (trial.number, run): Member(trainer, training.train, training.validation, recorder)
        for trial in trials
        for run, (trainer, recorder) in enumerate(
            zip(trainers[trial.number], _recorders(trial, training, recording), strict=True)
        )
    }
    fits = _fit_all(members, training, may_prune)
    return [Running(trial, {run: fits[trial.number, run] for run in range(training.seeds)}) for trial in trials]


def _fit_all(members: Mapping[Run, Member], training: Training, may_prune: bool) -> dict[Run, Fitting]:
    """Return the fit of each run.

    Args:
        members: The runs.
        training: How they train.
        may_prune: Whether trials may be pruned: other processes then double the epochs of a run in a task, and else train all.
    """
    options: dict[str, Any] = {"epochs": training.epochs, "monitor": training.monitor, "engine": training.engine}
    if training.map is not None:
        epoch = make_spread_epoch(
            training.map,
            [member.trainer for member in members.values()],
            training.train,
            training.validation,
            engine=training.engine,
            together=training.engine == "numpy" or training.files is None,
            ahead=lambda epoch: min(max(1, epoch) if may_prune else training.epochs, training.epochs - epoch),
        )
        return fits_of(epoch, members, **options).fits
    fits: dict[Run, Fitting] = {}
    for kind in toolz.groupby(lambda run: kind_of(members[run].trainer), members).values():
        of_kind = {run: members[run] for run in kind}
        trainers = [member.trainer for member in of_kind.values()]
        prepared = prepare_population(trainers, training.train, training.validation, training.engine)
        fits |= start_fits(of_kind, prepared, **options).fits
    return fits


def _recorders(trial: "Trial", training: Training, recording: Recording) -> list[Recorder] | list[None]:
    """Return the function that records each run of a trial, and name their files in the trial."""
    if training.files is None:
        return [None] * training.seeds
    paths = training.files.paths(trial.number, training.seeds)
    names = [str(path.absolute()) for path in paths]
    trial.set_user_attr("run", names if training.seeds > 1 else names[0])
    return list(map(recording.recorder, paths))


def _tell(study: "Study", trial: "Trial", results: Mapping[int, Fit]) -> bool:
    """Tell the value of a trial: the mean over its runs; return whether it is complete.

    It is pruned if it has no results, or one has no best state.
    """
    if not results or any(result.best_state is None for result in results.values()):
        study.tell(trial, state=_state("PRUNED"))
        return False
    values = [results[run].best.metrics[results[run].monitor] for run in sorted(results)]
    best = values.index((max if study.direction.name == "MAXIMIZE" else min)(values))
    trial.set_user_attr("best_epoch", results[sorted(results)[best]].best.epoch)
    if len(values) > 1:
        trial.set_user_attr("values", values)
    study.tell(trial, fmean(values))
    return True


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
