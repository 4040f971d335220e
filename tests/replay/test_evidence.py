"""A run is resumed by evidence: a recorded epoch is computed again first, and must have its bits."""

import platform

import numpy as np
import pytest
from toolz import drop, iterate, take

import fnloop as fl
from fnloop import nn
from fnloop.core.records import evolve, frozen
from fnloop.nn.model import Params
from fnloop.runs import manifest
from fnloop.runs.reader import Reader
from tests.replay.support import CustomState, custom_step, fingerprint, record_tiny, tiny

TRAINER, TRAIN, VALIDATION = tiny()


@frozen
class Scale(nn.Layer):
    """Multiplies by a constant of the class, which a file does not hold."""

    factor = 2.0

    def output_shape(self, shape):
        return shape

    def forward(self, params, x, context):
        factor = type(self).factor
        return x * factor, lambda dy, grads, need_dx: dy * factor, context.buffers


def decay(factor):
    return lambda t: factor**t


def record(path, trainer, epochs=5, **options):
    """Record some epochs and return the states of twice as many."""
    states = list(take(2 * epochs + 1, fl.epochs(trainer, TRAIN, VALIDATION)))
    fl.last(fl.record(path, trainer, TRAIN, VALIDATION, states[: epochs + 1], **options))
    return states


def changed_epochs(monkeypatch):
    """From now on, an epoch that is computed again has one other bit."""
    make_epoch = fl.make_epoch

    def make(*arguments, **named):
        epoch = make_epoch(*arguments, **named)

        def other(state):
            trained = epoch(state)
            vector = trained.params.vector.copy()
            vector[0] = np.nextafter(vector[0], 9, dtype=vector.dtype)
            return evolve(trained, params=Params(vector, trained.params.model))

        return other

    monkeypatch.setattr("fnloop.runs.replay.make_epoch", make)


def test_other_versions_are_no_reason_to_refuse(tmp_path, monkeypatch):
    """The bits decide: the resumed run is that without an interruption. Its file notes the environment where it changed."""
    states = record(tmp_path / "a.run", TRAINER)
    here = platform.python_version()
    monkeypatch.setattr(platform, "python_version", lambda: "9.9.9")
    fl.open_run(tmp_path / "a.run").resume(epochs=8, progress=False)
    monkeypatch.setattr(platform, "python_version", lambda: here)
    run = fl.open_run(tmp_path / "a.run").resume(epochs=10, progress=False)
    assert [fingerprint(run.state(epoch)) for epoch in range(11)] == [*map(fingerprint, states)]
    assert [row.position for row in run.rows if row.environment is not None] == [0, 6, 9]
    reader = Reader(tmp_path / "a.run")
    assert [reader.environment_at(position)["Python"] for position in (0, 5, 6, 8, 9, 10)] == [here] * 2 + ["9.9.9"] * 2 + [
        here
    ] * 2
    assert run.verify().ok


def test_the_cause_is_named_by_the_environment_of_the_state(tmp_path, monkeypatch):
    """A run has that of each of its parts."""
    record(tmp_path / "a.run", TRAINER)
    monkeypatch.setattr(platform, "python_version", lambda: "9.9.9")
    fl.open_run(tmp_path / "a.run").resume(epochs=8, progress=False, snapshot_every=1)
    monkeypatch.undo()
    changed_epochs(monkeypatch)
    monkeypatch.setattr(Reader, "snapshots", lambda self: [0, 6])
    run = fl.open_run(tmp_path / "a.run")
    with pytest.raises(fl.ReplayError, match=r"the environment differs: Python was 9\.9\.9, is "):
        run.state(7)
    with pytest.raises(fl.ReplayError, match="the environment is the same"):
        run.state(3)


