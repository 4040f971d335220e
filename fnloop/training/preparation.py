"""A trainer and its data made ready for a run: encoded, resolved and checked before anything is trained."""

from typing import NamedTuple

from fnloop.data.dataset import Dataset
from fnloop.data.names import Names
from fnloop.training.encoding import encode, find_names
from fnloop.training.measurement import Measure, make_measure
from fnloop.training.trainer import Trainer, check_trainer
from fnloop.training.trial import try_functions


class Preparation(NamedTuple):
    """A trainer and data that are ready for a run.

    Args:
        trainer: The trainer, resolved on the training data.
        names: The columns and classes of the training data.
        train: The training data, encoded.
        measure: Measures a state on the validation data; None without validation data.
        validation: The validation data, encoded, or None.
    """

    trainer: Trainer
    names: Names
    train: Dataset
    measure: Measure | None
    validation: Dataset | None


def prepare(trainer: Trainer, train: Dataset, validation: Dataset | None, engine: str) -> Preparation:
    """Encode the data, resolve the trainer, and check that they fit together.

    Raises:
        TypeError: If trainer or data are of another type.
        ValueError: If the data does not fit the model and the loss, a custom function does not work, or a metric is monitored
            that the run does not produce.
        EngineError: If the engine is not available, or cannot compute a part of the trainer.
    """
    names, train, validation = encode_datasets(check_trainer(trainer), train, validation)
    trainer = trainer.resolve(train)
    trainer.check_data(train, "train")
    if validation is not None:
        trainer.check_data(validation, "validation")
    trainer.check_monitored(validation is not None)
    try_functions(trainer, train, validation, engine)
    measure = None if validation is None else make_measure(trainer, validation, engine)
    return Preparation(trainer, names, train, measure, validation)


def encode_datasets(trainer: Trainer, train: Dataset, validation: Dataset | None) -> tuple[Names, Dataset, Dataset | None]:
    """Return the names of the columns and classes of the training data, and both datasets encoded by them.

    Args:
        trainer: The trainer.
        train: The training data.
        validation: The validation data, or None.

    Raises:
        TypeError: If one is not a dataset, or has labels although the loss is for numbers.
        ValueError: If the classes do not fit the model, or the validation data has an unknown label or lacks a column.
    """
    names = find_names(trainer.loss, trainer.model.outputs, train)
    return names, encode(train, names, "train"), None if validation is None else encode(validation, names, "validation")
