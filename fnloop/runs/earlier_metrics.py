"""The metrics of the epochs before a fork as arrays: 100,000 epochs take a few megabytes and are read in milliseconds."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.records import frozen

Metrics = Mapping[str, float]


@frozen
class EarlierMetrics:
    """The metrics of consecutive epochs, with the bits of every value.

    Args:
        names: The names of the metrics.
        values: The values, float64, (epochs, metrics); 0 where an epoch lacks a metric.
        present: Whether an epoch has a metric, bool, (epochs, metrics).

    Raises:
        ValueError: If an array has another shape or dtype, or a name comes twice.
    """

    names: tuple[str, ...]
    values: Array
    present: Array

    def __attrs_post_init__(self) -> None:
        shape = (len(self.values), len(self.names)) if self.values.ndim else None
        for name, array, dtype in (("values", self.values, "float64"), ("present", self.present, "bool")):
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(
                    f"{name} must be {dtype} of shape (epochs, {len(self.names)}), got {array.dtype} {array.shape}"
                )
        if len(set(self.names)) != len(self.names) or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"names must be different texts, got {self.names}")

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.values)

    def epoch(self, index: int) -> dict[str, float]:
        """Return the metrics of an epoch.

        Args:
            index: Its index, from 0 for the first epoch; -1 for the last.
        """
        row = zip(self.names, self.values[index].tolist(), self.present[index].tolist(), strict=True)
        return {name: value for name, value, is_present in row if is_present}

    def only(self, names: Collection[str]) -> "EarlierMetrics":
        """Return the same epochs with only those of the metrics whose names are given."""
        kept = [i for i, name in enumerate(self.names) if name in names]
        return _made([self.names[i] for i in kept], self.values[:, kept], self.present[:, kept])

    def last_with(self, names: Collection[str]) -> "EarlierMetrics":
        """Return the last consecutive epochs that have all metrics of these names."""
        columns = [self.names.index(name) for name in names if name in self.names]
        is_whole = self.present[:, columns].sum(axis=1) == len(names)
        gaps = np.flatnonzero(~is_whole)
        first = int(gaps[-1]) + 1 if gaps.size else 0
        return _made(self.names, self.values[first:], self.present[first:])

    def mappings(self) -> Iterator[Metrics]:
        """Yield the metrics of each epoch, from the first to the last."""
        if self.present.all():
            yield from (dict(zip(self.names, row, strict=True)) for row in self.values.tolist())
        else:
            yield from map(self.epoch, range(len(self)))


def earlier_metrics(epochs: Iterable[Metrics]) -> EarlierMetrics:
    """Return the metrics of epochs as arrays.

    Args:
        epochs: The metrics of each epoch by name.

    Examples:
        >>> earlier = earlier_metrics([{"loss": 0.5}, {"loss": 0.4, "val_loss": 0.6}])
        >>> earlier.names, len(earlier), earlier.epoch(0)
        (('loss', 'val_loss'), 2, {'loss': 0.5})
    """
    epochs = list(epochs)
    kinds = dict.fromkeys(map(tuple, epochs))  # the names of an epoch, in their order: nearly always those of all others
    names = list(dict.fromkeys(chain.from_iterable(kinds)))
    shape = len(epochs), len(names)
    if len(kinds) == 1:
        values = np.array([list(metrics.values()) for metrics in epochs], np.float64)
        return _made(names, values.reshape(shape), np.ones(shape, bool))
    values = np.array([[metrics.get(name, 0.0) for name in names] for metrics in epochs], np.float64)
    present = np.array([[name in metrics for name in names] for metrics in epochs], bool)
    return _made(names, values.reshape(shape), present.reshape(shape))


def joined(first: EarlierMetrics, second: EarlierMetrics) -> EarlierMetrics:
    """Return the metrics of the epochs of the first, then those of the second.

    Args:
        first: The metrics of some epochs.
        second: Those of the epochs after them.
    """
    names = list(dict.fromkeys([*first.names, *second.names]))
    shape = len(first) + len(second), len(names)
    values, present = np.zeros(shape), np.zeros(shape, bool)
    for part, rows in ((first, slice(0, len(first))), (second, slice(len(first), None))):
        columns = [names.index(name) for name in part.names]
        values[rows, columns], present[rows, columns] = part.values, part.present
    return _made(names, values, present)


def _made(names: Sequence[str], values: Array, present: Array) -> EarlierMetrics:
    return EarlierMetrics(tuple(names), read_only(np.ascontiguousarray(values)), read_only(np.ascontiguousarray(present)))


NO_EARLIER_METRICS = earlier_metrics([])
