"""The cross-entropy of two classes, or of several independent labels."""

from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Task
from fnloop.core.constants import constant_array
from fnloop.core.namespace import namespace
from fnloop.core.records import evolve, frozen
from fnloop.losses import classes, weighting
from fnloop.losses.classes import LabelSmoothing
from fnloop.losses.loss import Backward, Loss
from fnloop.losses.weighting import ClassWeights
from fnloop.nn.activations import logistic


@frozen
class BinaryCrossEntropy(weighting.ClassWeighted, Loss):
    """Cross-entropy of two classes, computed from logits; stable for every finite logit.

        loss = mean_k (y_k log(1 + exp(-z_k)) + (1 - y_k) log(1 + exp(z_k)))        dz = (sigmoid(z) - y) / (N K)

    With K > 1 outputs each example has K independent labels, 0 or 1 (multi-label classification), and its loss is the mean
    over its labels. `predict` and `predict_proba` then return (N, K).

    Label smoothing s replaces y by (1 - s) y + s / 2, and class weights multiply the two terms by w1 and w0. The mean is over
    the N examples, whatever their weights. The loss and gradient of a confident correct prediction keep their digits, down to
    exp(-|z|).

    Args:
        label_smoothing: The share of each target that is spread over both classes, in [0, 1). Default: 0.
        class_weights: The weights (w0, w1) of classes 0 and 1, at least 0; for K labels one pair for all of them, or K
            pairs. `"balanced"` computes n / (2 n_k) from the n_k examples of class k among the n training examples, for each
            label. PyTorch's `pos_weight=w` is (1, w). Default: None, which weighs both alike.

    Shapes:
        outputs: (N, 1), or (N, K) for K labels; the logits z.
        targets: (N,) or (N, 1) for one output, else (N, K); the values y in [0, 1].

    Raises:
        TypeError: If a parameter is not of its type.
        ValueError: If a parameter is outside its interval, or the weights are not pairs. A trainer raises it if their number
            does not fit the model.

    Source: smoothing, Szegedy et al. 2016, section 7.

    Examples:
        >>> loss = BinaryCrossEntropy()
        >>> values, backward = loss.forward(np.array([[0.0], [2.0]]), np.array([1.0, 1.0]))
        >>> values.round(3), backward().round(3).ravel()
        (array([0.693, 0.127]), array([-0.25, -0.06]))
    """

    _: KW_ONLY
    label_smoothing: LabelSmoothing = 0.0
    class_weights: ClassWeights = None

    metrics = ("accuracy",)
    stacks = True

    def __attrs_post_init__(self) -> None:
        pairs = self.class_weights if self.class_weights and isinstance(self.class_weights[0], tuple) else ()
        weighting.check_label_weights(self.class_weights, len(pairs))

    def task(self, outputs: int) -> Task | None:
        """Return classification for one output, multi-label classification for several."""
        return "classification" if outputs == 1 else "multilabel"

    def check_outputs(self, outputs: int) -> None:
        """Check that the class weights fit this number of labels."""
        weighting.check_label_weights(self.class_weights, outputs)

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check that targets are in [0, 1], one for each output."""
        if outputs > 1 and targets.shape[1:] != (outputs,):
            raise ValueError(
                f"targets must be of shape (N, {outputs}), 0 or 1 for each label, got {targets.shape}; if each example has "
                f"one of {outputs} classes, the loss is SoftmaxCrossEntropy()"
            )
        classes.check_shape(targets, outputs)
        classes.check_unit_interval(targets)

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        xp, z, y = namespace(outputs), outputs, targets.reshape(outputs.shape)
        scale = 1 / (z.shape[-2] * z.shape[-1])
        # The loss of the class that z favours, plus a small remainder: added last, neither loses its digits.
        favoured, e = xp.heaviside(z, 0.5), xp.exp(xp.minimum(z, -z))
        remainder = xp.log1p(e)
        if not self.label_smoothing and self.class_weights is None:
            gap = favoured - y
            return _mean(z * gap + remainder), lambda: (gap - xp.sign(z) * (e / (1 + e))) * scale
        zeros, ones = self._shares(y, z.dtype)
        mass, gap = zeros + ones, favoured * zeros - (1 - favoured) * ones
        return _mean(z * gap + mass * remainder), lambda: (gap - xp.sign(z) * (mass * e / (1 + e))) * scale

    def _shares(self, y: AnyArray, dtype: Any) -> tuple[AnyArray, AnyArray]:
        """Return the smoothed and weighted targets of classes 0 and 1, computed separately: 1 - y would lose digits."""
        rest, half = 1 - self.label_smoothing, self.label_smoothing / 2
        w0, w1 = (1.0, 1.0) if self.class_weights is None else self._weights(dtype)
        return w0 * ((1 - y) * rest + half), w1 * (y * rest + half)

    def _weights(self, dtype: Any) -> AnyArray:
        """Return the weights of classes 0 and 1: two numbers, or two rows with a number for each label."""
        pairs = self.resolved_weights()
        return constant_array(pairs, dtype).T if isinstance(pairs[0], tuple) else pairs

    def predict(self, outputs: Array) -> Array:
        """Return the more likely class of each example, (N,), or of each of its labels, (N, K): an integer, 0 or 1."""
        return classes.predict(outputs) if outputs.shape[1] == 1 else (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """Return the probability of each class, (N, 2), or of class 1 for each label, (N, K)."""
        return classes.probabilities(outputs) if outputs.shape[1] == 1 else np.asarray(logistic(outputs))

    def resolve(self, targets: Array, outputs: int, weights: Array | None = None) -> Self:
        """Return the loss with balanced weights computed from the training targets: one pair, or one for each label."""
        if self.is_resolved:
            return self
        pairs = tuple(
            weighting.balanced(weighting.class_masses(column, 1, weights), f" of label {i}" if outputs > 1 else "")
            for i, column in enumerate(targets.reshape(len(targets), -1).T)
        )
        return evolve(self, class_weights=pairs if outputs > 1 else pairs[0])


def _mean(losses: AnyArray) -> AnyArray:
    """Return the mean over labels, (N,)."""
    return losses[..., 0] if losses.shape[-1] == 1 else losses.sum(-1) / losses.shape[-1]
