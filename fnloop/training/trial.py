"""The user's own functions, tried before anything is trained, so that what is wrong with one is said at the call."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.engines import get_engine
from fnloop.losses.from_function import FromFunction
from fnloop.metrics import Mean
from fnloop.training.measurement import make_whole, quiet
from fnloop.training.trainer import Trainer


def try_functions(trainer: Trainer, train: Dataset, validation: Dataset | None, engine: str) -> None:
    """Try the loss and the metrics that are plain functions on made-up outputs.

    Raises:
        ValueError: If a function raises; if what it gives for an example depends on others, or has not the shape that is asked
            for; if a metric of all examples at once cannot be measured on the validation data.
        EngineError: If the NumPy engine cannot differentiate the loss.
    """
    loss = trainer.loss
    with quiet():
        if isinstance(loss, FromFunction):
            outputs, targets = _sample(trainer, train, engine)
            _check_call(f"loss {loss.name!r}", loss.function, outputs, targets)
            _check_alone(f"loss {loss.name!r}", lambda z, y: loss.forward(z, y)[0], outputs, targets)
            if engine == "numpy":
                loss.forward(outputs, targets)[1]()
        for metric in trainer.summed_metrics():
            if isinstance(metric, Mean):
                outputs, targets = _sample(trainer, train, engine)
                _check_call(f"metric {metric.name!r}", metric.function, outputs, targets)
                _check_alone(f"metric {metric.name!r}", metric.values, outputs, targets)
        whole = None if validation is None else make_whole(trainer, validation)
        if whole is not None:
            whole(_waves(trainer, len(validation)))  # type: ignore[arg-type]


def _waves(trainer: Trainer, rows: int) -> Array:
    """Outputs that a model might have: for classes they are of all of them, else positive, which every function takes."""
    waves = np.cos(np.arange(rows * trainer.model.outputs)).reshape(rows, -1)
    task = trainer.loss.task(trainer.model.outputs)
    return waves if task in {"classification", "multilabel"} else waves + 1.5


def _sample(trainer: Trainer, data: Dataset, engine: str) -> tuple[Any, Any]:
    """Outputs for a few examples and their targets, the least and the largest among them, as arrays of the engine."""
    first = data.y.reshape(len(data), -1)[:, 0]
    rows = sorted({0, int(first.argmin()), int(first.argmax())})
    arrays = _waves(trainer, len(rows)).astype(trainer.dtype), data.y[rows].astype(trainer.dtype)
    if engine == "numpy":
        return arrays
    get_engine(engine)  # says what to install where there is no JAX
    from jax import numpy as jnp

    return tuple(map(jnp.asarray, arrays))  # type: ignore[return-value]


def _check_call(name: str, function: Callable[[Any, Any], Any], outputs: Any, targets: Any) -> None:
    """Refuse a function that raises, whose own error does not say what it was called with."""
    try:
        function(outputs, targets)
    except Exception as error:
        raise ValueError(
            f"{name} is called as function(outputs, targets), here with arrays of shapes {outputs.shape} and {targets.shape}, "
            f"and raised {type(error).__name__}: {short(str(error).partition(chr(10))[0], 120)}"
        ) from error


def _check_alone(name: str, function: Callable[[Any, Any], Any], outputs: Any, targets: Any) -> None:
    """Refuse a function whose value for an example is another in a batch than for the example by itself."""
    together = np.asarray(function(outputs, targets)).reshape(-1)
    for i, value in enumerate(together):
        alone = np.asarray(function(outputs[i : i + 1], targets[i : i + 1])).reshape(-1)
        if not np.allclose(value, alone, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise ValueError(
                f"{name} must give each example a value that depends on that example alone, got {alone[0]:g} for one alone, "
                f"{value:g} for the same one among {len(together)}; are outputs of shape {outputs.shape} and targets of shape "
                f"{targets.shape} broadcast against each other? Targets (N,) go with outputs[:, 0]"
            )
