"""`cross_validate`: trainers on all folds of a dataset, in one fold of their states."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import toolz

from fnloop.core.arrays import Array
from fnloop.core.checks import boolean, integer
from fnloop.core.display import MAX_LENGTH
from fnloop.core.formatting import cut_end, short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.data.folds import assign_folds
from fnloop.data.splits import take_rows
from fnloop.populations.comparable import common_metric
from fnloop.populations.compare import check_names
from fnloop.populations.cross_validation import CrossValidation
from fnloop.populations.hyperparameters import find_twins, varying
from fnloop.populations.members import Member, Population, failure_of, run_in_step, start_fits
from fnloop.populations.memory import check_memory
from fnloop.populations.progress import show_members
from fnloop.training.encoding import find_names
from fnloop.training.engine import select_engine
from fnloop.training.population import Pool, kind_of
from fnloop.training.preparation import encode_datasets, prepare
from fnloop.training.trainer import Trainer, check_trainer


def cross_validate(
    trainers: Trainer | Iterable[Trainer] | Mapping[str, Trainer],
    data: Dataset,
    *,
    folds: int = 5,
    epochs: int = 100,
    stratify: bool = True,
    groups: Any = None,
    seed: int = 0,
    metric: str | None = None,
    engine: str = "numpy",
    progress: bool = True,
) -> CrossValidation:
    """Train each trainer once for each fold, on all other rows, and measure it on the rows of the fold.

    All folds of all trainers of one kind train together, as in `sweep`; each run has the bits of `fit` on its rows, on
    JAX to rounding.

    The value of a run is that of its best epoch on the rows of the fold, which is somewhat too good, for all trainers alike.

    Ctrl-C ends all runs after the same number of epochs: the result has them as far as that, and says so.

    Args:
        trainers: One trainer, several, such as those of `grid`, or a dictionary of names to trainers.
        data: The dataset.
        folds: The number of folds, at least 2. Their sizes differ by at most one row, unless there are groups.
        epochs: The number of epochs of each run, at least 1.
        stratify: Whether each class has the same share of every fold. Default: True; every distinct target is a class, so that
            the folds of quantities are random.
        groups: One label for each row, such as a patient's; rows with the same label are in one fold. Default: None.
        seed: The seed of the folds, in [0, 2^64). It is not the seed of the trainers.
        metric: Name of the metric that selects the best states and is reported, such as `"val_accuracy"`. Default: None, for
            which it is the one that early stopping monitors, else `"val_loss"`. For trainers of different losses another
            metric must be stated.
        engine: `"numpy"` or `"jax"`, as in `sweep`. Default: `"numpy"`.
        progress: Whether to show progress.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of a trainer.
        KeyboardInterrupt: If Ctrl-C is pressed before every run has finished an epoch.
        NonFiniteError: If a trainer has `non_finite="raise"`, and a loss or an update is not finite. The message has its name
            and the fold; `result` of the error is the result until then.
        TypeError: If an argument has the wrong type.
        ValueError: If there are no trainers, two are equal or monitor different metrics, or the data does not match them or
            the folds.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.iris().train
        >>> trainer = fl.Trainer(model=fl.mlp([4, 8, 3]), loss="cross_entropy")
        >>> result = fl.cross_validate(fl.grid(trainer, lr=[0.001, 0.05]), data, folds=3, epochs=5, progress=False)
        >>> result.best, len(result.values[result.best])
        ('initial_lr=0.05', 3)

    See Also:
        `CrossValidation`, the result; `compare`
    """
    candidates = _named(trainers)
    monitor = common_metric(candidates, True, metric)
    integer(1)("epochs", epochs)
    boolean("progress", progress)
    select_engine(engine)
    fold_of_row = assign_folds(data, folds, stratify=stratify, groups=groups, seed=seed)
    held_out = [np.flatnonzero(fold_of_row == fold) for fold in range(folds)]
    rows = [np.flatnonzero(fold_of_row != fold) for fold in range(folds)]
    for name, trainer in candidates.items():
        _check_data(trainer, data, "" if len(candidates) == 1 else f"trainers[{short(name)}]: ")
    runs = {(name, run.fold): run for name, trainer in candidates.items() for run in _runs(trainer, data, rows, held_out)}
    check_memory([run.trainer for run in runs.values()])
    populations = [
        _start({key: runs[key] for key in kind}, rows, epochs, monitor, engine)
        for kind in toolz.groupby(lambda key: (kind_of(runs[key].trainer), runs[key].data.classes), runs).values()
    ]
    mode = next(iter(runs.values())).trainer.mode_of(monitor)
    fits, failed = run_in_step(populations, monitor, mode, show_members(epochs) if progress else lambda states: None)
    of_trainers = {name: tuple(fits[name, fold] for fold in range(folds)) for name in candidates} if fits else {}
    result = CrossValidation(of_trainers, tuple(held_out), data, epochs) if fits else None
    if failed is not None:
        name, fold = failed.member
        raise failure_of(_name(name, fold), failed, result) from failed
    assert result is not None
    return result


def _name(trainer: str, fold: int) -> str:
    return f"trainers[{short(trainer)}] in fold {fold}"


def _named(trainers: Any) -> dict[str, Trainer]:
    """Return the trainers by name; those of a sequence are named by what differs."""
    if isinstance(trainers, Trainer):
        return {"trainer": trainers}
    if isinstance(trainers, str) or not isinstance(trainers, Iterable):
        raise TypeError(f"trainers must be a trainer, or several, such as those of fl.grid, got {short(trainers)}")
    if isinstance(trainers, Mapping):
        named = check_names(trainers)
    else:
        members = [check_trainer(trainer, f"trainers[{i}]") for i, trainer in enumerate(trainers)]
        named = dict(zip(_names(members), members, strict=True))
    if not named:
        raise ValueError("trainers must have at least one trainer, got none")
    if twins := find_twins(named):
        name, twin = twins
        raise ValueError(f"trainers must all differ, but {short(name)} equals {short(twin)}")
    return named


def _names(trainers: Sequence[Trainer]) -> list[str]:
    """Return a name for each of several trainers: the hyperparameters that vary; those of equal ones have numbers."""
    changed = varying(trainers) if trainers else {}
    cut = {field: [cut_end(str(value), MAX_LENGTH) for value in values] for field, values in changed.items()}
    names = [", ".join(f"{field}={values[i]}" for field, values in cut.items()) or "trainer" for i in range(len(trainers))]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


class _Run(NamedTuple):
    """A trainer and a fold.

    Args:
        trainer: The trainer, resolved on the training data.
        fold: The fold that is held out.
        data: The whole dataset, with the classes that its labels have for the trainer.
        train: Its rows outside the fold.
        validation: The rows of the fold.
    """

    trainer: Trainer
    fold: int
    data: Dataset
    train: Dataset
    validation: Dataset


def _check_data(trainer: Trainer, data: Dataset, prefix: str) -> None:
    try:
        trainer.check_monitored(True)
        trainer.check_features(data.x, "data")
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from None


def _runs(trainer: Trainer, data: Dataset, rows: Sequence[Array], held_out: Sequence[Array]) -> Iterator[_Run]:
    """Yield the runs of a trainer; a fold that lacks a class does not change the codes of the others."""
    classes = find_names(trainer.loss, trainer.model.outputs, data, "data").classes
    named = evolve(data, classes=classes) if classes else data
    for fold in range(len(rows)):
        train, validation = take_rows(named, rows[fold]), take_rows(named, held_out[fold])
        assert train is not None and validation is not None  # noqa: PT018
        yield _Run(trainer.resolve(train), fold, named, train, validation)


def _start(
    runs: Mapping[tuple[str, int], _Run], rows: Sequence[Array], epochs: int, monitor: str, engine: str
) -> Population[tuple[str, int]]:
    """Return the fits of runs of one kind."""
    first = next(iter(runs.values()))
    prepared_fold = toolz.memoize(
        lambda fold: next(prepare(run.trainer, run.train, run.validation, engine) for run in runs.values() if run.fold == fold)
    )
    prepared = [prepared_fold(run.fold)._replace(trainer=run.trainer) for run in runs.values()]
    _, encoded, _ = encode_datasets(first.trainer, first.data, None)
    pool = Pool(encoded, [rows[run.fold] for run in runs.values()])
    members = {key: Member(run.trainer, run.train, run.validation, name=_name(*key)) for key, run in runs.items()}
    return start_fits(members, prepared, epochs=epochs, monitor=monitor, engine=engine, pool=pool)
