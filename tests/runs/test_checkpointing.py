"""The checkpoints of a stream: a worse state never replaces a better file, however often training starts."""

import math
import os
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import take

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.nn.model import Params
from tests.runs.test_checkpoint import data, trainer

BASE = fl.init_state(trainer(model=fl.mlp([4, 1])))
numbers = count(1)


def test_checkpoints_in_a_stream(tmp_path):
    """Only improvements are written, or every epoch; the file holds the best state so far."""
    best = fl.best("loss", take(5, fl.checkpoint(tmp_path / "best.npz", fl.epochs(trainer(), data()), metric="loss")))
    assert fl.same_bits(fl.load(tmp_path / "best.npz"), best)
    every = fl.checkpoint(tmp_path / "e{epoch}.npz", metric="loss", save_best_only=False, weights_only=True)
    last = fl.last(take(4, every(fl.epochs(trainer(), data()))))
    assert {p.name for p in tmp_path.glob("e*.npz")} == {"e1.npz", "e2.npz", "e3.npz"}
    assert fl.same_bits(fl.load(tmp_path / "e3.npz"), last.params)


def make_state(epoch, loss):
    """Make a state whose parameters are a new number."""
    vector = np.full_like(BASE.params.vector, next(numbers))
    return evolve(BASE, epoch=epoch, metrics={"val_loss": loss}, params=evolve(BASE.params, vector=vector))


def stream(start, losses):
    """Return the first state of a stream, and a state for each loss."""
    return [start, *(make_state(start.epoch + i, loss) for i, loss in enumerate(losses, start=1))]


def number(path):
    """Return the number that the parameters in a file have."""
    saved = fl.load(path)
    return (saved if isinstance(saved, Params) else saved.params).vector[0]


values = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan, math.inf]), max_size=4)


@pytest.mark.filterwarnings("ignore:.*an earlier run")
@given(
    runs=st.lists(st.tuples(values, st.integers(0, 4)), min_size=1, max_size=4),
    weights_only=st.booleans(),
    name=st.sampled_from(["best.npz", "e{epoch}.npz", "{epoch}/best{epoch}[1].npz"]),
)
def test_the_best_of_all_parts_is_kept(runs, weights_only, name):
    """Whichever state each part starts from, the file has the state that `best` chooses of all, and no file gets worse."""
    with tempfile.TemporaryDirectory() as folder:
        path, seen, start, loss_of = os.path.join(folder, name), [], BASE, {}
        for epoch in range(17) if "/" in name else ():
            Path(folder, str(epoch)).mkdir()
        for losses, back in runs:
            states = stream(start, losses)
            loss_of.update({state.params.vector[0]: state.metrics["val_loss"] for state in states if state.metrics})
            before = {file: loss_of[number(file)] for file in Path(folder).rglob("*.npz")}
            list(fl.checkpoint(path, states, weights_only=weights_only))
            assert all(loss_of[number(file)] <= loss for file, loss in before.items())
            seen += states
            start = seen[max(0, len(seen) - 1 - back)]
        known = [state for state in seen if state.metrics and not math.isnan(state.metrics["val_loss"])]
        found = {number(file): file for file in Path(folder).rglob("*.npz")}
        if not known:
            assert not found
            return
        best = fl.best("val_loss", known)
        assert found[best.params.vector[0]] == Path(path.replace("{epoch}", str(best.epoch)))


def test_a_new_process_keeps_the_better_file(tmp_path):
    """If training continues on data that make it worse."""
    program = """
import sys, fnloop as fl
from toolz import take
from tests.runs.test_checkpoint import data, trainer
worse = fl.Dataset(data().x * 100, data().y)
states = take(2, fl.epochs(trainer(), worse, start=fl.load(sys.argv[2])))
print(*[state.metrics["loss"] for state in fl.checkpoint(sys.argv[1], states, metric="loss")])
"""
    best, last = str(tmp_path / "best.npz"), str(tmp_path / "last.npz")
    fl.save(fl.last(take(6, fl.checkpoint(best, fl.epochs(trainer(), data()), metric="loss"))), last)
    before = Path(best).read_bytes()
    done = subprocess.run([sys.executable, "-c", program, best, last], capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) > fl.load(best).metrics["loss"]
    assert Path(best).read_bytes() == before


