"""The limit of a file's snapshots in bytes, and large arrays that are written in several transactions."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import packing, recorder
from fnloop.runs.damage import Damage
from fnloop.runs.packing import add_packed, array_parts, pack, read_array
from fnloop.runs.store import TABLES, snapshot_bytes

DATA = fl.Dataset(np.random.default_rng(0).standard_normal((64, 8)), np.arange(64) % 3)
TRAINER = fl.Trainer(model=fl.mlp([8, 16, 3]), loss=fl.losses.SoftmaxCrossEntropy(), batch_size=16)
STATE_BYTES = pack(next(iter(fl.epochs(TRAINER, DATA)))).nbytes + 3 * 8 * 200  # and Adam's moments


@pytest.mark.parametrize("batch", [1, 1 << 26])
@pytest.mark.parametrize("states", [1, 4, 12])
def test_snapshots_stay_within_the_limit(tmp_path, monkeypatch, batch, states):
    """Whether they are written one by one or together; the first, the last and the best are kept, and every state is there."""
    monkeypatch.setattr(recorder, "MAX_BATCH_BYTES", batch)
    stream = list(take(31, fl.epochs(TRAINER, DATA, DATA)))
    path, limit = tmp_path / "a.run", states * STATE_BYTES
    fl.last(fl.record(path, TRAINER, DATA, DATA, iter(stream), snapshot_every=1, max_bytes=limit))
    run = fl.open_run(path)
    best = fl.best("val_loss", stream)
    assert {0, best.epoch, 30} <= set(run.snapshots)
    assert all(fl.same_bits(run.state(epoch), state) for epoch, state in enumerate(stream))
    with closing(sqlite3.connect(path)) as connection:
        assert snapshot_bytes(connection) <= max(limit, 4 * STATE_BYTES)
    assert len(run.snapshots) >= min(states, 3)


def test_an_array_of_a_killed_process_is_written_again(monkeypatch):
    """The process has written some parts; the others are added, and until then the file does not have the array."""
    monkeypatch.setattr(packing, "PART_BYTES", 64)
    array = np.arange(100)
    packed = pack(array)
    (name,) = packed.arrays
    for count in range(14):
        with closing(sqlite3.connect(":memory:")) as connection:
            for table in TABLES:
                connection.execute(table)
            for add in take(count, array_parts(packed)):
                add(connection)
            if count < 13:
                with pytest.raises(Damage):
                    read_array(connection, name)
            add_packed(connection, packed)
            assert np.array_equal(read_array(connection, name), array)
