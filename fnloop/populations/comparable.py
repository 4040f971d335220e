"""Whether the values of a metric can be compared between trainers: losses only where they are the same."""

from collections.abc import Iterable, Mapping
from typing import Any

from fnloop.core.checks import Mode, metric_name
from fnloop.core.digest import same_bits
from fnloop.core.display import short_call
from fnloop.core.formatting import listed, short
from fnloop.losses import Loss
from fnloop.training.trainer import Trainer

LOSSES = "loss", "val_loss"


def common_metric(trainers: Mapping[Any, Trainer], has_validation: bool, metric: str | None, name: str = "metric") -> str:
    """Return the metric by which all trainers are compared.

    Args:
        trainers: The trainers, by name or index.
        has_validation: Whether there is validation data.
        metric: The name of the metric; None for the one that they all monitor.
        name: The name of the argument `metric`, for the error.

    Raises:
        TypeError: If the metric is not text.
        ValueError: If a trainer does not produce it, its better direction is unknown, they monitor different ones, or it is
            the loss and they have different ones.
    """
    if metric is not None:
        metric_name(name, metric)
    monitored = [trainer.monitored(has_validation, metric) for trainer in trainers.values()]
    return check_comparable(monitored, [trainer.loss for trainer in trainers.values()], metric, name)


def check_comparable(monitored: Iterable[tuple[str, Mode]], losses: Iterable[Loss], metric: str | None, name: str) -> str:
    """Check that all trainers have one metric whose values can be compared, and return its name.

    Args:
        monitored: The metric of each trainer, and its mode.
        losses: The loss of each trainer.
        metric: The metric that the user stated; None if each trainer has its own.
        name: The name of the argument that states it, for the error.

    Raises:
        ValueError: If the metrics differ, or they are losses and the trainers have different ones.
    """
    found = dict.fromkeys(monitored)
    if len(found) > 1:
        ways = listed(f"{metric} ({mode})" for metric, mode in found)
        raise ValueError(f"{name} must be stated, because the trainers monitor different ones: {ways}")
    common = next(iter(found))[0]
    if common in LOSSES and (different := different_losses(losses)):
        pair = " and ".join(map(short_call, different))
        reason = f"the trainers have different losses, whose values cannot be compared: {pair}"
        if metric is None:
            raise ValueError(f"{name} must be stated, because {reason}; state one that is no loss, such as 'val_accuracy'")
        raise ValueError(f"{name} must not be {short(metric)}, because {reason}")
    return common


def different_losses(losses: Iterable[Loss]) -> tuple[Loss, Loss] | None:
    """Return the first loss and one that differs from it; None if all are the same.

    Args:
        losses: The losses.
    """
    first: Loss | None = None
    for loss in losses:
        if first is None:
            first = loss
        elif loss is not first and not same_bits(loss, first):
            return first, loss
    return None
