"""The other engine: what is written for arrays of any namespace must be traced by it, and agree."""

from typing import Any

import numpy as np
from toolz import take

from fnloop.data.dataset import Dataset
from fnloop.engines import get_engine
from fnloop.streams.select import last
from fnloop.testing.law import Law, fail
from fnloop.training.loop import epochs
from fnloop.training.trainer import Trainer

ENGINES = Law("both engines", "the other engine must trace it, and reach the parameters of the NumPy engine to rounding")
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def check_engine(trainer: Trainer, data: Dataset, engine: str) -> None:
    """Check that an engine agrees with NumPy's over two epochs.

    Raises: LawError: if it does not, or refuses the trainer; ValueError: if there is no such engine.
    """
    get_engine(engine)
    ENGINES.check_once(lambda: _require_agreement(trainer, data, engine))


def _require_agreement(trainer: Trainer, data: Dataset, engine: str) -> None:
    ours, theirs = (_vector(trainer, data, name) for name in ("numpy", engine))
    scale = max(1.0, float(abs(ours).max(initial=0.0)))
    far = ~(abs(ours - theirs) <= TOLERANCE[trainer.dtype] * scale)  # NaN is far, too
    if far.any():
        i = int(far.argmax())
        fail({"numpy": ours[i].item(), engine: theirs[i].item()}, f"params.vector[{i}]")


def _vector(trainer: Trainer, data: Dataset, engine: str) -> Any:
    return np.asarray(last(take(3, epochs(trainer, data, engine=engine))).params.vector)
