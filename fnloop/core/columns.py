"""A number for each member of a population, in the place of one number."""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np


class ColumnError(TypeError):
    """A use of a column that has no one meaning for all members: they have to be computed one by one."""


class Column:
    """K numbers, one for each member, that take the place of a hyperparameter of all members.

    Arithmetic with numbers and other columns is that of Python's floats, member by member. Where a column meets an array,
    whose first axis is that of the members, it is rounded to the array's dtype, as a Python float is. So each member gets the
    bits that its own number gives it. A comparison, or a truth value, on which members differ raises a `ColumnError`.

    Args:
        values: The numbers.

    Examples:
        >>> rates = Column([0.1, 0.2])
        >>> np.ones((2, 3)) * (1 - rates)
        array([[0.9, 0.9, 0.9],
               [0.8, 0.8, 0.8]])
    """

    __slots__ = ("_cast", "values")

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)
        self._cast: dict[Any, Any] = {}

    def like(self, array: Any) -> Any:
        """Return the numbers in the dtype of an array, in a shape that broadcasts against it: (K, 1, ...)."""
        key = array.dtype, array.ndim
        if key not in self._cast:
            self._cast[key] = np.array(self.values, array.dtype).reshape(-1, *(1,) * (array.ndim - 1))
        return self._cast[key]

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        arrays = [operand for operand in operands if isinstance(operand, np.ndarray) and operand.ndim]
        if method != "__call__" or not arrays:
            return NotImplemented
        return ufunc(*(x.like(arrays[0]) if isinstance(x, Column) else x for x in operands), **options)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ColumnError("a column of numbers is neither an array nor a number")

    __float__ = __array__

    def __bool__(self) -> bool:
        return _common(map(bool, self.values))

    def __neg__(self) -> "Column":
        return Column([-value for value in self.values])

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Column({self.values})"


def _binary(function: Callable[[Any, Any], Any], *, reflected: bool) -> Any:
    def method(self: Column, other: Any) -> Any:
        if isinstance(other, Column):
            others: Sequence[Any] = other.values
        elif isinstance(other, int | float):
            others = (other,) * len(self.values)
        else:
            return NotImplemented
        pairs = zip(others, self.values, strict=True) if reflected else zip(self.values, others, strict=True)
        return Column([function(a, b) for a, b in pairs])

    return method


def _comparison(function: Callable[[Any, Any], Any]) -> Any:
    def method(self: Column, other: Any) -> bool:
        others = other.values if isinstance(other, Column) else (other,) * len(self.values)
        return _common(map(function, self.values, others))

    return method


def _common(answers: Iterable[bool]) -> bool:
    distinct = set(answers)
    if len(distinct) > 1:
        raise ColumnError("members differ in the answer")
    return distinct.pop()


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _function = getattr(operator, _name)
    setattr(Column, f"__{_name}__", _binary(_function, reflected=False))
    setattr(Column, f"__r{_name}__", _binary(_function, reflected=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Column, f"__{_name}__", _comparison(getattr(operator, _name)))


def column(values: Sequence[float]) -> Any:
    """Return one number if all are equal to the bit, else a column.

    Args:
        values: A number for each member.
    """
    first = values[0]
    return first if all(value is first or value == first for value in values) else Column(values)
