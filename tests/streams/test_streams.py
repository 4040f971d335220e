"""Functions of a stream agree with references over the whole list; `what_if` agrees with early stopping in the run."""

import math
import weakref
from io import StringIO
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import take

import fnloop as fl
from fnloop.core.arrays import read_only
from fnloop.core.records import evolve
from fnloop.streams.history import moving_average
from fnloop.streams.select import every, top
from fnloop.streams.stopping import reaches, until, what_if
from fnloop.streams.time import until_seconds
from tests.strategies import PLATEAU, dataset, histories, problems

TRAINER = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy())
INITIAL = fl.init_state(TRAINER)
DATA, OTHER = dataset("binary", 40), dataset("binary", 40, seed=5)
modes = st.sampled_from(["min", "max"])


def with_metric(value, epoch):
    return evolve(INITIAL, epoch=epoch, metrics={"m": value})


def run_of(history):
    return [INITIAL, *(with_metric(value, epoch) for epoch, value in enumerate(history, start=1))]


def with_nan_parameters(state):
    return evolve(state, params=evolve(state.params, vector=read_only(np.full(4, np.nan, np.float32))))


many = st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, math.nan, math.inf, -math.inf]), min_size=6, max_size=30)


@given(histories | many, st.integers(1, 6), st.sets(st.integers(1, 30), max_size=9))
def test_top_is_the_head_of_the_sorted_run(history, k, bad):
    """Of equal values the earlier first; no NaN and no non-finite parameters; the first is the result of `best`."""
    states = [with_nan_parameters(s) if s.epoch in bad else s for s in run_of(history)]
    for mode, sign in [("min", 1), ("max", -1)]:
        valid = [(sign * value, i) for i, value in enumerate(history, start=1) if not math.isnan(value) and i not in bad]
        chosen = top(k, "m", iter(states), mode=mode)
        assert [s.epoch for s in chosen] == [epoch for _, epoch in sorted(valid)[:k]]
        if chosen:
            assert chosen[0] is fl.best("m", states, mode=mode)


def test_top_keeps_only_k_states():
    """Of a long run, only the vectors of k states and of the current ones are alive."""
    alive = []

    def stream():
        for epoch in range(1, 60):
            vector = read_only(np.zeros(4, np.float32))
            alive.append(weakref.ref(vector.base))
            yield evolve(with_metric(float(epoch % 17), epoch), params=evolve(INITIAL.params, vector=vector))
            del vector
            assert sum(ref() is not None for ref in alive) <= 3 + 2

    assert len(top(3, "m", stream(), mode="min")) == 3


@given(st.lists(st.booleans()), st.integers(1, 5))
def test_until_and_every_agree_with_slices(holds, n):
    """`until` reads nothing after the first state for which the predicate holds."""
    numbers, seen = iter(range(len(holds))), []
    first = holds.index(True) if True in holds else len(holds) - 1
    assert list(until(lambda i: seen.append(i) or holds[i])(numbers)) == list(range(first + 1)) == seen
    assert list(numbers) == list(range(first + 1, len(holds)))
    assert list(every(n, holds)) == holds[::n]


@given(st.lists(st.floats(0.1, 10), min_size=1), st.floats(0.1, 50))
def test_until_seconds_reads_the_clock(waits, seconds):
    """The clock starts at the first request; the first late state is the last."""
    now, came = [1000.0], []

    def stream():
        for wait in waits:
            now[0] += wait
            came.append(now[0])
            yield wait

    states = until_seconds(seconds, clock=lambda: now[0])(stream())
    now[0] = 2000.0
    got = list(states)
    end = 2000.0 + seconds
    late = [i for i, time in enumerate(np.cumsum([2000.0, *waits])[1:]) if time >= end]
    assert got == (waits[: late[0] + 1] if late else waits)
    assert len(came) == len(got)  # nothing is read after the end


