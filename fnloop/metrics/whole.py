"""Metrics that are no sums over examples: functions of all targets and predictions, such as those of scikit-learn."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Protocol

import attrs
import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import OptionalMode, choice, optional
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.metrics.metric import name_of
from fnloop.metrics.truth import truth

# What scikit-learn's functions take where it is not what `predict` gives.
_OF = {
    **dict.fromkeys(("brier_score_loss", "log_loss", "d2_brier_score", "d2_log_loss_score"), "probabilities"),
    **dict.fromkeys(("roc_auc_score", "average_precision_score", "top_k_accuracy_score"), "probabilities"),
    "hinge_loss": "outputs",
}
Of = Annotated[str | None, optional(choice("predictions", "probabilities", "outputs"))]


class WholeMetric(Protocol):
    """A metric of all examples at once: `measure(outputs, targets, loss, task)`, a number, NaN where it is not
    defined.

    It is measured at the end of an epoch on the validation data, and by `evaluate`; there is none of the training data, whose
    outputs change within the epoch. `outputs` are of float64, (N, K); `task` is what the loss is for. The metric's own `mode`
    and `task` are as in `Metric`.
    """

    @property
    def name(self) -> str: ...
    def measure(self, outputs: Array, targets: Array, loss: Any, task: str | None) -> float: ...


def _function(name: str, value: Any) -> Any:
    """A function of scikit-learn as its name, which is data; any other as it is."""
    if isinstance(value, str):
        if value not in _sklearn().__all__:
            raise ValueError(f"{name} must be a function or the name of one in sklearn.metrics, got {short(value)}")
        return value
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name} must be a function of (targets, predictions), got {short(value)}")
    return value.__name__ if is_sklearn(value) else value


@frozen
class Whole:
    """A function of all targets and all predictions, `function(targets, predictions) -> number`, as scikit-learn has them.

    A trainer takes scikit-learn's functions as they are: `metrics=("accuracy", sklearn.metrics.cohen_kappa_score)`, or with
    arguments, `functools.partial(sklearn.metrics.f1_score, average="weighted")`. They are computed once an epoch, on all of
    the validation data, and by `evaluate`; there is no value of the training data, whose outputs change within the epoch.

    Args:
        function: The function, or the name of one in `sklearn.metrics`.
        of: What it takes as its second argument: `"predictions"`, what `predict` gives; `"probabilities"`, (N, K), but for two
            classes (N,), those of class 1; `"outputs"` of the model, (N,) or (N, K). None: what scikit-learn's function takes,
            and predictions for any other.
        mode: `"min"` if the smallest value is best, `"max"` if the largest. None: by the end of the name of scikit-learn's
            function, as it documents them: `_loss`, `_error` and `_deviance` are smallest at best; for another function,
            whoever monitors the metric must say.
        options: Further keyword arguments of the function.

    Raises:
        TypeError: For what is no function.
        ValueError: For a name that scikit-learn does not have.

    Examples:
        >>> from sklearn.metrics import mean_absolute_error
        >>> Whole(mean_absolute_error).mode
        'min'
    """

    function: Annotated[Any, _function]
    of: Of = None
    mode: OptionalMode = None
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        known = isinstance(self.function, str)
        if self.of is None:
            object.__setattr__(self, "of", _OF.get(self.name, "predictions") if known else "predictions")
        if self.mode is None and known:
            object.__setattr__(self, "mode", "min" if self.name.endswith(("_loss", "_error", "_deviance")) else "max")

    @property
    def name(self) -> str:
        return self.function if isinstance(self.function, str) else name_of(self.function)

    @property
    def needs(self) -> str | None:
        return self.of

    def measure(self, outputs: Array, targets: Array, loss: Any, task: str | None) -> float:
        if not np.isfinite(outputs).all():
            return np.nan
        function = getattr(_sklearn(), self.function) if isinstance(self.function, str) else self.function
        value = np.asarray(function(truth(targets, outputs, task), self._second(outputs, loss, task), **self.options))
        if value.shape or value.dtype.kind not in "biuf":
            raise ValueError(f"the function must return a number, got {short(value)}")
        return float(value)

    def _second(self, outputs: Array, loss: Any, task: str | None) -> Array:
        """What the function takes beside the targets."""
        if self.of == "predictions":
            return np.asarray(loss.predict(outputs))
        if self.of == "outputs":
            return outputs[:, 0] if outputs.shape[1] == 1 else outputs
        p = np.asarray(loss.probabilities(outputs))
        return p[:, 1] if task == "classification" and p.shape[1] == 2 else p


def is_sklearn(function: Any) -> bool:
    """Whether it is one of the functions of scikit-learn's metrics."""
    if not getattr(function, "__module__", "").startswith("sklearn.metrics"):
        return False
    return getattr(_sklearn(), getattr(function, "__name__", ""), None) is function


def as_whole(function: Any) -> Whole | None:
    """A function of scikit-learn, or one with keyword arguments, as a metric; None for any other."""
    if isinstance(function, partial) and not function.args and is_sklearn(function.func):
        return Whole(function.func, options=function.keywords)
    return Whole(function) if is_sklearn(function) else None


def is_whole(metric: object) -> bool:
    """Whether it has what a metric of all examples at once needs."""
    return all(hasattr(metric, needed) for needed in ("name", "measure"))


def _sklearn() -> Any:
    from sklearn import metrics

    return metrics
