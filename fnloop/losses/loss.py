"""The contract of a loss."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, Self, runtime_checkable

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Task

Backward = Callable[[], AnyArray]


@runtime_checkable
class Loss(Protocol):
    """A function of outputs and targets whose mean over the examples is minimized.

    A custom loss is a frozen record that subclasses this protocol and defines `forward`. The other members have defaults: the
    outputs are the predictions, targets are not checked, and no metric is measured. An object that has all members without
    being a subclass is a loss, too.

    Shapes:
        outputs: (N, K), for N examples and K outputs of the model.
        targets: (N,) or (N, K), as in the dataset, in the trainer's dtype.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class SquaredError(fl.losses.Loss):
        ...     def forward(self, outputs, targets):
        ...         error = outputs[:, 0] - targets
        ...         return error**2, lambda: (2 * error / len(error))[:, None]
        >>> fl.Trainer(model=fl.mlp([3, 1]), loss=SquaredError()).loss
        SquaredError()

    See Also:
        `Regression`: A loss for regression from a function of the error.
        `FromFunction`: A loss from a plain function, differentiated automatically.
    """

    __slots__ = ()

    @abstractmethod
    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function, which returns the gradient of their mean, (N, K).

        Args:
            outputs: The outputs of the model, (N, K).
            targets: The targets, (N,) or (N, K).
        """

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that are measured by default."""
        return ()

    def task(self, outputs: int) -> Task | None:
        """Return the task: which metrics fit, and whether targets are labels. None, the default, fits every metric.

        Args:
            outputs: The number of outputs of the model.
        """
        return None

    def check_outputs(self, outputs: int) -> None:
        """Check that the loss fits a model.

        Args:
            outputs: The number of outputs of the model.

        Raises:
            ValueError: If it does not.
        """
        return

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check that targets fit the loss and a model.

        Args:
            targets: The targets, (N,) or (N, K).
            outputs: The number of outputs of the model.

        Raises:
            ValueError: If they do not.
        """
        return

    def predict(self, outputs: Array) -> Array:
        """Return the predictions: by default the outputs, (N,) for one output, else (N, K).

        Args:
            outputs: The outputs of the model, (N, K).
        """
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities of the classes or labels, (N, K); for one output (N, 2).

        Args:
            outputs: The outputs of the model, (N, K).

        Raises:
            TypeError: If the outputs do not define probabilities.
        """
        raise TypeError(f"{type(self).__name__} has no probabilities")

    @property
    def is_resolved(self) -> bool:
        """Whether the loss can be computed; False if it still depends on the training data."""
        return True

    def resolve(self, targets: Array, outputs: int, weights: Array | None = None) -> Self:
        """Return the loss with everything that depends on the training data computed from it.

        Args:
            targets: The targets of the training data.
            outputs: The number of outputs of the model.
            weights: The weight of each example, (N,). Default: None, which weighs all alike.
        """
        return self
