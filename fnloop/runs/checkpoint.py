"""Checkpoints: a state in one `.npz` file, without pickle, whole or not there at all.

The file is a zip of the arrays, by layer, and of `record.json`, the records around them with the digest of the whole.
"""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fnloop.calling import curry
from fnloop.errors import CheckpointError
from fnloop.metrics import mode_of
from fnloop.parameters import Params
from fnloop.preprocessing import Preprocessing
from fnloop.record import KINDS, digest, record
from fnloop.runs.codec import UnknownRecord, check_records, decode, encode
from fnloop.runs.files import replacing
from fnloop.short import short
from fnloop.state import TrainState
from fnloop.streams import keep_best
from fnloop.trainer import Trainer
from fnloop.typing import Array, Mode, choice

FORMAT, VERSION = "fnloop checkpoint", 1
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    EOFError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
)


@record
class Checkpoint:
    """What a file holds: a state (or its parameters alone), and what is needed to use it where that was given."""

    state: Any
    trainer: Trainer | None = None
    preprocessing: Preprocessing | None = None


def save(
    state: TrainState | Params,
    path: str | os.PathLike[str],
    *,
    trainer: Trainer | None = None,
    preprocessing: Preprocessing | None = None,
) -> None:
    """Write a state (or `state.params` alone) to a file: to a temporary one beside it, flushed, then renamed.

    Whatever happens on the way, the path holds the former file or the new one, whole.

    Args:
        trainer: written beside it if given, with the loss, the optimizer and the scheduler.
        preprocessing: written beside it if given, so that predictions need this file alone.
    Raises: TypeError: for what is no state, or holds what is no data; OSError: if it cannot be written there.
    """
    if not isinstance(state, TrainState | Params):
        raise TypeError(f"state must be a TrainState or Params, got {type(state).__name__}")
    for name, value, kind in (("trainer", trainer, Trainer), ("preprocessing", preprocessing, Preprocessing)):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__} or None, got {short(value)}")
    checkpoint, arrays = Checkpoint(state, trainer, preprocessing), dict[str, Array]()
    tree = encode(checkpoint, arrays)
    header = {"format": FORMAT, "version": VERSION, "digest": digest(checkpoint), "record": tree}
    members = {"record.json": json.dumps(header, indent=1, allow_nan=False).encode()}
    for name, array in arrays.items():
        content = io.BytesIO()
        np.lib.format.write_array(content, array, allow_pickle=False)
        members[f"{name}.npy"] = content.getvalue()
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)  # ZipInfo's fixed date: equal states, equal files


def load(path: str | os.PathLike[str], *, records: Iterable[type] = ()) -> Any:
    """Read the state (or the parameters alone) of a file, to the bit.

    Args:
        records: record classes of your own that the state may hold.
    Raises: CheckpointError: if the file is not a checkpoint, or damaged; OSError: if it cannot be read.
    """
    return load_checkpoint(path, records=records).state


def load_checkpoint(path: str | os.PathLike[str], *, records: Iterable[type] = ()) -> Checkpoint:
    """Read all that a file holds: the state, the trainer and the preprocessing.

    Raises: CheckpointError: if the file is not a checkpoint, or damaged; OSError: if it cannot be read.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a file's path, got {short(path)}")
    kinds = {**KINDS, **{kind.__name__: kind for kind in check_records(records)}}
    with open(path, "rb") as file:
        content = file.read()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: _read(archive, info, len(content)) for info in archive.infolist()}
        header = json.loads(members.pop("record.json"))
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {short(header['format'])}, not {short(FORMAT)}")
        if header["version"] > VERSION:
            raise ValueError(f"it was written by a newer version of fnloop (format {header['version']}, known is {VERSION})")
        arrays = {name.removesuffix(".npy"): _array(member) for name, member in members.items()}
        checkpoint = decode(header["record"], arrays, kinds)
        if not isinstance(checkpoint, Checkpoint) or digest(checkpoint) != header["digest"]:
            raise ValueError("its content does not match its digest")
    except UnknownRecord as error:
        raise CheckpointError(f"{short(os.fspath(path))} {error}") from error
    except _DAMAGE as error:
        what = str(error) or type(error).__name__
        raise CheckpointError(f"{short(os.fspath(path))} is not a checkpoint of fnloop, or is damaged: {what}") from error
    return checkpoint


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit or info.header_offset < 0:
        raise ValueError(f"member {short(info.filename)} is not stored as it is")
    return archive.read(info)


def _array(content: bytes) -> Array:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


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
) -> Iterator[TrainState]:
    """Write states to a file as they pass: each that is better than all before it, or every one.

    Args:
        path: `{epoch}` in it is replaced by the number of epochs trained; without it the file is written over.
        metric: what is monitored; mode: as in `best`.
        save_best_only: or else write after every epoch.
        weights_only: write the parameters alone; they cannot be trained on from.
        trainer: written beside the state if given.
    See Also: best, save
    """
    mode = choice("min", "max")("mode", mode_of(metric) if mode is None else mode)

    def write(state: TrainState) -> None:
        target = str(os.fspath(path)).replace("{epoch}", str(state.epoch))
        save(state.params if weights_only else state, target, trainer=trainer)

    def saving() -> Iterator[TrainState]:
        found: TrainState | None = None
        for state in states:
            before, found = found, keep_best(found, state, metric, mode)
            if state.metrics and (found is not before or not save_best_only):
                write(state)
            yield state

    return saving()
