"""Values in messages and reprs: on one line, cut, and never the data of an array."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen

HERE = Path(fl.__file__).parent
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([np.float32(1), object]),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


class Broken:
    """An object whose repr raises."""

    def __repr__(self):
        raise RuntimeError("no repr")


@frozen
class Holder:
    array: Array
    texts: tuple[str, ...]


@given(plain, st.integers(10, 200))
def test_one_line_of_a_bounded_length(value, most):
    """For any value; a value that fits is its repr."""
    text = short(value, most)
    assert len(text) <= max(most, len("<list of length 100>"))
    assert "\n" not in text
    if len(repr(value)) <= most and "<" not in text and "..." not in text and not isinstance(value, str | bytes):
        assert text == " ".join(repr(value).split()) or text == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((1000, 64), np.float32), "<ndarray of shape (1000, 64), float32>"),
        (np.ma.masked_array([1, 2], [True, False]), "<MaskedArray of shape (2,), int64>"),
        ([np.zeros(3)] * 2, "[<ndarray of shape (3,), float64>, <ndarray of shape (3,), float64>]"),
        ([[0.0] * 64] * 1000, "<list of length 1000>"),
        ({i: i for i in range(99)}, "<dict of length 99>"),
        ("x" * 10**6, f"'{'x' * 48}...{'x' * 47}'"),
        (10**9999, "<int>"),
        (Broken(), "<Broken>"),
        (range(10**12), "range(0, 1000000000000)"),
        (Holder(np.zeros(3), ("a", "b")), "Holder(array=<ndarray of shape (3,), float64>, texts=('a', 'b'))"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values(value, text):
    """Arrays by type, shape and dtype; long collections by length."""
    assert short(value) == text


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_frames(frames):
    """Frames and series of pandas and polars."""
    frame = pytest.importorskip(frames).DataFrame({"a": [1.5] * 999, "b": [2] * 999})
    assert short(frame) == "<DataFrame of shape (999, 2)>"
    assert short(frame["a"]).lower() == "<series of shape (999,), float64>"


def test_a_value_that_contains_itself():
    """The text is finite."""
    value = []
    value.append(value)
    assert len(short(value)) < 80


@given(st.lists(st.text(max_size=99)))
def test_lists_of_names(names):
    """Long lists are cut, and end with the number of names."""
    text = listed(names)
    assert len(text) < 180
    assert "..." in text or text == (", ".join(names) or "none")


def test_messages_show_values_in_limited_length():
    """No error message uses a plain repr, which can have any length."""
    for path in HERE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                plain = [
                    part for part in ast.walk(node) if isinstance(part, ast.FormattedValue) and part.conversion == ord("r")
                ]
                assert not plain, f"{path}:{node.lineno}: write {{short(value)}} for {{value!r}}"
