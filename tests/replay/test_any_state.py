"""Whatever is recorded can be read: any value is recovered with its bits, or refused when it is recorded."""

import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toolz.curried import pipe, take

import fnloop as fl
from fnloop.core.records import evolve, frozen
from tests.replay.support import tiny

NEGATIVE_NAN = struct.unpack(">d", bytes.fromhex("fff8000000000000"))[0]  # what x86 gives for inf - inf


@frozen
class Held:
    """A state that holds anything, in a field with a name that the file format uses."""

    type: object
    epoch: int = 0


any_float = st.binary(min_size=8, max_size=8).map(lambda content: struct.unpack(">d", content)[0])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    any_float,
    st.text(),
    st.sampled_from(["\udcff", "\0", '{"@function":"x"}', "@", "@array"]),
    hnp.arrays(st.sampled_from(["<f4", ">f8", "<i2", "?", "<c8", "<M8[s]", "<U3"]), hnp.array_shapes(min_side=0, max_side=3)),
    st.sampled_from(["<f4", ">f8", "u1", "?", "<c16"]).flatmap(
        lambda dtype: hnp.arrays(dtype, ()).map(lambda array: array[()])
    ),
)
storable = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3))
)
refused = st.sampled_from([{1: 2.0}, {None: 1}, {1, 2}, b"bytes", 1j, object(), len, lambda: 0, math, range(3), int])


def read_back(folder, state):
    """Record one state, and read it."""
    path = folder / "a.run"
    path.unlink(missing_ok=True)
    pipe([state], fl.record(path), fl.last)
    return fl.open_run(path, records=[Held]).last


@given(value=storable)
@example({"@": "fnloop.Adam"})
@example({"@array": "0" * 64})
@example([NEGATIVE_NAN, -0.0, math.inf])
def test_any_data_is_recovered_to_the_bit(tmp_path_factory, value):
    """Whatever its numbers, names and nesting."""
    state = Held(value)
    assert fl.same_bits(read_back(tmp_path_factory.mktemp("run"), state), state)


@given(refused, st.sampled_from([lambda value: value, lambda value: [0, value], lambda value: {"a": {"b": value}}]))
def test_other_values_are_refused_when_they_are_recorded(tmp_path_factory, value, around):
    """The error names the field, and no file stays."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.raises(TypeError, match=r"type.* cannot be written to a file"):
        pipe([Held(around(value))], fl.record(folder / "a.run"), fl.last)
    assert list(folder.iterdir()) == []


@given(st.dictionaries(st.text(max_size=5), any_float, max_size=4))
@example({"loss": NEGATIVE_NAN})
@example({'a"b': 1.0, "a.b": 2.0, "": 3.0, "a\\b'": 4.0, "Loss": 5.0, "loss": 6.0, "epoch": 7.0, "seconds": 8.0})
@example({"\udcff": 1.0, "\0": 2.0})
def test_states_with_any_metrics_are_recovered(tmp_path_factory, metrics):
    """Also a NaN with its sign bit; the values in the rows are those of the states, but every NaN is the same."""
    folder = tmp_path_factory.mktemp("run")
    trainer, train, validation = tiny()
    first, second = take(2, fl.epochs(trainer, train, validation))
    states = [first, evolve(second, metrics={**second.metrics, **metrics})]
    with pytest.warns(fl.RecordingWarning, match="does not know the trainer"):
        pipe(states, fl.record(folder / "a.run", snapshot_every=1), fl.last)
    run = fl.open_run(folder / "a.run")
    assert fl.same_bits([run.state(0), run.state(1)], states)
    assert str(dict(run.rows[1].metrics)) == str({name: float(value) for name, value in states[1].metrics.items()})
    fl.save(states[1], folder / "a.npz")
    assert fl.same_bits(fl.load(folder / "a.npz"), states[1])
