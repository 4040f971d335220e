"""What a metric is: a few statistics summed over examples, and a value that is a function of the sums.

So it is the same whatever the batches were, a ragged last batch counts by its size, and a run can stop and go on in the middle
of an epoch.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import OptionalMode
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen

PerExample = Callable[[Any, Any], Any]


class Metric(Protocol):
    """A metric: `sums(outputs, targets)` adds `width(K)` statistics over examples, `value` reads their total.

    `width` raises a ValueError for a model that the metric cannot be measured on. A metric may also have a `task`,
    "classification" or "regression", which restricts it to losses of that kind, and a `mode`, "min" or "max", which says
    whether its smallest or its largest value is best. Without a mode, what monitors the metric must be told. Statistics that
    are no sums have a method `merge(a, b)`: it takes those of two sets of examples, as sequences of numbers, and returns those
    of both together.
    """

    @property
    def name(self) -> str: ...
    def sums(self, outputs: Any, targets: Any) -> list[Any]: ...
    def width(self, outputs: int) -> int: ...
    def value(self, sums: Array, examples: float) -> float: ...


def make_merge(metrics: Sequence[Metric], outputs: int) -> Callable[[Sequence[Any], Sequence[Any]], list[Any]]:
    """The function `merge(a, b)` of the statistics of two sets of examples: the sum of the loss, and what each metric has."""
    widths = [metric.width(outputs) for metric in metrics]
    ways = [getattr(metric, "merge", _add) for metric in metrics]
    if all(way is _add for way in ways):
        return _add
    ends = list(accumulate(widths, initial=1))

    def merge(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        merged = _add(a[:1], b[:1])
        for way, start, end in zip(ways, ends, ends[1:], strict=False):
            merged += way(a[start:end], b[start:end])
        return merged

    return merge


def _add(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return [x + y for x, y in zip(a, b, strict=True)]


@frozen
class Mean:
    """A user's own metric: the mean over examples of `function(outputs, targets)`, of shape (N,).

    Args:
        mode: `"min"` if the smallest value is best, `"max"` if the largest; None: whoever monitors the metric must say.
    """

    function: PerExample
    mode: OptionalMode = None

    @property
    def name(self) -> str:
        return name_of(self.function)

    def values(self, outputs: Any, targets: Any) -> Any:
        """What the function returns, if it is one value an example."""
        values = self.function(outputs, targets)
        if not hasattr(values, "__array_namespace__"):
            values = np.asarray(values)
        if values.shape not in {(len(outputs),), (len(outputs), 1)}:
            raise ValueError(
                f"metric {short(self.name)} must return one value an example, of shape {(len(outputs),)}, got {values.shape}"
            )
        return values

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        values = self.values(outputs, targets)
        return [values.sum(dtype=widest(values))]

    def width(self, outputs: int) -> int:
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)


def name_of(function: Any) -> str:
    """The name of a function, also of one with arguments bound by `functools.partial`."""
    while not hasattr(function, "__name__") and hasattr(function, "func"):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def widest(like: Any) -> Any:
    """The dtype to sum in: float64, but where the array's namespace has no wider one than float32."""
    return namespace(like).zeros(0).dtype
