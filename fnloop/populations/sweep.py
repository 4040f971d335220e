"""`sweep`: many runs in one fold, and their results."""

import os
from builtins import map as map_here
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import toolz

from fnloop.core.checks import boolean, integer
from fnloop.core.digest import digest
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.fitting import Fit, fit_stream
from fnloop.populations.lockstep import Lockstep
from fnloop.populations.progress import show_members
from fnloop.populations.results import Sweep
from fnloop.runs.recording import record as record_to
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.non_finite import warn_non_finite
from fnloop.training.population import kind_of, make_population_epoch, members_at_once, prepare_population
from fnloop.training.start import init_state
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer, check_trainer

Map = Callable[..., Iterable[Any]]


def sweep(
    trainers: Iterable[Trainer],
    train: Dataset,
    validation: Dataset | None = None,
    *,
    epochs: int = 100,
    monitor: str | None = None,
    record: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing | None = None,
    map: Map | None = None,
    progress: bool = True,
) -> Sweep:
    """Train many trainers on the same data; each has the bits of its own `fit`.

    Trainers of one kind train together, as one fold over stacked arrays: those that share model, loss, metrics, batch size,
    dtype and the classes of the optimizer's parts. They may differ in seed, schedule, early stopping, and every number of the
    optimizer. A member that has stopped costs nothing more. The kinds train in sequence.

    Args:
        trainers: The trainers; `grid` and `sample` make them.
        train: The training set.
        validation: The validation set; None for no validation metrics.
        epochs: The number of epochs of each member, at least 1.
        monitor: Name of the metric that selects the best state of a member, as in `fit`.
        record: Path of a folder for a run file of each member, named by its index; or None to record nothing.
        preprocessing: How a table became the data; kept in each run file, as by `fl.record`. Default: None.
        map: A function such as the `map` of an executor of processes, which spreads groups of members. Default: None, for
            which all train in this process.
        progress: Whether to show progress.

    Returns:
        The results, in the order of the trainers.

    Raises:
        KeyboardInterrupt: If Ctrl-C is pressed before each member has finished an epoch; later it ends the members that train,
            and their `stop_reason` is "interrupted", as in `fit`.
        NonFiniteError: If a member has `non_finite="raise"`, and a loss or an update is not finite.
        TypeError: If an argument has the wrong type.
        ValueError: If there are no trainers, two of them are equal, or the data does not match a trainer.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.iris()
        >>> trainers = fl.grid(fl.Trainer(model=fl.mlp([4, 8, 3]), loss="cross_entropy"), seed=range(3), lr=[0.01, 0.1])
        >>> result = fl.sweep(trainers, data.train, data.validation, epochs=2, progress=False)
        >>> len(result), result[0].last.epoch
        (6, 2)

    See Also:
        `grid`, `sample`, `fit`
    """
    members = _check_trainers(trainers)
    integer(1)("epochs", epochs)
    boolean("progress", progress)
    if map is not None and not callable(map):
        raise TypeError(f"map must be a function, such as the map of an executor, or None, got {short(map)}")
    resolved = [trainer.resolve(train) for trainer in members]
    groups = list(toolz.groupby(lambda index: kind_of(resolved[index]), range(len(members))).values())
    if map is not None:
        groups = [group for kind in groups for group in toolz.partition_all(members_at_once(resolved[kind[0]]), kind)]
    train_group = partial(
        _train_group,
        train=train,
        validation=validation,
        epochs=epochs,
        monitor=monitor,
        folder=_make_folder(record),
        preprocessing=preprocessing,
        progress=progress and map is None,
    )
    fits: dict[int, Fit] = {}
    of_groups = (map or map_here)(train_group, groups, [[resolved[index] for index in group] for group in groups])
    for group, results in zip(groups, of_groups, strict=True):
        fits |= dict(zip(group, results, strict=True))
        if len(fits) < len(members) and any(fit.stop_reason == StopReason.INTERRUPTED.value for fit in results):
            raise KeyboardInterrupt
    return Sweep(tuple(members), tuple(fits[index] for index in range(len(members))))


def _check_trainers(trainers: Any) -> list[Trainer]:
    if isinstance(trainers, Trainer) or not isinstance(trainers, Iterable):
        raise TypeError(f"trainers must be several trainers, such as those of fl.grid, got {short(trainers)}")
    members = [check_trainer(trainer) for trainer in trainers]
    if not members:
        raise ValueError("trainers must have at least one trainer, got none")
    first: dict[str, int] = {}
    for index, trainer in enumerate(members):
        twin = first.setdefault(digest(trainer), index)
        if twin != index:
            raise ValueError(f"trainers must all differ, but {index} equals {twin}, also in seed={trainer.seed}")
    return members


def _make_folder(record: str | os.PathLike[str] | None) -> Path | None:
    if record is None:
        return None
    folder = Path(record)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _train_group(
    indices: Sequence[int],
    trainers: Sequence[Trainer],
    *,
    train: Dataset,
    validation: Dataset | None,
    epochs: int,
    monitor: str | None,
    folder: Path | None,
    preprocessing: Preprocessing | None,
    progress: bool,
) -> list[Fit]:
    """Return the results of members of one kind, which train in lockstep.

    Args:
        indices: The numbers of the members among all.
        trainers: Their trainers, resolved.
        train: The training set.
        validation: The validation set, or None.
        epochs: As in `sweep`.
        monitor: As in `sweep`.
        folder: The folder of the run files, or None.
        preprocessing: As in `sweep`.
        progress: Whether to show progress.
    """
    prepared = prepare_population(trainers, train, validation)
    lockstep = Lockstep(make_population_epoch(prepared), {i: init_state(t, train) for i, t in enumerate(trainers)})
    fits: dict[int, Generator[Any, None, Fit]] = {}
    for i, trainer in enumerate(trainers):
        stream = EpochStream(trainer, train, validation, "numpy", warn_non_finite(lockstep.stream(i)))
        path = None if folder is None else folder / f"{indices[i]:0>4}.run"
        recorder = None if path is None else record_to(path, monitor=monitor, preprocessing=preprocessing)
        fits[i] = fit_stream(stream, epochs=epochs, monitor=monitor, recorder=recorder, timer=lockstep.timed)
    results = run_together(fits, show_members(epochs) if progress else lambda states: None)
    return [results[i] for i in range(len(trainers))]


def run_together(fits: dict[int, Generator[Any, None, Fit]], show: Callable[[dict[int, Any]], None]) -> dict[int, Fit]:
    """Return the results of fits that read their streams in turn, one state each.

    Args:
        fits: The fits, by member; the dictionary is emptied.
        show: A function of the newest state of each member that still trains.
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
        try:
            show(states)
        except KeyboardInterrupt:
            interrupted = True
    return results
