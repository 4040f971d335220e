"""Early stopping equals a brute-force computation from the whole history; `best` is the arg-best."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import take

import fnloop as fl
from fnloop.core.arrays import read_only
from fnloop.core.records import evolve
from tests.strategies import dataset, histories

TRAINER = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy())


def brute_force(policy, history):
    """Return the epoch of the stop (or None), the best epoch and the best value."""
    sign, best, best_epoch = (1 if policy.mode == "min" else -1), math.inf, 0
    for epoch, value in enumerate(history, start=1):
        if sign * value < best - policy.min_delta:
            best, best_epoch = sign * value, epoch
        elif epoch - best_epoch >= policy.patience:
            return epoch, best_epoch, sign * best
    return None, best_epoch, sign * best


policies = st.builds(
    fl.EarlyStopping,
    st.just("m"),
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(1, 5),
    min_delta=st.sampled_from([0.0, 1e-4, 0.5]),
)


@given(policies, histories)
def test_early_stopping_equals_brute_force(policy, history):
    """For any values, NaN and infinities included; epochs after the stop change nothing."""
    state = policy.init()
    for epoch, value in enumerate(history, start=1):
        state = policy.step(state, {"m": value}, epoch, read_only(np.array([float(epoch)])))
    stopped, best_epoch, best = brute_force(policy, history)
    assert (state.stopped_epoch, state.best_epoch, state.best) == (stopped, best_epoch, best)
    assert state.best_vector is None if best_epoch == 0 else state.best_vector[0] == best_epoch
    assert state.best_metrics == ({} if best_epoch == 0 else {"m": history[best_epoch - 1]})


@given(policies, histories, st.integers(1, 9), st.booleans())
def test_the_fold_of_a_policy_is_that_of_its_step(policy, history, first, restore_best):
    """To the bit, whatever the number of the first epoch."""
    policy = evolve(policy, restore_best=restore_best)
    state = policy.init()
    for epoch, value in enumerate(history, start=first):
        state = policy.step(state, {"m": value}, epoch)
    assert fl.same_bits(policy.fold(history, first), state)


def with_metric(value, epoch):
    return evolve(fl.init_state(TRAINER), epoch=epoch, metrics={"m": value})


@given(histories, st.sampled_from(["min", "max"]))
def test_best_is_the_arg_best(history, mode):
    """The earliest of equal values; NaN is never best, whatever its position."""
    states = [fl.init_state(TRAINER), *(with_metric(value, epoch) for epoch, value in enumerate(history))]
    known = [(value if mode == "min" else -value, epoch) for epoch, value in enumerate(history) if not math.isnan(value)]
    if known:
        assert fl.best("m", states, mode=mode).epoch == min(known)[1]
    else:
        with pytest.raises(fl.NoBestError, match="'m'"):
            fl.best("m", states, mode=mode)


def test_a_state_with_non_finite_parameters_is_never_best():
    """Whatever its metric (ultralytics#19357)."""
    good, bad = with_metric(1.0, 1), with_metric(0.0, 2)
    bad = evolve(bad, params=evolve(bad.params, vector=read_only(np.full(4, np.nan, np.float32))))
    assert fl.best("m", [good, bad], mode="min").epoch == 1


def test_the_best_epoch_is_restored_from_the_stopped_state():
    """`restored` has the best epoch's parameters, buffers and metrics to the bit; the stopped state has the last epoch's."""
    policy = fl.EarlyStopping("val_loss", patience=3)
    trainer = fl.Trainer(
        model=fl.mlp([3, 8, 1]),
        loss=fl.losses.BinaryCrossEntropy(),
        scheduler=fl.schedulers.ConstantLR(0.3),
        early_stopping=policy,
        batch_size=8,
    )
    data, other = dataset("binary", 40), dataset("binary", 40, seed=5)
    states = list(take(200, fl.epochs(trainer, data, other)))
    last, stopping = states[-1], states[-1].early_stopping
    assert last.stop_reason == "no improvement"
    assert stopping.best_epoch == last.epoch - 3
    restored, best = fl.restored(last), states[stopping.best_epoch]
    for field in ("params", "buffers", "metrics"):
        assert fl.same_bits(getattr(restored, field), getattr(best, field))
        assert field == "buffers" or not fl.same_bits(getattr(last, field), getattr(best, field))
    plain = fl.last(fl.epochs(evolve(trainer, early_stopping=evolve(policy, restore_best=False)), data, other))
    assert fl.same_bits(evolve(last, early_stopping=plain.early_stopping), plain)
    with pytest.raises(ValueError, match="restore_best=True"):
        fl.restored(plain)


def test_the_mode_is_that_of_the_metric():
    """The smallest loss or error is best, and the largest accuracy."""
    states = [evolve(with_metric(0.0, i), metrics={"val_loss": v, "accuracy": v}) for i, v in enumerate([2.0, 3.0, 1.0])]
    assert fl.best("val_loss", states).epoch == 2
    assert fl.best("accuracy")(states).epoch == 1
