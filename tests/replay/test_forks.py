"""Chains of forks and resumes: the states and the rates are those of one run."""

import warnings
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toolz import compose, curry, take

import fnloop as fl
from fnloop.core.records import evolve, frozen
from fnloop.runs.earlier_metrics import earlier_metrics, joined
from fnloop.schedulers import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    ReduceLROnPlateau,
    StepLR,
    join,
    repeat,
    times,
    warmup,
)
from fnloop.schedulers.scheduler import monitored_metrics
from tests.replay.support import fingerprint, record_tiny, tiny


@frozen
class Waning:
    """The state of a schedule that remembers how often it was stepped."""

    lr: float
    steps: int


@frozen
class HarmonicLR(fl.schedulers.Scheduler):
    """A custom schedule without a closed form: 1, 1/2, 1/3, ... of its first rate."""

    initial_lr: float = 0.1

    def init(self):
        return Waning(self.initial_lr, 0)

    def step(self, state, metrics=None):
        return Waning(self.initial_lr / (state.steps + 2), state.steps + 1)


OPEN = (
    ConstantLR(0.01),
    StepLR(0.1, step_size=2, gamma=0.5),
    CosineAnnealingLR(0.1, T_max=30),
    warmup(ExponentialLR(0.05, gamma=0.99), 5),
    times(ExponentialLR(0.1, gamma=0.9), repeat(ExponentialLR(0.5, gamma=0.7), 3)),
    HarmonicLR(),
    HarmonicLR(0.3),
    join([repeat(HarmonicLR(), 4), HarmonicLR(0.2)], [7]),
)
PLATEAUS = (
    ReduceLROnPlateau(0.01, metric="val_loss", patience=1, min_delta=0.01),
    times(ReduceLROnPlateau(1.0, metric="val_loss", patience=2), ExponentialLR(0.1, gamma=0.9)),
    join([ConstantLR(0.1), ReduceLROnPlateau(0.01, metric="val_loss", patience=1)], [3]),
)
TIMES = st.one_of(
    st.tuples(st.sampled_from(["epoch", "step"]), st.sampled_from(OPEN)),
    st.tuples(st.just("epoch"), st.sampled_from(PLATEAUS)),
)
numbers = count()


def steps_of(trainer, state):
    """Return how often the schedule was stepped before a state."""
    return state.updates if trainer.schedule_every == "step" else state.epoch


def schedule_from_the_start(trainer, state, history):
    """Return the state of the schedule after all epochs so far, or after all updates."""
    metrics = [None] * state.updates if trainer.schedule_every == "step" else list(history.mappings())[: state.epoch]
    reached = trainer.scheduler.init()
    for epoch in metrics:
        reached = trainer.scheduler.step(reached, epoch)
    return reached


def metrics_so_far(run):
    """Return the metrics of all epochs of a run, also of those before its fork."""
    return joined(run._reader.earlier_metrics, earlier_metrics(row.metrics for row in run.rows if row.metrics))


links = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.sampled_from([{}, {"batch_size": 5}, {"accumulate": 2}]), st.none() | TIMES
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=TIMES, chain=links, stopping=st.sampled_from([None, 3, 100]))
def test_a_chain_of_forks_and_resumes(tmp_path, first, chain, stopping):
    """Without changes it has the bits of the uninterrupted run; a new schedule is where it would be after all epochs so far.

    A schedule by step counts the updates of all runs in the chain, whatever their batches were.
    """
    every, scheduler = first
    policy = stopping and fl.EarlyStopping("val_loss", patience=stopping)
    trainer, train, validation = tiny(scheduler=scheduler, schedule_every=every, early_stopping=policy)
    whole = list(take(12, fl.epochs(trainer, train, validation)))
    folder = tmp_path / str(next(numbers))
    folder.mkdir()
    recorder = fl.record(folder / "0.run", trainer, train, validation)
    fl.last(recorder(take(3, fl.epochs(trainer, train, validation))))
    run, changed = fl.open_run(folder / "0.run", records=[HarmonicLR, Waning]), False
    for i, (back, further, change, new) in enumerate(chain, start=1):
        rows = run.rows
        epoch = rows[max(0, len(rows) - 1 - back)].epoch
        changes = change if new is None else {**change, "schedule_every": new[0], "scheduler": new[1]}
        changed |= bool(changes)
        with warnings.catch_warnings(action="ignore"):
            run = run.fork(epoch, folder / f"{i}.run", **changes).resume(max(1, epoch + further), progress=False)
        history = metrics_so_far(run)
        for row in run.rows:
            state = run.state(row.epoch)
            if not changed:
                assert fingerprint(state) == fingerprint(whole[row.epoch])
            if new is not None or not monitored_metrics(run.trainer.scheduler):
                assert fl.same_bits(state.scheduler, schedule_from_the_start(run.trainer, state, history))
            assert state.progress.lr == state.lr
    assert run.verify().ok


