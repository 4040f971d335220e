"""Means and scales agree with exact fractions; a spread of rounding errors counts as none."""

from fractions import Fraction
from statistics import pvariance

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnloop.data.standardization import mean_and_scale

values = st.floats(-300, 149).flatmap(lambda exponent: st.sampled_from([10.0**exponent, -(10.0**exponent)]))
rows = st.integers(1, 300)
dtypes = st.sampled_from(["float32", "float64"])


@given(values, rows)
def test_a_constant_column_has_its_value_as_mean_and_scale_one(value, n):
    """For any value and number of rows: the rounding error of a sum never becomes a scale (scikit-learn#17794)."""
    mean, scale = mean_and_scale(np.full((n, 1), value))
    assert mean.tolist() == [value]
    assert scale.tolist() == [1.0]


@given(st.floats(1e-6, 1e6), st.lists(st.integers(-7, 7), min_size=1, max_size=50), dtypes)
def test_a_few_rounding_errors_are_no_spread(value, errors, dtype):
    """In the column's own dtype; a new value is then standardized to its difference from the mean."""
    epsilon = np.finfo(dtype).eps
    column = (np.array(value, dtype) * (1 + np.array(errors) * epsilon)).astype(dtype)
    mean, scale = mean_and_scale(column.astype(np.float64)[:, None], float(epsilon))
    assert scale.tolist() == [1.0]
    assert mean[0] == pytest.approx(value, rel=1e-5)


@given(
    st.integers(0, 10**6), st.integers(2, 60), st.floats(-140, 140), st.floats(-9, 9), st.sampled_from(["normal", "outlier"])
)
def test_means_and_scales_are_those_of_exact_arithmetic(seed, n, exponent, offset, kind):
    """For columns of any size, with a mean up to 1e9 times the spread."""
    draw = np.random.default_rng(seed)
    spread = draw.standard_normal(n) if kind == "normal" else np.eye(n)[0]
    column = (spread + draw.choice([-1, 1]) * 10.0**offset) * 10.0**exponent
    mean, scale = mean_and_scale(column[:, None])
    exact = [Fraction(float(value)) for value in column]
    center = sum(exact) / n
    assert float(abs(Fraction(float(mean[0])) - center)) <= 4e-16 * abs(column).max()
    variance = pvariance(exact) / Fraction(10.0**exponent) ** 2
    assert scale[0] / 10.0**exponent == pytest.approx(float(variance) ** 0.5, rel=1e-12)


def test_a_small_spread_that_is_real_is_kept_however_many_rows():
    """Timestamps in nanoseconds, microseconds apart, in a column whose rows times epsilon is larger than that."""
    column = 1.7e18 + 1e6 * (np.arange(10_000) % 7)
    assert mean_and_scale(column[:, None])[1] == pytest.approx([2e6], rel=1e-3)
