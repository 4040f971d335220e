"""Every state of a run can be recovered with the same bits, in a new process, whatever the run consists of."""

import enum

import attrs
import numpy as np
import pytest
from toolz import drop, iterate, take

import fnloop as fl
from fnloop.core.records import frozen
from fnloop.runs import manifest
from tests.replay.support import CustomState, custom_step, everything, fingerprint, in_new_process, problem, record_tiny, tiny

EPOCHS = 300


def record_everything(path, epochs=EPOCHS, patience=1000):
    """Record a run; return the digests of the states after each epoch and after each step."""
    stopping = fl.EarlyStopping("val_loss", patience=patience, restore_best=True)
    trainer, (train, validation) = everything(early_stopping=stopping), problem()
    states = list(fl.record(path, trainer, train, validation)(take(epochs + 1, fl.epochs(trainer, train, validation))))
    steps = take(states[-1].step + 1, fl.steps(trainer, train, validation))
    return [fingerprint(state) for state in states], [(state.epoch, state.step, fingerprint(state)) for state in steps]


def recovered(path, positions):
    """Return the digests of the states at some epochs and steps."""
    run = fl.open_run(path)
    return [fingerprint(run.state(*position)) for position in positions]


@pytest.mark.thorough
def test_every_state_of_a_run_with_everything_is_recovered(tmp_path):
    """301 states, in order and at random, and steps within epochs equal those that another process trained."""
    path = str(tmp_path / "all.run")
    ends, steps = in_new_process(record_everything, path)
    assert len(set(ends)) == EPOCHS + 1
    assert in_new_process(recovered, path, [[epoch] for epoch in range(EPOCHS + 1)]) == ends
    draw = np.random.default_rng(0)
    shuffled = draw.permutation(EPOCHS + 1).tolist()[:12]
    inside = [steps[i] for i in draw.choice(len(steps) - 1, 30, replace=False) if steps[i][1] % 12]
    positions = [[epoch] for epoch in shuffled] + [position[:2] for position in inside]
    assert in_new_process(recovered, path, positions) == [ends[epoch] for epoch in shuffled] + [
        position[2] for position in inside
    ]


def test_every_step_of_an_epoch(tmp_path):
    """The states after each batch of the first epochs can be recovered, after the smaller last batch as well."""
    path = str(tmp_path / "steps.run")
    _, steps = record_everything(path, 3)
    run = fl.open_run(path)
    for epoch, step, expected in steps:  # the stream of steps closes an epoch with the next one's first step
        if step % 12 or not step:
            assert fingerprint(run.state(epoch, step)) == expected == fingerprint(run.state(step=step))
    assert fingerprint(run.state(step=24)) == fingerprint(run.state(2))  # at the end of epoch 2
    inside = run.state(1, 24)
    assert (inside.epoch, inside.step, inside.progress.batches) == (1, 24, 12)
    assert fingerprint(fl.make_epoch(run.trainer, run.train, run.validation)(inside)) == fingerprint(run.state(2))
    for position in (2, 23), (2, 37), (3, 37), (3, 0):
        with pytest.raises(
            ValueError, match=f"step must be one that the run took after epoch {position[0]}, .* got {position[1]}"
        ):
            run.state(*position)
    with pytest.raises(ValueError, match="epoch must be one that the run reached, 0 to 3, got 4"):
        run.state(4)


def test_a_stopped_run_with_restored_parameters(tmp_path):
    """A run that early stopping ended and restored can be recovered; resuming it does not change the file."""
    path = tmp_path / "stopped.run"
    ends, _ = in_new_process(record_everything, str(path), 300, 4)
    assert 3 < len(ends) < 300
    assert in_new_process(recovered, str(path), [[epoch] for epoch in range(len(ends))]) == ends
    before = path.read_bytes()
    run = fl.open_run(path).resume(epochs=400, progress=False)
    assert run.stop_reason == fl.StopReason.NO_IMPROVEMENT.value
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["stopped.run"]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    """Neither the same number of epochs nor fewer change the file."""
    record_tiny(tmp_path / "a.run", 5)
    before = (tmp_path / "a.run").read_bytes()
    for epochs in (5, 2):
        fl.open_run(tmp_path / "a.run").resume(epochs=epochs, progress=False)
        assert (tmp_path / "a.run").read_bytes() == before


