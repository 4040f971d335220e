"""Arrays and files above the limits of SQLite: in parts, and beyond 2 GiB."""

import numpy as np
import pytest
from toolz.curried import pipe

import fnloop as fl
from fnloop.core.arrays import read_only
from fnloop.core.records import frozen
from fnloop.runs import packing


@frozen
class Holder:
    """A state with one large array."""

    values: np.ndarray
    epoch: int


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">i8"])
def test_an_array_in_parts_is_recovered(tmp_path, monkeypatch, nbytes, dtype):
    """However its size divides into parts, and if its items do not."""
    monkeypatch.setattr(packing, "PART_BYTES", 64)
    values = np.resize(np.arange(251, dtype="u1"), nbytes // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize).view(dtype)
    state = Holder(read_only(values.copy()), 0)
    pipe([state], fl.record(tmp_path / "a.run"), fl.last)
    assert fl.same_bits(fl.open_run(tmp_path / "a.run", records=[Holder]).last, state)


@pytest.mark.thorough
def test_a_file_beyond_two_gibibytes(tmp_path):
    """SQLite's limits are 32-bit numbers, and it refuses a value above 1 GB; each array here is larger."""
    path = tmp_path / "a.run"
    states = [Holder(read_only(np.full(1_100_000_000 + epoch, epoch, "u1")), epoch) for epoch in (1, 2)]
    pipe(states, fl.record(path, max_bytes=None), fl.last)
    assert path.stat().st_size > 2**31
    run = fl.open_run(path, records=[Holder])
    assert fl.same_bits(run.last, states[1])
    assert fl.same_bits(run.state(1), states[0])
    run.copy_to(tmp_path / "b.run")
    path.unlink()
    assert fl.same_bits(fl.open_run(tmp_path / "b.run", records=[Holder]).last, states[1])
