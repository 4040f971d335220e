"""The metrics before a fork as arrays: what goes in comes out, to the bit."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnloop.core.digest import same_bits
from fnloop.runs.earlier_metrics import EarlierMetrics, earlier_metrics, joined

NEGATIVE_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0007))[0]
values = st.floats() | st.just(NEGATIVE_NAN)
epochs = st.lists(st.dictionaries(st.sampled_from(["loss", "val_loss", "lr", 'a "b".c']), values), max_size=6)


def in_order(metrics, names):
    return {name: metrics[name] for name in names if name in metrics}


@given(epochs, epochs)
def test_the_metrics_of_each_epoch_are_kept(first, second):
    """Names, values with the bits of NaN, and what an epoch lacks; also when runs are joined."""
    earlier = joined(earlier_metrics(first), earlier_metrics(second))
    assert len(earlier) == len(first) + len(second)
    expected = [in_order(metrics, earlier.names) for metrics in [*first, *second]]
    assert same_bits(tuple(earlier.mappings()), tuple(expected))
    assert same_bits(tuple(map(earlier.epoch, range(len(earlier)))), tuple(expected))


@given(epochs, st.sets(st.sampled_from(["loss", "lr", "other"]), max_size=2))
def test_a_selection_of_metrics_and_of_epochs(metrics, names):
    """`only` keeps some metrics of all epochs, `last_with` the epochs at the end that have all of some metrics."""
    earlier = earlier_metrics(metrics)
    kept = [in_order(epoch, [name for name in earlier.names if name in names]) for epoch in metrics]
    assert same_bits(tuple(earlier.only(names).mappings()), tuple(kept))
    complete = 0
    while complete < len(metrics) and names <= metrics[-1 - complete].keys():
        complete += 1
    assert len(earlier.last_with(names)) == complete
    last = [in_order(epoch, earlier.names) for epoch in metrics[len(metrics) - complete :]]
    assert same_bits(tuple(earlier.last_with(names).mappings()), tuple(last))


@pytest.mark.parametrize(
    ("names", "values", "present"),
    [
        (("loss",), np.zeros((2, 2)), np.ones((2, 2), bool)),
        (("loss",), np.zeros((2, 1)), np.ones((3, 1), bool)),
        (("loss",), np.zeros((2, 1), np.float32), np.ones((2, 1), bool)),
        (("loss",), np.zeros((2, 1)), np.ones((2, 1))),
        (("loss",), np.array(0.0), np.array(True)),
        (("loss", "loss"), np.zeros((2, 2)), np.ones((2, 2), bool)),
        ((5,), np.zeros((2, 1)), np.ones((2, 1), bool)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(names, values, present):
    """As they may come from a file."""
    with pytest.raises(ValueError, match="must be"):
        EarlierMetrics(names, values, present)
