"""Hyperparameters of a trainer by name, wherever they are among its parts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from fnloop.core.digest import digest, same_bits
from fnloop.core.display import short_call
from fnloop.core.fields import NodeType, field_names, is_record, leaves
from fnloop.core.formatting import listed
from fnloop.core.signatures import did_you_mean
from fnloop.training.trainer import Trainer

Key = TypeVar("Key")

LEARNING_RATES = "initial_lr", "max_lr"  # what `lr` means: the first that the schedule has


def with_hyperparameters(trainer: Trainer, values: Mapping[str, Any]) -> Trainer:
    """Return the trainer with other hyperparameters.

    A name is a field of the trainer, such as `seed`; `lr`, the initial or highest rate of its schedule; the name of a field
    that exactly one of its parts has, such as `weight_decay`, where fields of the model count only if no other part has one of
    that name; or a path, such as `"optimizer.b1"`. Whole parts are replaced before their fields.

    Args:
        trainer: The trainer.
        values: The new values, by name.

    Raises:
        TypeError: If a value is not of its type, or a path does not exist.
        ValueError: If a name is unknown, or several parts have a field of that name; or a value is not allowed.

    Examples:
        >>> import fnloop as fl
        >>> trainer = fl.Trainer(model=fl.mlp([2, 1]), loss="mse", optimizer="adamw")
        >>> with_hyperparameters(trainer, {"lr": 0.1, "weight_decay": 0.0}).scheduler
        ConstantLR(initial_lr=0.1)
    """
    for name in sorted(values, key=_depth):
        trainer = _with_one(trainer, name, values[name])
    return trainer


def _depth(name: str) -> float:
    """Return the depth of a field in the trainer; that of a name without a path is infinite."""
    return 0 if name in field_names(Trainer) else name.count(".") or math.inf


def _with_one(trainer: Trainer, name: str, value: Any) -> Trainer:
    if name in field_names(Trainer) or "." in name:
        return trainer.replace(**{name: value})
    for field in LEARNING_RATES if name == "lr" else (name,):
        found = _places(trainer, field)
        if len(found) > 1:
            raise ValueError(f"{name} is a hyperparameter of several parts: {listed(found)}; state a path")
        if found:
            return trainer.replace(**{found[0]: value})
    names = dict.fromkeys([*field_names(Trainer), "lr", *_names(trainer)])
    hint = did_you_mean("lr" if name == "learning_rate" else name, names)
    raise ValueError(f"{name} is not a hyperparameter of the trainer{hint}; it has {listed(names)}")


def _places(trainer: Trainer, field: str) -> list[str]:
    """Return the paths of the fields of a name: those outside the model, else those in it."""
    found = [path for path, _ in leaves(trainer) if path.rpartition(".")[2] == field]
    return [path for path in found if not path.startswith("model.")] or found


def _names(trainer: Trainer) -> Iterator[str]:
    """Yield the names of the fields of all parts but the model."""
    for part in (trainer.optimizer, trainer.scheduler, trainer.early_stopping, trainer.loss):
        for path, value in leaves(part):
            name = path.rpartition(".")[2]
            if name.isidentifier() and not isinstance(value, NodeType):
                yield name


def find_twins(trainers: Mapping[Key, Trainer]) -> tuple[Key, Key] | None:
    """Return the keys of two equal trainers, the later one first; None if all differ.

    Args:
        trainers: The trainers.
    """
    first: dict[str, Key] = {}
    for key, trainer in trainers.items():
        if (twin := first.setdefault(digest(trainer), key)) != key:
            return key, twin
    return None


def varying(trainers: Sequence[Trainer]) -> dict[str, list[Any]]:
    """Return the hyperparameters in which trainers differ, with the value of each trainer.

    Their names are the last parts of their paths where `grid` takes these for all trainers, else the paths. Records are shown
    as calls.

    Args:
        trainers: The trainers.

    Examples:
        >>> import fnloop as fl
        >>> trainer = fl.Trainer(model=fl.mlp([2, 1]), loss="mse", scheduler=0.1)
        >>> varying([trainer, trainer.replace(seed=1)])
        {'seed': [0, 1]}
    """
    by_path = dict(_varying(list(trainers), ""))
    return {_short_name(trainers[0], path): [_shown(value) for value in values] for path, values in by_path.items()}


def _short_name(trainer: Trainer, path: str) -> str:
    """Return the last part of a path if it names the field alone, and says what it is: `name` is that of a function."""
    last = path.rpartition(".")[2]
    return last if last != "name" and _places(trainer, last) == [path] else path


def _shown(value: Any) -> Any:
    """Return records, and sequences that begin with one, as calls, and any other value unchanged."""
    return short_call(value) if is_record(value[0] if isinstance(value, tuple) and value else value) else value


def _varying(values: list[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    first = values[0]
    if all(value is first or same_bits(value, first) for value in values):
        return
    if is_record(first) and len(set(map(type, values))) == 1:
        for name in field_names(type(first)):
            yield from _varying([getattr(value, name) for value in values], f"{path}.{name}" if path else name)
    elif isinstance(first, tuple) and all(type(value) is tuple and len(value) == len(first) for value in values):
        for i in range(len(first)):
            yield from _varying([value[i] for value in values], f"{path}[{i}]")
    else:
        yield path, values
