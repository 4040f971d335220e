"""Whether the parts of a trainer fit each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.display import pluralize
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.metrics import known_mode
from fnloop.metrics.whole import is_whole
from fnloop.nn.kinds import PARAMETER_NAMES
from fnloop.optimizers.masks import named_kinds, named_layers
from fnloop.schedulers import CombinesSchedulers, MonitorsMetric
from fnloop.training.tasks import task_of


def with_modes(policy: Any, metrics: Sequence[Any]) -> Any:
    """The policy, with the direction of the metric that it reads if only one of these metrics says it."""
    if isinstance(policy, MonitorsMetric) and getattr(policy, "mode", "") is None:
        mode = known_mode(policy.metric, metrics)
        return policy if mode is None else evolve(policy, mode=mode)
    parts = policy.schedulers if isinstance(policy, CombinesSchedulers) else ()
    known = tuple(with_modes(part, metrics) for part in parts)
    same = all(a is b for a, b in zip(parts, known, strict=True))
    return policy if same else evolve(policy, schedulers=known)


def check_layers(model: Any, optimizer: Any) -> None:
    """Refuse an optimizer that names a layer or a kind of parameters which the model does not have."""
    layers = 1 + max((place.layer for place in model.layout), default=-1)
    kinds = [kind for kind in dict.fromkeys(place.kind for place in model.layout) if kind]
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


def check_metrics(metrics: Sequence[Any], loss: Any, model: Any) -> None:
    """Refuse metrics that do not fit each other, the model and the loss, which is for what its own metrics are for."""
    task = task_of(loss, model.outputs)
    names = [metric.name for metric in metrics]
    if len({*names, "loss"}) <= len(names):
        raise ValueError(f"metrics must have names of their own, none of them 'loss', got {names}")
    for metric in metrics:
        mode, by_name = getattr(metric, "mode", None), known_mode(metric.name)
        if None not in (mode, by_name) and mode != by_name:
            raise ValueError(f"metrics: {short(metric.name)} has mode {mode}, but by its name {by_name}: give it another name")
        needed = "multilabel" if getattr(metric, "multilabel", False) else getattr(metric, "task", None)
        if needed is not None and task is not None and needed != task:
            outputs = pluralize(model.outputs, "output")
            raise ValueError(
                f"metrics: {short(metric.name)} needs a loss for {_TASKS.get(needed, needed)}, got "
                f"{type(loss).__name__}, which with {outputs} is one for {_TASKS.get(task, task)}"
            )
        try:
            if not is_whole(metric):
                metric.width(model.outputs)
            if getattr(metric, "needs", None) == "probabilities":
                loss.probabilities(np.zeros((1, model.outputs)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"metrics: {short(metric.name)}: {error}") from None


_TASKS = {
    "classification": "classification",
    "multilabel": "multi-label classification",
    "regression": "regression",
    "quantiles": "several quantiles",
}
