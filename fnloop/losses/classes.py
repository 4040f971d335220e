"""Outputs and targets of a classifier, as all of its losses read them.

A single output is the logit of class 1 against class 0; K > 1 outputs are one score for each class.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import real
from fnloop.core.constants import indices
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace
from fnloop.losses.loss import Backward
from fnloop.nn.activations import logistic, softmax

LabelSmoothing = Annotated[float, real("[0, 1)")]


def check_shape(targets: Array, columns: int) -> None:
    """Check that the shape of targets is (N, columns), or (N,) for one column.

    Raises:
        ValueError: If it is not.
    """
    if targets.ndim > 2 or (targets.shape[1:] or (1,)) != (columns,):
        allowed = "(N,) or (N, 1)" if columns == 1 else f"(N, {columns})"
        raise ValueError(f"targets must be of shape {allowed}, got {targets.shape}")


def check_targets(targets: Array, outputs: int) -> None:
    """Check that targets are classes: values in [0, 1] for one output, integer labels or rows of probabilities for K.

    Raises:
        ValueError: If they are not.
    """
    if outputs == 1:
        check_shape(targets, columns=1)
        check_unit_interval(targets)
    elif targets.ndim == 2 and targets.shape[1] == outputs:
        check_rows(targets)
    else:
        _check_labels(targets, outputs)


def check_unit_interval(targets: Array) -> None:
    """Check that all targets are in [0, 1].

    Raises:
        ValueError: If one is not.
    """
    if targets.min() < 0 or targets.max() > 1:
        raise ValueError(f"targets must lie in [0, 1], got values from {targets.min()} to {targets.max()}")


def check_rows(targets: Array) -> None:
    """Check that each row of targets is a probability distribution.

    Raises:
        ValueError: If one is not; the message has its index.
    """
    sums = targets.sum(1)
    invalid = (targets.min(1) < 0) | ~np.isclose(sums, 1)
    if invalid.any():
        i = int(invalid.argmax())
        hint = "; if an example has several labels, the loss is BinaryCrossEntropy()" if _are_binary(targets) else ""
        raise ValueError(
            f"targets must be rows of probabilities that sum to 1, got {short(targets[i].tolist(), 60)} at [{i}], "
            f"sum {sums[i]:g}{hint}"
        )


def _are_binary(targets: Array) -> bool:
    """Whether every target is 0 or 1."""
    return bool(((targets == 0) | (targets == 1)).all())


def _check_labels(targets: Array, outputs: int) -> None:
    if targets.ndim == 2 and targets.shape[1] != 1:
        raise ValueError(f"targets must be of shape (N,), (N, 1) or (N, {outputs}), got {targets.shape}")
    if targets.dtype.kind == "f" and not np.array_equal(targets, np.floor(targets)):
        raise ValueError(f"targets must be integer labels, got dtype {targets.dtype} with fractions")
    if targets.min() < 0 or targets.max() >= outputs:
        raise ValueError(f"labels must lie in [0, {outputs}), got values from {targets.min()} to {targets.max()}")


def one_hot(labels: AnyArray, z: AnyArray) -> AnyArray:
    """Return a one-hot column for each integer label, (K, N), in the shape and dtype of z."""
    classes = indices(z.shape[-2], labels.dtype)[:, None]
    return (labels.reshape(*z.shape[:-2], 1, z.shape[-1]) == classes).astype(z.dtype)


def with_classes_first(
    forward: Callable[[AnyArray, AnyArray], tuple[AnyArray, Backward]], outputs: AnyArray, targets: AnyArray
) -> tuple[AnyArray, Backward]:
    """Apply a loss of logits and targets of shape (K, N) to outputs (N, K) and targets in any form.

    A single output z is treated as the logits (0, z) of two classes. Reducing over the first axis is several times faster
    than reducing over a short last one.

    Args:
        forward: The loss: a function of logits and targets, both (K, N).
        outputs: The outputs of the model, (N, K).
        targets: The targets, as labels or as rows.
    """
    z, are_rows = outputs.mT.copy(), targets.shape == outputs.shape
    if z.shape[-2] > 1:
        losses, backward = forward(z, targets.mT if are_rows else one_hot(targets, z))
        return losses, lambda: backward().mT
    pair, y = namespace(z).concatenate, targets.reshape(z.shape)
    losses, backward = forward(pair([z * 0, z], -2), pair([1 - y, y], -2))
    return losses, lambda: backward()[..., 1:, :].mT


def predict(outputs: Array) -> Array:
    """Return the most likely class of each example, an integer: (N,)."""
    return (outputs[:, 0] > 0).astype(np.int64) if outputs.shape[1] == 1 else np.asarray(outputs.argmax(1))


def probabilities(outputs: Array) -> Array:
    """Return the probability of each class: (N, K), with two columns for one output."""
    if outputs.shape[1] == 1:
        return np.asarray(logistic(np.concatenate([-outputs, outputs], axis=1)))
    with np.errstate(over="ignore"):  # a difference of finite logits may overflow to -inf; its exponential is 0
        return np.asarray(softmax(outputs)[0])
