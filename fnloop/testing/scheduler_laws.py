"""The laws of learning-rate schedules."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from toolz import accumulate

from fnloop.core.digest import digest
from fnloop.schedulers import Scheduler
from fnloop.schedulers.scheduler import check_scheduler as require_scheduler
from fnloop.schedulers.scheduler import monitored_metrics
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.law import Law
from fnloop.testing.requirements import (
    copy_leaves,
    require,
    require_read_only,
    require_same,
    require_unchanged,
    round_trip,
)
from fnloop.testing.strategies import metric_histories

CONTRACT = Law("contract", "init() and step(state, metrics) must return frozen records of one class, whose lr is a float")
RATES = Law("rates", "every learning rate must be finite and at least 0, for any metrics")
PURITY = Law("purity", "the same call must give the same bits each time, and must not change its state")
RESUME = Law("resume = uninterrupted run", "resuming from a state read back from a file must give the rates of the whole run")
ACCESS = Law("random access = step by step", "scheduler(t) must be the rate after t steps, to the bit, for one t and for many")

_TIMES = st.lists(st.integers(0, 60), min_size=1, max_size=12)
Metrics = Mapping[str, float]


def check_scheduler(scheduler: Scheduler, *, metrics: Sequence[str] | None = None, max_examples: int | None = None) -> None:
    """Check the laws of a schedule: contract, purity, no global random state, rates, resume, random access.

    Random access is checked if the schedule can be called with `t` and reads no metric.

    Args:
        scheduler: A `fnloop.schedulers.Scheduler`, or any object with `init()` and `step(state, metrics=None)`.
        metrics: Names of the metrics that it reads; by default those that it and its parts have as `metric`. Their values are
            any floats, NaN and infinities included.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample.
        TypeError: If `scheduler` is not a schedule. The message has the members that it lacks.
        ValueError: If `max_examples` is below 1.

    Examples:
        >>> from fnloop.schedulers import CosineAnnealingLR
        >>> check_scheduler(CosineAnnealingLR(0.1, T_max=20), max_examples=20)

    See Also:
        `fnloop.testing.schedulers`
    """
    require_scheduler("scheduler", scheduler)
    names = sorted(monitored_metrics(scheduler)) if metrics is None else list(metrics)
    histories = metric_histories(max_size=20).map(lambda values: [dict.fromkeys(names or ["loss"], value) for value in values])

    def contract(history: list[Metrics]) -> None:
        initial = scheduler.init()
        for state in _run(scheduler, history):
            require(type(state) is type(initial), state=state, initial_state=initial)
            require(isinstance(state.lr, float), lr=state.lr, state=state)
            digest(state)
            require_read_only(state)

    def rates(history: list[Metrics]) -> None:
        for t, state in enumerate(_run(scheduler, history)):
            require(math.isfinite(state.lr) and state.lr >= 0, f"t = {t}", lr=state.lr)

    def purity(history: list[Metrics]) -> None:
        require_same(scheduler.init(), scheduler.init(), ("init()", "init() again"))
        state = scheduler.init()
        for epoch_metrics in history:
            before = copy_leaves(state=state)
            next_state = scheduler.step(state, epoch_metrics)
            require_unchanged(before, state=state)
            require_same(next_state, scheduler.step(state, epoch_metrics), ("step", "step again"))
            state = next_state

    def no_global_randomness(history: list[Metrics]) -> None:
        require_no_global_randomness(lambda: list(_run(scheduler, history)))

    def resume(history: list[Metrics]) -> None:
        whole = list(_run(scheduler, history))
        for cut, state in enumerate(whole):
            list(_run(scheduler, history[::-1]))  # another run, whose hidden traces must not affect the resumed one
            resumed = list(_run(scheduler, history[cut:], round_trip(state)))
            require_same(whole[cut:], resumed, ("the whole run", f"resumed from t = {cut}"))

    def random_access(times: list[int], closed_form: Any) -> None:
        states = list(_run(scheduler, [None] * max(times)))
        one_by_one, at_once = [closed_form(t) for t in times], closed_form(np.array(times))
        for i, t in enumerate(times):
            require_same(states[t].lr, one_by_one[i], (f"state.lr at t = {t}", f"scheduler({t})"))
            require_same(one_by_one[i], float(at_once[i]), (f"scheduler({t})", f"scheduler({times})[{i}]"))
        grid = closed_form(np.array([times]))
        require(grid.shape == (1, len(times)), shape_for_t_of_one_row=grid.shape, expected=(1, len(times)))

    CONTRACT.check(contract, max_examples, history=histories)
    GLOBAL.check(no_global_randomness, max_examples, history=histories)
    PURITY.check(purity, max_examples, history=histories)
    RATES.check(rates, max_examples, history=histories)
    RESUME.check(resume, max_examples, history=histories)
    if callable(scheduler) and not names:
        ACCESS.check(lambda times: random_access(times, scheduler), max_examples, times=_TIMES)


def _run(scheduler: Scheduler, history: Sequence[Metrics | None], state: Any = None) -> Iterator[Any]:
    """The states through a history of metrics, from the first one unless a state is given."""
    return accumulate(scheduler.step, history, scheduler.init() if state is None else state)  # type: ignore[no-any-return]
