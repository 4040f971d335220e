"""The contract of a metric: statistics that are summed over examples, and a value computed from the sums.

The value does not depend on how the examples were divided into batches, a smaller last batch counts by its size, and a run can
stop and resume within an epoch.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Mode, OptionalMode, Task, function_of
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import name_of

PerExample = Callable[[AnyArray, AnyArray], AnyArray]
Statistics = Sequence[Any]  # numbers of either engine
Needs = Literal["predictions", "probabilities", "outputs"]


class MetricMembers(Protocol):
    """The members that `Metric` and `WholeMetric` have in common."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the metric in `state.metrics`; on validation data it has the prefix `val_`."""

    @property
    def mode(self) -> Mode | None:
        """`"min"` if the smallest value is best, `"max"` if the largest; None if the caller must state it."""
        return None

    @property
    def task(self) -> Task | None:
        """The task of the losses that the metric can be measured with; None for any."""
        return None

    @property
    def needs(self) -> Needs | None:
        """The input of the metric: `"probabilities"` restricts it to losses that define them."""
        return None

    def for_task(self, task: Task | None) -> Self:
        """Return the metric that reads the outputs of a task: by default itself.

        Args:
            task: The task of the loss.
        """
        return self


@runtime_checkable
class Metric(MetricMembers, Protocol):
    """A metric from statistics that are summed over examples.

    A custom metric is a frozen record that subclasses this protocol and defines `name`, `sums`, `width` and `value`. The other
    members have defaults. An object that has all members without being a subclass is a metric, too.

    Shapes:
        outputs: (N, K), for N examples and K outputs of the model.
        targets: (N,) or (N, K), as in the dataset.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Bias(fl.metrics.Metric):
        ...     name = "bias"
        ...     def sums(self, outputs, targets):
        ...         return [(outputs[:, 0] - targets).sum()]
        ...     def width(self, outputs):
        ...         return 1
        ...     def value(self, sums, examples):
        ...         return float(sums[0] / examples)
        >>> fl.Trainer(model=fl.mlp([3, 1]), loss="mse", metrics=Bias()).metrics
        (Bias(),)

    See Also:
        `Mean`: A metric from a function that returns one value for each example.
        `WholeMetric`: A metric that needs all examples at once.
    """

    __slots__ = ()

    @abstractmethod
    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the statistics of these examples, `width(K)` numbers.

        Args:
            outputs: The outputs of the model, (N, K).
            targets: The targets, (N,) or (N, K), as in the dataset.
        """

    @abstractmethod
    def width(self, outputs: int) -> int:
        """Return the number of statistics.

        Args:
            outputs: The number of outputs of the model, K.

        Raises:
            ValueError: If the metric cannot be measured on such a model.
        """

    @abstractmethod
    def value(self, sums: Array, examples: float) -> float:
        """Return the metric.

        Args:
            sums: The statistics of all examples.
            examples: The number of examples.
        """

    def merge(self, a: Statistics, b: Statistics) -> list[Any]:
        """Return the statistics of two sets of examples together: by default their sum.

        Args:
            a: The statistics of the first set.
            b: The statistics of the second set.
        """
        return add(a, b)


def make_merge(metrics: Sequence[Metric], outputs: int) -> Callable[[Statistics, Statistics], list[Any]]:
    """Return the function that merges the statistics of two sets of examples: the sum of the losses, then those of metrics.

    Args:
        metrics: The metrics.
        outputs: The number of outputs of the model.
    """
    if all(getattr(metric.merge, "__func__", None) is Metric.merge for metric in metrics):
        return add  # one pass over all statistics is faster than one for each metric
    ends = list(accumulate((metric.width(outputs) for metric in metrics), initial=1))

    def merge(a: Statistics, b: Statistics) -> list[Any]:
        merged = add(a[:1], b[:1])
        for metric, start, end in zip(metrics, ends, ends[1:], strict=False):
            merged += metric.merge(a[start:end], b[start:end])
        return merged

    return merge


def add(a: Statistics, b: Statistics) -> list[Any]:
    """Return the elementwise sum."""
    return [x + y for x, y in zip(a, b, strict=True)]


@frozen
class Mean(Metric):
    """The mean over examples of a custom function; a trainer wraps a function given as a metric in it.

    Args:
        function: A function of (outputs, targets) that returns one value for each example, (N,).
        mode: `"min"` if the smallest value is best, `"max"` if the largest. Default: None, for which the code that monitors
            the metric must state the mode.

    Raises:
        TypeError: If `function` is not a function.
        ValueError: If the mode is unknown; when the metric is computed, if the function returns another shape.

    Examples:
        >>> def overestimates(outputs, targets):
        ...     return (outputs[:, 0] > targets) * 1.0
        >>> metric = Mean(overestimates, mode="min")
        >>> metric.name, metric.values(np.array([[2.0], [3.0]]), np.array([1.0, 5.0]))
        ('overestimates', array([1., 0.]))
    """

    function: Annotated[PerExample, function_of("(outputs, targets)")]
    mode: OptionalMode = None

    @property
    def name(self) -> str:
        """The name of the function."""
        return name_of(self.function)

    def values(self, outputs: AnyArray, targets: AnyArray) -> AnyArray:
        """Return the value of the function for each example, (N,) or (N, 1).

        Args:
            outputs: The outputs of the model, (N, K).
            targets: The targets.

        Raises:
            ValueError: If the function does not return one value for each example.
        """
        values = self.function(outputs, targets)
        if not hasattr(values, "__array_namespace__"):
            values = np.asarray(values)
        if values.shape not in {(len(outputs),), (len(outputs), 1)}:
            raise ValueError(
                f"metric {short(self.name)} must return one value for each example, of shape {(len(outputs),)}, "
                f"got {values.shape}"
            )
        return values

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the sum of the function's values."""
        values = self.values(outputs, targets)
        return [values.sum(dtype=widest(values))]

    def width(self, outputs: int) -> int:
        """Return 1."""
        return 1

    def value(self, sums: Array, examples: float) -> float:
        """Return the mean of the function's values."""
        return float(sums[0] / examples)


def widest(like: AnyArray) -> Any:
    """Return the widest floating dtype of the array's namespace: float64, or float32 under JAX's default settings."""
    return namespace(like).zeros(0).dtype
