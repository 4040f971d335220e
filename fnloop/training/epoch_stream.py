"""The stream of states that `epochs` returns; it knows the trainer and the data that its states are computed from."""

from collections.abc import Generator, Iterator

from fnloop.core.display import one_line
from fnloop.data.dataset import Dataset
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


class EpochStream(Iterator[TrainState]):
    """A lazy stream of states epoch by epoch; `epochs` returns one.

    Args:
        trainer: The trainer.
        train: The training data.
        validation: The validation data, or None.
        engine: The engine.
        states: The states.

    Attributes:
        trainer: The trainer that was given to `epochs`.
        train: The training data.
        validation: The validation data, or None.
        engine: The engine.
    """

    __slots__ = ("__weakref__", "_states", "engine", "train", "trainer", "validation")

    def __init__(
        self,
        trainer: Trainer,
        train: Dataset,
        validation: Dataset | None,
        engine: str,
        states: Generator[TrainState, None, None],
    ) -> None:
        self.trainer, self.train, self.validation, self.engine = trainer, train, validation, engine
        self._states = states

    def __next__(self) -> TrainState:
        return next(self._states)

    def close(self) -> None:
        """End the stream."""
        self._states.close()

    def __repr__(self) -> str:
        facts = {"trainer": repr(self.trainer), "train": repr(self.train), "validation": repr(self.validation)}
        return one_line("EpochStream", {**facts, "engine": repr(self.engine)})
