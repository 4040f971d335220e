"""What the losses for regression have in common: each is one function of the error."""

from collections.abc import Callable
from typing import Any

from fnloop.core.arrays import Array
from fnloop.losses.classes import check_shape
from fnloop.losses.loss import Backward

Slope = Callable[[float], Any]


class Regression:
    """What a function of the error needs to be a loss. A subclass gives `rho`, the name that M-estimation has for it.

        loss = mean_k rho(f_k - y_k)        df = rho'(f - y) / (N K)

    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    """

    __slots__ = ()
    metrics: tuple[str, ...] = ("mae",)

    def rho(self, error: Any) -> tuple[Any, Slope]:
        """The function of the error f - y, element by element, and `slope(scale)`, its derivative times the scale."""
        raise NotImplementedError

    def task(self, outputs: int) -> str:
        return "regression"

    def check_outputs(self, outputs: int) -> None:
        """Any number of outputs will do."""

    def check(self, targets: Array, outputs: int) -> None:
        check_shape(targets, columns=outputs)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        error = outputs - targets.reshape(outputs.shape)
        values, slope = self.rho(error)
        return values.sum(1) / values.shape[1], lambda: slope(1 / error.size)

    def predict(self, outputs: Array) -> Array:
        """The values themselves: (N,) for one output, else (N, K)."""
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def probabilities(self, outputs: Array) -> Array:
        raise TypeError(f"{type(self).__name__} has no probabilities: it is a loss for regression")
