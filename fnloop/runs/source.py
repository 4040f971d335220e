"""The source of a stream's states: the trainer, the data and the engine that they are computed from."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from fnloop.core.digest import same_bits
from fnloop.core.fields import field_names, is_record
from fnloop.core.formatting import listed, short
from fnloop.data.dataset import Dataset
from fnloop.engines import get_engine
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.trainer import Trainer, check_trainer


class Source(NamedTuple):
    """The trainer, the data and the engine that the states of a stream are computed from.

    Attributes:
        trainer: The trainer; None for a custom step.
        train: The training data, if any.
        validation: The validation data, if any.
        engine: The engine.
    """

    trainer: Trainer | None
    train: Dataset | None
    validation: Dataset | None
    engine: str


def check_source(trainer: Any, train: Any, validation: Any, engine: str | None) -> None:
    """Check the types of what the states of a stream are computed from; None for what is not given.

    Raises:
        EngineError: If the engine is not available.
        TypeError: If something has the wrong type, or there is a trainer without training data.
        ValueError: If there is no such engine.
    """
    if trainer is not None:
        check_trainer(trainer)
    for name, data in (("train", train), ("validation", validation)):
        is_optional = trainer is None or name == "validation"
        if not (isinstance(data, Dataset) or (data is None and is_optional)):
            raise TypeError(f"{name} must be a fl.Dataset{' or None' if name == 'validation' else ''}, got {short(data)}")
    if engine is not None:
        get_engine(engine)


def find_source(
    states: Iterable[Any], trainer: Trainer | None, train: Dataset | None, validation: Dataset | None, engine: str | None
) -> Source:
    """Return what the states of a stream are computed from: what the stream knows, else what is given.

    Args:
        states: The stream.
        trainer: The trainer, if it is given.
        train: The training data, if it is given.
        validation: The validation data, if it is given.
        engine: The engine, if it is given.

    Raises:
        ValueError: If something that is given is not what the stream knows.
    """
    if not isinstance(states, EpochStream):
        return Source(trainer, train, validation, engine or "numpy")
    known = Source(states.trainer, states.train, states.validation, states.engine)
    for name, value, own in zip(Source._fields, (trainer, train, validation, engine), known, strict=True):
        if value is not None and not (same_bits(value, own) or (value is trainer and _resolve_alike(value, known))):
            fields = differing_fields(value, own)
            found = f"it differs in {listed(fields)}" if fields else f"{short(own)}, got {short(value)}"
            raise ValueError(
                f"{name} must be that of the stream, {found}; directly after fl.epochs(...), "
                'fl.record("lab.run") needs nothing but the path'
            )
    return known


def _resolve_alike(trainer: Trainer, known: Source) -> bool:
    """Whether a trainer is that of the stream except that only one of them is resolved on the training data."""
    own, train = known.trainer, known.train
    if own is None or train is None or differing_fields(trainer, own) != ("loss",):
        return False
    return same_bits(trainer.resolve(train), own.resolve(train))


def differing_fields(a: Any, b: Any) -> tuple[str, ...]:
    """Return the names of the fields in which two records of one class differ; none if they are not."""
    if type(a) is not type(b) or not is_record(a):
        return ()
    return tuple(name for name in field_names(type(a)) if not same_bits(getattr(a, name), getattr(b, name)))
