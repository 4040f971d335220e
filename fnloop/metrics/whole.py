"""Metrics that need all examples at once, such as the functions of scikit-learn."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Protocol, runtime_checkable

import attrs
import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import OptionalMode, Task, choice, function_of, optional
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.signatures import name_of
from fnloop.metrics.metric import MetricMembers, Needs
from fnloop.metrics.truth import truth

# The second argument of scikit-learn's functions that do not take predictions.
_SECOND_ARGUMENT = {
    **dict.fromkeys(("brier_score_loss", "log_loss", "d2_brier_score", "d2_log_loss_score"), "probabilities"),
    **dict.fromkeys(("roc_auc_score", "average_precision_score", "top_k_accuracy_score"), "probabilities"),
    "hinge_loss": "outputs",
}
_check_function = function_of("(targets, predictions)")
OptionalNeeds = Annotated[Needs | None, optional(choice("predictions", "probabilities", "outputs"))]


class Interpretation(Protocol):
    """The members of a loss that define what its outputs mean."""

    def predict(self, outputs: Array) -> Array:
        """Return the predictions."""
        ...

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities."""
        ...


@runtime_checkable
class WholeMetric(MetricMembers, Protocol):
    """A metric of all examples at once.

    It is measured on the validation data at the end of an epoch, and by `evaluate`; never on the training data, whose outputs
    change during the epoch. A custom metric is a frozen record that subclasses this protocol and defines `name` and `measure`;
    the other members have defaults. An object that has all members without being a subclass is a metric, too.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class MaxError(fl.metrics.WholeMetric):
        ...     name = "max_error"
        ...     def measure(self, outputs, targets, loss, task):
        ...         return float(abs(outputs[:, 0] - targets).max())
        >>> fl.Trainer(model=fl.mlp([3, 1]), loss="mse", metrics=MaxError()).metrics
        (MaxError(),)

    See Also:
        `Whole`: A metric from a function of all targets and predictions.
    """

    __slots__ = ()

    @abstractmethod
    def measure(self, outputs: Array, targets: Array, loss: Interpretation, task: Task | None) -> float:
        """Return the metric, NaN where it is undefined.

        Args:
            outputs: The outputs of the model, in float64, (N, K).
            targets: The targets, (N,) or (N, K), as in the dataset.
            loss: The loss, which defines predictions and probabilities.
            task: The task of the loss.
        """


def _function(name: str, value: Any) -> Any:
    """Check a function; one of scikit-learn becomes its name, which can be written to a file."""
    if isinstance(value, str):
        if value not in _sklearn().__all__:
            raise ValueError(f"{name} must be a function or the name of one in sklearn.metrics, got {short(value)}")
        return value
    function = _check_function(name, value)
    return function.__name__ if is_sklearn(function) else function


@frozen
class Whole(WholeMetric):
    """A metric from a function of all targets and predictions, `function(targets, predictions) -> number`.

    A trainer accepts functions of scikit-learn directly, `metrics=("accuracy", sklearn.metrics.cohen_kappa_score)`, also with
    keyword arguments, `functools.partial(sklearn.metrics.f1_score, average="weighted")`. They are computed on the whole
    validation set at the end of an epoch, and by `evaluate`; never on the training data, whose outputs change during the
    epoch.

    Args:
        function: The function, or the name of one in `sklearn.metrics`.
        needs: The second argument of the function: `"predictions"`, as returned by `predict`; `"probabilities"`, (N, K), or
            (N,) of class 1 for two classes; or the model's `"outputs"`, (N,) or (N, K). Default: None, for which a
            function of scikit-learn gets the argument that it is defined for, and any other function gets predictions.
        mode: `"min"` if the smallest value is best, `"max"` if the largest. Default: None. A function of scikit-learn then has
            the mode `"min"` if its name ends in `_loss`, `_error` or `_deviance`, else `"max"`; for any other function the
            code that monitors the metric must state the mode.
        options: Additional keyword arguments of the function. Default: none.

    Raises:
        TypeError: If `function` is not a function.
        ValueError: If scikit-learn has no function with this name, or the function does not return a number.

    Examples:
        >>> from sklearn.metrics import mean_absolute_error
        >>> Whole(mean_absolute_error).mode
        'min'
    """

    function: Annotated[Any, _function]
    needs: OptionalNeeds = None
    mode: OptionalMode = None
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        is_named = isinstance(self.function, str)
        if self.needs is None:
            object.__setattr__(self, "needs", _SECOND_ARGUMENT.get(self.name, "predictions") if is_named else "predictions")
        if self.mode is None and is_named:
            object.__setattr__(self, "mode", "min" if self.name.endswith(("_loss", "_error", "_deviance")) else "max")

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function if isinstance(self.function, str) else name_of(self.function)

    def measure(self, outputs: Array, targets: Array, loss: Interpretation, task: Task | None) -> float:
        """Return the value of the function; NaN if an output is not finite."""
        if not np.isfinite(outputs).all():
            return np.nan
        function = getattr(_sklearn(), self.function) if isinstance(self.function, str) else self.function
        value = np.asarray(function(truth(targets, outputs, task), self._second_argument(outputs, loss, task), **self.options))
        if value.shape or value.dtype.kind not in "biuf":
            raise ValueError(f"the function must return a number, got {short(value)}")
        return float(value)

    def _second_argument(self, outputs: Array, loss: Interpretation, task: Task | None) -> Array:
        """Return the second argument of the function, after the targets."""
        if self.needs == "predictions":
            return np.asarray(loss.predict(outputs))
        if self.needs == "outputs":
            return outputs[:, 0] if outputs.shape[1] == 1 else outputs
        p = np.asarray(loss.probabilities(outputs))
        return p[:, 1] if task == "classification" and p.shape[1] == 2 else p


def is_sklearn(function: Any) -> bool:
    """Return whether a function is one of `sklearn.metrics`.

    Examples:
        >>> from sklearn.metrics import f1_score
        >>> is_sklearn(f1_score), is_sklearn(max)
        (True, False)
    """
    if not getattr(function, "__module__", "").startswith("sklearn.metrics"):
        return False
    return getattr(_sklearn(), getattr(function, "__name__", ""), None) is function


def from_sklearn(function: Callable[..., Any]) -> Whole | None:
    """Return the metric of a function of scikit-learn, or None for any other function.

    Args:
        function: The function, or a `functools.partial` of it with keyword arguments.
    """
    if isinstance(function, partial) and not function.args and is_sklearn(function.func):
        return Whole(function.func, options=function.keywords)
    return Whole(function) if is_sklearn(function) else None


def _sklearn() -> Any:
    from sklearn import metrics

    return metrics
