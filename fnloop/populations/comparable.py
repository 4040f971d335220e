"""Whether the values of a metric can be compared between trainers: losses only where they are the same."""

from collections.abc import Iterable

from fnloop.core.checks import Mode
from fnloop.core.digest import same_bits
from fnloop.core.display import short_call
from fnloop.core.formatting import listed, short
from fnloop.losses import Loss

LOSSES = "loss", "val_loss"


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
