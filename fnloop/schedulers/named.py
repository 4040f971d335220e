"""Schedules by name."""

from collections.abc import Callable, Mapping
from typing import Any

from fnloop.core.checks import text
from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.core.lookup import by_name
from fnloop.schedulers.constant import ConstantLR
from fnloop.schedulers.cosine import CosineAnnealingLR
from fnloop.schedulers.exponential import ExponentialLR
from fnloop.schedulers.plateau import ReduceLROnPlateau
from fnloop.schedulers.scheduler import Scheduler
from fnloop.schedulers.step import StepLR

SCHEDULERS: Mapping[str, Callable[..., Scheduler]] = {
    "constant": ConstantLR,
    "step": StepLR,
    "exponential": ExponentialLR,
    "plateau": ReduceLROnPlateau,
    "cosine": CosineAnnealingLR,
}


def get_scheduler(name: str, initial_lr: float, **parameters: Any) -> Scheduler:
    """Return the schedule of a name.

    Args:
        name: `"constant"`, `"step"`, `"exponential"`, `"plateau"` or `"cosine"`, in any case.
        initial_lr: The first learning rate, above 0.
        parameters: Other parameters of the schedule, by name.

    Raises:
        TypeError: If the name is not a string, a required parameter is missing, or a value has the wrong type.
        ValueError: If the name or a parameter is unknown, or a value is outside its interval. The message lists the known
            ones.

    Examples:
        >>> get_scheduler("Step", 0.1, step_size=10)(10)
        0.010000000000000002
    """
    scheduler: Any = by_name("name", text("name", name), SCHEDULERS)
    known = field_names(scheduler)
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"{scheduler.__name__} has no parameter {short(parameter)}; it has {listed(known)}")
    return scheduler(initial_lr, **parameters)  # type: ignore[no-any-return]