def test_the_metrics_before_a_fork_of_a_fork_are_all_known(tmp_path):
    """A new policy of early stopping counts the epochs of all files, and the forks of long runs are no larger than arrays."""
    record_tiny(tmp_path / "a.run", 9)
    run = fl.open_run(tmp_path / "a.run")
    expected = [row.metrics for row in run.rows[1:]]
    second = run.fork(4, tmp_path / "b.run").resume(epochs=7, progress=False)
    third = second.fork(6, tmp_path / "c.run")
    assert fl.same_bits(tuple(third._reader.earlier_metrics.mappings()), tuple(expected[:6]))
    policy = fl.EarlyStopping("val_loss", patience=100, restore_best=False)
    stopping = third.fork(6, tmp_path / "d.run", early_stopping=policy).last.early_stopping
    assert fl.same_bits(stopping, fl.what_if(policy, {"val_loss": [metrics["val_loss"] for metrics in expected[:6]]}))


def test_a_fork_needs_the_parameters_of_the_best_epoch_only_to_restore_them(tmp_path):
    """The message names the file that has them, and what does without."""
    record_tiny(tmp_path / "a.run", 3)
    run = fl.open_run(tmp_path / "a.run")
    worst = run.best("val_loss", mode="max")
    assert worst.epoch < 3
    fork, policy = run.fork(3, tmp_path / "b.run"), fl.EarlyStopping("val_loss", mode="max", patience=50)
    with pytest.raises(
        ValueError, match=r"restore_best=True needs .* epoch, \d: .* fork '.*a\.run', or use restore_best=False"
    ):
        fork.fork(3, tmp_path / "c.run", early_stopping=policy)
    assert fork.fork(3, tmp_path / "d.run", early_stopping=evolve(policy, restore_best=False)).last.epoch == 3
    kept = run.fork(3, tmp_path / "e.run", early_stopping=policy).last.early_stopping
    assert fl.same_bits(kept.best_vector, worst.params.vector)
    assert fl.same_bits(kept.best_metrics, worst.metrics)


def test_an_unknown_change_of_a_fork_leaves_no_file(tmp_path):
    """Whatever is refused, the path stays free."""
    record_tiny(tmp_path / "a.run", 3)
    run = fl.open_run(tmp_path / "a.run")
    for changes in ({"speed": 3}, {"batch_size": 0}, {"schedule_every": "step"}):
        with pytest.raises((TypeError, ValueError)):
            run.fork(1, tmp_path / "b.run", **changes)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["a.run"]


# What is monitored.


def score(outputs, targets):
    return (outputs[:, 0] - targets) ** 2


def recorded(path, monitor, **changes):
    trainer, train, validation = tiny(**changes)
    fl.fit(trainer, train, validation, epochs=3, record=path, monitor=monitor, progress=False)
    return fl.open_run(path)


@pytest.mark.parametrize("monitor", ["val_accuracy", "loss", "val_loss"])
def test_a_chosen_monitor_is_kept_through_forks(tmp_path, monitor):
    """Also if it is the default of one of the trainers on the way; a default follows the trainer instead."""
    by = {name: fl.EarlyStopping(name, restore_best=False) for name in ("val_accuracy", "val_loss", "loss")}
    run = recorded(tmp_path / "a.run", monitor)
    expected = run.monitor
    for i, changes in enumerate([{"early_stopping": by[monitor]}, {"early_stopping": by["loss"]}, {"batch_size": 4}]):
        run = run.fork(2, tmp_path / f"{i}.run", **changes)
        assert run.monitor == expected
    default = recorded(tmp_path / "b.run", None)
    for i, name in enumerate(["val_accuracy", "loss", "val_loss"]):
        default = default.fork(2, tmp_path / f"default{i}.run", early_stopping=by[name])
        assert default.monitor[0] == name


def test_the_mode_of_a_chosen_monitor(tmp_path):
    """It is that of the fork's own metric; where that is unknown, the recorded one. A metric that is gone is forgotten."""
    metric = fl.metrics.Mean(score, mode="max")
    run = recorded(tmp_path / "a.run", "val_score", metrics=(metric,))
    supplied = fl.open_run(tmp_path / "a.run", trainer=tiny(metrics=(metric,))[0])
    assert run.monitor == ("val_score", "max")
    assert supplied.fork(2, tmp_path / "b.run", metrics=(fl.metrics.Mean(score, mode="min"),)).monitor == ("val_score", "min")
    assert supplied.fork(2, tmp_path / "c.run", metrics=(score,)).monitor == ("val_score", "max")
    assert supplied.fork(2, tmp_path / "d.run", metrics=("accuracy",)).monitor == ("val_loss", "min")


