"""Losses: the mean over examples of a function of the model's outputs, with the gradient derived by hand.

`forward(outputs, targets)` returns each example's loss, (N,), and `backward()`, the gradient of their *mean* over the outputs.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fnloop.constants import indices, ones
from fnloop.nn.activations import logistic
from fnloop.record import record
from fnloop.typing import Array

Backward = Callable[[], Any]


class Loss(Protocol):
    """What can be minimised, and how its outputs read."""

    @property
    def metrics(self) -> tuple[str, ...]: ...
    def check_outputs(self, outputs: int) -> None: ...
    def check(self, targets: Array, outputs: int) -> None: ...
    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]: ...
    def predict(self, outputs: Array) -> Array: ...
    def probabilities(self, outputs: Array) -> Array: ...


@record
class BinaryCrossEntropy:
    """Cross-entropy of two classes, from logits: safe for any finite logit.

        loss = log(1 + exp(z)) - z y        dz = (sigmoid(z) - y) / N

    Shapes: `outputs` z are (N, 1); `targets` y are (N,) or (N, 1), in [0, 1].
    """

    metrics = ("accuracy",)

    def check_outputs(self, outputs: int) -> None:
        if outputs != 1:
            raise ValueError(f"BinaryCrossEntropy needs a model with 1 output, the logit of class 1, got {outputs}")

    def check(self, targets: Array, outputs: int) -> None:
        _check_shape(targets, columns=1)
        if targets.min() < 0 or targets.max() > 1:
            raise ValueError(f"targets must lie in [0, 1], got values from {targets.min()} to {targets.max()}")

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        xp = outputs.__array_namespace__()
        z, y = outputs, targets.reshape(outputs.shape)
        losses = xp.logaddexp(0.0, z) - z * y
        return losses.reshape(-1), lambda: (logistic(z) - y) * (1 / len(z))

    def predict(self, outputs: Array) -> Array:
        """The likelier class of each example, 0 or 1: (N,)."""
        return (outputs[:, 0] > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """The probability of each class: (N, 2)."""
        p = logistic(outputs)
        return np.concatenate([1 - p, p], axis=1)


@record
class SoftmaxCrossEntropy:
    """Cross-entropy of K classes, from logits: safe for any finite logits.

        loss = sum_k y_k (log sum_j exp(z_j) - z_k)        dz = (softmax(z) - y) / N

    Shapes: `outputs` z are (N, K); `targets` y are integer labels in [0, K), (N,) or (N, 1), or rows (N, K) that sum to 1.
    """

    metrics = ("accuracy",)

    def check_outputs(self, outputs: int) -> None:
        if outputs < 2:
            raise ValueError(f"SoftmaxCrossEntropy needs a model with an output for each of 2 or more classes, got {outputs}")

    def check(self, targets: Array, outputs: int) -> None:
        if targets.ndim == 2 and targets.shape[1] == outputs:
            if targets.min() < 0 or not np.allclose(targets.sum(1), 1):
                raise ValueError("targets must be rows of probabilities that sum to 1")
            return
        if targets.ndim == 2 and targets.shape[1] != 1:
            raise ValueError(f"targets must be of shape (N,), (N, 1) or (N, {outputs}), got {targets.shape}")
        if targets.dtype.kind == "f" and not np.array_equal(targets, np.floor(targets)):
            raise ValueError(f"targets must be integer labels, got dtype {targets.dtype} with fractions")
        if targets.min() < 0 or targets.max() >= outputs:
            raise ValueError(f"labels must lie in [0, {outputs}), got values from {targets.min()} to {targets.max()}")

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        xp = outputs.__array_namespace__()
        z = outputs - outputs.T.copy().max(0)[:, None]  # a reduction over the first axis is faster than over a short last one
        exp = xp.exp(z)
        total = exp @ ones(z.shape[1], z.dtype)
        y = targets if targets.shape == outputs.shape else one_hot(targets, outputs)
        losses = xp.log(total) - xp.vecdot(z, y)
        return losses, lambda: (exp / total[:, None] - y) * (1 / len(z))

    def predict(self, outputs: Array) -> Array:
        """The likeliest class of each example: (N,)."""
        return np.asarray(outputs.argmax(1))

    def probabilities(self, outputs: Array) -> Array:
        """The probability of each class: (N, K)."""
        exp = np.exp(outputs - outputs.max(1, keepdims=True))
        return np.asarray(exp / exp.sum(1, keepdims=True))


@record
class MeanSquaredError:
    """The mean over examples and outputs of the squared error: loss = mean_k (f_k - y_k)², df = 2 (f - y) / (N K).

    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    """

    metrics = ("r2",)

    def check_outputs(self, outputs: int) -> None:
        """Any number of outputs will do."""

    def check(self, targets: Array, outputs: int) -> None:
        _check_shape(targets, columns=outputs)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        error = outputs - targets.reshape(outputs.shape)
        return (error * error).mean(1), lambda: error * (2 / error.size)

    def predict(self, outputs: Array) -> Array:
        """The values themselves: (N,) for one output, else (N, K)."""
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def probabilities(self, outputs: Array) -> Array:
        raise TypeError("MeanSquaredError has no probabilities: it is a loss for regression")


def one_hot(labels: Any, outputs: Any) -> Any:
    """The rows of the identity for integer labels, (N, K), in the dtype of the outputs."""
    return (labels.reshape(-1, 1) == indices(outputs.shape[1], labels.dtype)).astype(outputs.dtype)


def _check_shape(targets: Array, columns: int) -> None:
    """Refuse targets whose shape does not fit the outputs of the model."""
    if targets.ndim > 2 or (targets.shape[1:] or (1,)) != (columns,):
        allowed = "(N,) or (N, 1)" if columns == 1 else f"(N, {columns})"
        raise ValueError(f"targets must be of shape {allowed}, got {targets.shape}")