@given(histories, st.integers(1, 6))
def test_moving_averages_are_the_means_of_their_windows(history, window):
    """To the bit, so that nothing drifts and a NaN leaves with its window; the initial state does not count."""
    means = list(moving_average(window, "m", iter(run_of(history))))
    windows = [history[max(0, i - window) : i] for i in range(1, len(history) + 1)]
    assert fl.same_bits(means, [sum(values) / len(values) for values in windows])
    for mean, values in zip(means, windows, strict=True):
        if all(abs(value) < 1e300 for value in values):
            scale = math.fsum(map(abs, values))
            assert mean == pytest.approx(math.fsum(values) / len(values), rel=1e-12, abs=1e-15 * scale)


@given(histories, modes, st.floats(allow_nan=False, allow_infinity=False))
def test_reaches_is_false_for_nan_and_before_the_first_epoch(history, mode, value):
    """An equal value is good enough."""
    is_reached = reaches("m", value, mode=mode)
    assert not is_reached(INITIAL)
    for state in run_of(history)[1:]:
        now = state.metrics["m"]
        assert is_reached(state) is (not math.isnan(now) and (now <= value if mode == "min" else now >= value))


policies = st.builds(
    fl.EarlyStopping,
    st.just("loss"),
    mode=modes,
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 1e-3, 0.05]),
    restore_best=st.booleans(),
)


@given(problems(early_stopping=policies), st.integers(0, 8))
def test_what_if_agrees_with_the_run(problem, epochs):
    """For the policy of the run, with the best parameters; from a history, without them."""
    trainer, data = problem
    states = list(take(epochs + 1, fl.epochs(trainer, data)))
    expected, policy = states[-1].early_stopping, trainer.early_stopping
    assert fl.same_bits(what_if(policy, iter(states)), expected)
    without = {"best_vector": None, "best_buffers": (), "best_metrics": {}}
    assert fl.same_bits(evolve(what_if(policy)(fl.history(states)), **without), evolve(expected, **without))


@given(problems(), policies)
def test_what_if_agrees_with_a_run_with_the_policy(problem, policy):
    """Applied to a run without early stopping: the stopped epoch, the best epoch and its parameters."""
    trainer, data = problem
    states = list(take(9, fl.epochs(trainer, data)))
    expected = list(take(9, fl.epochs(evolve(trainer, early_stopping=policy), data)))[-1]
    assert fl.same_bits(what_if(policy, states), expected.early_stopping)


def test_repeated_metrics_count_once():
    """A run whose next step is not finite ends with a state that repeats the metrics of the one before it."""
    trainer = evolve(TRAINER, batch_size=16)
    by_epochs, by_steps = list(take(4, fl.epochs(trainer, DATA))), list(take(3 * 3 + 2, fl.steps(trainer, DATA)))
    assert fl.history(by_steps) == fl.history(by_epochs)
    assert list(moving_average(2, "loss", by_steps)) == list(moving_average(2, "loss", by_epochs))
    assert what_if(fl.EarlyStopping("loss"), by_steps).best_epoch == 3
    fault = evolve(by_epochs[-1], stopped=fl.Stopped("non-finite", 4, 10, "the loss"))
    assert fl.history([*by_epochs, fault]) == fl.history(by_epochs)
    assert len(top(9, "loss", [*by_epochs, fault])) == 3


def fit(**options):
    return fl.fit(TRAINER, DATA, OTHER, progress=False, **{"epochs": 5, **options})


def test_stop_reasons_are_values():
    """Every end of a run has its reason; without one the run is finished."""
    assert (fit().stop_reason, fit().last.epoch) == ("finished", 5)
    third = fit().history["val_loss"][2]
    threshold = fit(until=reaches("val_loss", third))
    assert (threshold.stop_reason, threshold.last.epoch) == (fl.StopReason.THRESHOLD, 3)
    assert threshold.history.keys() == fit().history.keys()
    assert threshold.history["val_loss"] == fit().history["val_loss"][:3]
    assert "threshold reached" in threshold.summary()
    budget = fit(seconds=1e-9, epochs=10**6)
    assert (budget.stop_reason, budget.last.epoch) == (fl.StopReason.TIME, 1)
    # It is not called with the initial state, which has no metrics.
    assert fit(until=lambda s: s.metrics["val_loss"] <= third).last.epoch == 3
    assert fit(until=lambda s: s.epoch == 2, seconds=1e6).stop_reason == "threshold reached"
    assert fit(until=lambda s: False, seconds=1e6).stop_reason == "finished"
    # No epoch is left, so the time budget does not matter.
    assert fit(start=threshold.last, epochs=3, seconds=1e-9).stop_reason == "finished"
    assert fit(start=threshold.last, until=reaches("val_loss", third)).last.epoch == 3
    stopping = evolve(TRAINER, early_stopping=fl.EarlyStopping("accuracy", mode="max", patience=1, min_delta=1.0))
    stopped = fl.fit(stopping, DATA, epochs=9, progress=False, until=lambda s: s.stop_reason is not None)
    assert stopped.stop_reason == "no improvement"


