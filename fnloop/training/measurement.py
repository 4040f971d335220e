"""The loss and the metrics of a state: from sums over examples, and of all outputs at once."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.digest import same_bits
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.engines import get_engine
from fnloop.engines.threads import with_threads
from fnloop.metrics import Whole
from fnloop.training.state import TrainState, restored
from fnloop.training.trainer import Trainer

# What overflows is found in the result and answered as the trainer says, not warned of on the way.
quiet = partial(np.errstate, all="ignore")

Values = dict[str, float]
Measure = Callable[[TrainState], Values]

NEAR = 1e-3  # the relative difference within which two losses can be of the same data


def means(trainer: Trainer, sums: Sequence[float], examples: int) -> Values:
    """The loss and the metrics from their sums over examples; NaN if there were none."""
    if not examples:
        return {"loss": math.nan, **{metric.name: math.nan for metric in trainer.summed_metrics()}}
    values, start = {"loss": float(sums[0] / examples)}, 1
    for metric in trainer.summed_metrics():
        width = metric.width(trainer.model.outputs)
        values[metric.name] = metric.value(np.array(sums[start : start + width]), examples)
        start += width
    return values


def make_measure(trainer: Trainer, data: Dataset, engine: str) -> Measure:
    """The function that measures a state on the data."""
    room, whole = get_engine(engine), make_whole(trainer, data)
    sums_of, whole_of = room.make_measure(trainer, data), whole and partial(with_threads, trainer.blas_threads(), whole)

    def measure(state: TrainState) -> Values:
        with quiet():
            values = means(trainer, sums_of(state), len(data))
            return values if whole_of is None else values | whole_of(room.outputs_over(trainer, state, data.x))

    return measure


def is_measured_by(measure: Measure, start: TrainState, adapted: TrainState) -> bool:
    """Whether the validation loss that a state has, of its parameters or of the best ones, can be one on these data.

    Engines and machines differ in the last digits. A state that has none, or one of another loss or model, is not asked.

    Args:
        measure: The function that measures a state on the validation data.
        start: The state.
        adapted: The state as the trainer continues from it.
    """
    best = start.early_stopping
    known = next((one for one in (start.metrics, best.best_metrics) if "val_loss" in one), None)
    if known is None or start.loss != adapted.loss or not same_bits(start.params.model, adapted.params.model):
        return True
    measured = measure(start if known is start.metrics else restored(start))
    finite = math.isfinite(known["val_loss"])  # else it says little, and the metrics are asked
    names = ["loss"] if finite else [name for name in measured if f"val_{name}" in known]
    return all(_near(measured[name], known[f"val_{name}"]) for name in names)


def _near(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=NEAR)


def make_whole(trainer: Trainer, data: Dataset) -> Callable[[Array], Values] | None:
    """The function of the model's outputs that gives the metrics of all examples at once; None if there are none."""
    metrics, outputs = trainer.whole_metrics(), trainer.model.outputs
    task = trainer.loss.task(outputs)

    def measure(outputs: Array) -> Values:
        values, outputs = {}, outputs.astype(np.float64)
        for metric in metrics:
            try:
                values[metric.name] = metric.measure(outputs, data.y, trainer.loss, task)
            except Exception as error:
                hint = "; functools.partial binds a function's further arguments" if isinstance(metric, Whole) else ""
                raise ValueError(f"metrics: {short(metric.name)} cannot be measured on this data: {error}{hint}") from error
        return values

    return measure if metrics else None
