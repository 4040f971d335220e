"""`search`: hyperparameters by Optuna, whose trials train together as one fold."""

import math
import os
from builtins import map as map_here
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, Any

import toolz

from fnloop.core.checks import Mode, boolean, integer, real
from fnloop.core.digest import digest
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing, check_preprocessing
from fnloop.fitting import Fit, fit
from fnloop.populations.abandoned import fail_abandoned
from fnloop.populations.comparable import check_comparable
from fnloop.populations.drawn import check_space, ends_of, example_of, trainer_of
from fnloop.populations.progress import show_trials
from fnloop.populations.recorded import Files, claim, find_files
from fnloop.populations.search_results import Search
from fnloop.populations.spaces import Distribution
from fnloop.populations.studies import make_study, stable_repr
from fnloop.populations.trials import Training, ask, finished, has_complete, train_trials
from fnloop.runs.parallel import Map, check_map
from fnloop.training.engine import select_engine
from fnloop.training.trainer import Trainer

if TYPE_CHECKING:
    from optuna import Study


def search(
    trainer: Trainer | Callable[..., Trainer],
    train: Dataset,
    validation: Dataset | None = None,
    *,
    trials: int = 100,
    epochs: int = 100,
    seeds: int = 1,
    monitor: str | None = None,
    batch: int = 16,
    pruner: Any = None,
    study: "str | Study" = "search",
    storage: Any = None,
    seed: int = 0,
    engine: str = "numpy",
    record: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing | None = None,
    map: Map | None = None,
    seconds: float | None = None,
    until: "Callable[[Study], Any] | None" = None,
    progress: bool = True,
    **space: Distribution,
) -> Search:
    """Search hyperparameters with Optuna; the trials of a batch train together, as one fold.

    Optuna proposes a batch of trials, which train epoch by epoch like the members of `sweep`; each has the bits of its own
    `fit`, on JAX to rounding. After each epoch every trial reports the metric, and the pruner decides which trials end. A
    pruned trial leaves the fold and costs nothing more. The value of a trial is that of its best state. A trial that has no
    best state, because no epoch was finite, counts as pruned.

    Of trials that draw the same hyperparameters one is trained, and the others get its result; their user attribute `same_as`
    is its number.

    A search with a storage can be resumed: called again, it trains the trials that are missing, and gives up those that a
    process of this machine has left running. Its trials are those of a search that was never interrupted, unless a batch
    was interrupted after one of its trials had ended.

    Ctrl-C ends the search: the result has the trials so far. Before the first one is complete, `KeyboardInterrupt` is raised.

    Args:
        trainer: The trainer that has all other hyperparameters; or a function whose arguments are the hyperparameters, and
            which returns the trainer; or, without a space, a function of a trial of Optuna, whose `suggest_float` and others
            draw hyperparameters, for those that depend on others.
        train: The training set.
        validation: The validation set; None for no validation metrics.
        trials: The number of trials in total, at least 1; those of the storage count.
        epochs: The number of epochs of a trial, at least 1.
        seeds: The number of runs of a trial, at least 1, whose seeds are that of the trainer and the next ones. Its value is
            the mean of their best values. Default: `1`.
        monitor: Name of the metric to improve, as in `fit`. It must be stated, and not be a loss, where the space has a
            hyperparameter of the loss.
        batch: The number of trials that train together. The sampler learns between batches. Default: `16`.
        pruner: `"halving"` (successive halving), `"hyperband"`, `"median"`, or a pruner of Optuna. Default: None, to prune
            nothing.
        study: The name of the study, or a study of Optuna, which has a storage, a pruner and a sampler of its own.
        storage: Where the trials are kept: the URL of a database, such as `"sqlite:///trials.db"`; the path of a journal; or a
            storage of Optuna. Default: None, in memory.
        seed: The seed of the sampler. It is not the seed of the trainers.
        engine: `"numpy"` or `"jax"`, as in `sweep`. Default: `"numpy"`.
        record: Path of a folder for a run file of each trial, named by its number, which is its user attribute `run`; or None
            to record nothing. With several `seeds` it is a list of files.
        preprocessing: How a table became the data; kept in each run file, as by `fl.record`. Default: None.
        map: What spreads the runs of a batch over processes, as in `sweep`. The trials are the same. If there is a pruner, the
            epochs of a run in a task double, and those after it was pruned are lost. Default: None, for which all train in
            this process.
        seconds: Time budget in seconds, above 0; None for no limit. No batch starts when the time is up.
        until: A predicate of the study, called after each batch: the search ends if it holds. Default: None.
        progress: Whether to show progress.
        space: For each hyperparameter a distribution of `fl.spaces`. Names are those of `grid`, or of the function's
            arguments. Whole parts are replaced before their fields.

    Returns:
        The study, and the result of the best trial.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of a trainer.
        FnloopError: If Optuna is not installed.
        KeyboardInterrupt: If Ctrl-C is pressed before a trial is complete.
        NoBestError: If no trial has a best state.
        NonFiniteError: If a trial has `non_finite="raise"`, and a loss or an update is not finite.
        RunError: If the folder `record` has a run file of a new trial; or a group fails in another process, or that has
            another version of the package.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is invalid, the data does not match a trainer, or the study is one of another search.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.iris()
        >>> trainer = fl.Trainer(model=fl.mlp([4, 8, 3]), loss="cross_entropy")
        >>> found = fl.search(
        ...     trainer, data.train, data.validation,
        ...     trials=4, epochs=2, progress=False, lr=fl.spaces.log_uniform(1e-3, 0.1),
        ... )
        >>> len(found.table()), found.best.last.epoch
        (4, 2)

    See Also:
        `sample`, `sweep`; `docs/search.md`
    """
    for name, count in {"trials": trials, "epochs": epochs, "seeds": seeds, "batch": batch}.items():
        integer(1)(name, count)
    integer(0, 2**64)("seed", seed)
    boolean("progress", progress)
    end_at = math.inf if seconds is None else perf_counter() + real("(0, inf)")("seconds", seconds)
    if until is not None and not callable(until):
        raise TypeError(f"until must be a function of a study, got {short(until)}")
    if map is not None:
        check_map(map)
    select_engine(engine)
    files = _find_files(record)
    check_preprocessing(preprocessing)
    check_space(trainer, space)
    example = example_of(trainer, space)
    stated, (monitor, mode) = monitor, example.resolve(train).monitored(validation is not None, monitor)
    check_loss = partial(_check_loss, example, (monitor, mode), stated)
    for other in ends_of(trainer, space):
        check_loss(other)
    make_trainer = toolz.compose(check_loss, partial(trainer_of, trainer, space))
    setting = {
        "trainer": digest(example),
        "data": digest((train, validation)),
        "epochs": epochs,
        "seeds": seeds,
        "monitor": monitor,
        "space": {name: stable_repr(distribution) for name, distribution in space.items()},
    }
    of_study = make_study(study, storage, pruner, f"{mode}imize", epochs, setting)
    fail_abandoned(of_study)
    if files is not None:
        first = len(of_study.get_trials(deepcopy=False))
        new = range(first, first + trials - finished(of_study))
        claim(files.folder, chain.from_iterable(files.paths(number, seeds) for number in new))
    spread = None if map is map_here else map  # Python's own computes in this process
    training = Training(make_trainer, train, validation, epochs, monitor, seeds, engine, files, preprocessing, spread)
    show = show_trials(trials, monitor) if progress else lambda study: None
    best: tuple[int, list[Fit]] | None = None
    interrupted = False
    try:
        while not interrupted and (missing := trials - finished(of_study)) > 0:
            asked = ask(of_study, min(batch, missing), space, None if study is of_study else seed)
            results, interrupted = train_trials(of_study, asked, training)
            if results:
                number = of_study.best_trial.number
                best = (number, results[number]) if number in results else best
            show(of_study)
            if perf_counter() >= end_at or (until is not None and until(of_study)):
                break
    except KeyboardInterrupt:  # also while the sampler draws
        if not has_complete(of_study):
            raise
        interrupted = True
    fits = _best_fits(of_study, best, training)
    return Search(of_study, _best_of(fits, mode), tuple(fits), interrupted)


