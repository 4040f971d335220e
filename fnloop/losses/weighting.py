"""Class weights: given as numbers, or balanced from the training data."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import optional, real, sequence_of
from fnloop.core.formatting import short
from fnloop.core.records import evolve

_numbers = sequence_of(real("[0, inf)"))
_pairs = sequence_of(_numbers)


def _numbers_or_balanced(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value != "balanced":
            raise ValueError(f"{name} must be a number for each class, 'balanced', or None, got {short(value)}")
        return value
    nested = isinstance(value, Sequence | np.ndarray) and len(value) and hasattr(value[0], "__iter__")
    return _pairs(name, value) if nested else _numbers(name, value)


ClassWeights = Annotated[Any, optional(_numbers_or_balanced)]


class ClassWeighted:
    """The members of a loss with class weights. A subclass has the field `class_weights`."""

    __slots__ = ()
    class_weights: Any

    @property
    def is_resolved(self) -> bool:
        """Whether the weights are numbers; False while they are `"balanced"`."""
        return not isinstance(self.class_weights, str)

    def resolve(self, targets: Array, outputs: int, weights: Array | None = None) -> Self:
        """Return the loss with balanced weights computed from the training targets."""
        if self.is_resolved:
            return self
        return evolve(self, class_weights=balanced(class_masses(targets, outputs, weights)))

    def resolved_weights(self) -> Any:
        """Return the weights, which must be numbers.

        Raises:
            ValueError: If they are `"balanced"`.
        """
        if not self.is_resolved:
            raise ValueError(
                f"class_weights must be numbers to compute {type(self).__name__}, got 'balanced'; "
                "resolve(targets, outputs) computes them"
            )
        return self.class_weights


def check_class_weights(weights: Any, classes: int) -> None:
    """Check that there is one weight for each class.

    Args:
        weights: Weights, `"balanced"` or None.
        classes: The number of classes.

    Raises:
        ValueError: If there is another number of weights.
    """
    if weights is None or weights == "balanced":
        return
    if len(weights) != classes or any(isinstance(weight, tuple) for weight in weights):
        raise ValueError(f"class_weights must be {classes} numbers, one for each class, got {len(weights)}: {short(weights)}")


def check_label_weights(weights: Any, labels: int) -> None:
    """Check that the weights are one pair (w0, w1), or one for each label.

    Args:
        weights: Weights, `"balanced"` or None.
        labels: The number of labels.

    Raises:
        ValueError: If they are not.
    """
    if weights is None or weights == "balanced" or (len(weights) == 2 and not isinstance(weights[0], tuple)):
        return
    if not (len(weights) == labels and all(isinstance(pair, tuple) and len(pair) == 2 for pair in weights)):
        allowed = "2 numbers, (w0, w1)" + (f", or {labels} such pairs, one for each label" if labels > 1 else "")
        raise ValueError(f"class_weights must be {allowed}, got {len(weights)}: {short(weights)}")


def balanced(mass: Array, where: str = "") -> tuple[float, ...]:
    """Return the weights that give all classes the same total: n / (K n_k), as in scikit-learn's `compute_class_weight`.

    Args:
        mass: The number of examples of each class, n_k, or the sum of their weights; (K,).
        where: Text for the error, such as " of label 1". Default: "".

    Raises:
        ValueError: If a class has no examples.

    Examples:
        >>> balanced(np.array([6, 2]))
        (0.6666666666666666, 2.0)
    """
    if not mass.all():
        raise ValueError(
            f"class_weights='balanced' needs training examples of every class, there are none of class {mass.argmin()}{where}"
        )
    return tuple((mass.sum() / (len(mass) * mass)).tolist())


def class_masses(targets: Array, outputs: int, weights: Array | None = None) -> Array:
    """Return the total weight of the examples of each class, (K,); a row of probabilities adds to every class.

    Args:
        targets: The targets, as labels or as rows.
        outputs: The number of outputs of the model.
        weights: The weight of each example, (N,). Default: None, which weighs all alike.
    """
    w = np.ones(len(targets)) if weights is None else weights.astype(np.float64)
    if outputs == 1:
        ones = float(w @ targets.reshape(-1))
        return np.array([w.sum() - ones, ones])
    if targets.shape[1:] == (outputs,):
        return np.asarray(w @ targets)
    return np.bincount(targets.reshape(-1).astype(np.int64), w, minlength=outputs)
