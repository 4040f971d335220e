"""Save the states of a stream as they pass, and never replace a better file by a worse state."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Mode, boolean
from fnloop.core.errors import CheckpointError
from fnloop.core.formatting import listed, short
from fnloop.core.signatures import curry
from fnloop.core.warnings import warn
from fnloop.metrics import check_mode, improves, is_loss
from fnloop.runs.checkpoint import Checkpoint, StateSummary, params_arrays, read_summary, write_checkpoint
from fnloop.streams.select import update_best
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer


@curry
def checkpoint(
    path: str | os.PathLike[str],
    states: Iterable[TrainState],
    *,
    metric: str = "val_loss",
    mode: Mode | None = None,
    save_best_only: bool = True,
    weights_only: bool = False,
    trainer: Trainer | None = None,
    overwrite: bool = False,
) -> Iterator[TrainState]:
    """Write states to a file as they pass: each that is better than all before it, or every one.

    An existing file is read before training starts, and only a better state replaces it. So training that resumes from a saved
    state, in this process or another, keeps the best state of all its parts. A file that cannot be compared is never replaced:
    one that is damaged, of another model or loss, without the metric, or written by `save` from parameters alone, which have
    no metrics.

    Args:
        path: Path of the file. `{epoch}` in it becomes the number of finished epochs; then the best of all these files counts.
        states: The stream.
        metric: The metric that is monitored.
        mode: `"min"` or `"max"`; by default the mode of the metric.
        save_best_only: Whether to write only better states; otherwise every epoch's state is written, whatever the file has.
        weights_only: Whether to write the parameters alone; training cannot resume from them.
        trainer: Also saved if given.
        overwrite: Whether to start over: the first state with the metric replaces the file, whatever it has.

    Raises:
        CheckpointError: With the first state, if an existing file cannot be compared.
        OSError: While the stream is read, if a file cannot be read or written.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is invalid.

    Examples:
        >>> stream = fl.until(lambda state: state.epoch == 3, fl.epochs(run.trainer, run.train, run.validation))
        >>> best = fl.best("val_loss", fl.checkpoint("best.npz", stream))
        >>> fl.same_bits(fl.load("best.npz"), best)
        True

    See Also:
        best, save
    """
    pattern = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(pattern, str):
        raise TypeError(f"path must be a file's path, got {short(path)}")
    mode = check_mode(mode, metric)
    flags = {"save_best_only": save_best_only, "weights_only": weights_only, "overwrite": overwrite}
    save_best_only, weights_only, overwrite = (boolean(name, value) for name, value in flags.items())
    if trainer is not None:
        check_trainer(trainer)

    def write(state: TrainState) -> None:
        target = pattern.replace("{epoch}", str(state.epoch))
        if weights_only:
            summary = StateSummary(state.epoch, state.metrics, state.loss)
            write_checkpoint(Checkpoint(state.params, trainer), target, params_of=summary)
        else:
            write_checkpoint(Checkpoint(state, trainer), target)

    def saving() -> Iterator[TrainState]:
        best: Any = None  # a TrainState, or the SavedState of a file
        for i, state in enumerate(states):
            if i == 0 and save_best_only and not overwrite:
                best = _best_saved(pattern, state, metric, mode)
            previous, best = best, update_best(best, state, metric, mode)
            if state.metrics and (best is not previous or not save_best_only):
                write(state)
            yield state

    return saving()


class SavedState(NamedTuple):
    """The state in a file.

    Attributes:
        path: Path of the file.
        epoch: Number of finished epochs.
        metrics: The metrics of the state.
    """

    path: str
    epoch: int
    metrics: Mapping[str, float]


def _best_saved(pattern: str, first: TrainState, metric: str, mode: Mode) -> SavedState | None:
    """Return the best state of the files that a stream might replace, or None if there is none.

    Args:
        pattern: Path of the file, possibly with `{epoch}`.
        first: The first state of the stream.
        metric: The metric that is monitored.
        mode: The mode of the metric.

    Raises:
        CheckpointError: If a file cannot be compared.
    """
    best: SavedState | None = None
    for path in _matching_files(pattern):
        try:
            saved = _read_comparable(path, first, metric)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; it is not replaced: choose another path, or pass overwrite=True to replace it"
            ) from error
        if saved is not None and (best is None or improves(saved.metrics[metric], best.metrics[metric], mode)):
            best = saved
    if best is not None and best.epoch > first.epoch:  # the stream did not start from this state
        warn(
            f"{short(best.path)} has a state of an earlier run, epoch {best.epoch} with {metric} {best.metrics[metric]:.4g}, "
            "which only a better one replaces; overwrite=True starts over",
        )
    return best


def _matching_files(pattern: str) -> list[str]:
    """Return the regular files at a path, for any epoch if it has `{epoch}` in it; empty files have nothing to lose."""
    parts = pattern.split("{epoch}")
    epochs = ["(?P<epoch>[0-9]+)", *["(?P=epoch)"] * len(parts)]
    name = "".join(f"{re.escape(part)}{epoch}" for part, epoch in zip(parts, [*epochs[: len(parts) - 1], ""], strict=True))
    candidates = sorted(glob.glob("*".join(map(glob.escape, parts))))
    return [path for path in candidates if re.fullmatch(name, path) and os.path.isfile(path) and os.path.getsize(path)]


def _read_comparable(path: str, first: TrainState, metric: str) -> SavedState | None:
    """Read the state of a file; None if it can never be best, because its metric is NaN or a parameter is not finite.

    Raises:
        CheckpointError: If it cannot be compared with the states of the stream.
    """
    (epoch, metrics, loss), params = read_summary(path)
    if _shapes(params) != _shapes(params_arrays(first.params)):
        raise CheckpointError(f"{short(path)} has a state of another model")
    if not metrics:
        raise CheckpointError(f"{short(path)} has no metrics of its state")
    if metric not in metrics:
        raise CheckpointError(f"{short(path)} has the metrics {listed(metrics)}, and not {short(metric)}")
    if is_loss(metric) and loss not in (None, first.loss):
        raise CheckpointError(f"{short(path)} has the {metric} of another loss, {short(loss)}, not of {short(first.loss)}")
    is_finite = all(np.isfinite(array).all() for array in params.values())
    return SavedState(path, epoch, metrics) if is_finite and not isnan(metrics[metric]) else None


def _shapes(arrays: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
