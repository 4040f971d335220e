"""Classes: how the outputs and targets of a classifier read, whatever its loss.

One output is the logit of class 1 against class 0; with K outputs there is one for each class.
"""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import real
from fnloop.core.constants import indices
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace
from fnloop.losses.loss import Backward
from fnloop.nn.activations import logistic, softmax

LabelSmoothing = Annotated[float, real("[0, 1)")]


def task(outputs: int) -> str:
    """What a classifier's outputs are about: one class for each example."""
    return "classification"


def check_shape(targets: Array, columns: int) -> None:
    """Refuse targets whose shape does not fit the outputs of the model."""
    if targets.ndim > 2 or (targets.shape[1:] or (1,)) != (columns,):
        allowed = "(N,) or (N, 1)" if columns == 1 else f"(N, {columns})"
        raise ValueError(f"targets must be of shape {allowed}, got {targets.shape}")


def check_targets(targets: Array, outputs: int) -> None:
    """Refuse what are no classes: for one output values in [0, 1], for K outputs integer labels or rows of probabilities."""
    if outputs == 1:
        check_shape(targets, columns=1)
        check_shares(targets)
    elif targets.ndim == 2 and targets.shape[1] == outputs:
        check_rows(targets)
    else:
        _check_labels(targets, outputs)


def check_shares(targets: Array) -> None:
    """Refuse what is neither 0, nor 1, nor between them."""
    if targets.min() < 0 or targets.max() > 1:
        raise ValueError(f"targets must lie in [0, 1], got values from {targets.min()} to {targets.max()}")


def check_rows(targets: Array) -> None:
    """Refuse rows that are no probabilities."""
    sums = targets.sum(1)
    wrong = (targets.min(1) < 0) | ~np.isclose(sums, 1)
    if wrong.any():
        i = int(wrong.argmax())
        several = "; where an example has several labels, the loss is BinaryCrossEntropy()" if _are_flags(targets) else ""
        raise ValueError(
            f"targets must be rows of probabilities that sum to 1, got {short(targets[i].tolist(), 60)} at [{i}], "
            f"sum {sums[i]:g}{several}"
        )


def _are_flags(targets: Array) -> bool:
    """Whether each target is 0 or 1."""
    return bool(((targets == 0) | (targets == 1)).all())


def _check_labels(targets: Array, outputs: int) -> None:
    if targets.ndim == 2 and targets.shape[1] != 1:
        raise ValueError(f"targets must be of shape (N,), (N, 1) or (N, {outputs}), got {targets.shape}")
    if targets.dtype.kind == "f" and not np.array_equal(targets, np.floor(targets)):
        raise ValueError(f"targets must be integer labels, got dtype {targets.dtype} with fractions")
    if targets.min() < 0 or targets.max() >= outputs:
        raise ValueError(f"labels must lie in [0, {outputs}), got values from {targets.min()} to {targets.max()}")


def one_hot(labels: Any, z: Any) -> Any:
    """The columns of the identity for integer labels, (K, N), in the shape and dtype of z."""
    return (labels.reshape(-1) == indices(len(z), labels.dtype)[:, None]).astype(z.dtype)


def classes_first(forward: Callable[[Any, Any], tuple[Any, Backward]], outputs: Any, targets: Any) -> tuple[Any, Backward]:
    """A loss of logits and targets (K, N) taken to outputs (N, K), any targets, and one output: its logit z stands for (0, z).

    To reduce or broadcast over the first axis is several times faster than over a short last one.
    """
    z, given = outputs.T.copy(), targets.shape == outputs.shape
    if len(z) > 1:
        losses, backward = forward(z, targets.T if given else one_hot(targets, z))
        return losses, lambda: backward().T
    pair, y = namespace(z).concatenate, targets.reshape(z.shape)
    losses, backward = forward(pair([z * 0, z]), pair([1 - y, y]))
    return losses, lambda: backward()[1:].T


def predict(outputs: Array) -> Array:
    """The likeliest class of each example, an integer: (N,)."""
    return (outputs[:, 0] > 0).astype(np.int64) if outputs.shape[1] == 1 else np.asarray(outputs.argmax(1))


def probabilities(outputs: Array) -> Array:
    """The probability of each class: (N, K), with two columns for one output."""
    if outputs.shape[1] == 1:
        return np.asarray(logistic(np.concatenate([-outputs, outputs], axis=1)))
    with np.errstate(over="ignore"):  # a difference of finite logits may be infinite; its exponential is 0
        return np.asarray(softmax(outputs)[0])
