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
from contextlib import contextmanager
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.digest import digest
from fnloop.core.errors import CheckpointError
from fnloop.core.formatting import short
from fnloop.core.parameters import Params
from fnloop.core.records import RECORD_TYPES, frozen
from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.codec import UnknownRecord, check_records, decode, encode
from fnloop.runs.files import check_file_path, replacing
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

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


@frozen
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
    write_checkpoint(Checkpoint(state, trainer, preprocessing), path)


def write_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str], **more: Any) -> None:
    """Write the file of a checkpoint.

    Args:
        more: what else its header says, as JSON.
    """
    arrays: dict[str, Array] = {}
    tree = encode(checkpoint, arrays)
    header = {"format": FORMAT, "version": VERSION, "digest": digest(checkpoint), "record": tree, **more}
    members = {"record.json": json.dumps(header, indent=1, allow_nan=False).encode()}
    for name, array in arrays.items():
        content = io.BytesIO()
        np.lib.format.write_array(content, array, allow_pickle=False)
        members[f"{name}.npy"] = content.getvalue()
    with replacing(check_file_path(path)) as file, zipfile.ZipFile(file, "w") as archive:
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
    check_file_path(path)
    kinds = {**RECORD_TYPES, **{kind.__name__: kind for kind in check_records(records)}}
    header, arrays = read_parts(path)
    with reporting_damage(path):
        checkpoint = decode(header["record"], arrays, kinds)
        if not isinstance(checkpoint, Checkpoint) or digest(checkpoint) != header["digest"]:
            raise ValueError("its content does not match its digest")
    return checkpoint


def read_parts(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the header of a checkpoint and its arrays by name, each as it was written, without making records of them.

    Raises: CheckpointError: if the file is not a checkpoint, or damaged; OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read()
    with reporting_damage(path):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: _read(archive, info, len(content)) for info in archive.infolist()}
        header = json.loads(members.pop("record.json"))
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {short(header['format'])}, not {short(FORMAT)}")
        if header["version"] > VERSION:
            raise ValueError(f"it was written by a newer version of fnloop (format {header['version']}, known is {VERSION})")
        return header, {name.removesuffix(".npy"): _array(member) for name, member in members.items()}


@contextmanager
def reporting_damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever is not as it was written is an error that says so."""
    try:
        yield
    except UnknownRecord as error:
        raise CheckpointError(f"{short(os.fspath(path))} {error}") from error
    except _DAMAGE as error:
        what = str(error) or type(error).__name__
        raise CheckpointError(f"{short(os.fspath(path))} is not a checkpoint of fnloop, or is damaged: {what}") from error


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit or info.header_offset < 0:
        raise ValueError(f"member {short(info.filename)} is not stored as it is")
    return archive.read(info)


def _array(content: bytes) -> Array:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