@pytest.mark.parametrize("parts", [(1, 2, 3, 7), (6, 7), (7,)])
def test_a_run_resumed_in_parts_equals_the_whole(tmp_path, parts):
    """However often it is interrupted, the rows, except for their seconds, are those of an uninterrupted run."""
    uninterrupted = record_everything(str(tmp_path / "whole.run"), 7)[0]
    record_everything(str(tmp_path / "parts.run"), parts[0])
    for epochs in parts[1:]:
        fl.open_run(tmp_path / "parts.run").resume(epochs=epochs, progress=False)
    one, resumed = (fl.open_run(tmp_path / name) for name in ("whole.run", "parts.run"))
    assert [fingerprint(resumed.state(epoch)) for epoch in range(8)] == uninterrupted
    assert [row[:3] + row[4:8] for row in one.rows] == [row[:3] + row[4:8] for row in resumed.rows]
    assert resumed.verify().ok


def test_the_recorded_stream_is_the_stream(tmp_path):
    """Recording changes no state, and `fit` records what it trains."""
    trainer, train, validation = tiny()
    plain = list(take(6, fl.epochs(trainer, train, validation)))
    assert list(map(fingerprint, plain)) == list(map(fingerprint, record_tiny(tmp_path / "a.run", 5)))
    fit = fl.fit(trainer, train, validation, epochs=5, record=tmp_path / "b.run", progress=False)
    run = fl.open_run(tmp_path / "b.run")
    assert fingerprint(fit.last) == fingerprint(run.last)
    assert fingerprint(fit.best) == fingerprint(run.best())
    assert {k: v for k, v in fit.history.items() if k != "seconds"} == {k: v for k, v in run.history.items() if k != "seconds"}
    assert [row.seconds for row in run.rows[1:]] == run.history["seconds"]


def test_a_run_that_starts_from_a_state(tmp_path):
    """Its epochs are counted from that state, and all states can be recovered."""
    trainer, train, validation = tiny()
    start = fl.last(take(4, fl.epochs(trainer, train, validation)))
    stream = take(5, fl.epochs(trainer, train, validation, start=start))
    states = list(fl.record(tmp_path / "a.run", trainer, train, validation)(stream))
    run = fl.open_run(tmp_path / "a.run")
    assert [row.epoch for row in run.rows] == [3, 4, 5, 6, 7]
    assert [fingerprint(run.state(epoch)) for epoch in range(3, 8)] == list(map(fingerprint, states))
    assert len(run.history["loss"]) == 4
    with pytest.raises(ValueError, match="epoch must be one that the run reached, 3 to 7, got 2"):
        run.state(2)
    assert run.verify().ok


def test_a_run_that_starts_within_an_epoch(tmp_path):
    """Its first epoch is the rest of that epoch; the steps within it can be recovered as well."""
    trainer, train, validation = tiny()
    steps = list(take(9, fl.steps(trainer, train, validation)))
    start = steps[4]
    assert (start.epoch, start.progress.batches) == (1, 1)
    stream = fl.epochs(trainer, train, validation, start=start)
    states = list(fl.record(tmp_path / "a.run", trainer, train, validation)(take(3, stream)))
    run = fl.open_run(tmp_path / "a.run")
    assert [(row.epoch, row.step) for row in run.rows] == [(1, 4), (2, 6), (3, 9)]
    assert [fingerprint(run.state(epoch)) for epoch in (1, 2, 3)] == list(map(fingerprint, states))
    assert fingerprint(run.state(1, 5)) == fingerprint(steps[5])
    assert fingerprint(run.state(2, 8)) == fingerprint(steps[8])
    uninterrupted = list(take(4, fl.epochs(trainer, train, validation)))
    assert fingerprint(run.state(3)) == fingerprint(uninterrupted[3])
    assert run.verify().ok
    assert fingerprint(run.resume(epochs=5, progress=False).last) == fingerprint(
        fl.last(take(6, fl.epochs(trainer, train, validation)))
    )