# Functions are what they do, whatever their names are.


@frozen
class Remembering(fl.schedulers.Scheduler):
    """A schedule from a function, without a closed form: the state is only known by stepping."""

    function: Any

    def init(self):
        return Waning(0.1, 0)

    def step(self, state, metrics=None):
        return Waning(0.1 * self.function(state.steps + 1), state.steps + 1)


SCHEDULES = {
    "closed form": lambda function: fl.schedulers.LambdaLR(0.1, function),
    "remembering": Remembering,
    "composed": lambda function: times(fl.schedulers.LambdaLR(1.0, function), ConstantLR(0.1)),
    "in a sequence": lambda function: join([Remembering(function), ConstantLR(0.3)], [100]),
}


class Decay:
    """A callable object."""

    def __init__(self, base):
        self.base = base

    def __call__(self, t):
        return self.base**t

    def at(self, t):
        return self(t)


FUNCTIONS = {
    "lambda": lambda base: lambda t: base**t,
    "default": lambda base: lambda t, base=base: base**t,
    "partial": lambda base: partial(lambda t, base: base**t, base=base),
    "curry": lambda base: curry(lambda base, t: base**t)(base),
    "compose": lambda base: compose(lambda x: x, Decay(base)),
    "object": Decay,
    "method": lambda base: Decay(base).at,
    "lru_cache": lambda base: lru_cache(lambda t: base**t),
}


@pytest.mark.parametrize(
    ("schedule", "every", "kind"),
    [
        *((schedule, every, "lambda") for schedule in SCHEDULES for every in ("epoch", "step")),
        *(("remembering", "epoch", kind) for kind in FUNCTIONS if kind != "lambda"),
    ],
)
def test_a_fork_with_another_function_has_its_rates(tmp_path, schedule, every, kind):
    """The two functions have one name. The same function defined again is no change, and the fork has the run's bits."""

    def scheduler(base):
        return SCHEDULES[schedule](FUNCTIONS[kind](base))

    trainer, train, validation = tiny(scheduler=scheduler(0.9), schedule_every=every)
    whole = list(take(5, fl.epochs(trainer, train, validation)))
    fl.last(fl.record(tmp_path / "a.run", trainer, train, validation, whole[:4]))
    again = evolve(trainer, scheduler=scheduler(0.9))
    run = fl.open_run(tmp_path / "a.run", trainer=again, records=[Remembering, Waning])
    same = run.fork(2, tmp_path / "b.run", scheduler=scheduler(0.9)).resume(epochs=4, progress=False)
    assert [fingerprint(same.state(epoch)) for epoch in (2, 3, 4)] == [fingerprint(state) for state in whole[2:]]
    other = run.fork(2, tmp_path / "c.run", scheduler=scheduler(0.8)).resume(epochs=4, progress=False)
    states = [other.state(epoch) for epoch in (2, 3, 4)]
    assert [state.lr for state in states] == [0.1 * 0.8 ** steps_of(trainer, state) for state in states]
    assert [state.progress.lr for state in states] == [state.lr for state in states]
    assert other.verify().ok
    with pytest.raises(ValueError, match=r"trainer must be what the run was recorded with, .* differs in scheduler"):
        fl.open_run(tmp_path / "a.run", trainer=other.trainer)


def test_a_fork_with_another_loss_function_forgets_its_values(tmp_path):
    """Values of one loss are not compared with those of another of the same name."""

    def power(exponent):
        return fl.losses.FromFunction(lambda outputs, targets: abs(outputs[:, 0] - targets) ** exponent)

    policy = fl.EarlyStopping("val_loss", patience=9)
    trainer = tiny(loss=power(2.0), early_stopping=policy, scheduler=ConstantLR(0.1))[0]
    states = list(take(4, fl.epochs(trainer, *tiny()[1:])))
    fl.last(fl.record(tmp_path / "a.run", trainer, *tiny()[1:], states))
    run = fl.open_run(tmp_path / "a.run", trainer=trainer)
    assert fl.same_bits(run.fork(3, tmp_path / "b.run", loss=power(2.0)).last, states[-1])
    changed = evolve(policy, patience=8)
    same = run.fork(3, tmp_path / "c.run", loss=power(2.0), early_stopping=changed).last
    other = run.fork(3, tmp_path / "d.run", loss=power(4.0), early_stopping=changed).last
    assert same.early_stopping.best_epoch == states[-1].early_stopping.best_epoch > 0
    assert same.metrics == states[-1].metrics
    assert other.early_stopping.best_epoch == 0
    assert other.metrics == {}
