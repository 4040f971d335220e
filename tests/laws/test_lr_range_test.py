"""The range test is a fold of steps: repeatable, and equal to steps at rates that are set by hand."""

import math
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import nth

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.schedulers import ConstantLR, SchedulerState
from fnloop.training.lr_range_test import LRRange, lr_range_test, smooth
from fnloop.training.state import EpochProgress
from tests.strategies import dataset, problems

TRAINER = fl.Trainer(model=fl.mlp([3, 4, 1]), loss=fl.losses.BinaryCrossEntropy(), batch_size=8)
STATE, DATA = fl.init_state(TRAINER), dataset("binary", 40)
stops = st.sampled_from([None, fl.EarlyStopping("loss", patience=1)])


def by_hand(trainer, state, data, min_lr, max_lr, n):
    """Return the rates and losses of single steps, each at a constant rate, from the state's batch on."""
    trainer = evolve(trainer, early_stopping=None, non_finite="stop", schedule_every="epoch", scheduler=ConstantLR(1.0))
    size, lrs, losses = trainer.batch_size * trainer.accumulate, [], []
    batches = (b for epoch in count(state.epoch) for b in fl.batches(data, size, seed=trainer.seed, epoch=epoch))
    current = evolve(state, early_stopping=fl.init_state(trainer).early_stopping, stopped=None)
    for i, batch in enumerate(islice(batches, state.progress.batches, state.progress.batches + n)):
        lr = float((min_lr * (max_lr / min_lr) ** (np.array([float(i)]) / (n - 1)))[0])
        current = evolve(current, scheduler=SchedulerState(0, lr), progress=EpochProgress(0, 0, np.zeros(0), lr))
        batch = fl.Batch(batch.x.astype(trainer.dtype), batch.y.astype(trainer.dtype))
        current = fl.make_step(trainer)(current, batch)
        if current.stop_reason:
            break
        lrs.append(lr)
        losses.append(current.progress.sums[0] / len(batch.x))
    return lrs, losses


def steps_until_divergence(losses, smoothing, threshold):
    """Return the number of steps until the running mean exceeds the threshold, or None if it does not."""
    means = []
    for i in range(len(losses)):
        weights = [smoothing ** (i - j) for j in range(i + 1)]
        means.append(sum(w * x for w, x in zip(weights, losses, strict=False)) / sum(weights))
        low = min(means)
        if means[-1] > low + (threshold - 1) * abs(low):
            return i + 1
    return None


@given(
    problems(stops), st.integers(0, 12), st.integers(2, 30), st.sampled_from([(1e-6, 0.1), (1e-3, 1e4)]), st.floats(1.05, 4.0)
)
def test_it_is_a_fold_of_steps(problem, at, n, rates, threshold):
    """From any state of a run, also a stopped one, rates and losses have the bits of single steps."""
    trainer, data = problem
    state = list(islice(fl.steps(trainer, data), at + 1))[-1]
    options = {"num_iter": n, "smoothing": 0.5, "diverge_threshold": threshold}
    result = lr_range_test(trainer, state, data, min_lr=rates[0], max_lr=rates[1], **options)
    lrs, losses = by_hand(trainer, state, data, *rates, n)
    length = len(result.lr)
    assert result.lr.tolist() == lrs[:length]
    assert result.loss.tolist() == losses[:length]
    stop = steps_until_divergence(losses, 0.5, threshold)
    if stop is not None:
        assert (result.stop_reason, length) == ("threshold reached", stop)
    else:
        assert (result.stop_reason, length) == ("finished" if len(losses) == n else "non-finite", len(losses))


@given(problems(stops), st.integers(0, 5), st.sampled_from(["stop", "skip", "raise"]))
def test_it_is_pure(problem, at, non_finite):
    """Its arguments and NumPy's global generator are unchanged, and it has the same bits each time."""
    trainer, data = evolve(problem[0], non_finite=non_finite), problem[1]
    state = list(islice(fl.steps(trainer, data), at + 1))[-1] if non_finite != "raise" else fl.init_state(trainer)
    everything = lambda: (  # noqa: E731
        fl.digest((trainer, state, data)),
        fl.digest(list(np.random.get_state(legacy=True))),  # noqa: NPY002
    )
    before = everything()
    assert fl.same_bits(lr_range_test(trainer, state, data, num_iter=15), lr_range_test(trainer, state, data, num_iter=15))
    assert everything() == before


def test_batches_come_in_the_order_of_the_run():
    """At tiny rates the losses are those of the batches that follow the state, over several epochs."""
    state = nth(7, fl.steps(TRAINER, DATA))  # two batches into the second epoch of five
    result = lr_range_test(TRAINER, state, DATA, min_lr=1e-30, max_lr=1e-29, num_iter=9)
    batches = [b for epoch in (1, 2, 3) for b in fl.batches(DATA, 8, seed=0, epoch=epoch)][2:11]
    losses = [fl.evaluate(TRAINER, state, fl.Dataset(b.x, b.y))["loss"] for b in batches]
    assert result.loss.tolist() == pytest.approx(losses, rel=1e-6)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=25), st.sampled_from([0.0, 0.5, 0.9]))
