"""Save the states of a stream as they pass, and never a worse one over a better one that is there already."""

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
from fnloop.runs.checkpoint import Checkpoint, read_parts, reporting_damage, write_checkpoint
from fnloop.runs.codec import decode, encode
from fnloop.streams.select import update_best
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


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

    A file that is there already is read before anything is trained, and only a better state replaces it. So a run that goes on
    from a saved state, in this process or another, keeps the best of all its parts. A file that cannot be compared is never
    replaced: one that is damaged, of another model or loss, without the metric, or of parameters by `save`, which say nothing
    of their metrics.

    Args:
        path: `{epoch}` in it is replaced by the number of epochs trained; the best of all these files counts then.
        metric: The metric that is monitored.
        mode: As in `best`.
        save_best_only: Write better states alone; otherwise every epoch's, whatever is there.
        weights_only: Write the parameters alone; they cannot be trained on from.
        trainer: Written beside the state if given.
        overwrite: Begin anew: the first state with the metric replaces whatever is there.

    Raises:
        CheckpointError: From the stream's first state, if a file that is there cannot be compared.
        OSError: From the stream, if a file cannot be read or written.

    Examples:
        pipe(fl.epochs(trainer, train, validation, start=fl.load("best.npz")), take(50), fl.checkpoint("best.npz"), fl.last)

    See Also: best, save
    """
    pattern = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(pattern, str):
        raise TypeError(f"path must be a file's path, got {short(path)}")
    mode = check_mode(mode, metric)
    compared = boolean("save_best_only", save_best_only) and not boolean("overwrite", overwrite)

    def write(state: TrainState) -> None:
        target = pattern.replace("{epoch}", str(state.epoch))
        if weights_only:
            write_checkpoint(Checkpoint(state.params, trainer), target, of=_of(state))
        else:
            write_checkpoint(Checkpoint(state, trainer), target)

    def saving() -> Iterator[TrainState]:
        found: Any = None
        for i, state in enumerate(states):
            if i == 0 and compared:
                found = _best_there(pattern, state, metric, mode)
            before, found = found, update_best(found, state, metric, mode)
            if state.metrics and (found is not before or not save_best_only):
                write(state)
            yield state

    return saving()


class Saved(NamedTuple):
    """What a file says of the state in it."""

    path: str
    epoch: int
    metrics: Mapping[str, float]


def _of(state: TrainState) -> Any:
    """What is said of a state where its parameters are written alone."""
    return {"epoch": state.epoch, "metrics": encode(state.metrics, {}), "loss": state.loss}


def _best_there(pattern: str, first: TrainState, metric: str, mode: Mode) -> Saved | None:
    """The best of the files that a stream, of which this is the first state, might replace."""
    best: Saved | None = None
    for path in _files(pattern):
        try:
            saved = _read(path, first, metric)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; it is left as it is: choose another path, or overwrite=True replaces it"
            ) from error
        if saved is not None and (best is None or improves(saved.metrics[metric], best.metrics[metric], mode)):
            best = saved
    if best is not None and best.epoch > first.epoch:  # not one that led to this stream
        warn(
            f"{short(best.path)} has a state of an earlier run, epoch {best.epoch} with {metric} {best.metrics[metric]:.4g}, "
            "which only a better one replaces; overwrite=True begins anew",
        )
    return best


def _files(pattern: str) -> list[str]:
    """The regular files at a path; those for any epoch, if it has `{epoch}` in it. An empty one has nothing to lose."""
    parts = pattern.split("{epoch}")
    epochs = ["(?P<epoch>[0-9]+)", *["(?P=epoch)"] * len(parts)]
    name = "".join(f"{re.escape(part)}{epoch}" for part, epoch in zip(parts, [*epochs[: len(parts) - 1], ""], strict=True))
    found = glob.glob("*".join(map(glob.escape, parts)))
    return [path for path in sorted(found) if re.fullmatch(name, path) and os.path.isfile(path) and os.path.getsize(path)]


def _read(path: str, first: TrainState, metric: str) -> Saved | None:
    """What a file says of its state; None if that could never be best, with a NaN.

    Raises: CheckpointError: if it cannot be compared with the states of the stream.
    """
    header, arrays = read_parts(path)
    with reporting_damage(path):
        state = header["record"]["state"]
        prefix, said = ("state.", header.get("of")) if state["type"] == "Params" else ("state.params.", state)
        said = said or {"epoch": 0, "metrics": {"mapping": {}}}
        metrics = {name: float(value) for name, value in decode(said["metrics"], {}, {}).items()}
        saved = Saved(path, int(said["epoch"]), metrics)
        params, loss = _of_layers(arrays, prefix), said.get("loss", first.loss)
    wanted: dict[str, Array] = {}
    encode(first.params, wanted)
    if _shapes(params) != _shapes(_of_layers(wanted, "")):
        raise CheckpointError(f"{short(path)} holds a state of another model")
    if not saved.metrics:
        raise CheckpointError(f"{short(path)} does not say how good its state is")
    if metric not in saved.metrics:
        raise CheckpointError(f"{short(path)} has the metrics {listed(saved.metrics)}, and not {short(metric)}")
    if is_loss(metric) and loss != first.loss:
        raise CheckpointError(f"{short(path)} has the {metric} of another loss, {short(loss)}, not of {short(first.loss)}")
    finite = all(np.isfinite(array).all() for array in params.values())
    return saved if finite and not isnan(saved.metrics[metric]) else None


def _of_layers(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays of parameters among others."""
    places = f"{prefix}layers.", f"{prefix}vector"
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(places)}


def _shapes(arrays: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
