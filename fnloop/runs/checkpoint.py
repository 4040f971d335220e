"""Checkpoints: a state in one `.npz` file, written atomically and without pickle.

The file is a zip of the arrays, by layer, and of `record.json`: the records that hold the arrays, and the digest of the whole.
"""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.decoding import Decoder, check_records
from fnloop.core.encoding import Encoder, array_hash, canonical, sha256_of
from fnloop.core.errors import CheckpointError
from fnloop.core.fields import leaves
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.core.version import __version__
from fnloop.data.preprocessing import Preprocessing
from fnloop.nn.model import Params
from fnloop.runs.damage import CONTENT_ERRORS, check_format, explain
from fnloop.runs.files import check_file_path, replacing
from fnloop.runs.packing import Packed, pack_data
from fnloop.training.ensemble import Ensemble
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

FORMAT, VERSION = "fnloop checkpoint", 1
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, *CONTENT_ERRORS)


@frozen
class Checkpoint:
    """The content of a checkpoint file.

    Args:
        state: The state, or its parameters alone, or an ensemble.
        trainer: The trainer, if it was saved; None for an ensemble, which has its own.
        preprocessing: The preprocessing, if it was saved.
    """

    state: Any
    trainer: Trainer | None = None
    preprocessing: Preprocessing | None = None


class StateSummary(NamedTuple):
    """The epoch, the metrics and the loss of a saved state, by which it is compared with others.

    Attributes:
        epoch: Number of finished epochs.
        metrics: The metrics of the state; empty if the file has none.
        loss: Identity of the loss, or None if it is not known.
    """

    epoch: int
    metrics: Mapping[str, float]
    loss: str | None


def save(
    state: TrainState | Params | Ensemble,
    path: str | os.PathLike[str],
    *,
    trainer: Trainer | None = None,
    preprocessing: Preprocessing | None = None,
) -> None:
    """Write a state, or `state.params` alone, or an ensemble to a file.

    The content goes to a temporary file in the same folder, which is flushed and then renamed: at any time the path has the
    former file or the new one, whole.

    Args:
        state: The state, or its parameters, or an ensemble.
        path: Path of the file, by convention with the suffix `.npz`; an existing file is replaced.
        trainer: Also saved if given, with the loss, the optimizer and the scheduler.
        preprocessing: Also saved if given, so that the file alone is enough for predictions.

    Raises:
        TypeError: If `state` is none of these, or something holds a value that is not data, such as a function.
        ValueError: If there is a trainer besides those of an ensemble.
        OSError: If the file cannot be written.

    Examples:
        >>> state = fl.open_run("lab.run").last
        >>> fl.save(state, "last.npz")
        >>> fl.same_bits(fl.load("last.npz"), state)
        True

    See Also:
        load, load_checkpoint, checkpoint
    """
    if not isinstance(state, TrainState | Params | Ensemble):
        raise TypeError(f"state must be a TrainState, Params or an Ensemble, got {type(state).__name__}")
    for name, value, kind in (("trainer", trainer, Trainer), ("preprocessing", preprocessing, Preprocessing)):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__} or None, got {short(value)}")
    if trainer is not None and isinstance(state, Ensemble):
        raise ValueError(f"trainer must be None for an ensemble, which has those of its members, got {short(trainer)}")
    write_checkpoint(Checkpoint(state, trainer, preprocessing), path)


def write_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str], *, params_of: StateSummary | None = None) -> None:
    """Write a checkpoint file.

    Args:
        checkpoint: The content.
        path: Path of the file.
        params_of: For parameters alone, the summary of their state.

    Raises:
        TypeError: If the checkpoint holds a value that is not data.
        OSError: If the file cannot be written.
    """
    packed = pack_data(checkpoint)
    members = _members(checkpoint, packed)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "fnloop": __version__,
        "digest": sha256_of(packed.text),
        "record": json.loads(packed.text),
        "records": {name: json.loads(text) for name, text in packed.records.items()},
        "arrays": {name: [member for member, _ in parts] for name, parts in members.items()},
    }
    if params_of is not None:
        header["params_of"] = {**params_of._asdict(), "metrics": json.loads(Encoder().text(params_of.metrics))}
    contents = {"record.json": json.dumps(header, indent=1, allow_nan=False).encode()}
    for name, array in chain.from_iterable(members.values()):
        content = io.BytesIO()
        np.lib.format.write_array(content, array, allow_pickle=False)
        contents[f"{name}.npy"] = content.getvalue()
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, member in contents.items():
            archive.writestr(zipfile.ZipInfo(name), member)  # ZipInfo has a fixed date: equal states give equal files


def _members(checkpoint: Checkpoint, packed: Packed) -> dict[str, list[tuple[str, Array]]]:
    """Return for each array, by its hash, the names and arrays of its members; parameters are split by layer."""
    states = checkpoint.state.states if isinstance(checkpoint.state, Ensemble) else [checkpoint.state]
    all_params: list[Params] = [state if isinstance(state, Params) else state.params for state in states]
    layers = {id(params.vector): params.layers for params in all_params}
    by_hash: dict[str, list[tuple[str, Array]]] = {}
    for path, array in leaves(checkpoint):
        if isinstance(array, np.ndarray) and ".model." not in path:
            name = path.replace("[", ".").replace("]", "")
            parts = (
                _arrays_of(layers[id(array)], f"{name.removesuffix('vector')}layers")
                if id(array) in layers
                else [(name, array)]
            )
            by_hash.setdefault(array_hash(array), list(parts))
    others = ((name, [(f"arrays.{name[:16]}", array)]) for name, array in packed.arrays.items() if name not in by_hash)
    return {**by_hash, **dict(others)}