def test_the_smoothed_loss_is_the_mean_of_its_neighbours(losses, smoothing):
    """Weights fall with the distance on both sides; a loss counts as at most the largest in the first tenth."""
    cap = max(losses[: max(1, len(losses) // 10)])
    for i, mean in enumerate(smooth(np.array(losses), smoothing)):
        weights = [smoothing ** abs(i - j) for j in range(len(losses))]
        expected = math.fsum(w * min(x, cap) for w, x in zip(weights, losses, strict=True)) / math.fsum(weights)
        assert mean == pytest.approx(expected, rel=1e-12)


def result_of(smoothed):
    values = np.array(smoothed, np.float64)
    return LRRange(10.0 ** np.arange(len(values)), values, values, "finished")


@given(st.lists(st.integers(-3, 3), max_size=12))
def test_the_suggestion_is_the_steepest_step_before_the_minimum(smoothed):
    """There is one if the loss falls below its first value, and the loss falls there."""
    result = result_of(smoothed)
    if not smoothed or min(smoothed) == smoothed[0]:
        assert result.steepest is None
        with pytest.raises(fl.NoBestError, match=f"did not fall in {len(smoothed)} steps"):
            _ = result.suggestion
        return
    n, low = len(smoothed), smoothed.index(min(smoothed))
    near = [(max(i - 1, 0), min(i + 1, n - 1)) for i in range(low + 1)]
    slopes = [(smoothed[b] - smoothed[a]) / (b - a) for a, b in near]
    assert result.steepest == slopes.index(min(slopes))
    assert min(slopes) < 0
    assert result.suggestion == 10.0**result.steepest


def test_a_stopped_state_can_be_tested():
    """The result is that of the same state without the stop."""
    running = nth(3, fl.epochs(TRAINER, DATA))
    stopped = evolve(running, stopped=fl.Stopped("no improvement", 3, running.step, "loss"))
    result = lr_range_test(TRAINER, stopped, DATA, num_iter=20, max_lr=0.1)
    assert len(result.lr) == 20
    assert fl.same_bits(result, lr_range_test(TRAINER, running, DATA, num_iter=20, max_lr=0.1))


def test_it_suggests_a_rate_and_stops_at_divergence():
    """On the lab data it suggests about a hundredth, and ends before the last rate."""
    data = fl.datasets.lab().train
    trainer = fl.Trainer(model=fl.mlp([10, 16, 12, 8, 1]), loss=fl.losses.BinaryCrossEntropy())
    result = lr_range_test(trainer, fl.init_state(trainer), data)
    assert 3e-3 < result.suggestion < 0.1
    assert result.stop_reason == "threshold reached"
    assert len(result.lr) < 100
    assert not result.lr.flags.writeable


def test_a_fault_ends_it():
    """The result has the steps before it; if the first step fails, it is empty and suggests nothing."""
    data = fl.Dataset(np.full((4, 1), 1e3), np.array([1.0, -1.0, 2.0, 0.5]))
    trainer = fl.Trainer(
        model=fl.mlp([1, 1]), loss=fl.losses.MeanSquaredError(), optimizer=fl.optimizers.SGD(), non_finite="raise"
    )
    state = fl.init_state(trainer)
    some = lr_range_test(trainer, state, data, min_lr=1e-3, max_lr=1e30, num_iter=20, diverge_threshold=1e300)
    assert some.stop_reason == "non-finite"
    assert 0 < len(some.lr) < 20
    assert np.isfinite(some.loss).all()
    none = lr_range_test(trainer, state, data, min_lr=1e300, max_lr=1e301, num_iter=2)
    assert (len(none.lr), none.stop_reason, none.steepest) == (0, "non-finite", None)


def of_the_whole_batch(outputs, targets):
    return (outputs[:, 0] - targets) ** 2 - targets.mean()


BAD = [
    *[
        (lambda name=name, value=value: lr_range_test(TRAINER, STATE, DATA, **{name: value}), [name, repr(value), allowed])
        for name, allowed, values in [
            ("min_lr", "(0, inf)", [0, -1, math.nan, "1", None]),
            ("max_lr", "(0, inf)", [0, math.inf]),
            ("max_lr", "above min_lr=1e-07", [1e-7, 1e-8]),
            ("num_iter", "integer of at least 2", [1, 0, 2.5, True]),
            ("smoothing", "[0, 1)", [1, -0.1, math.nan]),
            ("diverge_threshold", "(1, inf)", [1, 0, math.nan]),
        ]
        for value in values
    ],
    (lambda: lr_range_test(evolve(TRAINER, loss=of_the_whole_batch), STATE, DATA), ["loss 'of_the_whole_batch'", "alone"]),
    (lambda: lr_range_test(None, STATE, DATA), ["trainer", "None", "fl.Trainer"]),
    (lambda: lr_range_test(TRAINER, None, DATA), ["state", "None", "TrainState"]),
    (lambda: lr_range_test(evolve(TRAINER, model=fl.mlp([3, 1])), STATE, DATA), ["state", "another model"]),
    (lambda: lr_range_test(TRAINER, STATE, (1, 2)), ["train", "(1, 2)", "fl.Dataset"]),
    (lambda: lr_range_test(TRAINER, STATE, fl.Dataset(DATA.x[:, :2], DATA.y)), ["train", "(N, 3)", "(40, 2)"]),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {' '.join(row[1])}" for i, row in enumerate(BAD)])
def test_bad_input_raises_at_the_call(call, words):
    """The message has the argument's name, its value, and what is allowed."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{word!r} not in {caught.value}"
