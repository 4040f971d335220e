"""The hinge loss."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes
from fnloop.losses.classes import one_hot
from fnloop.losses.loss import Backward


@frozen
class Hinge:
    """The multi-class hinge of Crammer and Singer: the right class is to score 1 more than any other.

        loss = max(0, 1 + z_j - z_y)        j = argmax over k != y of z_k
        dz_j = 1 / N, dz_y = -1 / N where the loss is above 0, else 0

    Of rivals that score alike the first counts; at the kink the derivative is 0. With one output z it is the binary hinge,
    max(0, 1 - t z) with t = 2 y - 1.

    Shapes: `outputs` z are (N, 1) for two classes, with `targets` y 0 or 1, (N,) or (N, 1); or (N, K), with integer labels in
        [0, K), (N,) or (N, 1), or one-hot rows (N, K).
    Source: Crammer & Singer 2001.
    """

    metrics = ("accuracy",)
    task = staticmethod(classes.task)

    def check_outputs(self, outputs: int) -> None:
        """Any number of outputs will do."""

    def check(self, targets: Array, outputs: int) -> None:
        classes.check_targets(targets, outputs)
        hard = (targets == 0) | (targets == 1)
        if (outputs == 1 or targets.shape[1:] == (outputs,)) and not hard.all():
            raise ValueError(f"targets must be classes, 0 or 1, for Hinge, not shares of them, got {targets[~hard][0]}")

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        return classes.classes_first(_forward, outputs, targets)

    predict = staticmethod(classes.predict)

    def probabilities(self, outputs: Array) -> Array:
        raise TypeError("Hinge has no probabilities: its outputs are scores, of which the highest wins")


def _forward(z: Any, y: Any) -> tuple[Any, Backward]:
    xp = namespace(z)
    rival = xp.where(y > 0, -np.inf, z).argmax(0)
    toward = one_hot(rival, z) - y
    margin = 1 + (z * toward).sum(0)
    kept = (margin > 0).astype(z.dtype)
    return margin * kept, lambda: toward * (kept * (1 / z.shape[1]))
