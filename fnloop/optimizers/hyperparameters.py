"""Hyperparameters that follow schedules."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fnloop.core.fields import field_names
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.chaining import Chain
from fnloop.optimizers.elementwise import Elementwise, Wrapper
from fnloop.optimizers.kernel import StepContext, as_number

Schedule = Callable[[Any], Any]


@frozen
class Scheduled(Wrapper):
    """See `scheduled`: a part whose kernel finds in place of its hyperparameters their values of the moment."""

    part: Elementwise
    schedules: Mapping[str, Schedule]

    @property
    def keeps_non_finite(self) -> bool:  # type: ignore[override]
        return self.part.keeps_non_finite

    def scalars(self, context: StepContext) -> Any:
        values, t = self._values(context.count - 1), context.count - 2
        before = self._with(self._values(t + (t < 0)))  # nothing came before the first update
        return values, self._with(values).scalars(context._replace(before=before))

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        values, own = scalars
        moved: tuple[Any, Any] = self._with(values).kernel(gradient, slots, params, own)
        return moved

    def _values(self, t: Any) -> tuple[Any, ...]:
        return tuple(as_number(schedule(t)) for schedule in self.schedules.values())

    def _with(self, values: tuple[Any, ...]) -> Any:
        """The part with these values, which may be arrays of many steps' or traced: its own checks are for numbers."""
        part, changed = object.__new__(type(self.part)), dict(zip(self.schedules, values, strict=True))
        for name in field_names(type(self.part)):
            object.__setattr__(part, name, changed[name] if name in changed else getattr(self.part, name))
        return part


def scheduled(optimizer: Elementwise, **schedules: Schedule) -> Elementwise:
    """Let hyperparameters follow schedules: at each update the optimizer's formula has their values of the moment.

    Args:
        schedules: by hyperparameter, functions `schedule(t)` of the number of updates applied before, an int, or an array of
            them on the engine `"jax"`: any scheduler in closed form is one, such as `schedulers.LinearLR`. The first value is
            checked as the optimizer checks it; keeping the later ones in the interval is the schedule's part.
    Examples:
        scheduled(AdamW(), weight_decay=schedulers.CosineAnnealingLR(0.1, T_max=1000))
    Raises: ValueError: for a name that is no number of exactly one part of the optimizer, that changes what the optimizer
        keeps (a momentum that is 0), or is a bound on a norm; TypeError: for what is no optimizer or no function.
    """
    if not isinstance(optimizer, Elementwise):
        raise TypeError(f"optimizer must be an optimizer or a transformation, got {short(optimizer)}{call_hint(optimizer)}")
    if not schedules:
        raise ValueError("schedules must name at least one hyperparameter, got none")
    names = [name for part in optimizer.parts for name in _numbers(part)]
    for name, schedule in schedules.items():
        if names.count(name) != 1:
            raise ValueError(
                f"{name} is {'a number of several parts' if name in names else 'no number that can follow a schedule'} in "
                f"{short(optimizer)}; those that can: {', '.join(n for n in names if names.count(n) == 1) or 'none'}"
            )
        if not callable(schedule):
            raise TypeError(f"{name} must follow a function of t, such as a scheduler in closed form, got {short(schedule)}")
    parts = [
        _follow(part, {name: schedules[name] for name in _numbers(part) if name in schedules}) for part in optimizer.parts
    ]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _numbers(part: Elementwise) -> list[str]:
    """The hyperparameters that can follow a schedule: numbers of a part whose scalars depend on no values."""
    if part.depends_on in ("norm", "arrays") or not attrs.has(type(part)):
        return []
    return [name for name in field_names(type(part)) if type(getattr(part, name)) is float]


def _follow(part: Elementwise, schedules: Mapping[str, Schedule]) -> Elementwise:
    if not schedules:
        return part
    for name, schedule in schedules.items():
        if len(evolve(part, **{name: schedule(0)}).slots) > len(part.slots):
            raise ValueError(f"{name} must be above 0 in {short(part)} to follow a schedule: at 0 nothing is kept for it")
    return Scheduled(part, schedules)
