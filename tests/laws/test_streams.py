"""Selectors equal a reading of the whole stream; policies asked after the run answer as in it; why a run ended is a value."""

import math
import weakref
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


def spoiled(state):
    return evolve(state, params=evolve(state.params, vector=read_only(np.full(4, np.nan, np.float32))))


many = st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, math.nan, math.inf, -math.inf]), min_size=6, max_size=30)


@given(histories | many, st.integers(1, 6), st.sets(st.integers(1, 30), max_size=9))
def test_top_is_the_head_of_the_sorted_run(history, k, bad):
    """The earlier of equals first; NaN and parameters that are not finite never; the first is what `best` chooses."""
    states = [spoiled(s) if s.epoch in bad else s for s in run_of(history)]
    for mode, sign in [("min", 1), ("max", -1)]:
        known = [(sign * value, i) for i, value in enumerate(history, start=1) if not math.isnan(value) and i not in bad]
        chosen = top(k, "m", iter(states), mode=mode)
        assert [s.epoch for s in chosen] == [epoch for _, epoch in sorted(known)[:k]]
        if chosen:
            assert chosen[0] is fl.best("m", states, mode=mode)


def test_top_keeps_only_k_states():
    """However long the run: of the vectors that came, only those of k states and of what is at hand are alive."""
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
def test_until_and_every_by_brute_force(held, n):
    """Up to and including the first that holds; nothing behind it is asked for."""
    numbers, asked = iter(range(len(held))), []
    first = held.index(True) if True in held else len(held) - 1
    assert list(until(lambda i: asked.append(i) or held[i])(numbers)) == list(range(first + 1)) == asked
    assert list(numbers) == list(range(first + 1, len(held)))
    assert list(every(n, held)) == held[::n]


@given(st.lists(st.floats(0.1, 10), min_size=1), st.floats(0.1, 50))
def test_until_seconds_reads_the_clock(waits, seconds):
    """From the first request on, whatever was before it: up to the first state that is late."""
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
    assert len(came) == len(got)  # nothing is asked for behind the end


@given(histories, st.integers(1, 6))
def test_moving_averages_are_the_means_of_their_windows(history, window):
    """To the bit, so that nothing drifts and a NaN is over with its window; the initial state has no part in it."""
    means = list(moving_average(window, "m", iter(run_of(history))))
    windows = [history[max(0, i - window) : i] for i in range(1, len(history) + 1)]
    assert fl.same_bits(means, [sum(values) / len(values) for values in windows])
    for mean, values in zip(means, windows, strict=True):
        if all(abs(value) < 1e300 for value in values):
            scale = math.fsum(map(abs, values))
            assert mean == pytest.approx(math.fsum(values) / len(values), rel=1e-12, abs=1e-15 * scale)


@given(histories, modes, st.floats(allow_nan=False, allow_infinity=False))
def test_reaches_is_never_for_nan_nor_before_the_first_epoch(history, mode, value):
    """At least as good as the value: equal is enough."""
    good = reaches("m", value, mode=mode)
    assert not good(INITIAL)
    for state in run_of(history)[1:]:
        now = state.metrics["m"]
        assert good(state) is (not math.isnan(now) and (now <= value if mode == "min" else now >= value))


policies = st.builds(
    fl.EarlyStopping,
    st.just("loss"),
    mode=modes,
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 1e-3, 0.05]),
    restore_best=st.booleans(),
)


@given(problems(early_stopping=policies), st.integers(0, 8))
def test_a_policy_asked_after_the_run_answers_as_in_it(problem, epochs):
    """Its own policy: all of the state, the best parameters with it. From a history: all but them."""
    trainer, data = problem
    states = list(take(epochs + 1, fl.epochs(trainer, data)))
    own, policy = states[-1].early_stopping, trainer.early_stopping
    assert fl.same_bits(what_if(policy, iter(states)), own)
    without = {"best_vector": None, "best_buffers": (), "best_metrics": {}}
    assert fl.same_bits(evolve(what_if(policy)(fl.history(states)), **without), evolve(own, **without))


