"""The base class of losses for regression: functions of the error."""

from abc import abstractmethod
from collections.abc import Callable

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Task
from fnloop.core.records import frozen
from fnloop.losses.classes import check_shape
from fnloop.losses.loss import Backward, Loss

Slope = Callable[[float], AnyArray]


@frozen
class Regression(Loss):
    """A base for losses that are a function of the error. A subclass defines `rho`, its name in M-estimation.

        loss = mean_k rho(f_k - y_k)        df = rho'(f - y) / (N K)

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Quartic(Regression):
        ...     def rho(self, error):
        ...         return error**4, lambda scale: error**3 * (4 * scale)
        >>> fl.Trainer(model=fl.mlp([3, 1]), loss=Quartic()).metrics
        ('mae',)
    """

    metrics = ("mae",)

    @abstractmethod
    def rho(self, error: AnyArray) -> tuple[AnyArray, Slope]:
        """Return the function of the error, element by element, and `slope(scale)`, its derivative times the scale.

        Args:
            error: The outputs minus the targets, (N, K).
        """

    def task(self, outputs: int) -> Task | None:
        """Return regression."""
        return "regression"

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check that there is a target for each output."""
        check_shape(targets, columns=outputs)

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        error = outputs - targets.reshape(outputs.shape)
        values, slope = self.rho(error)
        rows, columns = error.shape[-2:]
        return values.sum(-1) / columns, lambda: slope(1 / (rows * columns))

    def probabilities(self, outputs: Array) -> Array:
        """Raise a TypeError: the outputs are values."""
        raise TypeError(f"{type(self).__name__} has no probabilities: it is a loss for regression")
