"""A state continues under a changed trainer: each part is kept if its meaning is the same, starts over, or is an error."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import nth, take

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.optimizers import SGD, Adam, AdamW, Lion, chain, clip_by_global_norm, ema
from fnloop.schedulers import ConstantLR, CosineAnnealingLR, ReduceLROnPlateau, StepLR, migrate, times, warmup
from fnloop.training.adapt import adapt
from tests.laws.test_metrics_of_states import has_own_metrics
from tests.strategies import SCHEDULERS, dataset, problems

DATA, OTHER = dataset("binary", 20), dataset("binary", 30, seed=3)
BINARY = fl.Trainer(
    model=fl.mlp([3, 4, 1]), loss=fl.losses.BinaryCrossEntropy(), scheduler=ConstantLR(0.03), batch_size=8, seed=2
)
stopping = st.sampled_from([None, fl.EarlyStopping("loss", patience=1, min_delta=0.1)])


def start_under(changes, state, epochs=1):
    """Return the states of a run that starts under a changed trainer, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        states = list(take(epochs + 1, fl.epochs(evolve(BINARY, **changes), DATA, OTHER, start=state)))
    return states, [str(warning.message) for warning in caught]


@given(problems(stopping), st.integers(0, 12), st.booleans())
def test_the_same_trainer_changes_nothing(problem, steps, validated):
    """A trainer continues from any state of its own stream with the same object, without a warning."""
    trainer, data = problem
    state = fl.last(take(steps + 1, fl.steps(trainer, data, data if validated else None)))
    adapted, notes = adapt(trainer, state, data, validated)
    assert adapted is state
    assert not notes


@pytest.mark.parametrize("schedule_every", ["epoch", "step"])
@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=repr)
def test_another_schedule_counts_from_the_first_epoch(scheduler, schedule_every):
    """The next step has the rate that the new schedule would have if it had been used from the start."""
    state = nth(4, fl.epochs(BINARY, DATA, OTHER))
    changes = {"scheduler": scheduler, "schedule_every": schedule_every}
    (first, after), notes = start_under(changes, state)
    t = 4 if schedule_every == "epoch" else state.updates
    whole = scheduler.init()
    for _ in range(t):
        whole = scheduler.step(whole)
    assert fl.same_bits(first.scheduler, whole)
    assert not notes
    assert after.metrics["lr"] == (first.lr if schedule_every == "epoch" else scheduler(t + 2))


def test_another_optimizer_starts_over():
    """SGD's momentum is not Lion's, and moments depend on their decay rates; the warning names both optimizers."""
    state = nth(2, fl.epochs(evolve(BINARY, optimizer=SGD(momentum=0.9)), DATA, OTHER))
    (first, _), notes = start_under({"optimizer": Lion()}, state)
    assert (first.optimizer.count, first.updates) == (0, 6)
    assert not first.optimizer.slots[0].any()
    assert "optimizer starts over" in notes[0]
    assert "SGD(momentum=0.9).mu" in notes[0]
    assert "ScaleByLion" in notes[0]
    state = nth(2, fl.epochs(BINARY, DATA, OTHER))
    (first, _), notes = start_under({"optimizer": Adam(b1=0.5)}, state)
    assert first.optimizer.count == 0
    assert len(notes) == 1


def test_a_step_and_an_epoch_refuse_the_state_of_another_optimizer():
    """They adapt nothing: SGD's momentum would be used as Lion's."""
    state = nth(2, fl.epochs(evolve(BINARY, optimizer=SGD(momentum=0.9)), DATA))
    lion = evolve(BINARY, optimizer=Lion())
    batch = fl.Batch(DATA.x[:4], DATA.y[:4])
    for call in (lambda: fl.make_step(lion)(state, batch), lambda: fl.make_epoch(lion, DATA)(state)):
        with pytest.raises(ValueError, match=r"ScaleByLion.*mu, got one with SGD.*mu; .*start=state"):
            call()


@pytest.mark.parametrize("optimizer", [AdamW(weight_decay=0.1), chain(clip_by_global_norm(1.0), Adam())], ids=repr)
def test_the_same_part_keeps_its_slots(optimizer):
    """Parts around it may change, and another part may be removed."""
    for before in (Adam(), chain(Adam(), ema(0.9))):
        state = nth(2, fl.epochs(evolve(BINARY, optimizer=before), DATA, OTHER))
        (first, _), notes = start_under({"optimizer": optimizer}, state)
        assert fl.same_bits(first.optimizer.slots, state.optimizer.slots[:2])
        assert (first.optimizer.count, first.optimizer.has_average, notes) == (6, False, [])


