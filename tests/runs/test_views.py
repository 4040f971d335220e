"""The views of a run file show the metrics that were recorded, whatever their names and values are."""

import math
import sqlite3
import struct
import tempfile
from collections.abc import Mapping
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.core.records import frozen

NEGATIVE_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0000))[0]
ODD_NAMES = [
    "",
    " ",
    "it's",
    'a "b"',
    "$.x[0]",
    "a.b",
    "é\n|",
    "\\",
    "epoch",
    "Epoch",
    "seconds",
    "NULL",
    "0",
    "-- x",
    "loss",
    "🎲",
]


@frozen
class Measured:
    """A custom state with metrics."""

    epoch: int
    step: int
    metrics: Mapping[str, float]


def record(path, epochs):
    """Record states with the metrics of each epoch."""
    states = [Measured(0, 0, {}), *(Measured(i, i, metrics) for i, metrics in enumerate(epochs, start=1))]
    fl.last(fl.record(path, None, None, None, states))


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def in_sql(value):
    """Return a number as SQL has it."""
    return None if math.isnan(value) else value


names = st.sampled_from(ODD_NAMES) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
values = st.floats() | st.sampled_from([NEGATIVE_NAN, math.nan, math.inf, -math.inf, -0.0, 5e-324])


@given(
    st.lists(names, min_size=1, max_size=6, unique=True).flatmap(
        lambda found: st.lists(st.fixed_dictionaries(dict.fromkeys(found, values)), min_size=1, max_size=3)
    )
)
def test_the_views_have_every_metric(epochs):
    """NaN is NULL, infinities are numbers; a column of `metrics` is a metric in the order of its first epoch."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.run"
        record(path, epochs)
        wide, long = ask(path, "SELECT * FROM metrics"), ask(path, "SELECT * FROM metric_values")
    expected = [tuple(in_sql(metrics[name]) for name in epochs[0]) for metrics in epochs]
    assert [row[0] for row in wide] == list(range(1, len(epochs) + 1))
    assert [row[1:-1] for row in wide] == expected
    assert long == [(i, name, in_sql(value)) for i, metrics in enumerate(epochs, 1) for name, value in metrics.items()]


def test_a_metric_that_only_some_epochs_have(tmp_path):
    """It is NULL in the others, and has no row of `metric_values` there."""
    record(tmp_path / "a.run", [{"a": 1.0}, {"a": 2.0, "b": 3.0}])
    assert [row[:-1] for row in ask(tmp_path / "a.run", "SELECT * FROM metrics")] == [(1, 1.0, None), (2, 2.0, 3.0)]
    assert ask(tmp_path / "a.run", "SELECT count(*) FROM metric_values") == [(3,)]


def test_a_run_with_thousands_of_metrics(tmp_path):
    """`metrics` has as many columns as SQLite allows, `metric_values` and the history have all."""
    path = tmp_path / "a.run"
    record(path, [{f"m{i}": float(i) for i in range(5000)}] * 2)
    (first, _) = ask(path, "SELECT * FROM metrics")
    assert 1500 < len(first) < 2000
    assert first[1:100] == tuple(map(float, range(99)))
    assert ask(path, "SELECT count(*), max(value) FROM metric_values WHERE epoch = 2") == [(5000, 4999.0)]
    assert fl.open_run(path).history["m4999"] == [4999.0, 4999.0]


@pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800"])
def test_a_name_that_cannot_be_in_sql_is_in_the_history(tmp_path, name):
    """The view has the other metrics."""
    record(tmp_path / "a.run", [{name: 1.0, "b": 2.0}])
    assert fl.open_run(tmp_path / "a.run").history[name] == [1.0]
    assert ask(tmp_path / "a.run", 'SELECT "b" FROM metrics') == [(2.0,)]
