"""`sweep`: many runs in one fold, and their results."""

import os
from builtins import map as map_here
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pickle import PicklingError
from typing import Any

import toolz

from fnloop.core.checks import boolean, integer
from fnloop.core.errors import RecordingWarning
from fnloop.core.formatting import listed, short
from fnloop.core.stacking import split_evenly
from fnloop.core.warnings import warn
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing, check_preprocessing
from fnloop.fitting import Fit
from fnloop.populations.comparable import common_metric
from fnloop.populations.hyperparameters import find_twins, varying
from fnloop.populations.members import Ended, Member, failure_of, is_interrupted, run_together, start_fits
from fnloop.populations.memory import check_memory
from fnloop.populations.picklable import unpicklable_part
from fnloop.populations.progress import show_groups, show_members
from fnloop.populations.ranking import best_members, untrained
from fnloop.populations.recorded import Files, Recording, find_files, make_files
from fnloop.populations.resolved import resolve_all
from fnloop.populations.results import Sweep
from fnloop.runs.parallel import Map, check_map, stream_tasks
from fnloop.runs.recording import Options
from fnloop.training.engine import select_engine
from fnloop.training.population import kind_of, members_at_once, prepare_population
from fnloop.training.trainer import Trainer, check_trainer


def sweep(
    trainers: Iterable[Trainer],
    train: Dataset,
    validation: Dataset | None = None,
    *,
    epochs: int = 100,
    monitor: str | None = None,
    engine: str = "numpy",
    record: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing | None = None,
    map: Map | None = None,
    progress: bool = True,
) -> Sweep:
    """Train many trainers on the same data; each has the bits of its own `fit`, on JAX to rounding.

    Trainers of one kind train together, as one fold over stacked arrays: those that share model, loss, metrics, batch size,
    dtype and the classes of the optimizer's parts. They may differ in seed, schedule, early stopping, and every number of the
    optimizer. A member that has stopped costs nothing more. The kinds train in sequence.

    Args:
        trainers: The trainers; `grid` and `sample` make them.
        train: The training set.
        validation: The validation set; None for no validation metrics.
        epochs: The number of epochs of each member, at least 1.
        monitor: Name of the metric that selects the best state of a member, as in `fit`.
        engine: `"numpy"` or `"jax"`, as in `epochs`. On JAX members that are recorded train one by one, with one program, so
            that their files are replayed to the bit. Default: `"numpy"`.
        record: Path of a folder for a run file of each member, named by its index. `FOLDER/best:N` records only the N members
            with the best values of the monitored metric, in that folder: after the sweep they train again, on NumPy to
            the same bits. Default: None, which records nothing.
        preprocessing: How a table became the data; kept in each run file, as by `fl.record`. Default: None.
        map: What spreads groups of members over processes: an executor, a pool, a `joblib.Parallel`, or a client of Dask.
            Default: None, for which all train in this process.
        progress: Whether to show progress.

    Returns:
        The results, in the order of the trainers.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of a trainer.
        KeyboardInterrupt: If Ctrl-C is pressed before any member has finished an epoch. Later it ends the members that train:
            their `stop_reason` is "interrupted", as in `fit`, also of those that have not started.
        NonFiniteError: If a member has `non_finite="raise"`, and a loss or an update is not finite. The message has the
            member. It ends the others as Ctrl-C does: their run files are whole, and `result` of the error is the `Sweep`.
        RunError: If the folder `record` has a run file of a member; or a group fails in another process, or that has another
            version of the package. The message names the members, or the process.
        TypeError: If an argument has the wrong type.
        ValueError: If there are no trainers, two of them are equal, the data does not match a trainer, or the states of all
            members do not fit into memory.

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
    check_preprocessing(preprocessing)
    select_engine(engine)
    if map is not None:
        check_map(map)
    resolved = resolve_all(dict(enumerate(members)), train, validation, monitor)
    kinds = {index: kind_of(trainer) for index, trainer in resolved.items()}
    check_memory(list(resolved.values()))
    wanted = find_files(record)
    if wanted is not None and wanted.best is not None:
        common_metric(resolved, validation is not None, monitor, "monitor")
    files = make_files(record, len(members))
    train_group = partial(
        _train_group,
        train=train,
        validation=validation,
        epochs=epochs,
        monitor=monitor,
        engine=engine,
        preprocessing=preprocessing,
        progress=progress and map is None,
        spread=map is not None,
    )

    def train_all(chosen: Iterable[int], files: Files | None) -> Ended[int]:
        groups = _make_groups(list(chosen), resolved, kinds, spread=map is not None)
        tasks = [{index: resolved[index] for index in group} for group in groups]
        names = None if map is None else [f"map: the group of {_listed(group)}" for group in groups]
        results = stream_tasks(map_here if map is None else map, partial(train_group, files=files), tasks, names)
        show = show_groups(len(groups), len(members)) if progress and map is not None else None
        try:
            return _collect(groups, results, show)
        except (PicklingError, AttributeError, TypeError) as error:  # of the executor; those of a group are a RunError
            if map is None or (part := unpicklable_part(resolved)) is None:
                raise
            raise TypeError(f"map must be one of this process, as {part} cannot be sent to another: {error}") from error

    fits, failed = train_all(resolved, None if files is None or files.best is not None else files)
    interrupted = len(fits) < len(members) or any(map_here(is_interrupted, fits.values()))
    result = Sweep(
        tuple(members),
        tuple(fits[i] if i in fits else untrained(resolved[i], train, validation, monitor) for i in range(len(members))),
    )
    if failed is not None:
        raise failure_of(_describe(failed.member, members), failed, result if fits else None) from failed
    if files is not None and files.best is not None:
        if interrupted:
            warn("Ctrl-C ended the sweep before its best members were recorded", RecordingWarning)
        else:
            _record_best(best_members(result, files.best), files, train_all)
    return result


def _describe(index: int, members: Sequence[Trainer]) -> str:
    """Return the name of a member: its index, and the hyperparameters that vary."""
    fields = ", ".join(f"{name}={values[index]}" for name, values in varying(members).items())
    return f"member {index}{f' ({fields})' if fields else ''}"


def _record_best(best: Sequence[int], files: Files, train_all: Callable[[Iterable[int], Files], Ended[int]]) -> None:
    """Train the best members again, and record them; Ctrl-C ends this, and the results are kept."""
    try:
        fits, _ = train_all(best, files)
    except KeyboardInterrupt:
        fits = {}
    whole = [index for index, fit in fits.items() if not is_interrupted(fit)]
    if len(whole) < len(best):
        warn(f"Ctrl-C ended the recording of the {len(best)} best members after {len(whole)}", RecordingWarning)


def _make_groups(
    members: Sequence[int], trainers: Mapping[int, Trainer], kinds: Mapping[int, str], *, spread: bool
) -> list[Sequence[int]]:
    """Return the members that train together: those of each kind, in parts if these are spread over processes."""
    groups = list(toolz.groupby(lambda index: kinds[index], members).values())
    if not spread:
        return groups
    return [part for group in groups for part in split_evenly(group, members_at_once(trainers[group[0]]))]


def _listed(group: Sequence[int]) -> str:
    return f"{'member' if len(group) == 1 else 'members'} {listed(group)}"


def _collect(
    groups: Sequence[Sequence[int]],
    results: Iterable[tuple[int, Ended[int]]],
    show: Callable[[Mapping[int, Fit]], None] | None,
) -> Ended[int]:
    """Return the results by member, without those of groups that did not finish an epoch before Ctrl-C or a failure."""
    fits: dict[int, Fit] = {}
    try:
        for index, (of_group, failed) in results:
            fits |= of_group
            if failed is not None:
                return Ended(fits, failed)
            if show is not None:
                show(fits)
            if any(map_here(is_interrupted, of_group.values())) or len(of_group) < len(groups[index]):
                break
    except KeyboardInterrupt:
        if not fits:
            raise
    return Ended(fits)


def _check_trainers(trainers: Any) -> list[Trainer]:
    if isinstance(trainers, Trainer) or not isinstance(trainers, Iterable):
        raise TypeError(f"trainers must be several trainers, such as those of fl.grid, got {short(trainers)}")
    if isinstance(trainers, Mapping):
        raise TypeError("trainers must be a list, as a sweep has no names; compare and cross_validate take a dictionary")
    members = [check_trainer(trainer, f"trainers[{i}]") for i, trainer in enumerate(trainers)]
    if not members:
        raise ValueError("trainers must have at least one trainer, got none")
    if twins := find_twins(dict(enumerate(members))):
        index, twin = twins
        raise ValueError(f"trainers must all differ, but {index} equals {twin}, also in seed={members[index].seed}")
    return members


def _train_group(
    trainers: Mapping[int, Trainer],
    *,
    train: Dataset,
    validation: Dataset | None,
    epochs: int,
    monitor: str | None,
    engine: str,
    files: Files | None,
    preprocessing: Preprocessing | None,
    progress: bool,
    spread: bool,
) -> Ended[int]:
    """Return the results of members of one kind, which train in lockstep.

    After Ctrl-C there are results of the members that finished an epoch.

    Args:
        trainers: The trainers by the index of the member, resolved.
        train: The training set.
        validation: The validation set, or None.
        epochs: As in `sweep`.
        monitor: As in `sweep`.
        engine: As in `sweep`.
        files: The run files, or None.
        preprocessing: As in `sweep`.
        progress: Whether to show progress.
        spread: Whether this may be another process: run files are replaced, as one that has ended may have left them (there
            was none before), and a failure is raised.
    """
    prepared = prepare_population(list(trainers.values()), train, validation, engine)
    recording = Recording(Options(monitor, preprocessing=preprocessing, overwrite=spread))
    members = {}
    for index, trainer in trainers.items():
        recorder = None if files is None else recording.recorder(files.path(index))
        members[index] = Member(trainer, train, validation, recorder, f"member {index}")
    population = start_fits(members, prepared, epochs=epochs, monitor=monitor, engine=engine)
    with closing(recording):
        ended = run_together([population], show_members(epochs) if progress else lambda states: None)
    if spread and ended.failed is not None:
        raise failure_of(f"member {ended.failed.member}", ended.failed, None)
    return ended
