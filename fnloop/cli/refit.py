"""The option `--refit` of `fnloop train`: a model of the training and the validation rows."""

import numpy as np

from fnloop.data.dataset import Dataset
from fnloop.data.table_split import TableSplit
from fnloop.fitting import Fit, fit
from fnloop.schedulers import PiecewiseLR
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


def train_again(result: Fit, splits: TableSplit, engine: str) -> tuple[Trainer, TrainState]:
    """Train once more, on the training and the validation rows, for the epochs and at the rates that validation chose.

    Args:
        result: The run with validation.
        splits: The data.
        engine: The engine.

    Returns:
        The trainer and its last state.
    """
    epochs = max(1, result.best.epoch)
    rates = [float(rate) for rate in result.history["lr"][:epochs]]
    schedule = PiecewiseLR(tuple(range(len(rates))), tuple(rates), interpolate="previous")
    trainer = result.trainer.replace(early_stopping=None, scheduler=schedule)
    both = Dataset(
        np.concatenate([splits.train.x, splits.validation.x]), np.concatenate([splits.train.y, splits.validation.y])
    )
    again = fit(trainer, both, epochs=epochs, engine=engine, progress=False)
    return again.trainer, again.last
