"""The loss and the metrics of a state on a dataset: from sums over examples, and from all outputs at once."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.digest import same_bits
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.engines.numpy.measure import sums_of_outputs
from fnloop.engines.threads import with_threads
from fnloop.metrics import Whole
from fnloop.training.engine import computation_of, compute_outputs, select_engine
from fnloop.training.state import TrainState, restored
from fnloop.training.trainer import Trainer

# Without NumPy's warnings: results that are not finite are found, and handled as the trainer's `non_finite` says.
quiet = partial(np.errstate, all="ignore")

Metrics = dict[str, float]
Measure = Callable[[TrainState], Metrics]

SAME_DATA_TOLERANCE = 1e-3  # relative difference up to which two losses may be of the same data, on other engines and machines


def metrics_from_sums(trainer: Trainer, sums: Sequence[float], examples: int) -> Metrics:
    """Return the loss and the metrics by name, from their sums over so many examples; NaN without examples."""
    metrics = trainer.summed_metrics()
    if not examples:
        return {"loss": math.nan, **{metric.name: math.nan for metric in metrics}}
    values, start = {"loss": float(sums[0] / examples)}, 1
    for metric in metrics:
        width = metric.width(trainer.model.outputs)
        value = metric.value(np.array(sums[start : start + width]), examples)
        values[metric.name] = _number(f"metric {short(metric.name)}: value", value)
        start += width
    return values


def make_measure(trainer: Trainer, data: Dataset, engine: str) -> Measure:
    """Return the function `measure(state)`: the loss and the metrics on the data, by name.

    Args:
        trainer: A resolved trainer.
        data: The data, encoded.
        engine: The name of the engine.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of the trainer.
    """
    sums_of = select_engine(engine).make_measure(computation_of(trainer), data)
    measure_whole = make_whole_measure(trainer, data)

    def measure(state: TrainState) -> Metrics:
        with quiet():
            metrics = metrics_from_sums(trainer, sums_of(state.params.vector, state.buffers), len(data))
            if measure_whole is not None:
                outputs = compute_outputs(trainer, state, data.x, engine)
                metrics |= with_threads(trainer.blas_threads(), measure_whole, outputs)
            return metrics

    return measure


def measure_outputs(trainer: Trainer, data: Dataset, outputs: Array) -> Metrics:
    """Return the loss and the metrics of outputs on the data, by name.

    Args:
        trainer: A resolved trainer.
        data: The data, encoded.
        outputs: The outputs for each row of the data, (N, K), whose dtype is that of the computation.
    """
    computation = computation_of(trainer)._replace(dtype=str(outputs.dtype))
    measure_whole = make_whole_measure(trainer, data)
    with quiet():
        sums = with_threads(trainer.blas_threads(), sums_of_outputs, computation, data, outputs)
        metrics = metrics_from_sums(trainer, sums, len(data))
        if measure_whole is not None:
            metrics |= with_threads(trainer.blas_threads(), measure_whole, outputs)
        return metrics


def is_consistent(measure: Measure, start: TrainState, adapted: TrainState) -> bool:
    """Return whether the validation metrics that a state has can be those of the present validation data.

    The metrics of its parameters are compared, else those of its best ones. A state without validation metrics, or with those
    of another loss or model, is consistent with any data.

    Args:
        measure: Measures a state on the present validation data.
        start: The state.
        adapted: The same state, adapted to the present trainer.
    """
    stopping = start.early_stopping
    recorded = next((metrics for metrics in (start.metrics, stopping.best_metrics) if "val_loss" in metrics), None)
    if recorded is None or start.loss != adapted.loss or not same_bits(start.params.model, adapted.params.model):
        return True
    measured = measure(start if recorded is start.metrics else restored(start))
    # Losses that are not finite are alike on many data: then all metrics are compared.
    names = ["loss"] if math.isfinite(recorded["val_loss"]) else [name for name in measured if f"val_{name}" in recorded]
    return all(_is_close(measured[name], recorded[f"val_{name}"]) for name in names)


def _number(name: str, value: Any) -> Any:
    """Check that a function returned a number."""
    if np.shape(value) != () or np.asarray(value).dtype.kind not in "biuf":
        raise TypeError(f"{name} must return a number, got {short(value)}")
    return value


def _is_close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=SAME_DATA_TOLERANCE)


def make_whole_measure(trainer: Trainer, data: Dataset) -> Callable[[Array], Metrics] | None:
    """Return the function of the model's outputs that computes the metrics of all examples at once; None without such metrics.

    Raises:
        ValueError: From the function, if a metric cannot be measured. The message names it.
    """
    metrics, task = trainer.whole_metrics(), trainer.loss.task(trainer.model.outputs)

    def measure(outputs: Array) -> Metrics:
        values, outputs = {}, outputs.astype(np.float64)
        for metric in metrics:
            try:
                values[metric.name] = _number("measure", metric.measure(outputs, data.y, trainer.loss, task))
            except Exception as error:
                hint = "; functools.partial binds a function's further arguments" if isinstance(metric, Whole) else ""
                raise ValueError(f"metrics: {short(metric.name)} cannot be measured on this data: {error}{hint}") from error
        return values

    return measure if metrics else None
