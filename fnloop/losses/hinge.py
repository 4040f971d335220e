"""The hinge loss."""

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes
from fnloop.losses.classes import one_hot
from fnloop.losses.classification import Classification
from fnloop.losses.loss import Backward


@frozen
class Hinge(Classification):
    """The multi-class hinge loss: the score of the correct class must exceed every other score by 1.

        loss = max(0, 1 + z_j - z_y)        j = argmax over k != y of z_k
        dz_j = 1 / N, dz_y = -1 / N where the loss is above 0, else 0

    If several other classes have the same highest score, the first one counts; at the kink the derivative is 0. For one
    output z it is the binary hinge, max(0, 1 - t z) with t = 2 y - 1.

    Shapes:
        outputs: (N, 1) for two classes, or (N, K); the scores z.
        targets: (N,) or (N, 1), the classes 0 and 1 for one output, else integer labels in [0, K); or one-hot rows (N, K).

    Source: Crammer & Singer 2001.
    """

    stacks = True

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check that targets are classes, as labels or as one-hot rows."""
        classes.check_targets(targets, outputs)
        hard = (targets == 0) | (targets == 1)
        if (outputs == 1 or targets.shape[1:] == (outputs,)) and not hard.all():
            raise ValueError(f"targets must be 0 or 1 for Hinge, not probabilities, got {targets[~hard][0]}")

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        return classes.with_classes_first(_forward, outputs, targets)

    def probabilities(self, outputs: Array) -> Array:
        """Raise a TypeError: the outputs are scores."""
        raise TypeError("Hinge has no probabilities: its outputs are scores")


def _forward(z: AnyArray, y: AnyArray) -> tuple[AnyArray, Backward]:
    xp = namespace(z)
    rival = xp.where(y > 0, -np.inf, z).argmax(-2)
    direction = one_hot(rival, z) - y
    margin = 1 + (z * direction).sum(-2)
    active = (margin > 0).astype(z.dtype)
    return margin * active, lambda: direction * (active * (1 / z.shape[-1]))[..., None, :]
