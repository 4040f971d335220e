"""What is measured: metrics as sums over examples, and which of two values is better.

A metric is kept as a sum over examples of a few statistics, and its value is a function of that sum. So it is the same
whatever the batches were, a ragged last batch counts by its size, and a run can stop and go on in the middle of an epoch.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fnloop.record import record
from fnloop.typing import Array, Mode

PerExample = Callable[[Any, Any], Any]


class Metric(Protocol):
    """A metric: `sums(outputs, targets)` adds `width(K)` statistics over examples, `value` reads their total."""

    @property
    def name(self) -> str: ...
    def sums(self, outputs: Array, targets: Array) -> list[Any]: ...
    def width(self, outputs: int) -> int: ...
    def value(self, sums: Array, examples: float) -> float: ...


@record
class Accuracy:
    """The share of examples whose class is right.

    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are integer labels (N,) or (N, 1), or
    one-hot rows (N, K).
    """

    name = "accuracy"

    def sums(self, outputs: Array, targets: Array) -> list[Any]:
        count = outputs.__array_namespace__().count_nonzero
        if outputs.shape[-1] == 1:
            return [count((outputs > 0).ravel() == (targets > 0.5).ravel())]
        labels = targets.argmax(-1) if targets.shape == outputs.shape else targets.ravel()
        return [count(outputs.argmax(-1) == labels)]

    def width(self, outputs: int) -> int:
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)


@record
class R2:
    """The coefficient of determination, R² = 1 - sum (y - f)² / sum (y - mean y)²; over several outputs, their mean.

    For constant targets it is 1 if the residuals are 0, else 0, as in scikit-learn. The sums are of float64; digits are lost
    where the targets' mean is many orders of magnitude above their spread.

    Shapes: `outputs` and `targets` are (N, K), or `targets` (N,) for K = 1.
    """

    name = "r2"

    def sums(self, outputs: Array, targets: Array) -> list[Any]:
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        return [*y.sum(0), *(y * y).sum(0), *((y - outputs) ** 2).sum(0)]

    def width(self, outputs: int) -> int:
        return 3 * outputs

    def value(self, sums: Array, examples: float) -> float:
        total, squares, residual = sums.reshape(3, -1)
        spread = np.maximum(squares - total * total / examples, 0.0)
        constant = spread <= 1e-15 * squares
        ratio = residual / np.where(constant, 1.0, spread)
        return float(np.where(constant, residual <= 1e-15 * squares, 1 - ratio).mean())


@record
class Mean:
    """A user's own metric: the mean over examples of `function(outputs, targets)`, of shape (N,)."""

    function: PerExample

    @property
    def name(self) -> str:
        return self.function.__name__

    def sums(self, outputs: Array, targets: Array) -> list[Any]:
        values = self.function(outputs, targets)
        if not hasattr(values, "__array_namespace__"):
            values = np.asarray(values)
        if values.shape not in {(len(outputs),), (len(outputs), 1)}:
            raise ValueError(
                f"metric {self.name!r} must return one value an example, of shape {(len(outputs),)}, got {values.shape}"
            )
        return [values.sum(dtype=widest(values))]

    def width(self, outputs: int) -> int:
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)


def widest(like: Any) -> Any:
    """The dtype to sum in: float64, but where the array's namespace has no wider one than float32."""
    return like.__array_namespace__().zeros(0).dtype


BY_NAME: dict[str, Metric] = {"accuracy": Accuracy(), "r2": R2()}


def get_metric(metric: str | PerExample) -> Metric:
    """The metric of that name, or the mean of a user's own function.

    Raises: ValueError: for an unknown name, with those there are; TypeError: for anything else.
    """
    if isinstance(metric, str):
        if metric not in BY_NAME:
            raise ValueError(f"metrics must be among {', '.join(BY_NAME)} or functions of (outputs, targets), got {metric!r}")
        return BY_NAME[metric]
    if not callable(metric):
        raise TypeError(f"metrics must be names ({', '.join(BY_NAME)}) or functions of (outputs, targets), got {metric!r}")
    return Mean(metric)


def mode_of(metric: str) -> Mode:
    """How a metric is read when nobody says: the smallest is best for a loss, the largest otherwise."""
    return "min" if metric.endswith("loss") else "max"


def worst(mode: Mode) -> float:
    """The value that no other is worse than."""
    return math.inf if mode == "min" else -math.inf


def improves(value: float, best: float, mode: Mode, min_delta: float = 0.0) -> bool:
    """Whether a value is better than the best by more than `min_delta`; NaN never is."""
    return value < best - min_delta if mode == "min" else value > best + min_delta


def look_up(metrics: Mapping[str, float], metric: str) -> float:
    """The value of a metric.

    Raises: ValueError: if it is not there, with those that are.
    """
    if metric not in metrics:
        raise ValueError(f"metric {metric!r} is not produced by this run; it produces {', '.join(metrics) or 'none'}")
    return metrics[metric]
