"""The manifest of a run file: the trainer, the data, the engine and the environment that a run was started with."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Mode
from fnloop.core.digest import Hashed, digest, hash_of
from fnloop.core.display import short_call
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.earlier_metrics import NO_EARLIER_METRICS, EarlierMetrics
from fnloop.runs.environment import current_environment
from fnloop.runs.packing import check_size, pack, pack_checked
from fnloop.training.trainer import Trainer

MAX_DATA_BYTES = 1 << 26  # a run file holds data up to this size, and only the digest of larger data
MAX_REPR_LENGTH = 10_000


class TrainerEntry(NamedTuple):
    """The trainer of a run.

    Attributes:
        digest: Its digest.
        packed: The record as `pack` writes it, or None if it holds functions.
        repr: Its repr, which is shown if the record itself is not in the file.
    """

    digest: str
    packed: str | None
    repr: str


class DataEntry(NamedTuple):
    """The training or validation data of a run.

    Attributes:
        digest: The digest of the dataset.
        examples: The number of examples.
        packed: The dataset as `pack` writes it, or None if it is too large for the file.
    """

    digest: str
    examples: int
    packed: str | None


class Parent(NamedTuple):
    """The state that a fork starts from.

    Attributes:
        path: The run file of the parent.
        epoch: The epoch of the state.
        digest: The digest of the state.
        changes: Changed fields of the trainer by name, as repr, and the digests of changed data.
    """

    path: str
    epoch: int
    digest: str
    changes: Mapping[str, str]


class Manifest(NamedTuple):
    """The manifest of a run: its trainer, data, engine and environment.

    Attributes:
        trainer: The trainer, or None for a run of a custom step.
        train: The training data, or None for a run of a custom step without data.
        validation: The validation data, if any.
        engine: The engine that computed the run.
        monitor: The metric that selects the best state, and its mode; None for a run of a custom step.
        environment: Versions and hardware that the bits depend on, by name.
        preprocessing: The preprocessing as `pack` writes it, if any.
        parent: The state that the run was forked from, or None.
        earlier_metrics: The metrics of the epochs before a fork, which the run did not train itself, as `pack` writes them;
            None without any.
        monitor_is_chosen: Whether the monitored metric was chosen by name, so that forks keep it, and is not a default.
    """

    trainer: TrainerEntry | None
    train: DataEntry | None
    validation: DataEntry | None
    engine: str
    monitor: tuple[str, Mode] | None
    environment: Mapping[str, str]
    preprocessing: str | None
    parent: Parent | None = None
    earlier_metrics: str | None = None
    monitor_is_chosen: bool = False

    def to_json(self) -> dict[str, str]:
        """Return each entry as JSON, by name.

        Raises:
            ValueError: If an entry is too large.
        """
        return {name: _entry_to_json(name, value) for name, value in self._asdict().items()}


def _entry_to_json(name: str, value: Any) -> str:
    try:
        return check_size(json.dumps(value._asdict() if isinstance(value, TrainerEntry | DataEntry | Parent) else value))
    except ValueError as error:
        raise ValueError(f"{name} is too large for a run file: {error}") from None


def make_manifest(
    trainer: Trainer | None,
    train: Dataset | None,
    validation: Dataset | None,
    engine: str,
    monitor: tuple[str, Mode] | None,
    preprocessing: Preprocessing | None,
    *,
    parent: Parent | None = None,
    earlier_metrics: EarlierMetrics = NO_EARLIER_METRICS,
    monitor_is_chosen: bool = False,
) -> tuple[Manifest, dict[str, Array]]:
    """Return the manifest of a new run, and the arrays that it names by their hashes.

    Args:
        trainer: The trainer, or None for a run of a custom step.
        train: The training data, or None for a run of a custom step without data.
        validation: The validation data, if any.
        engine: The engine that computes the run.
        monitor: The metric that selects the best state, and its mode, or None.
        preprocessing: The preprocessing that made the data, if any.
        parent: For a fork, the state that it starts from.
        earlier_metrics: For a fork, the metrics of the epochs before it.
        monitor_is_chosen: As in `Manifest`.

    Raises:
        TypeError: If the preprocessing holds something that is not data.
    """
    data_bytes = sum(_bytes_of(data) for data in (train, validation) if data is not None)
    is_stored = data_bytes <= MAX_DATA_BYTES
    trainer_entry, trainer_arrays = _trainer_entry(trainer)
    train_entry, train_arrays = _data_entry(train, is_stored)
    validation_entry, validation_arrays = _data_entry(validation, is_stored)
    packed, preprocessing_arrays = (None, {}) if preprocessing is None else pack(preprocessing)
    earlier, earlier_arrays = pack(earlier_metrics) if len(earlier_metrics) else (None, {})
    environment = current_environment(engine, None if trainer is None else trainer.blas_threads())
    manifest = Manifest(
        trainer_entry,
        train_entry,
        validation_entry,
        engine,
        monitor,
        environment,
        packed,
        parent,
        earlier,
        monitor_is_chosen,
    )
    return manifest, {**trainer_arrays, **train_arrays, **validation_arrays, **preprocessing_arrays, **earlier_arrays}


def _trainer_entry(trainer: Trainer | None) -> tuple[TrainerEntry | None, dict[str, Array]]:
    if trainer is None:
        return None, {}
    packed: str | None
    try:
        packed, arrays = pack_checked(trainer)
    except TypeError:  # it holds functions, or records that cannot be rebuilt from their fields
        packed, arrays = None, {}
    return TrainerEntry(digest(trainer), packed, short_call(trainer)[:MAX_REPR_LENGTH]), arrays


def _data_entry(data: Dataset | None, is_stored: bool) -> tuple[DataEntry | None, dict[str, Array]]:
    """Return the entry of a dataset, and its arrays if the file is to store them."""
    if data is None:
        return None, {}
    hashes: dict[int, Hashed] = {}
    data_digest = hash_of(data, now=hashes).hex()
    packed, arrays = pack(data, hashes) if is_stored else (None, {})
    return DataEntry(data_digest, len(data), packed), arrays


def _bytes_of(data: Dataset) -> int:
    return sum(array.nbytes for array in (data.x, data.y, data.weights) if isinstance(array, np.ndarray))


def parse_manifest(texts: Mapping[str, str]) -> Manifest:
    """Parse the entries of a manifest, which may come from anywhere.

    Args:
        texts: The entries as JSON, by name.

    Raises:
        ValueError: If an entry is missing or invalid.
    """
    manifest = Manifest(**{name: _parse_entry(name, texts, parse) for name, parse in _PARSERS.items()})
    if manifest.trainer is not None and manifest.train is None:
        raise ValueError("the run file has a trainer, but no entry for its data")
    return manifest


def _parse_entry(name: str, texts: Mapping[str, str], parse: Callable[[Any], Any]) -> Any:
    if name not in texts:
        raise ValueError(f"no value for {short(name)} in the run file")
    value = json.loads(check_size(texts[name]))
    try:
        return parse(value)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"invalid value for {short(name)} in the run file") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {short(value)}")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {short(value)}")
    return value


def _trainer(value: Any) -> TrainerEntry | None:
    if value is None:
        return None
    return TrainerEntry(_text(value["digest"]), _text_or_none(value["packed"]), _text(value["repr"]))


def _data(value: Any) -> DataEntry | None:
    if value is None:
        return None
    return DataEntry(_text(value["digest"]), int(_number(value["examples"])), _text_or_none(value["packed"]))


def _engine(value: Any) -> str:
    if _text(value).partition(":")[0] not in ("numpy", "jax"):
        raise ValueError(f"unknown engine {short(value)}")
    return _text(value)


def _monitor(value: Any) -> tuple[str, Mode] | None:
    if value is None:
        return None
    metric, mode = value
    if mode not in ("min", "max"):
        raise ValueError(f"unknown mode {short(mode)}")
    return _text(metric), mode


def _texts(value: Any) -> dict[str, str]:
    return {name: _text(item) for name, item in value.items()}


def _parent(value: Any) -> Parent | None:
    if value is None:
        return None
    return Parent(_text(value["path"]), int(_number(value["epoch"])), _text(value["digest"]), _texts(value["changes"]))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {short(value)}")
    return value


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "trainer": _trainer,
    "train": _data,
    "validation": _data,
    "engine": _engine,
    "monitor": _monitor,
    "environment": _texts,
    "preprocessing": _text_or_none,
    "parent": _parent,
    "earlier_metrics": _text_or_none,
    "monitor_is_chosen": _flag,
}