def write_incomparable(path, what):
    """Write a file that cannot be compared with the states of a stream."""
    if what == "damaged":
        fl.save(make_state(3, 0.5), path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif what == "no checkpoint":
        path.write_text("notes of a year")
    elif what == "parameters alone":
        fl.save(make_state(3, 0.5).params, path)
    elif what == "without metrics":
        fl.save(BASE, path)
    elif what == "another metric":
        fl.save(evolve(BASE, metrics={"val_f1": 0.9}), path)
    elif what == "another model":
        fl.save(evolve(fl.init_state(trainer(model=fl.mlp([4, 6, 1]))), metrics={"val_loss": 9.0}), path)


INCOMPARABLE = {
    "damaged": "damaged",
    "no checkpoint": "not a checkpoint",
    "parameters alone": "has no metrics of its state",
    "without metrics": "has no metrics of its state",
    "another metric": "val_f1, and not 'val_loss'",
    "another model": "another model",
}


@pytest.mark.parametrize("what", INCOMPARABLE)
@pytest.mark.parametrize("name", ["a.npz", "a{epoch}.npz"])
def test_a_file_that_cannot_be_compared_is_never_replaced(tmp_path, what, name):
    """There is an error before an epoch is trained; only `overwrite=True` replaces the file."""
    path, file = tmp_path / name, tmp_path / name.replace("{epoch}", "1")
    write_incomparable(file, what)
    before, trained = file.read_bytes(), []
    states = (trained.append(state.epoch) or state for state in stream(BASE, [1.0, 2.0]))
    with pytest.raises(fl.CheckpointError, match=INCOMPARABLE[what]) as raised:
        list(fl.checkpoint(path, states))
    assert file.name in str(raised.value)
    assert "overwrite=True" in str(raised.value)
    assert file.read_bytes() == before
    assert trained == [0]
    list(fl.checkpoint(path, stream(BASE, [1.0, 2.0]), overwrite=True))
    assert fl.load(file).metrics == {"val_loss": 1.0}
    assert [item.name for item in tmp_path.iterdir()] == [file.name]


def test_a_better_file_of_an_earlier_run_gives_a_warning(tmp_path):
    """Once, if training starts before the epoch of the state in the file; `overwrite=True` starts over."""
    path = tmp_path / "a.npz"
    list(fl.checkpoint(path, stream(BASE, [2.0, 1.0])))
    with pytest.warns(UserWarning, match="epoch 2 with val_loss 1, which only a better one replaces") as warned:
        list(fl.checkpoint(path, stream(BASE, [3.0, 1.5, 1.0])))
    assert len(warned) == 1
    assert fl.load(path).epoch == 2
    list(fl.checkpoint(path, stream(BASE, [3.0]), overwrite=True))
    assert fl.load(path).metrics == {"val_loss": 3.0}


@pytest.mark.parametrize("what", ["empty", "NaN", "not finite"])
def test_a_file_that_is_never_best_is_replaced(tmp_path, what):
    """An empty file, such as a temporary one, and a state that `best` never chooses."""
    path = tmp_path / "a.npz"
    if what == "empty":
        path.touch()
    elif what == "NaN":
        fl.save(make_state(0, math.nan), path)
    else:
        fl.save(evolve(make_state(0, 0.0), params=evolve(BASE.params, vector=np.full_like(BASE.params.vector, np.inf))), path)
    list(fl.checkpoint(path, stream(BASE, [3.0])))
    assert fl.load(path).epoch == 1


def test_save_best_only_false_writes_every_epoch(tmp_path):
    """It compares nothing."""
    path = tmp_path / "a.npz"
    path.write_text("anything")
    list(fl.checkpoint(path, stream(BASE, [1.0, 2.0]), save_best_only=False))
    assert fl.load(path).epoch == 2


@pytest.mark.parametrize(
    "change",
    [
        {"path": 3},
        {"overwrite": 1},
        {"overwrite": 1, "save_best_only": False},
        {"save_best_only": "no"},
        {"weights_only": "no"},
        {"trainer": "a.npz"},
        {"mode": "most"},
        {"metric": 3},
    ],
)
def test_an_invalid_argument_is_named(change):
    """The call raises, before a state is read."""
    name = next(iter(change))
    with pytest.raises((TypeError, ValueError), match=name):
        fl.checkpoint(states=[], **{"path": "a.npz", **change})
