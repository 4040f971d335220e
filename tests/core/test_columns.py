"""A column gives each member the bits that its own number gives it, or it raises an error."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnloop.core.columns import Column, ColumnError, column
from fnloop.core.digest import same_bits

NUMBERS = st.floats(-1e3, 1e3).filter(lambda value: value == 0 or abs(value) > 1e-3)
POSITIVE = st.floats(1e-3, 30)
COLUMNS = st.lists(NUMBERS, min_size=2, max_size=5)
OPERATORS = operator.add, operator.sub, operator.mul, operator.truediv
IN_PLACE = operator.iadd, operator.isub, operator.imul, operator.itruediv
DTYPES = st.sampled_from(["float32", "float64"])


def matrix(rows, dtype):
    return (np.arange(1, 1 + 7 * rows).reshape(rows, 7) / 3).astype(dtype)


def each(function, *operands):
    """The values of a function for each member."""
    return [function(*values) for values in zip(*operands, strict=True)]


@given(st.lists(POSITIVE, min_size=2, max_size=5), POSITIVE, st.sampled_from([*OPERATORS, operator.pow, operator.mod]))
def test_arithmetic_is_that_of_the_numbers(values, other, function):
    others = values[::-1]
    for kind in (float, np.float64):
        assert same_bits(function(Column(values), kind(other)).values, [function(v, kind(other)) for v in values])
        assert same_bits(function(kind(other), Column(values)).values, [function(kind(other), v) for v in values])
    assert same_bits(function(Column(values), Column(others)).values, each(function, values, others))


@given(COLUMNS)
def test_signs_and_sizes_are_those_of_the_numbers(values):
    assert same_bits((-Column(values)).values, [-value for value in values])
    assert same_bits((+Column(values)).values, values)
    assert same_bits(abs(Column(values)).values, [abs(value) for value in values])


@given(COLUMNS, st.sampled_from(OPERATORS), DTYPES)
def test_an_array_gets_the_bits_of_each_number(values, function, dtype):
    array = matrix(len(values), dtype)
    with np.errstate(divide="ignore"):
        for operands in (array, Column(values)), (Column(values), array):
            result = function(*operands)
            rows = [function(*pair) for pair in zip(*(getattr(o, "values", o) for o in operands), strict=True)]
            assert result.dtype == array.dtype
            assert same_bits(result, np.stack(rows))


@given(COLUMNS, st.sampled_from(IN_PLACE), DTYPES)
def test_an_array_is_changed_in_place_to_the_bits_of_each_number(values, function, dtype):
    array, rows = matrix(len(values), dtype), list(matrix(len(values), dtype))
    with np.errstate(divide="ignore"):
        changed = function(array, Column(values))
        assert changed is array
        assert same_bits(array, np.stack(each(function, rows, values)))


@given(COLUMNS, DTYPES)
def test_functions_of_numpy_give_the_bits_of_each_number(values, dtype):
    array, high = matrix(len(values), dtype), [abs(value) for value in values]
    for function in (np.maximum, np.minimum, np.less, np.greater_equal):
        assert same_bits(function(array, Column(values)), np.stack(each(function, array, values)))
    low = [-value for value in high]
    assert same_bits(np.clip(array, Column(low), Column(high)), np.stack(each(np.clip, array, low, high)))
    out = np.empty_like(array)
    np.multiply(array, Column(values), out=out)
    assert same_bits(out, np.stack(each(np.multiply, array, values)))


def test_an_array_of_three_axes_has_the_members_first():
    array = np.ones((2, 3, 4), np.float32)
    assert same_bits((array * Column([2.0, 3.0]))[:, 0, 0], np.array([2, 3], np.float32))


@pytest.mark.parametrize(
    "use",
    [
        lambda column: column < 1.5,
        lambda column: column <= 1.5,
        lambda column: column == 1.0,
        lambda column: max(column, 1.5),
        lambda column: bool(column - 1.0),
        lambda column: float(column),
        lambda column: int(column),
        lambda column: hash(column),
        lambda column: round(column),
        lambda column: math.sqrt(column),
        lambda column: range(column),
        lambda column: np.asarray(column),
        lambda column: np.where(True, column, 0.0),
        lambda column: np.ones((2, 3)) ** column,
        lambda column: np.hypot(np.ones((2, 3)), column),
        lambda column: np.add.reduce(column),
        lambda column: np.ones(3) * column,
        lambda column: np.ones(2) * column,
        lambda column: np.ones((3, 2)) * column,
        lambda column: np.ones((2, 3), np.float32) * (column * np.float64(2)),
    ],
)
def test_a_use_without_one_meaning_for_all_members_raises(use):
    with pytest.raises(ColumnError):
        use(Column([1.0, 2.0]))


def test_comparisons_on_which_members_agree_have_their_answer():
    values = Column([1.0, 2.0])
    assert (values < 3, values > 3, bool(values), values == Column([1.0, 2.0])) == (True, False, True, True)
    assert np.float64(3.0) > values


def test_numbers_that_are_equal_to_the_bit_are_one_number():
    assert column([0.5, 0.5]) == 0.5
    assert isinstance(column([0.0, -0.0]), Column)
    assert isinstance(column([1.0, 1.0 + 1e-15]), Column)
    assert repr(column([1.0, 2.0])) == "Column([1.0, 2.0])"
