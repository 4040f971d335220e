"""A number for each member of a population, in the place of one number."""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

# Operations whose result NumPy rounds in one way, whatever the strides of the operands; a power is not among them.
EXACT = {
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "clip"),
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
}


class ColumnError(TypeError):
    """A use of a column that has no one meaning for all members: they have to be computed one by one."""


class Column:
    """K numbers, one for each member, that take the place of a hyperparameter of all members.

    Arithmetic with numbers and other columns is that of the numbers, member by member. Where a column meets an array (K, ...),
    whose first axis is that of the members, it is rounded to the array's dtype, as a Python float is. So each member gets the
    bits that its own number gives it. What has no such meaning raises a `ColumnError`: a comparison or a truth value on which
    members differ, a conversion to one number or an array, and an array without an axis of members.

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
        """Return the numbers in the dtype of an array, in a shape that broadcasts against it: (K, 1, ...).

        Args:
            array: The array, (K, ...).
        """
        key = array.dtype, array.ndim
        if key not in self._cast:
            self._cast[key] = self._array(*key)
        if array.ndim < 2 or len(array) != len(self.values):
            raise ColumnError(f"an array of shape {array.shape} has no axis of {len(self.values)} members")
        return self._cast[key]

    def _array(self, dtype: Any, ndim: int) -> Any:
        wide = any(isinstance(value, np.generic) for value in self.values)
        if wide and dtype != np.float64:
            raise ColumnError("numbers of NumPy widen the arrays that they meet, those of Python do not")
        return np.array(self.values, np.result_type(dtype, 1.0)).reshape(-1, *(1,) * (ndim - 1))

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        arrays = [operand for operand in operands if isinstance(operand, np.ndarray) and operand.ndim]
        if method != "__call__" or (arrays and ufunc.__name__ not in EXACT):
            raise ColumnError(f"{ufunc.__name__} of a column may differ from that of a number")
        if arrays:
            return ufunc(*(x.like(arrays[0]) if isinstance(x, Column) else x for x in operands), **options)
        columns = [x.values if isinstance(x, Column) else (x,) * len(self.values) for x in operands]
        function = _OPERATORS.get(ufunc.__name__, ufunc)
        return Column([function(*of_member) for of_member in zip(*columns, strict=True)])

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise ColumnError("a column of numbers is neither an array nor a number")

    __array__ = __float__ = __int__ = __index__ = __complex__ = __round__ = __hash__ = _refuse

    def __bool__(self) -> bool:
        return _common(map(bool, self.values))

    def __neg__(self) -> "Column":
        return Column([-value for value in self.values])

    def __pos__(self) -> "Column":
        return self

    def __abs__(self) -> "Column":
        return Column([abs(value) for value in self.values])

    def __repr__(self) -> str:
        return f"Column({self.values})"


def _binary(function: Callable[[Any, Any], Any], *, reflected: bool) -> Any:
    def method(self: Column, other: Any) -> Any:
        if isinstance(other, Column):
            others: Sequence[Any] = other.values
        elif isinstance(other, int | float | np.generic):
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


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _function = getattr(operator, _name)
    setattr(Column, f"__{_name}__", _binary(_function, reflected=False))
    setattr(Column, f"__r{_name}__", _binary(_function, reflected=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Column, f"__{_name}__", _comparison(getattr(operator, _name)))


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {  # NumPy computes a power of two numbers in another way than one of arrays
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
}


def column(values: Sequence[float]) -> Any:
    """Return one number if all are equal to the bit, else a column.

    Args:
        values: A number for each member.
    """
    first = values[0]
    return first if all(value is first or _is_same(value, first) for value in values) else Column(values)


def _is_same(a: float, b: float) -> bool:
    return a == b and (a != 0 or math.copysign(1, a) == math.copysign(1, b))
