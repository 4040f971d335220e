"""`search`: hyperparameters by Optuna, whose trials train together as one fold."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fnloop.core.checks import boolean, integer
from fnloop.core.digest import digest
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit, fit
from fnloop.metrics import improves
from fnloop.populations.hyperparameters import with_hyperparameters
from fnloop.populations.progress import show_trials
from fnloop.populations.recorded import Files
from fnloop.populations.search_results import Search
from fnloop.populations.spaces import Distribution, one_of
from fnloop.populations.studies import labels, make_study, value_of
from fnloop.populations.trials import Training, ask, finished, train_trials
from fnloop.training.engine import select_engine
from fnloop.training.trainer import Trainer, check_trainer

if TYPE_CHECKING:
    from optuna import Study


def search(
    trainer: Trainer | Callable[..., Trainer],
    train: Dataset,
    validation: Dataset | None = None,
    *,
    trials: int = 100,
    epochs: int = 100,
    monitor: str | None = None,
    batch: int = 32,
    pruner: Any = None,
    study: "str | Study" = "search",
    storage: Any = None,
    seed: int = 0,
    engine: str = "numpy",
    record: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **space: Distribution,
) -> Search:
    """Search hyperparameters with Optuna; the trials of a batch train together, as one fold.

    Optuna proposes a batch of trials, which train epoch by epoch like the members of `sweep`; each has the bits of its own
    `fit`, on JAX to rounding. After each epoch every trial reports the metric, and the pruner decides which trials end. A
    pruned trial leaves the fold and costs nothing more. The value of a trial is that of its best state. A trial that has no
    best state, because no epoch was finite, counts as pruned.

    A search with a storage can be resumed: called again, it trains the trials that are missing. It gives the trials
    of a search that was never interrupted, if it ended between two batches.

    Ctrl-C ends the search: the result has the trials so far. Before the first one is complete, `KeyboardInterrupt` is raised.

    Args:
        trainer: The trainer that has all other hyperparameters; or a function whose arguments are the hyperparameters, and
            which returns the trainer.
        train: The training set.
        validation: The validation set; None for no validation metrics.
        trials: The number of trials in total, at least 1; those of the storage count.
        epochs: The number of epochs of a trial, at least 1.
        monitor: Name of the metric to improve, as in `fit`.
        batch: The number of trials that train together. The sampler learns between batches. Default: `32`.
        pruner: `"halving"` (successive halving), `"hyperband"`, `"median"`, or a pruner of Optuna. Default: None, to prune
            nothing.
        study: The name of the study, or a study of Optuna, which has a storage, a pruner and a sampler of its own.
        storage: Where the trials are kept: the URL of a database, such as `"sqlite:///trials.db"`; the path of a journal; or a
            storage of Optuna. Default: None, in memory.
        seed: The seed of the sampler. It is not the seed of the trainers.
        engine: `"numpy"` or `"jax"`, as in `sweep`. Default: `"numpy"`.
        record: Path of a folder for a run file of each trial, named by its number, which is its user attribute `run`; or None
            to record nothing.
        progress: Whether to show progress.
        space: For each hyperparameter a distribution of `fl.spaces`. Names are those of `grid`, or of the function's
            arguments.

    Returns:
        The study, and the result of the best trial.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of a trainer.
        FnloopError: If Optuna is not installed.
        KeyboardInterrupt: If Ctrl-C is pressed before a trial is complete.
        NoBestError: If no trial has a best state.
        NonFiniteError: If a trial has `non_finite="raise"`, and a loss or an update is not finite.
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
    for name, count in {"trials": trials, "epochs": epochs, "batch": batch}.items():
        integer(1)(name, count)
    integer(0, 2**64)("seed", seed)
    boolean("progress", progress)
    select_engine(engine)
    _check_space(space)
    make_trainer = partial(_make_trainer, trainer, space)
    middle = make_trainer({name: distribution.quantile(0.5) for name, distribution in space.items()}, drawn=False)
    monitor, mode = middle.resolve(train).monitored(validation is not None, monitor)
    setting = {
        "trainer": digest(middle),
        "data": digest((train, validation)),
        "epochs": epochs,
        "monitor": monitor,
        "space": {name: repr(distribution) for name, distribution in space.items()},
    }
    of_study = make_study(study, storage, pruner, f"{mode}imize", epochs, setting)
    training = Training(make_trainer, train, validation, epochs, monitor, engine, _make_files(record))
    show = show_trials(trials, monitor) if progress else lambda study: None
    best: tuple[int, Fit] | None = None
    interrupted = False
    while not interrupted and (missing := trials - finished(of_study)) > 0:
        asked = ask(of_study, min(batch, missing), space, None if study is of_study else seed)
        results, interrupted = train_trials(of_study, asked, training)
        for number, result in results.items():
            if best is None or improves(result.best.metrics[monitor], best[1].best.metrics[monitor], mode):
                best = number, result
        show(of_study)
    return Search(of_study, _best_fit(of_study, best, training), interrupted)


def _check_space(space: Mapping[str, Any]) -> None:
    if not space:
        raise ValueError("search needs the distribution of at least one hyperparameter, such as lr=log_uniform(1e-4, 0.1)")
    for name, distribution in space.items():
        if not isinstance(distribution, Distribution):
            raise TypeError(f"{name} must be a distribution, such as fl.spaces.uniform(0, 1), got {short(distribution)}")
        if isinstance(distribution, one_of):
            labels(distribution.values)


def _make_trainer(trainer: Any, space: Mapping[str, Distribution], values: Mapping[str, Any], drawn: bool = True) -> Trainer:
    """Return the trainer of a trial.

    Args:
        trainer: A trainer, or a function of the hyperparameters.
        space: The space.
        values: What Optuna drew for each hyperparameter, or its value.
        drawn: Whether Optuna drew the values.
    """
    chosen = {name: value_of(space[name], value) if drawn else value for name, value in values.items()}
    if isinstance(trainer, Trainer):
        return with_hyperparameters(trainer, chosen)
    if not callable(trainer):
        raise TypeError(f"trainer must be a trainer, or a function that returns one, got {short(trainer)}")
    return check_trainer(trainer(**chosen))


def _make_files(record: str | os.PathLike[str] | None) -> Files | None:
    if record is None:
        return None
    folder = Path(record)
    folder.mkdir(parents=True, exist_ok=True)
    return Files(folder)


def _best_fit(study: "Study", best: tuple[int, Fit] | None, training: Training) -> Fit:
    """Return the result of the best trial, which is computed again if it was trained by an earlier call."""
    try:
        trial = study.best_trial
    except ValueError:
        raise NoBestError(f"there is no best trial: none of {len(study.trials)} has a best state") from None
    if best is not None and best[0] == trial.number:
        return best[1]
    return fit(
        training.make_trainer(trial.params),
        training.train,
        training.validation,
        epochs=training.epochs,
        monitor=training.monitor,
        engine=training.engine,
        progress=False,
    )