def test_early_stopping_that_is_added_starts_at_the_state():
    """Its first best value is that of the state, and later epochs can improve on it."""
    state = nth(2, fl.epochs(BINARY, DATA, OTHER))
    policy = fl.EarlyStopping("val_loss", patience=3, min_delta=0.0)
    (first, *after), notes = start_under({"early_stopping": policy}, state, epochs=5)
    assert (first.early_stopping.best, first.early_stopping.best_epoch) == (state.metrics["val_loss"], 2)
    assert not notes
    values = [s.metrics["val_loss"] for s in [first, *after]]
    assert after[-1].early_stopping.best == min(values) < values[0]


def test_values_of_another_metric_or_loss_are_not_compared():
    """With another metric, mode or loss, the best value and the wait start over, with a warning."""
    policy = fl.EarlyStopping("val_loss", patience=9)
    state = nth(5, fl.epochs(evolve(BINARY, early_stopping=policy), DATA, OTHER))
    changes = [
        {"early_stopping": evolve(policy, metric="val_accuracy", mode="max")},
        {"early_stopping": evolve(policy, mode="max")},
        {"early_stopping": policy, "loss": fl.losses.BinaryCrossEntropy(label_smoothing=0.2)},
    ]
    for change in changes:
        (first, _), notes = start_under(change, state)
        known = first.metrics.get(change["early_stopping"].metric)
        assert first.early_stopping.wait == 0
        assert known is None or first.early_stopping.best == known
        assert any("early stopping starts over" in note for note in notes)
    assert first.metrics == {}  # those of another loss


def test_a_plateau_keeps_its_reductions_and_compares_one_metric():
    """The rate is that of the new plateau after as many reductions; best value and wait are kept with the same metric only."""
    plateau = ReduceLROnPlateau(0.1, metric="val_loss", patience=1, min_delta=10.0)
    state = nth(4, fl.epochs(evolve(BINARY, scheduler=plateau), DATA, OTHER))
    assert state.scheduler.reductions == 3
    (first, _), notes = start_under({"scheduler": evolve(plateau, initial_lr=0.2)}, state)
    assert (first.lr, first.scheduler.best, notes) == (0.025, state.scheduler.best, [])
    (first, _), notes = start_under({"scheduler": evolve(plateau, metric="loss")}, state)
    assert (first.lr, first.scheduler.best, first.scheduler.wait) == (state.lr, np.inf, 0)
    assert "starts over" in notes[0]
    (first, _), notes = start_under({"scheduler": times(plateau, warmup(CosineAnnealingLR(1.0, 50), 5))}, state)
    assert first.scheduler.parts[0].t == 4


@given(problems(st.just(fl.EarlyStopping("loss", patience=1, min_delta=0.05))), st.integers(1, 4))
def test_more_patience_continues_a_stopped_run(problem, patience):
    """The run then has the bits of one that had this patience from the start."""
    trainer, data = problem
    patient = evolve(trainer, early_stopping=evolve(trainer.early_stopping, patience=patience))
    stopped = fl.last(take(9, fl.epochs(trainer, data)))
    whole = list(take(9, fl.epochs(patient, data)))
    onward = list(take(9 - stopped.epoch, fl.epochs(patient, data, start=stopped)))
    if stopped.stop_reason != "non-finite":
        assert fl.same_bits(onward[-1], whole[-1])


def test_a_run_that_was_not_finite_continues_at_another_rate():
    """It continues from its last finite state; under the same trainer it stays stopped."""
    wild = evolve(BINARY, optimizer=SGD(), scheduler=ConstantLR(1e300))
    stopped = fl.last(fl.epochs(wild, DATA, OTHER))
    assert stopped.stop_reason == "non-finite"
    assert list(fl.epochs(wild, DATA, OTHER, start=stopped)) == [stopped]
    (first, after), _ = start_under({"optimizer": SGD(), "scheduler": ConstantLR(0.01)}, stopped)
    assert (first.stopped, after.stopped, after.epoch) == (None, None, stopped.epoch + 1)


