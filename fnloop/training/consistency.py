"""Checks that the parts of a trainer fit together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.checks import text
from fnloop.core.display import pluralize
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.losses import Loss
from fnloop.metrics import Metric, known_mode
from fnloop.metrics.named import AnyMetric
from fnloop.nn import Model
from fnloop.nn.kinds import PARAMETER_NAMES
from fnloop.optimizers import Elementwise
from fnloop.optimizers.masks import named_kinds, named_layers
from fnloop.schedulers import CombinesSchedulers, MonitorsMetric

_OTHER_NAMES = "loss", "val_loss", "lr"  # in `state.metrics`


def with_modes(policy: Any, metrics: Sequence[AnyMetric]) -> Any:
    """Return a schedule or early stopping with the mode of its metric, if only one of these metrics states it."""
    if isinstance(policy, MonitorsMetric) and getattr(policy, "mode", "") is None:
        mode = known_mode(policy.metric, metrics)
        return policy if mode is None else evolve(policy, mode=mode)
    parts = policy.schedulers if isinstance(policy, CombinesSchedulers) else ()
    new_parts = tuple(with_modes(part, metrics) for part in parts)
    is_unchanged = all(new is old for new, old in zip(new_parts, parts, strict=True))
    return policy if is_unchanged else evolve(policy, schedulers=new_parts)


def check_layers(model: Model, optimizer: Elementwise) -> None:
    """Check that the model has the layers and kinds of parameters that the optimizer names.

    Raises:
        ValueError: If it lacks one.
    """
    layers = 1 + max((array.layer for array in model.layout), default=-1)
    kinds = [kind for kind in dict.fromkeys(array.kind for array in model.layout) if kind]
    for part in optimizer.parts:
        for layer in named_layers(part):
            if layer >= layers:
                raise ValueError(
                    f"optimizer: layer {layer} is not one of the model's {layers} layers with parameters, in {short(part)}"
                )
        for kind in named_kinds(part):
            if kind not in (*kinds, *PARAMETER_NAMES):
                raise ValueError(
                    f"optimizer: kinds must be among the model's, {listed(kinds)}, got {short(kind)} in {short(part)}"
                )


def check_metrics(metrics: Sequence[AnyMetric], loss: Loss, model: Model) -> None:
    """Check that the metrics have different names and fit the loss and the model.

    Raises:
        TypeError: If the name of a metric is not a string.
        ValueError: If two metrics have the same name, or one does not fit.
    """
    task = loss.task(model.outputs)
    names = [text(f"metrics: the name of {short(metric)}", metric.name) for metric in metrics]
    if len({*names, *_OTHER_NAMES}) < len(names) + len(_OTHER_NAMES):
        raise ValueError(f"metrics must have different names, none of them 'loss', 'val_loss' or 'lr', got {names}")
    for metric in metrics:
        mode_by_name = known_mode(metric.name)
        if None not in (metric.mode, mode_by_name) and metric.mode != mode_by_name:
            raise ValueError(
                f"metrics: {short(metric.name)} has mode {metric.mode}, but its name implies {mode_by_name}: rename the metric"
            )
        if None not in (metric.task, task) and metric.task != task:
            raise ValueError(
                f"metrics: {short(metric.name)} needs a loss for {_in_words(metric.task)}, got {type(loss).__name__}, which "
                f"with {pluralize(model.outputs, 'output')} is a loss for {_in_words(task)}"
            )
        try:
            if isinstance(metric, Metric):
                metric.width(model.outputs)
            if metric.needs == "probabilities":
                loss.probabilities(np.zeros((1, model.outputs)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"metrics: {short(metric.name)}: {error}") from None


def _in_words(task: str | None) -> str:
    """Return the name of a task in a message."""
    return {"multilabel": "multi-label classification", "quantiles": "several quantiles"}.get(str(task), str(task))
