"""Trial calls of losses and metrics before training, so that a custom one that does not work raises at once."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.losses.from_function import FromFunction
from fnloop.metrics import Mean, Metric, PerExample
from fnloop.training.engine import select_engine
from fnloop.training.measurement import make_whole_measure, quiet
from fnloop.training.trainer import Trainer


def try_functions(trainer: Trainer, train: Dataset, validation: Dataset | None, engine: str) -> None:
    """Call the loss and the metrics with made-up outputs.

    Args:
        trainer: A resolved trainer.
        train: The training data, encoded.
        validation: The validation data, encoded, or None.
        engine: The name of the engine that will call the functions.

    Raises:
        TypeError: If a loss does not return its losses and a function, or a metric does not return its statistics.
        ValueError: If one raises or returns another shape than it must, if a plain function returns a value for an example
            that depends on other examples, or if a metric of all examples at once cannot be measured on the validation data.
        EngineError: If the NumPy engine cannot differentiate the loss.
    """
    loss, sample = trainer.loss, _make_sample(trainer, train)
    with quiet():
        if isinstance(loss, FromFunction):
            arrays = _on_engine(sample, engine)
            _call(f"loss {loss.name!r}", "function(outputs, targets)", loss.function, *arrays)
            _check_independence(f"loss {loss.name!r}", lambda z, y: loss.forward(z, y)[0], *arrays)
            if engine == "numpy":
                loss.forward(*arrays)[1]()
        else:
            _check_loss(loss, *sample, has_gradient=engine == "numpy")
        for metric in trainer.summed_metrics():
            if isinstance(metric, Mean):
                arrays = _on_engine(sample, engine)
                _call(f"metric {metric.name!r}", "function(outputs, targets)", metric.function, *arrays)
                _check_independence(f"metric {metric.name!r}", metric.values, *arrays)
            else:
                _check_sums(metric, *sample)
        if validation is not None:
            measure_whole = make_whole_measure(trainer, validation)
            if measure_whole is not None:
                measure_whole(_make_outputs(trainer, len(validation)))


def _make_outputs(trainer: Trainer, n: int) -> Array:
    """Return made-up outputs: logits of both signs if there are classes, else positive values, which a logarithm accepts."""
    waves = np.cos(np.arange(n * trainer.model.outputs)).reshape(n, -1)
    return waves if trainer.loss.task(trainer.model.outputs) in {"classification", "multilabel"} else waves + 1.5


def _make_sample(trainer: Trainer, data: Dataset) -> tuple[Array, Array]:
    """Return outputs and targets of a few examples, with the smallest and the largest target."""
    first_targets = data.y.reshape(len(data), -1)[:, 0]
    rows = sorted({0, int(first_targets.argmin()), int(first_targets.argmax())})
    return _make_outputs(trainer, len(rows)).astype(trainer.dtype), data.y[rows].astype(trainer.dtype)


def _on_engine(sample: tuple[Array, Array], engine: str) -> tuple[AnyArray, AnyArray]:
    """Return outputs and targets as arrays of the engine."""
    if engine == "numpy":
        return sample
    select_engine(engine)  # raises if JAX is not installed
    from jax import numpy as jnp

    outputs, targets = sample
    return jnp.asarray(outputs), jnp.asarray(targets)


def _check_loss(loss: Loss, outputs: Array, targets: Array, has_gradient: bool) -> None:
    """Check that `forward` returns one loss for each example, and a function that returns a gradient like the outputs."""
    name = f"forward of loss {short(loss)}"
    result = _call(f"loss {short(loss)}", "forward(outputs, targets)", loss.forward, outputs, targets)
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"{name} must return (losses, backward), got {_count_or_value(result)}")
    losses, backward = result
    if np.shape(losses) != (len(outputs),):
        raise ValueError(
            f"{name} must return one loss for each example, not their mean or sum: an array of shape {(len(outputs),)}, got "
            f"shape {np.shape(losses)} for outputs {outputs.shape} and targets {targets.shape}"
        )
    if not has_gradient:
        return
    if not callable(backward):
        raise TypeError(f"{name} must return a function as its second value, got {short(backward)}")
    gradient = np.shape(backward())
    if gradient != outputs.shape:
        raise ValueError(f"backward of loss {short(loss)} must return a gradient of shape {outputs.shape}, got {gradient}")


def _check_sums(metric: Metric, outputs: Array, targets: Array) -> None:
    """Check that `sums` returns as many numbers as `width` says."""
    name, width = f"metric {metric.name!r}", metric.width(outputs.shape[1])
    sums = _call(name, "sums(outputs, targets)", metric.sums, outputs, targets)
    if not isinstance(sums, list | tuple) or len(sums) != width:
        raise TypeError(f"{name}: sums must return a list of {width} numbers, as width says, got {_count_or_value(sums)}")
    for number in sums:
        if np.shape(number) != ():
            raise ValueError(f"{name}: sums must return numbers, got an array of shape {np.shape(number)}")


def _count_or_value(value: Any) -> str:
    """Return the number of values in a tuple or list, else the value, for an error."""
    return f"{len(value)} values" if isinstance(value, list | tuple) else short(value)


def _call(name: str, call: str, function: Callable[..., Any], outputs: AnyArray, targets: AnyArray) -> Any:
    """Return what a function returns; if it raises, the error tells what it was called with."""
    try:
        return function(outputs, targets)
    except Exception as error:
        raise ValueError(
            f"{name} is called as {call}, here with arrays of shapes {outputs.shape} and {targets.shape}, "
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