def _check_loss(example: Trainer, monitored: tuple[str, Mode], stated: str | None, trainer: Trainer) -> Trainer:
    """Check that the metric of a trainer can be compared with that of the example, and return the trainer."""
    check_comparable([monitored], [example.loss, trainer.loss], stated, "monitor")
    return trainer


def _find_files(record: str | os.PathLike[str] | None) -> Files | None:
    files = find_files(record)
    if files is not None and files.best is not None:
        raise ValueError(f"record must be a folder, since a search records all of its trials, got {short(str(record))}")
    return files


def _best_of(fits: Sequence[Fit], mode: Mode) -> Fit:
    return (max if mode == "max" else min)(fits, key=lambda fit: fit.best.metrics[fit.monitor])


def _best_fits(study: "Study", best: tuple[int, list[Fit]] | None, training: Training) -> list[Fit]:
    """Return the results of the best trial, which are computed again if it was trained by an earlier call."""
    try:
        trial = study.best_trial
    except ValueError:
        raise NoBestError(f"there is no best trial: none of {len(study.trials)} has a best state") from None
    if best is not None and best[0] == trial.number:
        return best[1]
    return [
        fit(
            trainer,
            training.train,
            training.validation,
            epochs=training.epochs,
            monitor=training.monitor,
            engine=training.engine,
            progress=False,
        )
        for trainer in training.trainers(trial)
    ]