def test_a_snapshot_is_read_where_its_state_cannot_be_computed(tmp_path, monkeypatch):
    """Also after the state before it, from which it is otherwise computed."""
    states = record(tmp_path / "a.run", TRAINER, snapshot_every=1)
    run = fl.open_run(tmp_path / "a.run")
    changed_epochs(monkeypatch)
    assert [fingerprint(run.state(epoch)) for epoch in range(6)] == [*map(fingerprint, states[:6])]


def test_a_run_with_an_edited_layer_is_refused_and_can_be_forked(tmp_path, monkeypatch):
    """The error names the fields, the likely cause, and the nearest snapshot; a fork from it has the new layer."""
    trainer = fl.Trainer(model=nn.Sequential(3, (nn.Dense(3, 1), Scale())), loss="mse", scheduler=0.1, batch_size=8)
    record(tmp_path / "a.run", trainer)
    before = (tmp_path / "a.run").read_bytes()
    monkeypatch.setattr(Scale, "factor", 3.0)
    run = fl.open_run(tmp_path / "a.run", records=[Scale])
    with pytest.raises(fl.ReplayError) as error:
        run.resume(epochs=8, progress=False)
    text = str(error.value)
    assert "cannot be resumed with the same bits: the state of epoch" in text
    assert "it differs in params" in text
    assert "the environment is the same, so that the trainer's functions, a custom layer or the data may have changed" in text
    assert "the nearest snapshot is that of epoch 5, from which run.fork(5, path) starts a new run" in text
    assert (tmp_path / "a.run").read_bytes() == before
    fork = run.fork(5, tmp_path / "b.run").resume(epochs=8, progress=False)
    assert fork.last.epoch == 8
    assert fork.verify().ok


def test_a_run_with_an_edited_closure_is_refused(tmp_path):
    """The file holds no functions, and the one that is supplied has the same name."""
    original, edited = (tiny(scheduler=fl.schedulers.LambdaLR(0.1, decay(factor)))[0] for factor in (0.9, 0.8))
    record(tmp_path / "a.run", original)
    with pytest.raises(ValueError, match=r"differs in|must be what the run was recorded with"):
        fl.open_run(tmp_path / "a.run", trainer=edited).resume(epochs=8, progress=False)
    assert fl.open_run(tmp_path / "a.run", trainer=original).resume(epochs=8, progress=False).last.epoch == 8


def test_functions_of_another_python_are_known_by_the_states(tmp_path, monkeypatch):
    """Its bytecode is another one, so that the supplied function is accepted, and recorded work is computed again with it."""
    original, edited = (tiny(scheduler=fl.schedulers.LambdaLR(0.1, decay(factor)))[0] for factor in (0.9, 0.8))
    other_form = tiny(scheduler=fl.schedulers.LambdaLR(0.2, decay(0.9)))[0]
    with monkeypatch.context() as recording:
        recording.setattr(platform, "python_version", lambda: "3.10.4")
        recording.setattr("fnloop.core.identity.code_text", lambda code, constant_text: '"other bytecode"')
        states = record(tmp_path / "a.run", original)
    run = fl.open_run(tmp_path / "a.run", trainer=original)
    assert [fingerprint(run.state(epoch)) for epoch in (3, 5)] == [fingerprint(states[epoch]) for epoch in (3, 5)]
    assert run.resume(epochs=8, progress=False).verify().ok
    with pytest.raises(fl.ReplayError, match=r"cannot be resumed with the same bits"):
        fl.open_run(tmp_path / "a.run", trainer=edited).resume(epochs=9, progress=False)
    with pytest.raises(ValueError, match=r"trainer must be what .* differs in scheduler\.initial_lr"):
        fl.open_run(tmp_path / "a.run", trainer=other_form)