def test_an_epoch_with_all_batches_skipped_so_far_continues():
    """The state has no sums yet; the run has the bits of one that never paused."""
    data = fl.Dataset(np.full((8, 3), 1e38), DATA.y[:8])
    trainer = evolve(BINARY, batch_size=2, non_finite="skip", optimizer=SGD(), scheduler=ConstantLR(1e30))
    steps = list(take(20, fl.steps(trainer, data)))
    paused = next(state for state in steps if state.progress.batches and not state.progress.sums.size)
    whole = fl.last(take(4, fl.epochs(trainer, data)))
    assert fl.same_bits(fl.last(take(4 - paused.epoch, fl.epochs(trainer, data, start=paused))), whole)


@pytest.mark.parametrize(
    "changes",
    [{"scheduler": StepLR(0.1, step_size=2)}, {"optimizer": Lion()}, {"batch_size": 3}, {"seed": 9}, {"non_finite": "skip"}],
    ids=repr,
)
def test_a_start_and_a_fork_agree(tmp_path, changes):
    """So they do for all changes except schedules and policies with a memory, which a fork replays on recorded metrics."""
    fl.last(fl.record(tmp_path / "a.run", BINARY, DATA, OTHER, take(5, fl.epochs(BINARY, DATA, OTHER))))
    run = fl.open_run(tmp_path / "a.run")
    with warnings.catch_warnings(action="ignore"):
        forked = run.fork(3, tmp_path / "b.run", **changes).resume(5, progress=False)
        by_start = list(take(3, fl.epochs(evolve(BINARY, **changes), DATA, OTHER, start=run.state(3))))
    for state in by_start:
        assert fl.same_bits(forked.state(state.epoch), state)


CHANGED = [
    {"model": fl.mlp([3, 4, 1], activation="tanh")},
    {"loss": fl.losses.BinaryCrossEntropy(label_smoothing=0.2)},
    {"metrics": ("accuracy", "f1")},
    {"validation": dataset("binary", 9, seed=5)},
    {"validation": None},
]


@pytest.mark.parametrize("metric", ["loss", "val_loss", "val_accuracy"])
@pytest.mark.parametrize("steps", [9, 10])
@pytest.mark.parametrize("change", CHANGED, ids=str)
def test_metrics_stay_those_of_the_parameters(change, steps, metric):
    """So do those of the best epoch, which early stopping keeps, and its best value."""
    trainer = evolve(BINARY, early_stopping=fl.EarlyStopping(metric, patience=9))
    start = nth(steps, fl.steps(trainer, DATA, OTHER))
    assert start.early_stopping.best_metrics
    changes = {"validation": OTHER, **change}
    validation = changes.pop("validation")
    if (validation is None and metric != "loss") or (start.progress.batches and change.keys() & {"loss", "metrics"}):
        return  # an error, see test_bad_input
    trainer = evolve(trainer, **changes)
    with warnings.catch_warnings(action="ignore"):
        states = list(take(4, fl.epochs(trainer, DATA, validation, start=start)))
    produced = {*trainer.metric_names(validation is not None), "lr"}
    for state in states:
        policy = state.early_stopping
        for each in [state, *([fl.restored(state)] if policy.best_vector is not None else [])]:
            assert each.metrics.keys() in (set(), produced)
            assert validation is None or has_own_metrics(trainer, each, validation)
        if policy.best_metrics:
            assert policy.best == policy.best_metrics[metric]


@pytest.mark.parametrize("change", CHANGED[:-1], ids=str)
def test_a_start_and_a_fork_adapt_policies_alike(tmp_path, change):
    """A plateau keeps its reductions; it and early stopping start over with values that cannot be compared."""
    plateau = ReduceLROnPlateau(0.03, patience=1, min_delta=10.0)
    trainer = evolve(BINARY, early_stopping=fl.EarlyStopping(patience=9), scheduler=plateau)
    fl.last(fl.record(tmp_path / "a.run", trainer, DATA, OTHER, take(6, fl.epochs(trainer, DATA, OTHER))))
    run, changes = fl.open_run(tmp_path / "a.run"), {"validation": OTHER, **change}
    validation = changes.pop("validation")
    with warnings.catch_warnings(action="ignore"):
        forked = run.fork(4, tmp_path / "b.run", **change).resume(6, progress=False)
        by_start = list(take(3, fl.epochs(evolve(trainer, **changes), DATA, validation, start=run.state(4))))
    assert by_start[0].scheduler.reductions == 3
    for state in by_start:
        assert fl.same_bits(forked.state(state.epoch), state)


