"""What a loss is for: classification, several labels, regression or quantiles."""

from typing import Any

from fnloop.metrics import get_metric


def task_of(loss: Any, outputs: int) -> str | None:
    """What a loss is for, with a model of that many outputs: what it says, or else what its own metrics are for."""
    if hasattr(loss, "task"):
        return loss.task(outputs)  # type: ignore[no-any-return]
    own = [getattr(get_metric(metric), "task", None) for metric in getattr(loss, "metrics", ())]
    return "classification" if "classification" in own else "regression"
