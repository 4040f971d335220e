"""Trainers of a population, resolved on the training data and checked against it."""

from collections.abc import Mapping
from typing import TypeVar

from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.training.population import kind_of, prepare_population
from fnloop.training.trainer import Trainer

Key = TypeVar("Key")


def resolve_all(
    trainers: Mapping[Key, Trainer], train: Dataset, validation: Dataset | None, monitor: str | None
) -> dict[Key, Trainer]:
    """Return trainers resolved on the training data.

    Args:
        trainers: The trainers, by index or name.
        train: The training set.
        validation: The validation set, or None.
        monitor: As in `fit`.

    Raises:
        ValueError: If the data does not fit one of them. The message has its index or name.
    """
    resolved, checked = {}, set()
    for key, trainer in trainers.items():
        try:
            resolved[key] = trainer.resolve(train)
            trainer.monitored(validation is not None, monitor)
            if (kind := kind_of(resolved[key])) not in checked:
                prepare_population([resolved[key]], train, validation)
        except ValueError as error:
            raise ValueError(f"trainers[{short(key)}]: {error}") from error
        checked.add(kind)
    return resolved