@pytest.mark.parametrize("non_finite", ["stop", "skip"])
def test_a_run_that_becomes_non_finite(tmp_path, non_finite):
    """A stopped state is recorded after the last epoch and stays stopped; after skipped steps training continues."""
    trainer, train, _ = tiny(
        model=fl.mlp([3, 1]),
        loss=fl.losses.MeanSquaredError(),
        optimizer=fl.optimizers.SGD(),
        scheduler=fl.schedulers.ConstantLR(3.0),
        metrics=(),
        non_finite=non_finite,
    )
    data = (fl.Dataset(train.x, train.y.astype(np.float32)),) * 2
    states = list(fl.record(tmp_path / "a.run", trainer, *data)(take(13, fl.epochs(trainer, *data))))
    run = fl.open_run(tmp_path / "a.run")
    assert run.verify().ok
    if non_finite == "stop":
        assert run.stop_reason == states[-1].stop_reason == fl.StopReason.NON_FINITE.value
        assert len(run.rows) == len(states) < 13
        assert (states[-1].epoch, states[-1].step) == (states[-2].epoch, states[-2].step + 1)
        assert fingerprint(run.state(states[-1].epoch, states[-1].step)) == fingerprint(states[-1])
        assert fingerprint(run.state(step=states[-2].step)) == fingerprint(states[-2])
        assert fingerprint(run.last) == fingerprint(states[-1])
        assert fingerprint(run.state(states[-2].epoch)) == fingerprint(states[-2])
        before = run.path.read_bytes()
        assert fingerprint(run.resume(epochs=40, progress=False).last) == fingerprint(states[-1])
        assert run.path.read_bytes() == before
    else:
        assert states[-1].step == 36
        assert states[-1].optimizer.count < 36
        assert [fingerprint(run.state(epoch)) for epoch in range(13)] == list(map(fingerprint, states))
        longer = fl.last(take(16, fl.epochs(trainer, *data)))
        assert fingerprint(run.resume(epochs=15, progress=False).last) == fingerprint(longer)


def test_data_above_the_limit_must_be_given(tmp_path, monkeypatch):
    """The file has the digest of the data only; the error says what is needed, and other data is refused."""
    _, train, validation = tiny()
    monkeypatch.setattr(manifest, "MAX_DATA_BYTES", train.x.nbytes)
    states = record_tiny(tmp_path / "a.run", 3, snapshot_every=100)
    run = fl.open_run(tmp_path / "a.run")
    assert len(run.history["loss"]) == 3
    assert run.snapshots == [0, 3]
    with pytest.raises(fl.RunError, match=r"has only the digest of train: use open_run\(path, train=...\)"):
        run.state(1)
    run = fl.open_run(tmp_path / "a.run", train=train, validation=validation)
    assert list(map(fingerprint, map(run.state, range(4)))) == list(map(fingerprint, states))
    other = fl.Dataset(np.nextafter(train.x, np.float32(9)), train.y)
    with pytest.raises(ValueError, match=f"train must be what the run was recorded with, of digest {fl.digest(train)}"):
        fl.open_run(tmp_path / "a.run", train=other, validation=validation)


def test_a_trainer_with_a_function_must_be_given(tmp_path):
    """The file has its digest only; another trainer is refused."""
    trainer, train, validation = tiny(metrics=("accuracy", margin))
    states = list(fl.record(tmp_path / "a.run", trainer, train, validation)(take(4, fl.epochs(trainer, train, validation))))
    with pytest.raises(fl.RunError, match=r"holds functions, which .*; use open_run\(path, trainer=...\)"):
        fl.open_run(tmp_path / "a.run").state(1)
    run = fl.open_run(tmp_path / "a.run", trainer=trainer)
    assert list(map(fingerprint, map(run.state, range(4)))) == list(map(fingerprint, states))
    with pytest.raises(ValueError, match="trainer must be what the run was recorded with"):
        fl.open_run(tmp_path / "a.run", trainer=tiny()[0])


