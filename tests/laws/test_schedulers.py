"""Schedules equal their formulas; a plateau equals a reading of the whole history."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import accumulate, take

import fnloop as fl
from fnloop.schedulers import ConstantLR, CosineAnnealingLR, ExponentialLR, ReduceLROnPlateau, StepLR
from tests.strategies import dataset, histories

rates = st.floats(1e-8, 10)
closed = st.one_of(
    st.builds(ConstantLR, rates),
    st.builds(StepLR, rates, st.integers(1, 50), st.floats(0.01, 1)),
    st.builds(ExponentialLR, rates, st.floats(0.5, 1)),
    st.builds(lambda lr, n, share: CosineAnnealingLR(lr, n, lr * share), rates, st.integers(1, 300), st.floats(0, 1)),
)


def formula(scheduler, t):
    """The table of the documentation, in plain Python."""
    match scheduler:
        case ConstantLR():
            return scheduler.initial_lr
        case StepLR():
            return scheduler.initial_lr * scheduler.gamma ** (t // scheduler.step_size)
        case ExponentialLR():
            return scheduler.initial_lr * scheduler.gamma**t
        case CosineAnnealingLR():
            if t >= scheduler.T_max:
                return scheduler.eta_min
            wave = (1 + math.cos(math.pi * t / scheduler.T_max)) / 2
            return scheduler.eta_min + (scheduler.initial_lr - scheduler.eta_min) * wave


@given(closed, st.integers(0, 500))
def test_closed_forms_equal_their_formula(scheduler, t):
    """To 1e-12, as a float for an int."""
    assert type(scheduler(t)) is float
    assert scheduler(t) == pytest.approx(formula(scheduler, t), rel=1e-12, abs=1e-300 if t < 400 else 1e-18)


@given(closed, st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_random_access_equals_going_step_by_step(scheduler, times):
    """To the bit, one by one, all at once, and along the states; reading has no effect."""
    states = list(take(61, accumulate(lambda state, _: scheduler.step(state), range(60), scheduler.init())))
    assert [states[t].lr for t in times] == [scheduler(t) for t in times] == scheduler(np.array(times)).tolist()
    assert [states[t].t for t in times] == times
    assert scheduler(np.array(times).reshape(1, -1)).shape == (1, len(times))


@given(closed)
def test_schedules_fall_and_stay_within_their_bounds(scheduler):
    """None of these ever rises; each starts at its initial rate, and the cosine is at its minimum from its end on."""
    lr = scheduler(np.arange(400))
    assert lr[0] == pytest.approx(scheduler.initial_lr, rel=1e-15)
    assert np.all(np.diff(lr) <= 1e-15 * lr[:-1])
    if isinstance(scheduler, CosineAnnealingLR):
        assert np.all(lr[scheduler.T_max :] == scheduler.eta_min)
        assert np.all(lr >= scheduler.eta_min)


def brute_force(scheduler, history):
    """Rates and reductions, each read anew from the whole history so far."""
    sign = 1 if scheduler.mode == "min" else -1
    rows, lr, reductions, since, best = [], scheduler.initial_lr, 0, 0, math.inf
    for i, value in enumerate(history):
        if sign * value < best - scheduler.min_delta:
            best, since = sign * value, i + 1
        elif i + 1 - since >= scheduler.patience:
            lowered = max(lr * scheduler.factor, scheduler.min_lr)
            reductions, lr, since = reductions + (lowered < lr), lowered, i + 1
        rows.append((lr, reductions, i + 1 - since))
    return rows


plateaus = st.builds(
    ReduceLROnPlateau,
    st.floats(1e-6, 1),
    metric=st.just("m"),
    mode=st.sampled_from(["min", "max"]),
    factor=st.floats(0.1, 1),
    patience=st.integers(1, 5),
    min_delta=st.sampled_from([0.0, 1e-4, 0.5]),
    min_lr=st.sampled_from([0.0, 1e-8, 1e-6]),
)


@given(plateaus, histories)
def test_a_plateau_equals_a_reading_of_the_whole_history(scheduler, history):
    """On any values, NaN and infinities included."""
    states = list(accumulate(lambda state, value: scheduler.step(state, {"m": value}), history, scheduler.init()))[1:]
    assert [(s.lr, s.reductions, s.wait) for s in states] == brute_force(scheduler, history)
    assert all(state.lr >= scheduler.min_lr for state in states)
    assert [state.t for state in states] == list(range(1, len(history) + 1))


@pytest.mark.parametrize(
    ("patience", "history", "rates_after"),
    [
        (1, [1.0, 1.0, 1.0, 0.5, 0.5], [1.0, 0.5, 0.25, 0.25, 0.125]),
        (2, [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.25]),
        (2, [1.0, 0.99995, 0.9999, 0.9, 0.95, 0.95], [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]),
        (3, [math.nan, math.nan, math.nan, 1.0, math.inf], [1.0, 1.0, 0.5, 0.5, 0.5]),
    ],
)
def test_golden_tables_of_the_plateau(patience, history, rates_after):
    """It fires when the wait reaches the patience, and the wait starts again (pytorch#2545, #11305, keras#3991)."""
    scheduler = ReduceLROnPlateau(1.0, "m", patience=patience)
    states = accumulate(lambda state, value: scheduler.step(state, {"m": value}), history, scheduler.init())
    assert [state.lr for state in states][1:] == rates_after


def test_a_plateau_at_its_minimum_stays_there():
    """Nothing is lowered and nothing is counted (idempotent at min_lr)."""
    scheduler = ReduceLROnPlateau(1.0, "m", patience=1, min_lr=0.3)
    states = list(accumulate(lambda state, _: scheduler.step(state, {"m": 1.0}), range(9), scheduler.init()))
    assert [state.lr for state in states[:5]] == [1.0, 1.0, 0.5, 0.3, 0.3]
    assert states[-1].reductions == 2


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine"])
def test_the_rate_of_a_run_is_that_of_its_schedule(name, every):
    """Epoch (or step) 0 trains at lr(0): no lag by one; the history has what was used."""
    parameters = {"step": {"step_size": 2}, "cosine": {"T_max": 4}}.get(name, {})
    scheduler = fl.get_scheduler(name, 0.5, **parameters)
    trainer = fl.Trainer(
        model=fl.mlp([3, 1]),
        loss=fl.losses.BinaryCrossEntropy(),
        optimizer=fl.optimizers.SGD(),
        scheduler=scheduler,
        schedule_every=every,
        batch_size=4,
    )
    data = dataset("binary", 12)
    if every == "epoch":
        states = list(take(7, fl.epochs(trainer, data)))
        assert fl.history(states)["lr"] == [scheduler(t) for t in range(6)]
        assert [state.lr for state in states] == [scheduler(t) for t in range(7)]
    else:
        states = list(take(7, fl.steps(trainer, data)))
        assert [state.lr for state in states] == [scheduler(t) for t in range(7)]
        gentle = fl.make_step(trainer)(states[3], fl.Batch(data.x[:4], data.y[:4])).params.vector - states[3].params.vector
        assert np.any(gentle != 0)


def test_get_scheduler_by_name_in_any_case():
    """Five names; another is refused with those there are."""
    kinds = [ConstantLR, StepLR, ExponentialLR, ReduceLROnPlateau, CosineAnnealingLR]
    names = ["CONSTANT", "Step", "exponential", "PlateaU", "cosine"]
    extra = [{}, {"step_size": 3}, {}, {}, {"T_max": 5}]
    assert [type(fl.get_scheduler(name, 0.1, **more)) for name, more in zip(names, extra, strict=True)] == kinds
