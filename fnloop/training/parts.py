"""The parts of a trainer: what each may be given as, and what an error says of anything else."""

from typing import Any

import numpy as np

from fnloop.core.checks import choice, instance_of, real
from fnloop.core.formatting import short
from fnloop.core.lookup import by_name
from fnloop.core.signatures import call_hint
from fnloop.losses import get_loss
from fnloop.metrics import get_metric
from fnloop.metrics.whole import as_whole
from fnloop.optimizers import get_optimizer
from fnloop.schedulers import SCHEDULERS, ConstantLR, Scheduler

_MODEL = "forward", "init", "inputs", "shape", "views", "layout", "buffers", "check_values"
_EXAMPLES = {
    "constant": "fl.schedulers.ConstantLR(1e-3)",
    "step": "fl.schedulers.StepLR(0.1, 30)",
    "exponential": "fl.schedulers.ExponentialLR(0.1)",
    "plateau": 'fl.schedulers.ReduceLROnPlateau(1e-3, metric="val_loss")',
    "cosine": "fl.schedulers.CosineAnnealingLR(0.1, T_max=100)",
}

_check_scheduler = instance_of(
    Scheduler, "a schedule, such as fl.schedulers.ConstantLR(1e-3), or a number for a constant rate"
)


def model(name: str, value: Any) -> Any:
    """The check for a model."""
    if isinstance(value, type) or not all(hasattr(value, needed) for needed in _MODEL):
        hint = call_hint(value)
        if isinstance(value, list | tuple) and value:
            widths = all(isinstance(item, int) for item in value)
            hint = f"; write fl.mlp({short(value)})" if widths else "; write fl.nn.Sequential(inputs, layers)"
        elif not isinstance(value, type) and hasattr(value, "forward") and hasattr(value, "initial"):
            hint = "; a layer alone is a model as fl.nn.Sequential(inputs, (layer,))"
        raise TypeError(f"{name} must be a model, such as fl.mlp([10, 16, 1]), got {short(value)}{hint}")
    return value


def loss(name: str, value: Any) -> Any:
    """The check for a loss, or its name."""
    return get_loss(value)


def optimizer(name: str, value: Any) -> Any:
    """The check for an optimizer, or its name."""
    return get_optimizer(value)


def scheduler(name: str, value: Any) -> Any:
    """The check for a schedule, or a number: a constant rate."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return ConstantLR(real("(0, inf)")(name, value))
    if isinstance(value, str):
        by_name(name, value, SCHEDULERS, otherwise=", each with a rate, or a schedule, or a number for a constant rate")
        example = _EXAMPLES[value.lower()]
        raise ValueError(f"{name} {short(value)} needs a learning rate, write {example}; a number is a constant rate")
    return _check_scheduler(name, value)


def early_stopping(name: str, value: Any) -> Any:
    """The check for a policy of early stopping, or None."""
    if value is not None and (isinstance(value, type) or not (hasattr(value, "init") and hasattr(value, "step"))):
        hint = call_hint(value)
        if isinstance(value, str):
            hint = f"; write fl.EarlyStopping({short(value, 40)})"
        elif isinstance(value, int):
            hint = "; write fl.EarlyStopping()" if value is True else f"; write fl.EarlyStopping(patience={short(value, 40)})"
        raise TypeError(f"{name} must be a fl.EarlyStopping or None, got {short(value)}{hint}")
    return value


def metrics(name: str, value: Any) -> Any:
    """The check for metrics: one or several, names, metrics or functions; or None for what suits the loss."""
    if value is None:
        return None
    several = tuple(value) if isinstance(value, tuple | list) else (value,)
    for metric in several:
        get_metric(metric)
    return tuple(as_whole(metric) or metric for metric in several)


def dtype(name: str, value: Any) -> Any:
    """The check for the dtype of a computation: its name, or NumPy's type."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        value = np.dtype(value).name
    return choice("float32", "float64")(name, value)
