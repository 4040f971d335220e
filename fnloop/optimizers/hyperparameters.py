"""Hyperparameters that follow schedules."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from fnloop.core.arrays import AnyArray
from fnloop.core.fields import field_names
from fnloop.core.formatting import Call, short
from fnloop.core.records import evolve, evolve_unchecked, frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.chaining import Composite
from fnloop.optimizers.elementwise import Elementwise, Wrapper
from fnloop.optimizers.kernel import Scalars, StepContext, as_number

Schedule = Callable[[Any], Any]  # of t, an int or an array


@frozen
class ScheduledPart(Wrapper):
    """A part whose kernel uses the scheduled values of its hyperparameters."""

    part: Elementwise
    schedules: Mapping[str, Schedule]

    @property
    def keeps_non_finite(self) -> bool:  # type: ignore[override]
        """Whether the part keeps non-finite values."""
        return self.part.keeps_non_finite

    def scalars(self, context: StepContext) -> Scalars:
        """Return the values of the hyperparameters, and the scalars of the part with these values."""
        values, t = self._values(context.count - 1), context.count - 2
        before = self._with(self._values(t + (t < 0)))  # the first update has no earlier one
        return values, self._with(values).scalars(context._replace(before=before))

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return what the part returns with these values."""
        values, scalars_of_part = scalars
        result: tuple[Any, Any] = self._with(values).kernel(gradient, slots, params, scalars_of_part)
        return result

    def _values(self, t: Any) -> tuple[Any, ...]:
        return tuple(as_number(schedule(t)) for schedule in self.schedules.values())

    def _with(self, values: tuple[Any, ...]) -> Any:
        """Return the part with these values, unchecked: they may be arrays over many updates, or traced."""
        return evolve_unchecked(self.part, **dict(zip(self.schedules, values, strict=True)))

    def __as_call__(self) -> Call:
        return Call("scheduled", (self.part,), self.schedules)


@frozen
class Scheduled(Composite):
    """An optimizer with scheduled hyperparameters, as `scheduled` returns it."""

    optimizer: Elementwise
    schedules: Mapping[str, Schedule]

    def __attrs_post_init__(self) -> None:
        for part in self.optimizer.parts:
            for name in _numbers(part):
                if name in self.schedules and len(evolve(part, **{name: self.schedules[name](0)}).slots) > len(part.slots):
                    raise ValueError(
                        f"{name} must be above 0 in {short(part)} to follow a schedule: at 0 the optimizer has no slot for it"
                    )

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """The parts of the optimizer, with the schedules of their hyperparameters."""
        return tuple(self._schedule(part) for part in self.optimizer.parts)

    def _schedule(self, part: Elementwise) -> Elementwise:
        schedules = {name: self.schedules[name] for name in _numbers(part) if name in self.schedules}
        return ScheduledPart(part, schedules) if schedules else part

    def __as_call__(self) -> Call:
        return Call("scheduled", (self.optimizer,), self.schedules)


def scheduled(optimizer: Elementwise, **schedules: Schedule) -> Scheduled:
    """Let hyperparameters follow schedules: each update uses their values at that update.

    Args:
        optimizer: The optimizer or transformation.
        schedules: By hyperparameter, functions `schedule(t)` of the number of earlier updates. `t` is an int, or an array of
            ints on the engine `"jax"`: any schedule in closed form fits, such as `schedulers.LinearLR`. The first value is
            checked as the optimizer checks it; the schedule must keep later ones in the interval.

    Raises:
        TypeError: If `optimizer` is not an optimizer, or a schedule is not a function.
        ValueError: If a name is not a number of exactly one part of the optimizer, adds a slot (a momentum that is 0), or
            bounds a norm.

    Examples:
        >>> from fnloop.optimizers import SGD
        >>> from fnloop.schedulers import LinearLR
        >>> scheduled(SGD(momentum=0.9), momentum=LinearLR(0.95, total_iters=100, start_factor=0.9)).parts[0].slots
        ('mu',)
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
            raise TypeError(f"{name} must follow a function of t, such as a schedule in closed form, got {short(schedule)}")
    return Scheduled(optimizer, schedules)


def _numbers(part: Elementwise) -> list[str]:
    """Return the hyperparameters that can follow a schedule: floats of a part whose scalars depend on no values."""
    if part.depends_on in ("norm", "arrays") or not attrs.has(type(part)):
        return []
    return [name for name in field_names(type(part)) if type(getattr(part, name)) is float]
