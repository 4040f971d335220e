"""Schedules of the learning rate: frozen records with `init() -> state` and `step(state, metrics=None) -> state`.

`t` is the 0-based epoch (or step) about to be trained: epoch 0 trains at `lr(0)`.
"""

from fnloop.schedulers.bounds import clamp
from fnloop.schedulers.closed_form import ClosedForm
from fnloop.schedulers.composed import ComposedState
from fnloop.schedulers.constant import ConstantLR
from fnloop.schedulers.cosine import CosineAnnealingLR
from fnloop.schedulers.cyclic import CyclicLR
from fnloop.schedulers.exponential import ExponentialLR
from fnloop.schedulers.inverse import InverseSqrtLR, InverseTimeLR
from fnloop.schedulers.migration import MigratesState, migrate
from fnloop.schedulers.multi_step import MultiStepLR
from fnloop.schedulers.named import SCHEDULERS, get_scheduler
from fnloop.schedulers.one_cycle import OneCycleLR
from fnloop.schedulers.piecewise import LambdaLR, PiecewiseLR
from fnloop.schedulers.plateau import PlateauState, ReduceLROnPlateau
from fnloop.schedulers.polynomial import LinearLR, PolynomialLR
from fnloop.schedulers.products import times
from fnloop.schedulers.scheduler import (
    CombinesSchedulers,
    LearningRateState,
    MonitorsMetric,
    Scheduler,
    SchedulerState,
)
from fnloop.schedulers.sequences import join, repeat, warmup
from fnloop.schedulers.step import StepLR
from fnloop.schedulers.warm_restarts import CosineAnnealingWarmRestarts
from fnloop.schedulers.warmup_stable_decay import WarmupStableDecayLR

__all__ = [
    "SCHEDULERS",
    "ClosedForm",
    "CombinesSchedulers",
    "ComposedState",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "InverseSqrtLR",
    "InverseTimeLR",
    "LambdaLR",
    "LearningRateState",
    "LinearLR",
    "MigratesState",
    "MonitorsMetric",
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