def _arrays_of(layers: Any, path: str) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of nested records and sequences in order, each with its dotted path."""
    if isinstance(layers, np.ndarray):
        yield path, layers
        return
    for name, item in layers._asdict().items() if hasattr(layers, "_asdict") else enumerate(layers):
        yield from _arrays_of(item, f"{path}.{name}")


def load(path: str | os.PathLike[str], *, records: Iterable[type] = ()) -> Any:
    """Read the state, or the parameters alone, or the ensemble, of a checkpoint file, to the bit.

    Args:
        path: Path of the file.
        records: Custom record classes that the state may hold.

    Raises:
        CheckpointError: If the file is not a checkpoint, or is damaged.
        OSError: If the file cannot be read.
        TypeError: If an argument has the wrong type.

    Examples:
        >>> fl.save(run.last, "last.npz")
        >>> fl.load("last.npz").epoch
        10

    See Also:
        save, load_checkpoint
    """
    return load_checkpoint(path, records=records).state


def load_checkpoint(path: str | os.PathLike[str], *, records: Iterable[type] = ()) -> Checkpoint:
    """Read the whole content of a checkpoint file: the state, the trainer and the preprocessing.

    Args:
        path: Path of the file.
        records: Custom record classes that the content may hold.

    Raises:
        CheckpointError: If the file is not a checkpoint, or is damaged.
        OSError: If the file cannot be read.
        TypeError: If an argument has the wrong type.

    Examples:
        >>> fl.save(run.last, "last.npz", trainer=run.trainer)
        >>> fl.load_checkpoint("last.npz").trainer == run.trainer
        True

    See Also:
        load, save
    """
    check_file_path(path)
    classes = check_records(records)
    header, members = _read(path)
    with _reporting_damage(path):
        arrays = dict(_join(header["arrays"], members))
        if sha256_of(canonical(header["record"])) != header["digest"]:
            raise ValueError("its content does not match its digest")
        if any(sha256_of(canonical(tree)) != name for name, tree in header["records"].items()):
            raise ValueError("a record does not match its hash")
    with _reporting_damage(path, header["fnloop"]):
        decoder = Decoder(arrays.__getitem__, cache(lambda name: decoder.value(header["records"][name])), classes)
        checkpoint = decoder.value(header["record"])
        if not isinstance(checkpoint, Checkpoint):
            raise ValueError("it does not hold a checkpoint")
    return checkpoint


def _join(names: Mapping[str, Iterable[str]], members: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield each array with its hash, from the members that it is split into.

    Raises:
        ValueError: If one does not match its hash.
    """
    for expected, parts in names.items():
        arrays = [members[name] for name in parts]
        array = arrays[0] if len(arrays) == 1 else np.concatenate([part.ravel() for part in arrays])
        if array_hash(array) != expected:
            array = array.ravel()  # the vector of a model that has one array of parameters
            if array_hash(array) != expected:
                raise ValueError(f"an array does not match its hash, {listed(parts)}")
        array.flags.writeable = False
        yield expected, array


def read_summary(path: str | os.PathLike[str]) -> tuple[StateSummary, dict[str, Array]]:
    """Read the summary of a checkpoint's state and its parameters by layer, without building records; empty for an ensemble.

    Raises:
        CheckpointError: If the file is not a checkpoint, or is damaged.
        OSError: If the file cannot be read.
    """
    header, members = _read(path)
    with _reporting_damage(path):
        state = header["record"]["state"]
        if state["@"] == "fnloop.Ensemble":
            return StateSummary(0, {}, None), {}
        has_state = state["@"] != "fnloop.Params"
        summary, prefix = (state, "state.params.layers.") if has_state else (header.get("params_of"), "state.layers.")
        params = {name.removeprefix(prefix): array for name, array in members.items() if name.startswith(prefix)}
        if summary is None:
            return StateSummary(0, {}, None), params
        decoder = Decoder(members.__getitem__, members.__getitem__)
        metrics = {name: float(value) for name, value in decoder.value(summary["metrics"]).items()}
        return StateSummary(int(summary["epoch"]), metrics, summary.get("loss")), params


def params_arrays(params: Params) -> dict[str, Array]:
    """Return the arrays of parameters by layer and name, such as `0.weights`."""
    return {name.removeprefix("layers."): array for name, array in _arrays_of(params.layers, "layers")}


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the header of a checkpoint, and its arrays by name."""
    with open(path, "rb") as file:
        content = file.read()
    with _reporting_damage(path):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: _member(archive, info, len(content)) for info in archive.infolist()}
        header = json.loads(members.pop("record.json"))
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {short(header['format'])}, not {short(FORMAT)}")
        check_format(header["version"], VERSION)
        return header, {name.removesuffix(".npy"): _array(member) for name, member in members.items()}


@contextmanager
def _reporting_damage(path: str | os.PathLike[str], version: str = __version__) -> Iterator[None]:
    """Turn errors from unexpected content into a `CheckpointError` with the path.

    Args:
        path: The file.
        version: The version of the package that wrote the file, once its content is known to match its hashes.
    """
    try:
        yield
    except _DAMAGE as error:
        raise CheckpointError(f"{short(os.fspath(path))} {explain(error, 'checkpoint', version)}") from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Read a member of the archive, if it is not compressed and not larger than the file."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit or info.header_offset < 0:
        raise ValueError(f"member {short(info.filename)} is compressed or larger than the file")
    return archive.read(info)


def _array(content: bytes) -> Array:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