def test_a_time_budget_ends_with_a_whole_epoch():
    """The epoch in which the time is up is the last one."""
    slow = evolve(TRAINER, batch_size=1, scheduler=PLATEAU)
    result = fl.fit(slow, DATA, epochs=10**6, seconds=0.05, progress=False)
    assert result.stop_reason == "time budget"
    assert result.last.progress.batches == 0
    assert result.last.epoch == len(result.history["loss"]) > 0
    assert sum(result.history["seconds"][:-1]) < 0.05


def test_streams_stay_lazy():
    """An endless stream is read only as far as needed."""
    endless = fl.epochs(TRAINER, DATA)
    assert len(list(islice(moving_average(3, "loss", until(lambda s: False, endless)), 4))) == 4


class Terminal(StringIO):
    def isatty(self):
        return True


NAMED_METRIC = [lambda m: fl.best(m, []), lambda m: top(1, m, []), lambda m: reaches(m, 1.0)]
INVALID = [
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), [name, repr(value), "integer of at least 1"])
        for name, call in (
            ("k", lambda v: top(v, "m", [])),
            ("window", lambda v: moving_average(v, "m", [])),
            ("n", lambda v: every(v, [])),
            ("every", lambda v: fl.progress([], every=v, file=StringIO())),
            ("every", lambda v: fl.progress([], every=v, file=Terminal())),
        )
        for value in (0, -1, 2.5, "3", True, None)
    ],
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), ["seconds", repr(value), "(0, inf)"])
        for call in (lambda v: until_seconds(v, []), lambda v: fit(seconds=v))
        for value in (0, -1, math.nan, math.inf, "1", True)
    ],
    (lambda: until(3, []), TypeError, ["predicate", "3", "function"]),
    (lambda: fit(until=3), TypeError, ["until", "3", "function"]),
    *[(lambda call=call: call(3), TypeError, ["metric", "3", "name"]) for call in NAMED_METRIC],
    (lambda: top(1, "m", [], mode="up"), ValueError, ["mode", "'up'", "'min'", "'max'"]),
    (lambda: reaches("m", 1.0, mode="up"), ValueError, ["mode", "'up'", "'min'"]),
    (lambda: reaches("loss", math.nan), ValueError, ["value", "nan", "real number"]),
    (lambda: top(1, "f1", run_of([1.0])), ValueError, ["'f1'", "m"]),
    (lambda: list(moving_average(1, "f1", run_of([1.0]))), ValueError, ["'f1'", "m"]),
    (lambda: reaches("f1", 1.0)(with_metric(1.0, 1)), ValueError, ["'f1'", "m"]),
    (lambda: what_if("patience", []), TypeError, ["policy", "'patience'", "EarlyStopping"]),
    (lambda: what_if(fl.EarlyStopping("f1"), run_of([1.0])), ValueError, ["'f1'", "m"]),
    (lambda: what_if(fl.EarlyStopping("f1"), {"m": [1.0]}), ValueError, ["'f1'", "m"]),
]


@pytest.mark.parametrize(
    ("call", "error", "words"), INVALID, ids=[f"{i}: {' '.join(row[2])}" for i, row in enumerate(INVALID)]
)
def test_invalid_arguments_raise_at_the_call(call, error, words):
    """The message has the argument, the value and what is allowed."""
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{word!r} not in {caught.value}"
