"""A stream that is said to be of a trainer and data is checked by computing an epoch again, before anything is kept of it."""

import subprocess
import sys
import time
from typing import NamedTuple

import attrs
import numpy as np
import pytest
from hypothesis import given
from toolz import iterate, last, pipe, take
from toolz.curried import take as taking

import fnloop as fl
from fnloop.runs import writer
from fnloop.testing import problems
from tests.replay.support import everything, fingerprint, problem, record_tiny, tiny

TRAINER, TRAIN, VALIDATION = tiny()
OTHER = fl.Dataset(TRAIN.x + np.float32(1e-3), TRAIN.y)


def states_of(trainer=TRAINER, train=TRAIN, validation=VALIDATION, count=4, **options):
    """Return a stream that does not know what it is computed from."""
    return take(count, fl.epochs(trainer, train, validation, **options))


WRONG = {
    "other batches": ({"trainer": tiny(batch_size=4)[0]}, {}, "differs in .*params, "),
    "batch size": ({}, {"trainer": tiny(batch_size=4)[0]}, "differs in .*params, "),
    "train": ({"train": OTHER}, {}, "differs in .*params, "),
    "validation": ({"validation": OTHER}, {}, "differs in (scheduler, )?metrics; "),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_stream_of_something_else_is_refused_and_leaves_no_file(tmp_path, wrong, overwrite):
    """The fields that differ are named; a run that it was to replace is unchanged."""
    of_stream, said, message = WRONG[wrong]
    given_to_record = {"trainer": TRAINER, "train": TRAIN, "validation": VALIDATION, **said}
    if overwrite:
        record_tiny(tmp_path / "a.run", 2)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    states = fl.record(tmp_path / "a.run", overwrite=overwrite, **given_to_record)(states_of(**of_stream))
    assert next(states).epoch == 0
    with pytest.raises(ValueError, match=f"epoch 1, computed again from the state before it, {message}"):
        next(states)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    pipe(states_of(), fl.record(tmp_path / "a.run", TRAINER, TRAIN, VALIDATION, overwrite=overwrite), last)  # it is free


def test_nothing_is_written_before_the_check(tmp_path, monkeypatch):
    """However long the first epoch takes; then everything is."""
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    for right in (False, True):
        states = fl.record(tmp_path / "a.run", TRAINER, TRAIN if right else OTHER, VALIDATION)(states_of())
        next(states)
        time.sleep(0.1)
        assert not (tmp_path / "a.run").exists()
        if right:
            assert [state.epoch for state in states] == [1, 2, 3]
        else:
            with pytest.raises(ValueError, match="computed again"):
                next(states)
            assert list(tmp_path.iterdir()) == []
    assert fl.open_run(tmp_path / "a.run").verify().ok


@pytest.mark.parametrize("end", ["take", "close", "exit"])
def test_a_stream_of_one_state_is_recorded(tmp_path, end):
    """There is no epoch to compare, also if the process ends."""
    path = tmp_path / "a.run"
    if end == "exit":
        program = f"from tests.runs.test_stream_check import *; kept = one({str(path)!r}); next(kept)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    elif end == "take":
        list(fl.record(path, TRAINER, TRAIN, VALIDATION)(states_of(count=1)))
    else:
        states = one(path)
        next(states)
        states.close()
    assert len(fl.open_run(path).rows) == 1


def one(path):
    return fl.record(path, TRAINER, TRAIN, VALIDATION)(states_of())


STARTS = {
    "within an epoch": lambda trainer, data: last(take(18, fl.steps(trainer, *data))),
    "at an epoch's end": lambda trainer, data: last(take(3, fl.epochs(trainer, *data))),
    "stopped": lambda trainer, data: last(fl.epochs(trainer, *data)),
}
IMPATIENT = fl.EarlyStopping("loss", patience=1, min_delta=1.0)


@pytest.mark.parametrize("start", STARTS)
def test_any_start_of_a_stream_is_checked_alike(tmp_path, start):
    """The epoch is computed again from the state that the stream starts with."""
    data, other = problem(), problem(seed=4)
    trainer = everything(**{"early_stopping": IMPATIENT} if start == "stopped" else {})
    first = STARTS[start](trainer, data)
    states = pipe(states_of(trainer, *data, start=first), fl.record(tmp_path / "a.run", trainer, *data), list)
    run = fl.open_run(tmp_path / "a.run")
    assert [row.epoch for row in run.rows] == [state.epoch for state in states]
    assert run.verify().ok
    if len(states) > 1:
        with pytest.raises(ValueError, match=r"computed again|first one differs"):
            pipe(states_of(trainer, *data, start=first), fl.record(tmp_path / "b.run", trainer, *other), list)
    assert [path.name for path in tmp_path.iterdir()] == ["a.run"]


@pytest.mark.filterwarnings("ignore::fnloop.NonFiniteWarning")
@pytest.mark.parametrize(
    "stopped",
    [
        {"early_stopping": fl.EarlyStopping("loss", patience=1, min_delta=100.0)},
        {"loss": "mse", "optimizer": "sgd", "scheduler": 1e30, "non_finite": "stop"},
    ],
    ids=["early stopping", "not finite"],
)
def test_a_stream_that_stops_in_its_first_epochs(tmp_path, stopped):
    """The state that it stops with is computed again too."""
    trainer = tiny(**stopped)[0]
    states = pipe(states_of(trainer), fl.record(tmp_path / "a.run", trainer, TRAIN, VALIDATION), list)
    assert states[-1].stopped
    run = fl.open_run(tmp_path / "a.run")
    assert [fingerprint(state) for state in states] == run.probe(fingerprint)
    assert run.verify().ok


def test_states_of_a_trainer_without_the_trainer_are_recorded_with_a_warning(tmp_path):
    """The file is that of a custom step, which is given to `open_run`."""
    with pytest.warns(fl.RecordingWarning, match="does not know the trainer of its states, .* put fl.record directly after"):
        states = pipe(fl.epochs(TRAINER, TRAIN, VALIDATION), taking(4), fl.record(tmp_path / "a.run"), list)
    run = fl.open_run(tmp_path / "a.run", step=fl.make_epoch(TRAINER, TRAIN, VALIDATION))
    assert fl.same_bits(run.last, states[-1])
    assert run.verify().ok


def test_a_state_of_another_type_in_the_middle_is_refused(tmp_path):
    """The states before it are kept."""
    states = list(states_of())
    with pytest.raises(TypeError, match="states must be a TrainState, got 'end'"):
        list(fl.record(tmp_path / "a.run", TRAINER, TRAIN, VALIDATION)([*states, "end"]))
    assert len(fl.open_run(tmp_path / "a.run").rows) == 4
    with pytest.raises(TypeError, match="states must be a TrainState, got 'end'"):
        list(fl.record(tmp_path / "b.run", TRAINER, TRAIN, VALIDATION)([states[0], "end"]))
    assert not (tmp_path / "b.run").exists()


@given(problem=problems())
def test_the_stream_of_any_trainer_passes_the_check(tmp_path_factory, problem):
    """Of every layer, loss, optimizer and schedule; and the file is verified."""
    trainer, train = problem
    path = tmp_path_factory.mktemp("any") / "a.run"
    pipe(states_of(trainer, train, None, 3), fl.record(path, trainer, train), list)
    assert fl.open_run(path).verify().ok


@attrs.define
class Counter:
    """A state that can be changed."""

    epoch: int = 0


@attrs.define(slots=False)
class Nothing:
    """A state without fields."""


def count_in_place(state):
    state.epoch += 1
    return state


def count_in_a_dict(state):
    state["epoch"] += 1
    return state


@pytest.mark.parametrize(("step", "start"), [(count_in_place, Counter()), (count_in_a_dict, {"epoch": 0})])
def test_a_state_that_a_step_changes_in_place_is_refused(tmp_path, step, start):
    """The writer would find the last values in all of them. A state that cannot change may come again."""
    with pytest.raises(TypeError, match=r"states must be new objects, got the same (Counter|dict) twice"):
        pipe(iterate(step, start), fl.record(tmp_path / "a.run"), taking(3), last)
    assert not (tmp_path / "a.run").exists()
    for fixed in (fl.init_state(TRAINER).params, Nothing(), 5, "text"):
        pipe(iterate(lambda state: state, fixed), fl.record(tmp_path / "a.run", overwrite=True), taking(3), last)
        assert len(fl.open_run(tmp_path / "a.run").rows) == 3


class Pair(NamedTuple):
    """A state that a file would give back as a tuple."""

    epoch: int
    value: float


@pytest.mark.parametrize("state", [Pair(0, 1.0), {"pair": Pair(0, 1.0)}, (5, [Pair(0, 1.0)])])
def test_a_named_tuple_is_refused_when_it_is_written(tmp_path, state):
    """It could be recorded, but not read back as what it is."""
    with pytest.raises(TypeError, match=r"a Pair cannot be restored from a file: .* fl\.frozen"):
        pipe([state], fl.record(tmp_path / "a.run"), last)
    assert not (tmp_path / "a.run").exists()
