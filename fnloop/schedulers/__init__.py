"""Learning-rate schedules: frozen records with `init() -> state` and `step(state, metrics=None) -> state`.

`t` is the 0-based count of the epoch (or step) about to be trained: epoch 0 trains at `lr(0)`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.schedulers.closed_form import ClosedForm, SchedulerState
from fnloop.schedulers.compose import ComposedState, clamp, join, repeat, times, warmup
from fnloop.schedulers.constant import ConstantLR
from fnloop.schedulers.cosine import CosineAnnealingLR
from fnloop.schedulers.cyclic import CyclicLR
from fnloop.schedulers.exponential import ExponentialLR
from fnloop.schedulers.inverse import InverseSqrtLR, InverseTimeLR
from fnloop.schedulers.migration import migrate
from fnloop.schedulers.multi_step import MultiStepLR
from fnloop.schedulers.one_cycle import OneCycleLR
from fnloop.schedulers.piecewise import LambdaLR, PiecewiseLR
from fnloop.schedulers.plateau import PlateauState, ReduceLROnPlateau
from fnloop.schedulers.polynomial import LinearLR, PolynomialLR
from fnloop.schedulers.step import StepLR
from fnloop.schedulers.warm_restarts import CosineAnnealingWarmRestarts
from fnloop.schedulers.warmup_stable_decay import WarmupStableDecayLR


class Scheduler(Protocol):
    """Anything that moves a state with a learning rate: those here, or a user's own record."""

    def init(self) -> Any: ...
    def step(self, state: Any, metrics: Mapping[str, float] | None = None) -> Any: ...


SCHEDULERS: dict[str, Any] = {
    "constant": ConstantLR,
    "step": StepLR,
    "exponential": ExponentialLR,
    "plateau": ReduceLROnPlateau,
    "cosine": CosineAnnealingLR,
}


def get_scheduler(name: str, initial_lr: float, **parameters: Any) -> Scheduler:
    """Build a scheduler by its name, whatever the case: `constant`, `step`, `exponential`, `plateau` or `cosine`.

    Examples:
        >>> get_scheduler("Step", 0.1, step_size=10)(10)
        0.010000000000000002

    Raises: ValueError: for an unknown name or parameter; the message lists what there is.
    """
    if not isinstance(name, str) or name.lower() not in SCHEDULERS:
        raise ValueError(f"name must be one of {', '.join(SCHEDULERS)}, got {short(name)}")
    kind = SCHEDULERS[name.lower()]
    known = field_names(kind)
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"{kind.__name__} has no parameter {short(parameter)}; it has {listed(known)}")
    scheduler: Scheduler = kind(initial_lr, **parameters)
    return scheduler


__all__ = [
    "SCHEDULERS",
    "ClosedForm",
    "ComposedState",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "InverseSqrtLR",
    "InverseTimeLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PiecewiseLR",
    "PlateauState",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Scheduler",
    "SchedulerState",
    "StepLR",
    "WarmupStableDecayLR",
    "clamp",
    "get_scheduler",
    "join",
    "migrate",
    "repeat",
    "times",
    "warmup",
]