def test_a_fork_of_a_fork_compares_values_of_one_data_set(tmp_path):
    """Values on the first run's validation data are not compared with those on the second's."""
    fl.last(fl.record(tmp_path / "a.run", BINARY, DATA, OTHER, take(6, fl.epochs(BINARY, DATA, OTHER))))
    validation = fl.Dataset(OTHER.x, 1 - OTHER.y)  # on which each value is far worse
    forked = fl.open_run(tmp_path / "a.run").fork(5, tmp_path / "b.run", validation=validation).resume(9, progress=False)
    policy = fl.EarlyStopping("val_loss", patience=9, min_delta=0.0)
    kept = forked.fork(9, tmp_path / "c.run", early_stopping=policy).last.early_stopping
    assert kept.best == min(forked.history["val_loss"])
    assert kept.best_epoch > 5
    on_loss = forked.fork(5, tmp_path / "d.run", early_stopping=evolve(policy, metric="loss")).last
    assert (on_loss.early_stopping.best_epoch > 0, on_loss.early_stopping.best_metrics) == (True, {})


def test_other_validation_data_is_detected_if_the_loss_is_nan():
    """Then the other metrics are compared."""
    other = fl.Dataset(OTHER.x, 1 - OTHER.y)
    wild = evolve(BINARY, optimizer=SGD(), scheduler=ConstantLR(1e30), batch_size=20)
    with warnings.catch_warnings(action="ignore"):
        start = nth(1, fl.epochs(wild, DATA, OTHER))
        assert np.isnan(start.metrics["val_loss"])
        assert next(fl.epochs(wild, DATA, OTHER, start=start)) is start
        assert next(fl.epochs(wild, DATA, other, start=start)).metrics == {}


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_another_engine_is_not_taken_for_other_validation_data(engine):
    """Its metrics differ in the last digits, and nothing starts over."""
    trainer = evolve(BINARY, early_stopping=fl.EarlyStopping())
    start = nth(3, fl.epochs(trainer, DATA, OTHER))
    with warnings.catch_warnings(action="error"):
        assert next(fl.epochs(trainer, DATA, OTHER, start=start, engine=engine)) is start


@pytest.mark.parametrize("change", [{"non_finite": "skip"}, {"optimizer": chain(clip_by_global_norm(1e-30), SGD())}], ids=str)
@pytest.mark.parametrize("stream", [fl.epochs, fl.steps])
def test_a_failed_step_is_retried(stream, change):
    """A change that the state does not show, such as clipping, lets a run continue that stopped at a fault."""
    data = fl.Dataset(DATA.x[:16] * np.float32(1e25), DATA.y[:16])
    wild = evolve(BINARY, optimizer=SGD(), model=fl.mlp([3, 1]), scheduler=ConstantLR(1e15))
    stopped = fl.last(stream(wild, data))
    assert stopped.stop_reason == "non-finite"
    after = fl.last(take(3, stream(evolve(wild, **change), data, start=stopped)))
    assert (after.stopped, after.step > stopped.step) == (None, True)
    with pytest.raises(fl.NonFiniteError, match=f"step {stopped.stopped.step}"):
        fl.last(stream(evolve(wild, non_finite="raise"), data, start=stopped))
    assert list(stream(wild, data, start=stopped)) == [stopped]


def test_a_fork_compares_no_values_of_another_loss_or_validation_set(tmp_path):
    """Early stopping and a plateau start over where the meaning of their best value changes."""
    trainer = evolve(BINARY, early_stopping=fl.EarlyStopping(), scheduler=ReduceLROnPlateau(0.03))
    fl.last(fl.record(tmp_path / "a.run", trainer, DATA, OTHER, take(5, fl.epochs(trainer, DATA, OTHER))))
    run = fl.open_run(tmp_path / "a.run")
    changes = [{"loss": fl.losses.BinaryCrossEntropy(label_smoothing=0.1)}, {"validation": dataset("binary", 9, seed=5)}]
    for i, change in enumerate(changes):
        first = run.fork(4, tmp_path / f"{i}.run", **change).state(4)
        assert (first.early_stopping.best, first.scheduler.best) == (np.inf, np.inf)


def test_a_custom_schedule_keeps_its_state():
    """Without a closed form and `migrate`, it keeps a state of its own class, and starts over from another."""

    class Custom:
        def init(self):
            return State()

    class State:
        lr = 0.1

    state = State()
    assert migrate(Custom(), state, 3) == (state, True)
    assert migrate(Custom(), ConstantLR(0.1).init(), 3)[1] is False
