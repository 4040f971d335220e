"""What an example of each class counts: given as numbers, or balanced by the training data."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import optional, real, sequence_of
from fnloop.core.formatting import short
from fnloop.core.records import evolve

L = TypeVar("L")
Weights = tuple[Any, ...]  # of numbers, one for each class, or for several labels of pairs of them

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


def check_class_weights(weights: Any, classes: int) -> None:
    """Refuse weights that are not one for each of so many classes."""
    if weights is None or weights == "balanced":
        return
    if len(weights) != classes or any(isinstance(weight, tuple) for weight in weights):
        raise ValueError(f"class_weights must be {classes} numbers, one for each class, got {len(weights)}: {short(weights)}")


def check_label_weights(weights: Any, labels: int) -> None:
    """Refuse weights that are neither a pair (w0, w1) nor such a pair for each of so many labels."""
    if weights is None or weights == "balanced" or (len(weights) == 2 and not isinstance(weights[0], tuple)):
        return
    if not (len(weights) == labels and all(isinstance(pair, tuple) and len(pair) == 2 for pair in weights)):
        allowed = "2 numbers, (w0, w1)" + (f", or {labels} such pairs, one for each label" if labels > 1 else "")
        raise ValueError(f"class_weights must be {allowed}, got {len(weights)}: {short(weights)}")


def known(weights: Any) -> Any:
    """The weights, which are numbers once the training data is known.

    Raises: ValueError: if they are still to be balanced.
    """
    if isinstance(weights, str):
        raise ValueError(
            "class_weights='balanced' depend on the training data, which is not known here: hand over trainer.resolve(train), "
            "which has their values, or the .trainer of what fl.fit returned"
        )
    return weights


def given(loss: L, targets: Array, outputs: int, weights: Array | None = None) -> L:
    """The loss with the class weights that balance the training targets."""
    return evolve(loss, class_weights=balanced(masses(targets, outputs, weights)))


def given_labels(loss: L, targets: Array, outputs: int, weights: Array | None = None) -> L:
    """The same for a loss of independent labels: a pair of weights for each."""
    columns = targets.reshape(len(targets), -1).T
    pairs = tuple(
        balanced(masses(column, 1, weights), f" of label {i}" if outputs > 1 else "") for i, column in enumerate(columns)
    )
    return evolve(loss, class_weights=pairs if outputs > 1 else pairs[0])


def balanced(mass: Array, where: str = "") -> tuple[float, ...]:
    """The weights that make all classes count alike: n / (K n_k), for the n_k examples of each of K classes.

    They are those of scikit-learn's `compute_class_weight("balanced", ...)`.

    Raises: ValueError: for a class without examples.
    """
    if not mass.all():
        raise ValueError(
            f"class_weights='balanced' needs training examples of every class, there are none of class {mass.argmin()}{where}"
        )
    return tuple((mass.sum() / (len(mass) * mass)).tolist())


def masses(targets: Array, outputs: int, weights: Array | None = None) -> Array:
    """How many examples each class has, (K,), each counted by its weight; a row of probabilities counts for each class."""
    w = np.ones(len(targets)) if weights is None else weights.astype(np.float64)
    if outputs == 1:
        ones = float(w @ targets.reshape(-1))
        return np.array([w.sum() - ones, ones])
    if targets.shape[1:] == (outputs,):
        return np.asarray(w @ targets)
    return np.bincount(targets.reshape(-1).astype(np.int64), w, minlength=outputs)
