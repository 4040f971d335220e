"""Trial calls of custom losses and metrics before training, so that a function that does not work raises at once."""

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.losses.from_function import FromFunction
from fnloop.metrics import Mean, PerExample
from fnloop.training.engine import select_engine
from fnloop.training.measurement import make_whole_measure, quiet
from fnloop.training.trainer import Trainer


def try_functions(trainer: Trainer, train: Dataset, validation: Dataset | None, engine: str) -> None:
    """Call the loss and the metrics that are plain functions with made-up outputs.

    Args:
        trainer: A resolved trainer.
        train: The training data, encoded.
        validation: The validation data, encoded, or None.
        engine: The name of the engine that will call the functions.

    Raises:
        ValueError: If a function raises, returns another shape than one value an example, or returns a value for an example
            that depends on other examples; or if a metric of all examples at once cannot be measured on the validation data.
        EngineError: If the NumPy engine cannot differentiate the loss.
    """
    loss = trainer.loss
    with quiet():
        if isinstance(loss, FromFunction):
            outputs, targets = _make_sample(trainer, train, engine)
            _check_call(f"loss {loss.name!r}", loss.function, outputs, targets)
            _check_independence(f"loss {loss.name!r}", lambda z, y: loss.forward(z, y)[0], outputs, targets)
            if engine == "numpy":
                loss.forward(outputs, targets)[1]()
        for metric in trainer.summed_metrics():
            if isinstance(metric, Mean):
                outputs, targets = _make_sample(trainer, train, engine)
                _check_call(f"metric {metric.name!r}", metric.function, outputs, targets)
                _check_independence(f"metric {metric.name!r}", metric.values, outputs, targets)
        if validation is not None:
            measure_whole = make_whole_measure(trainer, validation)
            if measure_whole is not None:
                measure_whole(_make_outputs(trainer, len(validation)))


def _make_outputs(trainer: Trainer, n: int) -> Array:
    """Return made-up outputs: logits of both signs if there are classes, else positive values, which a logarithm accepts."""
    waves = np.cos(np.arange(n * trainer.model.outputs)).reshape(n, -1)
    return waves if trainer.loss.task(trainer.model.outputs) in {"classification", "multilabel"} else waves + 1.5


def _make_sample(trainer: Trainer, data: Dataset, engine: str) -> tuple[AnyArray, AnyArray]:
    """Return outputs and targets of a few examples, with the smallest and the largest target, as arrays of the engine."""
    first_targets = data.y.reshape(len(data), -1)[:, 0]
    rows = sorted({0, int(first_targets.argmin()), int(first_targets.argmax())})
    outputs, targets = _make_outputs(trainer, len(rows)).astype(trainer.dtype), data.y[rows].astype(trainer.dtype)
    if engine == "numpy":
        return outputs, targets
    select_engine(engine)  # raises if JAX is not installed
    from jax import numpy as jnp

    return jnp.asarray(outputs), jnp.asarray(targets)


def _check_call(name: str, function: PerExample, outputs: AnyArray, targets: AnyArray) -> None:
    """Check that a function does not raise; the error tells what it was called with."""
    try:
        function(outputs, targets)
    except Exception as error:
        raise ValueError(
            f"{name} is called as function(outputs, targets), here with arrays of shapes {outputs.shape} and {targets.shape}, "
            f"and raised {type(error).__name__}: {short(str(error).partition(chr(10))[0], 120)}"
        ) from error


def _check_independence(name: str, function: PerExample, outputs: AnyArray, targets: AnyArray) -> None:
    """Check that a function returns the same value for an example in a batch and for the example alone."""
    together = np.asarray(function(outputs, targets)).reshape(-1)
    for i, value in enumerate(together):
        alone = np.asarray(function(outputs[i : i + 1], targets[i : i + 1])).reshape(-1)
        if not np.allclose(value, alone, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise ValueError(
                f"{name} must give each example a value that depends on that example alone, got {alone[0]:g} for one alone, "
                f"{value:g} for the same one among {len(together)}; are outputs of shape {outputs.shape} and targets of shape "
                f"{targets.shape} broadcast against each other? Targets (N,) go with outputs[:, 0]"
            )
