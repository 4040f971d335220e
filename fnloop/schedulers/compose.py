"""Schedules made of schedules. A plateau can be a part of each: what it reads is handed on to it.

Each record has the parts' states in its own. It can be called at any t if each of its parts can.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import NonNegative, PositiveInt, Times, integer, real
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.schedulers.closed_form import Comparable, check_times
from fnloop.schedulers.constant import ConstantLR
from fnloop.schedulers.migration import migrate
from fnloop.schedulers.polynomial import LinearLR

Metrics = Mapping[str, float] | None


@frozen
class ComposedState:
    """Where a composed schedule stands: t, the learning rate, and the states of its parts that are in use."""

    t: int
    lr: float
    parts: tuple[Any, ...]


@frozen
class Product:
    """lr(t) = the product of the parts' rates at t."""

    schedulers: tuple[Any, ...]

    def init(self) -> ComposedState:
        return self._at(0, [part.init() for part in self.schedulers])

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        return self._at(state.t + 1, [part.step(s, metrics) for part, s in zip(self.schedulers, state.parts, strict=True)])

    def migrate(self, state: Any, t: int, comparable: Comparable) -> tuple[ComposedState, bool]:
        before = _parts(state, len(self.schedulers))
        migrated = [migrate(part, s, t, comparable) for part, s in zip(self.schedulers, before, strict=True)]
        return self._at(t, [part for part, _ in migrated]), all(kept for _, kept in migrated)

    def _at(self, t: int, parts: list[Any]) -> ComposedState:
        return ComposedState(t, math.prod(part.lr for part in parts), tuple(parts))

    def __call__(self, t: int | Array) -> Any:
        return math.prod(called(part, t) for part in self.schedulers)


@frozen
class Joined:
    """lr(t) = the i-th part's rate at t - boundaries[i - 1], where i is the number of boundaries at or before t."""

    schedulers: tuple[Any, ...]
    boundaries: Times

    def _part(self, t: int) -> int:
        return int(np.searchsorted(self.boundaries, t, side="right"))

    def init(self) -> ComposedState:
        part = self.schedulers[self._part(0)].init()
        return ComposedState(0, part.lr, (part,))

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        before, i = self._part(state.t), self._part(state.t + 1)
        part = self.schedulers[i].step(state.parts[0], metrics) if i == before else self.schedulers[i].init()
        return ComposedState(state.t + 1, part.lr, (part,))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> tuple[ComposedState, bool]:
        i, (before,) = self._part(t), _parts(state, 1)
        part, kept = migrate(self.schedulers[i], before, t - (0, *self.boundaries)[i], comparable)
        return ComposedState(t, part.lr, (part,)), kept

    def __call__(self, t: int | Array) -> Any:
        at = check_times(t)
        which = np.searchsorted(self.boundaries, at, side="right")
        starts = np.array([0, *self.boundaries])
        lr = np.empty(at.shape)
        for i, part in enumerate(self.schedulers):
            lr[which == i] = called(part, at[which == i] - starts[i])
        return lr if at.ndim else float(lr)


@frozen
class Repeated:
    """lr(t) = the schedule's rate at t mod period."""

    schedulers: tuple[Any]
    period: PositiveInt

    def init(self) -> ComposedState:
        part = self.schedulers[0].init()
        return ComposedState(0, part.lr, (part,))

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        t, scheduler = state.t + 1, self.schedulers[0]
        part = scheduler.step(state.parts[0], metrics) if t % self.period else scheduler.init()
        return ComposedState(t, part.lr, (part,))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> tuple[ComposedState, bool]:
        part, kept = migrate(self.schedulers[0], _parts(state, 1)[0], t % self.period, comparable)
        return ComposedState(t, part.lr, (part,)), kept

    def __call__(self, t: int | Array) -> Any:
        at = check_times(t) % self.period
        return called(self.schedulers[0], at if at.ndim else int(at))


