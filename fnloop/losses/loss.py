"""What a loss is."""

from collections.abc import Callable
from typing import Any, Protocol

from fnloop.core.arrays import Array

Backward = Callable[[], Any]


class Loss(Protocol):
    """What can be minimised, and how its outputs read: those of this room, or a user's own record.

    `forward(outputs, targets)` returns each example's loss, (N,), and `backward()`, the gradient of their *mean* over the
    outputs, (N, K). `check_outputs` refuses a model and `check` targets that do not fit, `metrics` are measured if nobody says
    which, and `predict` and `probabilities` say what outputs mean.

    A loss may also have `task(outputs)`, "classification", "multilabel" or "regression": what outputs and targets are about,
    which metrics must suit. One with `class_weights` that may be `"balanced"` has `given(targets, outputs, weights)`, the loss
    with their values for these training targets.
    """

    @property
    def metrics(self) -> tuple[str, ...]: ...
    def check_outputs(self, outputs: int) -> None: ...
    def check(self, targets: Array, outputs: int) -> None: ...
    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]: ...
    def predict(self, outputs: Array) -> Array: ...
    def probabilities(self, outputs: Array) -> Array: ...
