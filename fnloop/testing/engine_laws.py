"""The law of engines: another engine agrees with the NumPy engine."""

from typing import Any

import numpy as np
from toolz import take

from fnloop.data.dataset import Dataset
from fnloop.engines import get_engine
from fnloop.streams.select import last
from fnloop.testing.law import Law, violate
from fnloop.training.loop import epochs
from fnloop.training.trainer import Trainer

ENGINES = Law("engines agree", "the other engine must run it and reach the parameters of the NumPy engine, up to rounding")
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def check_engine(trainer: Trainer, data: Dataset, engine: str) -> None:
    """Check that an engine agrees with the NumPy engine after two epochs.

    Args:
        trainer: The trainer.
        data: The training set.
        engine: Name of the engine, such as `"jax"`.

    Raises:
        EngineError: If there is no such engine.
        LawError: If it disagrees, or cannot run the trainer.
    """
    get_engine(engine)
    ENGINES.check_once(lambda: _require_agreement(trainer, data, engine))


def _require_agreement(trainer: Trainer, data: Dataset, engine: str) -> None:
    expected, vector = (_trained_vector(trainer, data, name) for name in ("numpy", engine))
    scale = max(1.0, float(abs(expected).max(initial=0.0)))
    differs = ~(abs(expected - vector) <= TOLERANCE[trainer.dtype] * scale)  # true for NaN
    if differs.any():
        i = int(differs.argmax())
        violate({"numpy": expected[i].item(), engine: vector[i].item()}, f"params.vector[{i}]")


def _trained_vector(trainer: Trainer, data: Dataset, engine: str) -> Any:
    return np.asarray(last(take(3, epochs(trainer, data, engine=engine))).params.vector)
