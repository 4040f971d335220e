"""Checks of arguments, and types that carry one: an annotation says what a field may hold, and `@frozen` enforces it.

A check is a function `(name, value) -> value` in the metadata of `Annotated`. It returns the value in its plain Python
form (a NumPy integer becomes an `int`), or raises a `TypeError` or `ValueError` with the name, the value and what is allowed.
"""

import math
import operator
from collections.abc import Callable, Mapping, Set
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, Union

import numpy as np

from fnloop.core.formatting import listed, short
from fnloop.core.protocols import fulfils, missing_members
from fnloop.core.signatures import call_hint, did_you_mean

Check = Callable[[str, Any], Any]
Mode = Literal["min", "max"]
Task = Literal["classification", "multilabel", "regression", "quantiles"]
Value = TypeVar("Value")
Input = TypeVar("Input")

if TYPE_CHECKING:

    class Converted(Generic[Value, Input]):
        """The type of a field that is converted: `Converted[Loss, str]` holds a loss, and accepts a loss or a string."""

        def __get__(self, record: Any, owner: Any) -> Value: ...
        def __set__(self, record: Any, value: Value | Input) -> None: ...
else:

    class Converted:
        """A field type that accepts any of its parameters."""

        def __class_getitem__(cls, kinds):
            return Union[kinds]  # noqa: UP007


def integer(at_least: int, below: int | None = None) -> Check:
    """Return the check for an integer in [at_least, below)."""
    allowed = f"an integer of at least {at_least}" + (f" and below {below}" if below is not None else "")

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be {allowed}, got {short(value)}")
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{name} must be {allowed}, got {short(value)}") from None
        if number < at_least or (below is not None and number >= below):
            raise ValueError(f"{name} must be {allowed}, got {short(value)}")
        return number

    return check


def real(interval: str) -> Check:
    """Return the check for a finite real number in an interval, such as `"(0, inf)"` or `"[0, 1)"`."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = operator.gt if interval[0] == "(" else operator.ge
    below = operator.lt if interval[-1] == ")" else operator.le

    def check(name: str, value: Any) -> float:
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
            raise TypeError(f"{name} must be a real number in {interval}, got {short(value)}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and above(number, low) and below(number, high)):
            raise ValueError(f"{name} must be a real number in {interval}, got {short(value)}")
        return number

    return check


def choice(*names: str) -> Check:
    """Return the check for one of several names."""

    def check(name: str, value: Any) -> str:
        if not (isinstance(value, str) and value in names):
            kind = ValueError if isinstance(value, str) else TypeError
            raise kind(f"{name} must be one of {', '.join(map(repr, names))}, got {short(value)}{did_you_mean(value, names)}")
        return value

    return check


def boolean(name: str, value: Any) -> bool:
    """Check that a value is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {short(value)}")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Check that a value is a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a non-empty string, got {short(value)}")
    return value


def line(name: str, value: Any) -> str:
    """Check that a value is a string of one line that is not blank."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text of one line, got {short(value)}")
    if not value.strip() or len(value.splitlines()) > 1:
        raise ValueError(f"{name} must be text of one line that is not blank, got {short(value)}")
    return value


def metric_name(name: str, value: Any) -> str:
    """Check that a value is the name of a metric."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be the name of a metric, such as 'val_loss', got {short(value)}")
    return value


def sequence_of(check: Check, ascending: bool = False) -> Check:
    """Return the check for a sequence whose items each pass a check; it becomes a tuple."""

    def check_all(name: str, values: Any) -> tuple[Any, ...]:
        if isinstance(values, str | Mapping | Set) or not hasattr(values, "__iter__"):
            raise TypeError(f"{name} must be a sequence, got {short(values)}")
        checked = tuple(check(f"{name}[{i}]", value) for i, value in enumerate(values))
        if ascending and any(a > b for a, b in pairwise(checked)):
            raise ValueError(f"{name} must be in ascending order, got {short(values)}")
        return checked

    return check_all


def extents(name: str, value: Any) -> tuple[int, ...]:
    """Check the shape of an example, a sequence of positive integers; a number D means (D,)."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return (integer(1)(name, value),)
    checked: tuple[int, ...] = sequence_of(integer(1))(name, value)
    if not checked:
        raise ValueError(f"{name} must have at least one extent, got {short(value)}")
    return checked


def instance_of(protocol: type, what: str, hint: Callable[[Any], str] | None = None) -> Check:
    """Return the check for an instance that has all members of a `runtime_checkable` protocol; it is returned unchanged.

    The error names the argument and the value. It adds how to call a class, or a function of this package, that was given
    instead of an instance, else which members are missing.

    Args:
        protocol: The protocol. Properties of the value are not evaluated.
        what: The kind of value with an example, for the error: `"a loss, such as fl.losses.Huber(delta=2.0)"`.
        hint: Returns what to add to the error for a value of another kind, such as `"; write fl.nn.Activation('relu')"`, or
            `""` to add what is said above. Default: `None`, which adds that.

    Raises:
        TypeError: From the check, if a member is missing.

    Examples:
        >>> from typing import Protocol, runtime_checkable
        >>> @runtime_checkable
        ... class Schedule(Protocol):
        ...     def step(self, state): ...
        >>> instance_of(Schedule, "a schedule")("scheduler", np.float32(0.1))
        Traceback (most recent call last):
        TypeError: scheduler must be a schedule, got np.float32(0.1); it has no step
    """

    def check(name: str, value: Any) -> Any:
        if fulfils(value, protocol):
            return value
        added = (hint(value) if hint else "") or call_hint(value) or _missing_hint(value, protocol)
        raise TypeError(f"{name} must be {what}, got {short(value)}{added}")

    return check


def _missing_hint(value: Any, protocol: type) -> str:
    """Return what to add to an error about an object that lacks members; nothing for one of a built-in type."""
    missing = missing_members(value, protocol)
    if not missing or type(value).__module__ == "builtins":
        return ""
    abstract = getattr(protocol, "__abstractmethods__", None) or missing  # if none is marked, all are required
    required = [name for name in missing if name in abstract]
    if required:
        return f"; it has no {listed(required, 60)}"
    return f"; it has no {listed(missing, 40)}; inherit from {protocol.__name__}"


def function_of(arguments: str) -> Check:
    """Return the check for a function, not a class, of arguments such as `"(outputs, targets)"`."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, type) or not callable(value):
            raise TypeError(f"{name} must be a function of {arguments}, got {short(value)}")
        return value

    return check


def optional(check: Check) -> Check:
    """Return the check for None or a value that passes a check."""
    return lambda name, value: None if value is None else check(name, value)


Count = Annotated[int, integer(0)]
PositiveInt = Annotated[int, integer(1)]
Seed = Annotated[int, integer(0, 2**64)]
Positive = Annotated[float, real("(0, inf)")]
NonNegative = Annotated[float, real("[0, inf)")]
Finite = Annotated[float, real("(-inf, inf)")]
Times = Annotated[tuple[int, ...], sequence_of(integer(0), ascending=True)]
NonNegatives = Annotated[tuple[float, ...], sequence_of(real("[0, inf)"))]
Decay = Annotated[float, real("[0, 1)")]  # of a running mean
Factor = Annotated[float, real("(0, 1]")]
OptionalMode = Annotated[Mode | None, optional(choice("min", "max"))]
MetricName = Annotated[str, metric_name]
Flag = Annotated[bool, boolean]
Extents = Annotated[Any, extents]  # given as a number or several, held as tuple[int, ...]
