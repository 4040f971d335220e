"""What holds of every schedule of the learning rate."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from toolz import accumulate

from fnloop.core.digest import digest
from fnloop.schedulers.scheduler import monitored_metrics
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.law import Law, arrays_of, check_part, copy_leaves, require, require_same, require_unchanged, round_trip
from fnloop.testing.strategies import metric_histories

CONTRACT = Law("contract", "init() and step(state, metrics) must return frozen records of one class, with a number lr")
RATES = Law("rates", "every rate must be finite and at least 0, whatever the metrics are")
PURITY = Law("purity", "the same call must give the same bits again, and leave the state that it is given as it was")
RESUME = Law("resume = whole", "going on from any state, written down and read back, must give the rates of the whole run")
ACCESS = Law("random access = step by step", "scheduler(t) must be the rate after t steps, to the bit, for one t and for many")

_TIMES = st.lists(st.integers(0, 60), min_size=1, max_size=12)


def check_scheduler(scheduler: Any, *, metrics: Sequence[str] | None = None, max_examples: int | None = None) -> None:
    """Check that a schedule keeps the laws: contract, rates, purity, no global random state, resume, and random access.

    Args:
        scheduler: anything with `init()` and `step(state, metrics=None)`; if it has a closed form, it is also called with `t`.
        metrics: names of the metrics that it reads, by default those that it and its parts have as `metric`. They take any
            values, NaN and infinities too. What reads a metric needs no closed form.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example.

    Examples:
        >>> from fnloop.schedulers import CosineAnnealingLR
        >>> check_scheduler(CosineAnnealingLR(0.1, T_max=20), max_examples=20)

    See Also: fnloop.testing.schedulers
    """
    check_part("scheduler", scheduler, "init", "step")
    names = sorted(monitored_metrics(scheduler)) if metrics is None else list(metrics)
    histories = metric_histories(max_size=20).map(lambda values: [dict.fromkeys(names or ["loss"], value) for value in values])

    def contract(history: list[dict[str, float]]) -> None:
        first = scheduler.init()
        for state in _along(scheduler, history):
            require(type(state) is type(first), a_state=state, init=first)
            require(isinstance(state.lr, float), lr=state.lr, of=state)
            digest(state)
            for path, array in arrays_of(state):
                require(not array.flags.writeable, path, an_array_that_can_be_written=array)

    def rates(history: list[dict[str, float]]) -> None:
        for t, state in enumerate(_along(scheduler, history)):
            require(math.isfinite(state.lr) and state.lr >= 0, f"t = {t}", lr=state.lr)

    def purity(history: list[dict[str, float]]) -> None:
        require_same(scheduler.init(), scheduler.init(), ("init() once", "init() again"))
        state = scheduler.init()
        for now in history:
            before = copy_leaves(state=state)
            after = scheduler.step(state, now)
            require_unchanged(before, state=state)
            require_same(after, scheduler.step(state, now), ("step once", "step again"))
            state = after

    def addressed(history: list[dict[str, float]]) -> None:
        require_no_global_randomness(lambda: list(_along(scheduler, history)))

    def resume(history: list[dict[str, float]]) -> None:
        whole = list(_along(scheduler, history))
        for cut, state in enumerate(whole):
            list(_along(scheduler, history[::-1]))  # another run between: what it leaves behind must not be met again
            again = list(_along(scheduler, history[cut:], round_trip(state)))
            require_same(whole[cut:], again, ("the whole run", f"gone on with from t = {cut}"))

    def access(times: list[int]) -> None:
        states = list(_along(scheduler, [None] * max(times)))
        one_by_one, at_once = [scheduler(t) for t in times], scheduler(np.array(times))
        for i, t in enumerate(times):
            require_same(states[t].lr, one_by_one[i], (f"state.lr at t = {t}", f"scheduler({t})"))
            require_same(one_by_one[i], float(at_once[i]), (f"scheduler({t})", f"scheduler({times})[{i}]"))
        grid = scheduler(np.array([times]))
        require(grid.shape == (1, len(times)), shape_for_t_of_one_row=grid.shape, expected=(1, len(times)))

    CONTRACT.check(contract, max_examples, history=histories)
    GLOBAL.check(addressed, max_examples, history=histories)
    PURITY.check(purity, max_examples, history=histories)
    RATES.check(rates, max_examples, history=histories)
    RESUME.check(resume, max_examples, history=histories)
    if callable(scheduler) and not names:
        ACCESS.check(access, max_examples, times=_TIMES)


def _along(scheduler: Any, history: Sequence[Mapping[str, float] | None], state: Any = None) -> Iterator[Any]:
    """The states from one on, by default the first, through a history of metrics."""
    return accumulate(scheduler.step, history, scheduler.init() if state is None else state)  # type: ignore[no-any-return]
