"""The manifest of a run file: the trainer, the data and the engine that a run was started with."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from fnloop.core.checks import Mode
from fnloop.core.display import short_call
from fnloop.core.encoding import canonical
from fnloop.core.formatting import short
from fnloop.core.version import __version__
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.damage import check_format
from fnloop.runs.earlier_metrics import NO_EARLIER_METRICS, EarlierMetrics
from fnloop.runs.packing import Packed, check_class_ids, check_size, pack, pack_data
from fnloop.training.trainer import Trainer

FORMAT_VERSION = 1
MAX_DATA_BYTES = 1 << 26  # a run file holds data up to this size, and only the digest of larger data
MAX_REPR_LENGTH = 10_000


class TrainerEntry(NamedTuple):
    """The trainer of a run.

    Attributes:
        text: Its text. If that contains functions, the trainer cannot be read back, and is to be supplied.
        repr: Its repr, which is shown then.
    """

    text: str
    repr: str


class DataEntry(NamedTuple):
    """The training or validation data of a run.

    Attributes:
        text: The text of the dataset, which names its arrays by their hashes.
        examples: The number of examples.
        is_stored: Whether the file has the arrays; they may be too large for it.
    """

    text: str
    examples: int
    is_stored: bool


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
    """The manifest of a run: its trainer, data and engine.

    Attributes:
        trainer: The trainer, or None for a run of a custom step.
        train: The training data, or None for a run of a custom step without data.
        validation: The validation data, if any.
        engine: The engine that computed the run.
        monitor: The metric that selects the best state, and its mode; None for a run of a custom step.
        preprocessing: The text of the preprocessing, if any.
        parent: The state that the run was forked from, or None.
        earlier_metrics: The text of the metrics of the epochs before a fork, which the run did not train itself, if any.
        monitor_is_chosen: Whether the monitored metric was chosen by name, so that forks keep it, and is not a default.
        created: When the run was started, in ISO format.
        version: The version of the package that wrote the file.
        format: The version of the format.
    """

    trainer: TrainerEntry | None
    train: DataEntry | None
    validation: DataEntry | None
    engine: str
    monitor: tuple[str, Mode] | None
    preprocessing: str | None
    parent: Parent | None = None
    earlier_metrics: str | None = None
    monitor_is_chosen: bool = False
    created: str = ""
    version: str = __version__
    format: int = FORMAT_VERSION

    def to_json(self) -> dict[str, str]:
        """Return each entry as JSON, by name.

        Raises:
            ValueError: If an entry is too large.
        """
        return {name: _entry_to_json(name, value) for name, value in self._asdict().items()}


def _entry_to_json(name: str, value: Any) -> str:
    if isinstance(value, TrainerEntry | DataEntry):
        rest = {label: part for label, part in value._asdict().items() if label != "text"}
        text = f'{{"record":{value.text},{canonical(rest)[1:]}'  # the text is canonical
    elif name in ("preprocessing", "earlier_metrics") and value is not None:
        text = f'{{"record":{value}}}'
    else:
        text = canonical(value._asdict() if isinstance(value, Parent) else value)
    try:
        return check_size(text)
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
    pack_dataset: Callable[[Dataset], Packed] = pack,
) -> tuple[Manifest, list[Packed]]:
    """Return the manifest of a new run, and the values that it names.

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
        pack_dataset: The function that packs the data. Default: `pack`.

    Raises:
        TypeError: If the preprocessing holds something that is not data, or two classes in the trainer have one id.
    """
    check_class_ids("trainer", trainer)
    data = {name: value for name, value in (("train", train), ("validation", validation)) if value is not None}
    packed = {name: pack_dataset(value) for name, value in data.items()}
    is_stored = sum(value.nbytes for value in packed.values()) <= MAX_DATA_BYTES
    entries = {name: DataEntry(packed[name].text, len(value), is_stored) for name, value in data.items()}
    stored = list(packed.values()) if is_stored else []
    texts = dict[str, str]()
    others = {
        "trainer": None if trainer is None else pack(trainer),
        "preprocessing": None if preprocessing is None else pack_data(preprocessing),
        "earlier_metrics": pack(earlier_metrics) if len(earlier_metrics) else None,
    }
    for name, value in others.items():
        if value is not None:
            texts[name] = value.text
            stored.append(value)
    manifest = Manifest(
        None if trainer is None else TrainerEntry(texts["trainer"], short_call(trainer)[:MAX_REPR_LENGTH]),
        entries.get("train"),
        entries.get("validation"),
        engine,
        monitor,
        texts.get("preprocessing"),
        parent,
        texts.get("earlier_metrics"),
        monitor_is_chosen,
        datetime.now().astimezone().isoformat(timespec="milliseconds"),
    )
    return manifest, stored


def parse_manifest(texts: Mapping[str, str]) -> Manifest:
    """Parse the entries of a manifest, which may come from anywhere.

    Args:
        texts: The entries as JSON, by name.

    Raises:
        NewerFormat: If they are of a newer format.
        ValueError: If an entry is missing or invalid.
    """
    manifest = Manifest(**{name: _parse_entry(name, texts, parse) for name, parse in _PARSERS.items()})
    check_format(manifest.format, FORMAT_VERSION)
    if manifest.trainer is not None and manifest.train is None:
        raise ValueError("the run file has a trainer, but no entry for its data")
    return manifest


def _parse_entry(name: str, texts: Mapping[str, str], parse: Callable[[Any], Any]) -> Any:
    if name not in texts and name in Manifest._field_defaults:  # of an older version
        return Manifest._field_defaults[name]
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


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {short(value)}")
    return value


def _trainer(value: Any) -> TrainerEntry | None:
    if value is None:
        return None
    return TrainerEntry(canonical(value["record"]), _text(value["repr"]))


def _data(value: Any) -> DataEntry | None:
    if value is None:
        return None
    return DataEntry(canonical(value["record"]), int(_number(value["examples"])), _flag(value["is_stored"]))


def _record_text(value: Any) -> str | None:
    return None if value is None else canonical(value["record"])


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
    "preprocessing": _record_text,
    "parent": _parent,
    "earlier_metrics": _record_text,
    "monitor_is_chosen": _flag,
    "created": _text,
    "version": _text,
    "format": _number,
}