@frozen
class Clamped:
    """lr(t) = the schedule's rate at t, but at least low and at most high."""

    schedulers: tuple[Any]
    low: NonNegative
    high: NonNegative

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low must be at most high={short(self.high)}, got {short(self.low)}")

    def init(self) -> ComposedState:
        return self._at(0, self.schedulers[0].init())

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        return self._at(state.t + 1, self.schedulers[0].step(state.parts[0], metrics))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> tuple[ComposedState, bool]:
        part, kept = migrate(self.schedulers[0], _parts(state, 1)[0], t, comparable)
        return self._at(t, part), kept

    def _at(self, t: int, part: Any) -> ComposedState:
        return ComposedState(t, min(max(part.lr, self.low), self.high), (part,))

    def __call__(self, t: int | Array) -> Any:
        lr = np.clip(called(self.schedulers[0], t), self.low, self.high)
        return lr if np.ndim(t) else float(lr)


def _parts(state: Any, n: int) -> tuple[Any, ...]:
    """The states of n parts, or that of the schedule which had no parts before it became one."""
    parts = state.parts if isinstance(state, ComposedState) else (state,)
    return parts if len(parts) == n else (None,) * n


def times(*schedulers: Any) -> Product:
    """The product of schedules, or of schedules and numbers above 0: lr(t) = product of lr_i(t).

    So a plateau multiplies any other schedule: `times(ReduceLROnPlateau(1.0, "val_loss"), CosineAnnealingLR(0.1, T_max=50))`.

    Raises: TypeError: if a part is neither a schedule nor a number; ValueError: if there is none.
    """
    if not schedulers:
        raise ValueError("schedulers must be at least one, got none")
    parts = [part if hasattr(part, "init") else ConstantLR(real("(0, inf)")("schedulers", part)) for part in schedulers]
    return Product(tuple(_checked(part) for part in parts))


def join(schedulers: Sequence[Any], boundaries: Sequence[int]) -> Joined:
    """One schedule behind the other: the i-th ends, and the next starts at its own t = 0, at `boundaries[i]`.

    A part between boundaries that coincide, or before a boundary at 0, is not used.

    Raises: TypeError, ValueError: if a part is no schedule, or the boundaries do not ascend or are not one fewer.
    """
    joined = Joined(tuple(_checked(part) for part in schedulers), tuple(boundaries))
    if len(joined.schedulers) != len(joined.boundaries) + 1:
        raise ValueError(f"boundaries must be one fewer than the {len(joined.schedulers)} schedulers, got {short(boundaries)}")
    return joined


@explain_calls()
def warmup(scheduler: Any, length: int, *, start_factor: float = 0.0) -> Joined:
    """A straight line from `start_factor` times the schedule's first rate to that rate, then the schedule from its t = 0.

    Args:
        length: in what is scheduled (epochs or steps); 0 is no warm-up.
        start_factor: in [0, 1]; at 0 the first epoch (or step) moves nothing.
    Raises: TypeError, ValueError: if an argument is not allowed, or the schedule begins at 0.
    Source: Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2.
    """
    length, first = integer(0)("length", length), _checked(scheduler).init().lr
    if first <= 0:
        raise ValueError(f"scheduler must begin with a rate above 0 to lead up to, got {short(first)} from {short(scheduler)}")
    rise = LinearLR(first, total_iters=length, start_factor=real("[0, 1]")("start_factor", start_factor))
    return join([rise, scheduler], [length])


@explain_calls()
def repeat(scheduler: Any, period: int) -> Repeated:
    """The first `period` epochs (or steps) of a schedule again and again, each time from its t = 0."""
    return Repeated((_checked(scheduler),), period)


@explain_calls()
def clamp(scheduler: Any, low: float = 0.0, high: float = float(np.finfo(np.float64).max)) -> Clamped:
    """A schedule's rates, but at least `low` and at most `high`; the schedule itself goes on as if it were not bounded."""
    return Clamped((_checked(scheduler),), low, high)


def called(scheduler: Any, t: Any) -> Any:
    """The rate of a part at t.

    Raises: TypeError: if it has no closed form, such as a plateau.
    """
    if not callable(scheduler):
        raise TypeError(
            f"t: {type(scheduler).__name__} has no closed form, so its rate at a t cannot be told without the metrics"
        )
    return scheduler(t)


def _checked(scheduler: Any) -> Any:
    if not (hasattr(scheduler, "init") and hasattr(scheduler, "step")):
        raise TypeError(f"scheduler must have init and step, got {short(scheduler)}")
    return scheduler
