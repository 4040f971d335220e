"""The base class of losses for classification."""

from fnloop.core.arrays import Array
from fnloop.core.checks import Task
from fnloop.core.records import frozen
from fnloop.losses import classes
from fnloop.losses.loss import Loss


@frozen
class Classification(Loss):
    """A base for losses that assign each example to one class. A subclass defines `forward`.

    Shapes:
        outputs: (N, 1), the logit of class 1 against class 0; or (N, K), one score for each class.
        targets: (N,) or (N, 1), integer labels, or for one output values in [0, 1]; or (N, K), rows of probabilities.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Perceptron(Classification):
        ...     def forward(self, outputs, targets):
        ...         sign = 2 * targets.reshape(-1, 1) - 1
        ...         wrong = (sign * outputs < 0) * 1.0
        ...         return (-wrong * sign * outputs)[:, 0], lambda: -wrong * sign / len(outputs)
        >>> fl.Trainer(model=fl.mlp([3, 1]), loss=Perceptron()).metrics
        ('accuracy',)
    """

    metrics = ("accuracy",)

    def task(self, outputs: int) -> Task | None:
        """Return classification."""
        return "classification"

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check that targets are classes, as labels or as rows of probabilities."""
        classes.check_targets(targets, outputs)

    def predict(self, outputs: Array) -> Array:
        """Return the most likely class of each example, an integer: (N,)."""
        return classes.predict(outputs)

    def probabilities(self, outputs: Array) -> Array:
        """Return the probability of each class: (N, K), with two columns for one output."""
        return classes.probabilities(outputs)
