"""Bisecting, probing, verifying, pruning and forking a run, and the errors of invalid arguments."""

import math
import multiprocessing
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import iterate, take

import fnloop as fl
from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.runs.bisect import first_true
from tests.replay.support import CustomState, custom_step, everything, fingerprint, problem, record_tiny, tiny


@pytest.fixture
def recorded(tmp_path):
    """Record a run with everything that a state can hold, with few snapshots."""
    trainer, (train, validation) = everything(), problem()
    stream = take(41, fl.epochs(trainer, train, validation))
    states = list(fl.record(tmp_path / "a.run", trainer, train, validation, stream, snapshot_every=7))
    return tmp_path / "a.run", states


# Bisecting.


def test_bisect_finds_every_step_within_its_bound(recorded):
    """It returns the state at the first step for which the predicate holds, after at most ⌈log2 n⌉ + 2 evaluations."""
    path, states = recorded
    run, last = fl.open_run(path), states[-1].step
    bound = math.ceil(math.log2(last)) + 2
    for step in [
        1,
        2,
        11,
        12,
        13,
        24,
        25,
        239,
        240,
        241,
        last - 1,
        last,
        *np.random.default_rng(0).integers(1, last, 8).tolist(),
    ]:
        evaluated = []

        def holds(state, evaluated=evaluated, step=step):
            evaluated.append(state.step)
            return state.step >= step

        found = run.bisect(holds)
        assert found.step == step
        assert len(evaluated) <= bound
        expected = run.state((step - 1) // 12 + 1) if step % 12 == 0 else run.state(step // 12, step)
        assert fingerprint(found) == fingerprint(expected)


def test_first_true_is_within_its_bound_for_epochs_of_any_length():
    """For any lengths of epochs and any step, it finds the step after at most ⌈log2 n⌉ evaluations."""
    draw = np.random.default_rng(1)
    for lengths in ([1], [5], [1] * 9, [1, 100, 1], [64, 1, 64], *(draw.integers(1, 9, n).tolist() for n in (2, 3, 7, 20))):
        total = sum(lengths)
        ends = np.cumsum(lengths)
        for first in range(1, total + 1):
            evaluated = []

            def holds(epoch, step, evaluated=evaluated, first=first, ends=ends, lengths=lengths):
                evaluated.append((epoch, step))
                assert 1 <= step <= lengths[epoch]
                return ends[epoch] - lengths[epoch] + step >= first

            epoch, step = first_true(lengths, holds)
            assert ends[epoch] - lengths[epoch] + step == first
            assert len(evaluated) <= math.ceil(math.log2(total))


def test_bisect_refuses_a_predicate_that_does_not_change(recorded):
    """The predicate must not hold for the first state, and hold for the last; a text that is not an expression is not run."""
    run = fl.open_run(recorded[0])
    with pytest.raises(ValueError, match="predicate holds for the first state already, of epoch 0; use 'epoch >= n and"):
        run.bisect("step >= 0")
    with pytest.raises(ValueError, match="predicate does not hold for the last state, of epoch 40: there is no step to find"):
        run.bisect("epoch > 40")
    for text in (
        "__import__('os').getcwd() > 1",
        "val_loss.real > 1",
        "[1][0] > 0",
        "loss",
        "los > 1",
        "9**9**9 > 1",
        "",
        "1 <",
    ):
        with pytest.raises(ValueError, match="predicate"):
            run.bisect(text)
    with pytest.raises(TypeError, match="predicate must be a function of a state or an expression, got 5"):
        run.bisect(5)
    assert run.bisect("epoch >= 3 and not loss > 100").step == 36


# In parallel.


def size_of_parameters(state):
    """Return a quantity that was not logged."""
    return state.epoch, float(np.linalg.norm(state.params.vector)), state.params.vector


def test_parallel_results_have_the_same_bytes(recorded):
    """`probe` and `verify` give the same in new processes as in this one."""
    run, states = fl.open_run(recorded[0]), recorded[1]
    alone = run.probe(size_of_parameters)
    some = run.probe(size_of_parameters, [30, 2, 2, 17])
    verified = run.verify()
    assert verified.ok
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert fl.digest(run.probe(size_of_parameters, map=pool.map)) == fl.digest(alone)
        assert fl.digest(run.probe(size_of_parameters, [30, 2, 2, 17], map=pool.map)) == fl.digest(some)
        assert fl.digest(run.verify(map=pool.map)) == fl.digest(verified)
    assert fl.digest(alone) == fl.digest([size_of_parameters(state) for state in states])
    assert [epoch for epoch, *_ in some] == [30, 2, 2, 17]
    with pytest.raises(ValueError, match="epoch must be one that the run reached, 0 to 40, got 41"):
        run.probe(size_of_parameters, [41])


# Pruning.


@pytest.mark.parametrize("keep", [1, 2, 5, 100])
def test_pruning_keeps_the_first_the_best_and_the_last_snapshot(recorded, keep):
    """Every state can still be recovered, the file is no larger, and the run can be resumed."""
    path, states = recorded
    run, size = fl.open_run(path), path.stat().st_size
    before = run.snapshots
    best = min(states[1:], key=lambda state: state.metrics["val_loss"])
    removed = run.prune(keep)
    remaining = fl.open_run(path).snapshots
    assert removed == len(before) - len(remaining)
    choices = {"loss": min, "val_loss": min, "accuracy": max, "val_accuracy": max}
    bests = {choose(states[1:], key=lambda state: state.metrics[name]).epoch for name, choose in choices.items()}
    required = {0, 40} | (bests & set(before))
    assert required <= set(remaining) <= set(before)
    assert len(remaining) == min(len(before), max(keep, len(required)))
    assert path.stat().st_size <= size
    fresh = fl.open_run(path)
    assert [fingerprint(fresh.state(epoch)) for epoch in range(41)] == list(map(fingerprint, states))
    assert fingerprint(fresh.best()) == fingerprint(best)
    assert fresh.verify().ok
    assert fl.open_run(path).prune(keep) == 0
    longer = fl.last(take(44, fl.epochs(everything(), *problem())))
    assert fingerprint(fresh.resume(epochs=43, progress=False).last) == fingerprint(longer)


def test_pruning_refuses_to_keep_less_than_one(recorded):
    """The message has the argument and its value."""
    with pytest.raises(ValueError, match="keep must be an integer of at least 1, got 0"):
        fl.open_run(recorded[0]).prune(0)


# Forking.


@pytest.mark.parametrize("epoch", [0, 1, 13, 40])
def test_a_fork_without_changes_equals_its_parent(recorded, tmp_path, epoch):
    """All later states have the same digests, also after the end of the parent."""
    path, _ = recorded
    parent = fl.open_run(path)
    fork = parent.fork(epoch, tmp_path / "fork.run").resume(epochs=45, progress=False)
    uninterrupted = [fl.digest(state) for state in take(46, fl.epochs(everything(), *problem()))]
    assert [row.digest for row in fork.rows] == uninterrupted[epoch:]
    assert fork.parent["epoch"] == epoch
    assert fork.parent["digest"] == parent.rows[epoch].digest
    assert fl.open_run(tmp_path / "fork.run").verify().ok
    assert parent.verify().ok


def test_a_fork_selects_the_best_state_by_the_metric_of_the_run(tmp_path):
    """A metric that the run was recorded with is kept as long as the fork has it; by default it is that of the new trainer."""
    trainer, train, validation = tiny()
    stream = take(3, fl.epochs(trainer, train, validation))
    fl.last(fl.record(tmp_path / "a.run", trainer, train, validation, stream, monitor="val_accuracy"))
    run = fl.open_run(tmp_path / "a.run")
    assert run.fork(1, tmp_path / "b.run", batch_size=4).monitor == ("val_accuracy", "max")
    without = run.fork(1, tmp_path / "c.run", metrics=(), early_stopping=fl.EarlyStopping("loss", restore_best=False))
    assert without.monitor == ("loss", "min")
    record_tiny(tmp_path / "d.run", 2)
    stopping = fl.EarlyStopping("val_accuracy", restore_best=False)
    assert fl.open_run(tmp_path / "d.run").fork(1, tmp_path / "e.run", early_stopping=stopping).monitor[0] == "val_accuracy"


def test_a_fork_of_a_fork_with_changes_can_be_verified(recorded, tmp_path):
    """With another scheduler and another batch size, every state is recovered from the fork's own file."""
    parent = fl.open_run(recorded[0])
    first = parent.fork(20, tmp_path / "1.run", scheduler=fl.schedulers.ExponentialLR(0.02, gamma=0.95))
    first.resume(epochs=25, progress=False)
    second = first.fork(23, tmp_path / "2.run", batch_size=6).resume(epochs=30, progress=False)
    assert second.rows[-1].epoch == 30
    assert second.parent["path"] == str(tmp_path / "1.run")
    for path in ("1.run", "2.run"):
        assert fl.open_run(tmp_path / path).verify().ok
    with pytest.raises(fl.RunError, match=r"path must be a new file, .*continues it$"):  # a fork replaces nothing
        parent.fork(3, tmp_path / "1.run")


def test_a_fork_of_a_custom_step(tmp_path):
    """It continues with the same step; states without epochs are counted from the start of the file."""
    fl.last(fl.record(tmp_path / "a.run", None, None)(take(10, iterate(custom_step, CustomState(0, 0.0)))))
    run = fl.open_run(tmp_path / "a.run", step=custom_step, records=[CustomState])
    fork = run.fork(4, tmp_path / "b.run").resume(epochs=5, progress=False)
    assert fork.last == run.last


# Invalid arguments.


def test_a_run_without_a_finished_epoch_has_no_best_state(tmp_path):
    """The message does not blame NaN for it."""
    record_tiny(tmp_path / "a.run", 0)
    with pytest.raises(fl.NoBestError, match="there is no best state: no epoch of the run has a 'val_loss' that is not NaN"):
        fl.open_run(tmp_path / "a.run").best()


@frozen
class Vector:
    vector: Array


@frozen
class Measured:
    """A custom state that `fl.best` can select."""

    epoch: int
    params: Vector
    metrics: Mapping[str, float]


@given(st.lists(st.tuples(st.sampled_from([0.0, -0.0, 1.0, 2.0, math.inf, math.nan]), st.booleans()), max_size=6))
def test_the_best_state_is_that_of_the_stream(epochs):
    """`Run.best` and `fl.best` select the same state, or none: by value, then the earliest, with finite parameters only."""

    def state(epoch):
        value, is_finite = epochs[epoch - 1] if epoch else (0.0, True)
        params = Vector(np.array([1.0 if is_finite else math.nan, float(epoch)]))
        return Measured(epoch, params, {"loss": value} if epoch else {})

    states = list(map(state, range(len(epochs) + 1)))
    with tempfile.TemporaryDirectory() as folder:
        fl.last(fl.record(f"{folder}/a.run", None, None, None, states))
        records = [Vector, Measured]
        run = fl.open_run(f"{folder}/a.run", step=lambda before: state(before.epoch + 1), records=records)
        for mode in ("min", "max"):
            try:
                expected = fl.best("loss", states, mode=mode)
            except fl.NoBestError:
                with pytest.raises((fl.NoBestError, ValueError)):  # without any epoch the metric is unknown
                    run.best("loss", mode=mode)
            else:
                assert run.best("loss", mode=mode) == expected


def test_a_stop_at_the_first_step_of_an_epoch(tmp_path):
    """The stopped state has the epoch and step of the one before: `state` returns that one, `last` and `bisect` the other."""
    for first in (0, 3):
        path, jump = tmp_path / f"{first}.run", fl.schedulers.PiecewiseLR([0, first], [0.01, 1e300], interpolate="previous")
        trainer, train, validation = tiny(scheduler=jump, optimizer=fl.optimizers.SGD())
        states = fl.record(path, trainer, train, validation, fl.epochs(trainer, train, validation))
        with pytest.warns(fl.NonFiniteWarning):
            *_, before, stopped = states
        assert (before.epoch, before.step, before.stopped) == (stopped.epoch, stopped.step, None) == (first, 3 * first, None)
        run = fl.open_run(path)
        for arguments in ((first,), (first, 3 * first), (None, 3 * first)):
            assert fl.same_bits(run.state(*arguments), before)
        for state in (run.last, run.bisect(lambda state: state.stopped is not None)):
            assert fl.same_bits(state, stopped)


def bad_arguments():
    """Yield invalid arguments of `record`, each with its error and message."""
    trainer, train, validation = tiny()
    good = {"path": "a.run", "trainer": trainer, "train": train, "validation": validation}
    yield {**good, "path": 5}, TypeError, "path must be a file's path, got 5"
    yield {**good, "path": "nowhere/a.run"}, FileNotFoundError, "path must be a file in a folder that exists"
    yield {**good, "path": ""}, FileNotFoundError, "path must be a file in a folder that exists"
    yield {**good, "trainer": "adam"}, TypeError, "trainer must be a fl.Trainer, got 'adam'"
    yield {**good, "train": None}, TypeError, "train must be a fl.Dataset, got None"
    yield {**good, "train": train.x}, TypeError, "train must be a fl.Dataset, got <ndarray"
    yield {**good, "validation": [1]}, TypeError, r"validation must be a fl.Dataset or None, got \[1\]"
    yield {**good, "engine": "cuda"}, ValueError, "engine must be 'numpy', 'jax'"
    yield {**good, "monitor": "los"}, ValueError, "los"
    yield {**good, "snapshot_every": 0}, ValueError, "snapshot_every must be an integer of at least 1, got 0"
    yield {**good, "snapshot_every": 1.5}, TypeError, "snapshot_every must be an integer of at least 1, got 1.5"
    yield {**good, "max_bytes": 0}, ValueError, "max_bytes must be an integer of at least 1, got 0"
    yield {**good, "preprocessing": "none"}, TypeError, "preprocessing must be a Preprocessing or None, got 'none'"


@pytest.mark.parametrize(("arguments", "kind", "message"), list(bad_arguments()))
def test_record_refuses_invalid_arguments(tmp_path, monkeypatch, arguments, kind, message):
    """The call raises with the argument's name and value, and no file is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        fl.record(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_record_refuses_an_existing_path(tmp_path):
    """A file, a folder and a broken link are all left unchanged."""
    trainer, train, validation = tiny()
    for name in ("a file", "a folder", "a link to nothing"):
        path = tmp_path / name
        if name == "a file":
            path.write_text("mine")
        elif name == "a folder":
            path.mkdir()
        else:
            path.symlink_to(tmp_path / "nowhere")
        with pytest.raises((fl.RunError, OSError)):
            fl.last(fl.record(path, trainer, train, validation)(take(3, fl.epochs(trainer, train, validation))))
    assert (tmp_path / "a file").read_text() == "mine"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a file", "a folder", "a link to nothing"]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda run: run.state(-1), ValueError, "epoch must be an integer of at least 0, got -1"),
        (lambda run: run.state(1.0), TypeError, "epoch must be an integer of at least 0, got 1.0"),
        (lambda run: run.state(1, -2), ValueError, "step must be an integer of at least 0, got -2"),
        (lambda run: run.state(step=10**6), ValueError, "step must be one that the run took, 0 to "),
        (lambda run: run.state(), TypeError, "step must be an integer of at least 0, got None"),
        (lambda run: run.resume(epochs=0), ValueError, "epochs must be an integer of at least 1, got 0"),
        (lambda run: run.resume(epochs=9, snapshot_every=0), ValueError, "snapshot_every must be an integer of at least 1"),
        (lambda run: run.resume(epochs=9, max_bytes=0.5), TypeError, "max_bytes must be an integer of at least 1, got 0.5"),
        (lambda run: run.probe("loss"), TypeError, "function must take a state, got 'loss'"),
        (lambda run: run.probe(len, epochs=5), TypeError, "epochs must be a sequence of epochs or None, got 5"),
        (lambda run: run.probe(len, epochs=["a"]), TypeError, "epochs must be an integer of at least 0, got 'a'"),
        (lambda run: run.probe(len, epochs=[9]), ValueError, "epoch must be one that the run reached, 0 to 3, got 9"),
        (lambda run: run.probe(len, map=5), TypeError, "map must be an executor, a pool, .*, got 5"),
        (lambda run: run.verify(map=lambda f, tasks: []), ValueError, "map must give a result for each of [1-9].* got 0"),
        (lambda run: run.diff(1, "x"), TypeError, "b must be an epoch, an epoch and a step, or a state, got 'x'"),
        (lambda run: run.diff((1, 2, 3), 1), TypeError, r"a must be an epoch, .* got \(1, 2, 3\)"),
        (lambda run: run.best("los"), ValueError, "los"),
        (lambda run: run.best("seconds"), ValueError, "metric must be one of the run's, loss, .* lr, got 'seconds'"),
        (lambda run: run.best(5), TypeError, "metric must be a metric's name, got 5"),
        (lambda run: run.fork(1, run.path.parent / "b", train=0), TypeError, "train must be a fl.Dataset or None, got 0"),
        (lambda run: run.fork(1, run.path.parent / "b", validation=[]), TypeError, "validation must be .* got \\[\\]"),
        (lambda run: fl.open_run(run.path, records=5), TypeError, "records must be a sequence of record classes, got 5"),
        (lambda run: run.best("loss", mode="least"), ValueError, "mode must be one of 'min', 'max', got 'least'"),
        (lambda run: run.fork(1, run.path.parent / "b", speed=3), TypeError, "changes must be of model, .* got 'speed'"),
        (lambda run: run.fork(9, run.path.parent / "b"), ValueError, "epoch must be one that the run reached, 0 to 3, got 9"),
        (
            lambda run: run.fork(1, run.path.parent / "b", model=fl.mlp([3, 5, 1])),
            ValueError,
            "the state is of another model",
        ),
        (
            lambda run: run.fork(1, run.path.parent / "b", dtype="float64"),
            ValueError,
            "the state has parameters of float32",
        ),
    ],
)
def test_a_run_refuses_invalid_arguments(tmp_path, call, kind, message):
    """The error has the argument's name and value; the run file is unchanged, and no file is written."""
    record_tiny(tmp_path / "a.run", 3)
    before = (tmp_path / "a.run").read_bytes()
    with pytest.raises(kind, match=message):
        call(fl.open_run(tmp_path / "a.run"))
    assert (tmp_path / "a.run").read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


@pytest.mark.parametrize(
    ("states", "kind", "message"),
    [
        (lambda trainer, data: [1, 2], TypeError, "states must be a TrainState, got 1"),
        (
            lambda trainer, data: fl.epochs(tiny(model=fl.mlp([3, 1]))[0], data, data),
            ValueError,
            "states is of another model",
        ),
        (lambda trainer, data: fl.epochs(trainer, data), ValueError, "validation must be that of the stream, .* got some"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(tmp_path, states, kind, message):
    """The error is raised during recording, not at replay."""
    trainer, data, _ = tiny(scheduler=fl.schedulers.ConstantLR(0.1))
    with pytest.raises(kind, match=message):
        fl.last(fl.record(tmp_path / "a.run", trainer, data, data)(take(4, states(trainer, data))))
    assert not [item for item in tmp_path.iterdir() if "lock" in item.name or "partial" in item.name]


def prune_first(path, function, tasks):
    fl.open_run(path).prune(1)
    return map(function, tasks)


def test_a_run_can_be_pruned_while_it_is_verified(tmp_path):
    """States whose snapshot is removed are computed from an earlier one."""
    record_tiny(tmp_path / "a.run", 20, snapshot_every=2)
    run = fl.open_run(tmp_path / "a.run")
    assert len(run.snapshots) > 10
    assert run.verify(map=partial(prune_first, run.path)).ok
    assert len(run.snapshots) < 10


def test_a_path_with_a_special_meaning_for_sqlite_is_a_path(tmp_path, monkeypatch):
    """`:memory:` and URIs name files like any other path."""
    monkeypatch.chdir(tmp_path)
    for path in (":memory:", "file:x.run?mode=memory", f"/{tmp_path}/slashes.run", "a b%20#?.run"):
        states = record_tiny(path, 3)
        assert fl.same_bits(fl.open_run(path).state(2), states[2])
        assert fl.open_run(path).resume(epochs=4, progress=False).last.epoch == 4


def test_a_custom_state_with_an_invalid_epoch_is_refused(tmp_path):
    """A row that could not be read is not written."""
    stream = ({"epoch": n} for n in range(3))
    fl.last(fl.record(tmp_path / "a.run", None, None, None, stream))  # a mapping is a state as well
    assert len(fl.open_run(tmp_path / "a.run").rows) == 3
    with pytest.raises(ValueError, match="row 0 of the states is invalid"):
        fl.last(fl.record(tmp_path / "b.run", None, None, None, [Odd(-1)]))
    assert not (tmp_path / "b.run").exists()


@frozen
class Odd:
    """A state with a negative number of epochs."""

    epoch: int
