"""Array-likes with the same values make the same dataset; invalid ones raise an error with the name and the position."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fnloop as fl
from fnloop.core.arrays import is_frozen
from fnloop.core.records import evolve

NAMES = ("a", "b", "c")
tables = arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-1e6, 1e6))
ARRAY_LIKES = {
    "nested lists": lambda x: x.tolist(),
    "a list of arrays": list,
    "a tuple of tuples": lambda x: tuple(map(tuple, x.tolist())),
    "objects": lambda x: x.astype(object),
    "masked array without masked values": np.ma.masked_array,
    "Fortran order": np.asfortranarray,
    "pandas": lambda x: pd.DataFrame(x, columns=list(NAMES)),
    "pandas, nullable": lambda x: pd.DataFrame(x, columns=list(NAMES)).astype("Float64"),
    "pandas, objects": lambda x: pd.DataFrame(x, columns=list(NAMES)).astype(object),
    "polars": lambda x: pl.DataFrame(x, schema=list(NAMES)),
}


@pytest.mark.parametrize("kind", ARRAY_LIKES)
@given(x=tables)
def test_equal_values_make_equal_datasets(kind, x):
    """Values, dtype and shape are equal; the column names of a frame are kept."""
    y = np.arange(len(x))
    data = fl.Dataset(ARRAY_LIKES[kind](x), y)
    assert fl.same_bits(evolve(data, columns=()), fl.Dataset(x, y))
    assert data.columns == (NAMES if kind.startswith(("pandas", "polars")) else ())
    assert is_frozen(data.x)


@pytest.mark.parametrize("series", [list, tuple, pd.Series, pl.Series, np.ma.masked_array, lambda y: y.astype(object)])
@pytest.mark.parametrize("y", [np.arange(4), np.array([0.5, 1, 2, 3]), np.array(list("abca")), np.arange(4) > 1])
def test_targets_and_weights_keep_their_dtype(series, y):
    """Numbers, text and booleans, from any container."""
    x, weights = np.zeros((4, 3)), np.array([1.0, 2.0, 3.0, 4.0])
    assert fl.same_bits(fl.Dataset(x, series(y), series(weights)), fl.Dataset(x, y, weights))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16, np.float32])
def test_columns_get_their_common_dtype(dtype):
    """A single dtype is kept."""
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    for frame in (pd.DataFrame(x, columns=["a", "b"]), pl.DataFrame({"a": x[:, 0], "b": x[:, 1]})):
        assert fl.Dataset(frame, [0, 1]).x.dtype == dtype
    mixed = pd.DataFrame({"a": pd.array([1, 2], "Int64"), "b": pd.array([True, False], "boolean"), "c": [0.5, 1.5]})
    assert fl.Dataset(mixed, [0, 1]).x.tolist() == [[1, 1, 0.5], [2, 0, 1.5]]


def test_a_read_only_memory_map_is_not_copied(tmp_path):
    """The dataset shares its memory."""
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(fl.Dataset(x, np.arange(4)).x, x)


def test_a_read_only_view_is_copied_if_its_base_is_writable():
    """It is not copied if nothing can write to its memory."""
    x = np.zeros((4, 3))
    view = x.view()
    view.flags.writeable = False
    data = fl.Dataset(view, np.arange(4))
    x[:] = 1
    assert not data.x.any()
    x.flags.writeable = False
    assert np.shares_memory(fl.Dataset(x, np.arange(4)).x, x)


def frame(**columns):
    return pd.DataFrame({"age": [1.0, 2.0, 3.0], **columns})


X, Y = np.zeros((3, 2)), np.arange(3)
INVALID = [
    (
        lambda: fl.Dataset(frame(city=["Rome", "Bonn", "Rome"]), Y),
        TypeError,
        ["column 'city'", "'Rome' at [0]"],
    ),
    (
        lambda: fl.Dataset(pl.from_pandas(frame()).with_columns(city=pl.lit("Rome")), Y),
        TypeError,
        ["column 'city'", "'Rome'", "to_dummies"],
    ),
    (lambda: fl.Dataset(frame(kind=pd.Categorical(["u", "v", "u"])), Y), TypeError, ["column 'kind'", "'u' at [0]"]),
    (
        lambda: fl.Dataset(frame(when=pd.to_datetime(["2020"] * 3)), Y),
        TypeError,
        ["column 'when'", "encode it as numbers"],
    ),
    (lambda: fl.Dataset(frame(odd=[1, "two", 3]), Y), TypeError, ["column 'odd'", "'two' at [1]"]),
    (lambda: fl.Dataset(frame(gap=[1, None, 3]), Y), ValueError, ["column 'gap'", "missing", "row 1"]),
    (lambda: fl.Dataset(frame(gap=pd.array([1, 2, None], "Int64")), Y), ValueError, ["column 'gap'", "missing", "row 2"]),
    (lambda: fl.Dataset(pl.DataFrame({"gap": [1, None, 3]}), Y), ValueError, ["column 'gap'", "missing", "row 1"]),
    (lambda: fl.Dataset(pl.DataFrame({"gap": [1.0, np.nan, 3]}), Y), ValueError, ["x", "nan at [1, 0], column 'gap'"]),
    (lambda: fl.Dataset(frame(far=[1, np.inf, 3]), Y), ValueError, ["x", "inf at [1, 1], column 'far'"]),
    (lambda: fl.Dataset(pd.DataFrame(X, columns=["a", "a"]), Y), ValueError, ["x", "unique column names", "'a'"]),
    (lambda: fl.Dataset(pl.LazyFrame({"a": Y}), Y), TypeError, ["x", "lazy", "collect()"]),
    (lambda: fl.Dataset(np.ma.masked_array(X, [[0, 0], [0, 1], [0, 0]]), Y), ValueError, ["x", "masked", "[1, 1]"]),
    (lambda: fl.Dataset(X, np.ma.masked_array(Y, [0, 0, 1])), ValueError, ["y", "masked", "[2]"]),
    (lambda: fl.Dataset(X, ["a", None, "b"]), ValueError, ["y", "missing", "None at [1]"]),
    (lambda: fl.Dataset(X, pd.Series(["a", "b", np.nan])), ValueError, ["y", "missing", "row 2"]),
    (lambda: fl.Dataset(X, ["a", 1, "b"]), TypeError, ["y", "all text", "1 at [1]"]),
    (lambda: fl.Dataset([[1, 2], [3], [4, 5]], Y), ValueError, ["x", "same length"]),
    (lambda: fl.Dataset([[1, 2], [3, "4"], [4, 5]], Y), TypeError, ["x", "numbers", "'4' at [1, 1]"]),
    (lambda: fl.Dataset("abc", Y), TypeError, ["x", "'abc'"]),
    (lambda: fl.Dataset(X, pd.to_datetime(["2020"] * 3)), TypeError, ["y", "datetime64"]),
    (lambda: fl.Dataset(X, [["a", "b"]] * 3), ValueError, ["y", "(N,)", "(3, 2)"]),
    (lambda: fl.Dataset(X, Y, columns=["a"]), ValueError, ["columns", "1", "(3, 2)"]),
    (lambda: fl.Dataset(X, Y, columns=["a", "a"]), ValueError, ["columns", "'a' twice"]),
    (lambda: fl.Dataset(X, Y, columns="ab"), TypeError, ["columns", "'ab'"]),
    (lambda: fl.Dataset(frame(b=[1, 2, 3]), Y, columns=["b", "age"]), ValueError, ["columns", "age, b", "b, age"]),
    (lambda: fl.Dataset(X, ["a", "b", "d"], classes=["a", "b", "c"]), ValueError, ["y", "'a', 'b', 'c'", "'d' at [2]"]),
    (lambda: fl.Dataset(X, [1, 2, 3], classes=["a", "b", "c"]), ValueError, ["y", "'a', 'b', 'c'", "1 at [0]"]),
    (lambda: fl.Dataset(X, Y, classes=[1, "a"]), TypeError, ["classes", "one type"]),
    (lambda: fl.Dataset(X, Y, classes=[1, 1]), ValueError, ["classes", "unique"]),
    (lambda: fl.Dataset(X, Y, classes=[1]), ValueError, ["classes", "2"]),
    (lambda: fl.Dataset(pd.DataFrame(X), pd.Series(Y)[::-1]), ValueError, ["y", "order of x", "index"]),
]


@pytest.mark.parametrize(("call", "kind", "words"), INVALID, ids=[" ".join(words) for _, _, words in INVALID])
def test_invalid_values_raise(call, kind, words):
    """The message has the name of the argument or the column, the value and its position."""
    with pytest.raises(kind) as error:
        call()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert len(str(error.value)) < 300


def test_column_names_that_are_not_text_are_dropped():
    """A pandas frame without names has numbers; names can be given as an index."""
    assert fl.Dataset(pd.DataFrame(X), Y).columns == ()
    assert fl.Dataset(pd.DataFrame(X).to_numpy(), Y, columns=pd.Index(["a", "b"])).columns == ("a", "b")


def test_a_dataset_survives_pickle_and_evolve():
    """With its labels and column names."""
    data = fl.Dataset(frame(b=[1, 2, 3]), [3, 1, 3], classes=[1, 2, 3])
    assert fl.same_bits(pickle.loads(pickle.dumps(data)), data)
    assert fl.same_bits(evolve(data, x=data.x), data)
    assert data.y.tolist() == [3, 1, 3]
