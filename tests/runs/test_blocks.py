"""Rows in blocks: a run may have any number of them, also when it grows."""

import numpy as np
import pytest
from toolz import take

import fnloop as fl
from fnloop.runs.blocks import BLOCK_ROWS

DATA = fl.Dataset(np.eye(4), np.arange(4) % 2)
TRAINER = fl.Trainer(model=fl.mlp([4, 1]), loss=fl.losses.BinaryCrossEntropy(), batch_size=4)


@pytest.mark.parametrize("count", [1, 2, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS])
def test_rows_of_any_number_are_read_again(tmp_path, count):
    """The last block may be complete; a run that is already open sees the rows that are added."""
    path = tmp_path / "a.run"
    fl.last(take(count, fl.record(path)(fl.epochs(TRAINER, DATA))))
    run = fl.open_run(path)
    assert [row.position for row in run.rows] == list(range(count))
    assert len(run.rows) == count
    fl.open_run(path).resume(epochs=count, progress=False)
    assert [row.position for row in run.rows] == list(range(count + 1))
    assert fl.same_bits(run.last, fl.open_run(path).last)