@given(problems(), policies)
def test_another_policy_answers_as_if_it_had_been_there(problem, policy):
    """Asked of a run without any, it says what a run with it comes to: the epoch, the best one, its parameters."""
    trainer, data = problem
    states = list(take(9, fl.epochs(trainer, data)))
    own = list(take(9, fl.epochs(evolve(trainer, early_stopping=policy), data)))[-1]
    assert fl.same_bits(what_if(policy, states), own.early_stopping)


def test_metrics_that_are_carried_on_count_once():
    """By steps an epoch's last state has its metrics; a run whose next step is not finite ends with another such state."""
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
    """A run says which of its ends it came to; without one it is finished."""
    assert (fit().stop_reason, fit().last.epoch) == ("finished", 5)
    third = fit().history["val_loss"][2]
    threshold = fit(until=reaches("val_loss", third))
    assert (threshold.stop_reason, threshold.last.epoch) == (fl.StopReason.THRESHOLD, 3)
    assert threshold.history.keys() == fit().history.keys()
    assert threshold.history["val_loss"] == fit().history["val_loss"][:3]
    assert "threshold reached" in threshold.summary()
    budget = fit(seconds=1e-9, epochs=10**6)
    assert (budget.stop_reason, budget.last.epoch) == (fl.StopReason.TIME, 1)
    assert (
        fit(until=lambda s: s.metrics["val_loss"] <= third).last.epoch == 3
    )  # the initial state, without metrics, is not asked
    assert fit(until=lambda s: s.epoch == 2, seconds=1e6).stop_reason == "threshold reached"
    assert fit(until=lambda s: False, seconds=1e6).stop_reason == "finished"
    assert fit(start=threshold.last, epochs=3, seconds=1e-9).stop_reason == "finished"  # no time was wanted
    assert fit(start=threshold.last, until=reaches("val_loss", third)).last.epoch == 3
    stopping = evolve(TRAINER, early_stopping=fl.EarlyStopping("accuracy", mode="max", patience=1, min_delta=1.0))
    stopped = fl.fit(stopping, DATA, epochs=9, progress=False, until=lambda s: s.stop_reason is not None)
    assert stopped.stop_reason == "no improvement"


def test_a_budget_is_over_with_its_epoch():
    """The epoch in which the time is up is the last, and it is whole."""
    slow = evolve(TRAINER, batch_size=1, scheduler=PLATEAU)
    result = fl.fit(slow, DATA, epochs=10**6, seconds=0.05, progress=False)
    assert result.stop_reason == "time budget"
    assert result.last.progress.batches == 0
    assert result.last.epoch == len(result.history["loss"]) > 0
    assert sum(result.history["seconds"][:-1]) < 0.05


def test_streams_stay_lazy():
    """A stream without end is not read further than it is asked for."""
    endless = fl.epochs(TRAINER, DATA)
    assert len(list(islice(moving_average(3, "loss", until(lambda s: False, endless)), 4))) == 4


BAD = [
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), [name, repr(value), "integer of at least 1"])
        for name, call in {"k": lambda v: top(v, "m", []), "window": lambda v: moving_average(v, "m", [])}.items()
        for value in (0, -1, 2.5, "3", True, None)
    ],
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), ["seconds", repr(value), "(0, inf)"])
        for call in (lambda v: until_seconds(v, []), lambda v: fit(seconds=v))
        for value in (0, -1, math.nan, math.inf, "1", True)
    ],
    (lambda: until(3, []), TypeError, ["predicate", "3", "function"]),
    (lambda: fit(until=3), TypeError, ["until", "3", "function"]),
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


@pytest.mark.parametrize(("call", "error", "said"), BAD, ids=[f"{i}: {' '.join(row[2])}" for i, row in enumerate(BAD)])
def test_bad_input_raises_where_it_came_in(call, error, said):
    """The message names the argument, shows the value and says what is allowed."""
    with pytest.raises(error) as caught:
        call()
    for word in said:
        assert word in str(caught.value), f"{word!r} not in {caught.value}"