def margin(outputs, y):
    """Return a custom metric."""
    return np.abs(outputs[:, 0])


def test_a_run_of_a_custom_step(tmp_path):
    """Any record and any function can be recorded: the same step recovers the states, another is refused."""
    states = list(fl.record(tmp_path / "a.run", None, None)(take(40, iterate(custom_step, CustomState(0, 0.0)))))
    with pytest.raises(fl.RunError, match=r"record 'tests\.replay\.support\.CustomState', which is not on the list"):
        fl.open_run(tmp_path / "a.run", step=custom_step).state(0)
    run = fl.open_run(tmp_path / "a.run", records=[CustomState])
    assert fl.same_bits(run.state(0), states[0])
    with pytest.raises(fl.RunError, match=r"was recorded from a custom step: use open_run\(path, step=...\)"):
        run.state(20)
    run = fl.open_run(tmp_path / "a.run", step=custom_step, records=[CustomState])
    assert [run.state(n) for n in range(40)] == states
    assert run.verify().ok
    assert run.bisect(lambda state: state.total > 3).n == next(s.n for s in states if s.total > 3)
    assert run.resume(epochs=60, progress=False).last == next(drop(60, iterate(custom_step, CustomState(0, 0.0))))
    for wrong in (lambda s: CustomState(s.n + 1, s.total), lambda s: CustomState(s.n + 1, s.total + 1 / (s.n + 1 + 1e-12))):
        run = fl.open_run(tmp_path / "a.run", step=wrong, records=[CustomState])
        with pytest.raises(fl.ReplayError, match=r"differs in total; .* so that the step may have changed; "):
            run.state(20)
        assert not run.verify().ok


def descend(state):
    """Return the next state, with scalars of NumPy."""
    return Measured(state.n + 1, np.mean(np.arange(state.n + 2) / 7), {"norm": np.float32(state.n)}, np.int16(state.n))


@frozen
class Measured:
    """A state with scalars of NumPy."""

    n: int
    loss: float
    metrics: dict
    small: int


def test_numpy_scalars_in_a_custom_state(tmp_path):
    """They are recovered with the same type."""
    states = list(fl.record(tmp_path / "a.run", None, None)(take(20, iterate(descend, Measured(0, 0.0, {}, 0)))))
    run = fl.open_run(tmp_path / "a.run", step=descend, records=[Measured])
    assert [fingerprint(run.state(n)) for n in range(20)] == list(map(fingerprint, states))
    assert run.verify().ok
    assert type(run.last.loss) is np.float64
    assert run.bisect(" norm > +7").n == 9


class Grade(enum.IntEnum):
    """A number with a name."""

    A = 1


@attrs.frozen
class Hidden:
    """A record whose arguments are not named like its fields."""

    _x: int


@pytest.mark.parametrize("state", [{1: 2.0}, {"grade": Grade.A}, Hidden(3), {"a": Hidden(3)}], ids=str)
def test_a_state_that_cannot_be_restored_is_refused(tmp_path, state):
    """The error is raised during recording."""
    with pytest.raises(TypeError, match=r"cannot be (restored from|written to) a file"):
        fl.last(fl.record(tmp_path / "a.run", None, None)([state]))
    assert list(tmp_path.iterdir()) == []


def record_jax(path):
    trainer, train, validation = tiny()
    stream = fl.epochs(trainer, train, validation, engine="jax")
    return [fingerprint(s) for s in fl.record(path, trainer, train, validation, engine="jax")(take(6, stream))]


def test_a_run_of_the_jax_engine(tmp_path):
    """JAX recovers in another process what JAX trained."""
    pytest.importorskip("jax")
    path = str(tmp_path / "a.run")
    states = in_new_process(record_jax, path)
    assert in_new_process(recovered, path, [[epoch] for epoch in range(6)]) == states
    run = fl.open_run(path)
    assert run.engine == "jax"
    assert run.verify().ok