def test_a_run_with_other_data_is_refused(tmp_path, monkeypatch):
    """By its digest, and by its bits if the digest is not compared."""
    monkeypatch.setattr(manifest, "MAX_DATA_BYTES", 0)
    record(tmp_path / "a.run", TRAINER)
    other = fl.Dataset(TRAIN.x + np.float32(1e-3), TRAIN.y)
    with pytest.raises(ValueError, match="train must be what the run was recorded with"):
        fl.open_run(tmp_path / "a.run", train=other, validation=VALIDATION)
    monkeypatch.setattr(Reader, "_check_supplied", lambda *arguments: None)
    for data in ({"train": other, "validation": VALIDATION}, {"train": TRAIN, "validation": other}):
        with pytest.raises(fl.ReplayError, match=r"cannot be resumed with the same bits: .* run\.fork\(5, path\)"):
            fl.open_run(tmp_path / "a.run", **data).resume(epochs=8, progress=False)


@pytest.mark.parametrize("snapshots", [[0], [0, 5], [0, 3], [0, 3, 5], [0, 4], [0, 4, 5]], ids=str)
def test_an_epoch_is_compared_wherever_the_snapshots_are(tmp_path, monkeypatch, snapshots):
    """Also if the last state has one, and also if the state was computed before the code changed."""
    record_tiny(tmp_path / "a.run", 5, snapshot_every=1)
    run = fl.open_run(tmp_path / "a.run")
    monkeypatch.setattr(Reader, "snapshots", lambda self: snapshots)
    assert run.last.epoch == 5
    changed_epochs(monkeypatch)
    nearest = max(snapshots)
    for opened in (fl.open_run(tmp_path / "a.run"), fl.open_run(tmp_path / "a.run")):
        with pytest.raises(fl.ReplayError, match=rf"differs in params; .* run\.fork\({nearest}, path\) starts a new run"):
            opened.resume(epochs=8, progress=False)
        assert len(opened.rows) == 6
    monkeypatch.undo()
    assert run.resume(epochs=8, progress=False).verify().ok


def test_a_run_with_one_state_has_nothing_to_compare(tmp_path, monkeypatch):
    """A fresh fork is resumed wherever it is."""
    record_tiny(tmp_path / "a.run", 5)
    fork = fl.open_run(tmp_path / "a.run").fork(3, tmp_path / "b.run")
    changed_epochs(monkeypatch)
    with pytest.raises(fl.ReplayError):
        fl.open_run(tmp_path / "a.run").resume(epochs=8, progress=False)
    assert fork.resume(epochs=5, progress=False).last.epoch == 5


def test_a_custom_step_that_was_edited_is_refused(tmp_path):
    """And the right one continues with the same bits."""
    fl.last(fl.record(tmp_path / "a.run")(take(6, iterate(custom_step, CustomState(0, 0.0)))))

    def edited(state):
        return custom_step(evolve(state, total=state.total + 1e-9))

    with pytest.raises(fl.ReplayError, match=r"the environment is the same, so that the step may have changed; .*fork\(5, "):
        fl.open_run(tmp_path / "a.run", step=edited, records=[CustomState]).resume(epochs=9, progress=False)
    run = fl.open_run(tmp_path / "a.run", step=custom_step, records=[CustomState]).resume(epochs=9, progress=False)
    assert run.last == next(drop(9, iterate(custom_step, CustomState(0, 0.0))))


@pytest.mark.parametrize(("epoch", "nearest"), [(1, 0), (2, 3), (4, 3)])
def test_an_error_of_replay_names_the_nearest_snapshot(tmp_path, monkeypatch, epoch, nearest):
    """Before or after the state; that snapshot needs no replay."""
    record_tiny(tmp_path / "a.run", 5, snapshot_every=3)
    changed_epochs(monkeypatch)
    run = fl.open_run(tmp_path / "a.run")
    monkeypatch.setattr(Reader, "snapshots", lambda self: [0, 3])
    with pytest.raises(fl.ReplayError, match=rf"is that of epoch {nearest}, from which run\.fork\({nearest}, path\)"):
        run.state(epoch)
    assert run.fork(nearest, tmp_path / "b.run").rows[0].epoch == nearest
