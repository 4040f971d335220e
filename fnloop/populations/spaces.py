"""Distributions of hyperparameters: each maps a uniform number in [0, 1) to a value."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Set
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np

from fnloop.core.checks import Finite, Positive, integer
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.signatures import call_hint


@runtime_checkable
class Distribution(Protocol):
    """A distribution of a hyperparameter.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Square(Distribution):
        ...     def quantile(self, u):
        ...         return u * u
        >>> Square().quantile(0.5)
        0.25
    """

    __slots__ = ()

    @abstractmethod
    def quantile(self, u: float) -> Any:
        """Return the value below which a share u of the values lies.

        Args:
            u: The share, in [0, 1).
        """


def check_distribution(name: str, value: Any) -> None:
    """Check that an argument is a distribution, and not its class.

    Args:
        name: The name of the argument.
        value: Its value.

    Raises:
        TypeError: If it is not.
    """
    if isinstance(value, type) or not isinstance(value, Distribution):
        raise TypeError(
            f"{name} must be a distribution, such as fl.spaces.uniform(0, 1), got {short(value)}{call_hint(value)}"
        )


def _check_order(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"high must be above low={short(low)}, got {short(high)}")


@frozen
class uniform(Distribution):
    """Values of an interval, all equally likely.

    Args:
        low: The lowest value.
        high: The value above all, which is above `low`.

    Raises:
        ValueError: If `high` is not above `low`.

    Examples:
        >>> uniform(1.0, 3.0).quantile(0.5)
        2.0
    """

    low: Finite
    high: Finite

    def __attrs_post_init__(self) -> None:
        _check_order(self.low, self.high)

    def quantile(self, u: float) -> float:
        """Return low + u (high - low)."""
        return self.low + u * (self.high - self.low)


@frozen
class log_uniform(Distribution):
    """Values of an interval whose logarithms are all equally likely: for rates and decays, whose magnitude is unknown.

    Args:
        low: The lowest value, above 0.
        high: The value above all, which is above `low`.

    Raises:
        ValueError: If `low` is not above 0, or `high` is not above `low`.

    Examples:
        >>> round(log_uniform(0.001, 0.1).quantile(0.5), 6)
        0.01
    """

    low: Positive
    high: Positive

    def __attrs_post_init__(self) -> None:
        _check_order(self.low, self.high)

    def quantile(self, u: float) -> float:
        """Return low (high / low)^u."""
        return float(self.low * (self.high / self.low) ** u)


@frozen
class integers(Distribution):
    """Integers, all equally likely.

    Args:
        low: The lowest.
        high: The highest, at least `low`.

    Raises:
        ValueError: If `high` is below `low`.

    Examples:
        >>> [integers(1, 3).quantile(u) for u in (0.0, 0.5, 0.9)]
        [1, 2, 3]
    """

    low: Annotated[int, integer(-(2**63))]
    high: Annotated[int, integer(-(2**63))]

    def __attrs_post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"high must be at least low={self.low}, got {self.high}")

    def quantile(self, u: float) -> int:
        """Return low + floor(u (high - low + 1))."""
        return self.low + int(u * (self.high - self.low + 1))


def _values(name: str, value: Any) -> tuple[Any, ...]:
    """Check that there are several values, in an order; NumPy's numbers become those of Python."""
    if isinstance(value, str | Mapping | Set) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be several values, such as ['relu', 'silu'], got {short(value)}")
    values = tuple(item.item() if isinstance(item, np.generic) else item for item in value)
    if not values:
        raise ValueError(f"{name} must be several values, such as ['relu', 'silu'], got {short(value)}")
    return values


@frozen
class one_of(Distribution):
    """One of several values, all equally likely.

    Args:
        values: The values.

    Raises:
        ValueError: If there are none.

    Examples:
        >>> one_of(["a", "b"]).quantile(0.7)
        'b'
    """

    values: Annotated[tuple[Any, ...], _values]

    def quantile(self, u: float) -> Any:
        """Return the value at index floor(u n)."""
        return self.values[int(u * len(self.values))]
