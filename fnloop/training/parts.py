"""The forms in which each field of a trainer may be given, and the errors for anything else.

The protocols state what a part is; the functions here add names, numbers and plain functions.
"""

from typing import Any

import numpy as np

from fnloop.core.checks import choice, instance_of, real
from fnloop.core.formatting import short
from fnloop.core.lookup import by_name
from fnloop.core.protocols import fulfils
from fnloop.core.signatures import call_hint
from fnloop.losses import get_loss
from fnloop.metrics import get_metric
from fnloop.metrics.whole import from_sklearn
from fnloop.nn import Layer, Model
from fnloop.optimizers import get_optimizer
from fnloop.schedulers import ConstantLR, Scheduler
from fnloop.training.early_stopping import EarlyStopping

_EXAMPLES = {  # the names of `fnloop.schedulers.get_scheduler`, each with what to write in its place
    "constant": "fl.schedulers.ConstantLR(1e-3)",
    "step": "fl.schedulers.StepLR(0.1, 30)",
    "exponential": "fl.schedulers.ExponentialLR(0.1)",
    "plateau": 'fl.schedulers.ReduceLROnPlateau(1e-3, metric="val_loss")',
    "cosine": "fl.schedulers.CosineAnnealingLR(0.1, T_max=100)",
}

_check_scheduler = instance_of(
    Scheduler, "a schedule, such as fl.schedulers.ConstantLR(1e-3), or a number for a constant learning rate"
)


def _model_hint(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        widths = all(isinstance(item, int) for item in value)
        return f"; write fl.mlp({short(value)})" if widths else "; write fl.nn.Sequential(inputs, layers)"
    return "; to train a single layer write fl.nn.Sequential(inputs, (layer,))" if fulfils(value, Layer) else ""


model = instance_of(Model, "a model, such as fl.mlp([10, 16, 1])", _model_hint)


def loss(name: str, value: Any) -> Any:
    """Check a loss, the name of one, or a function."""
    return get_loss(value)


def optimizer(name: str, value: Any) -> Any:
    """Check an optimizer, or the name of one."""
    return get_optimizer(value)


def scheduler(name: str, value: Any) -> Any:
    """Check a schedule, or a number, which becomes a constant learning rate."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return ConstantLR(real("(0, inf)")(name, value))
    if isinstance(value, str):
        example = by_name(name, value, _EXAMPLES, otherwise=", each with a learning rate, or a schedule, or a number")
        raise ValueError(f"{name} {short(value)} needs a learning rate, write {example}; a number is a constant rate")
    return _check_scheduler(name, value)


def _early_stopping_hint(value: Any) -> str:
    if isinstance(value, str):
        return f"; write fl.EarlyStopping({short(value, 40)})"
    if isinstance(value, int):
        return "; write fl.EarlyStopping()" if value is True else f"; write fl.EarlyStopping(patience={short(value, 40)})"
    return call_hint(value)


def early_stopping(name: str, value: Any) -> Any:
    """Check a policy of early stopping, or None."""
    if value is not None and not isinstance(value, EarlyStopping):
        raise TypeError(f"{name} must be a fl.EarlyStopping or None, got {short(value)}{_early_stopping_hint(value)}")
    return value


def metrics(name: str, value: Any) -> Any:
    """Check one or several metrics, names of metrics or functions; None is the default, the metrics of the loss."""
    if value is None:
        return None
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    for metric in values:
        get_metric(metric)
    return tuple(from_sklearn(metric) or metric for metric in values)


def dtype(name: str, value: Any) -> Any:
    """Check the dtype of a computation, given by its name or as NumPy's type."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        value = np.dtype(value).name
    return choice("float32", "float64")(name, value)
