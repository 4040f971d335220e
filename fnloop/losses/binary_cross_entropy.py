"""The cross-entropy of two classes, or of several labels that are each there or not."""

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.constants import constant_array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes, weighting
from fnloop.losses.classes import LabelSmoothing
from fnloop.losses.loss import Backward
from fnloop.losses.weighting import ClassWeights
from fnloop.nn.activations import logistic


@frozen
class BinaryCrossEntropy:
    """Cross-entropy of two classes, from logits: safe for any finite logit.

        loss = mean_k (y_k log(1 + exp(-z_k)) + (1 - y_k) log(1 + exp(z_k)))        dz = (sigmoid(z) - y) / (N K)

    With K > 1 outputs an example has K labels, each of them 0 or 1 whatever the others are (multi-label classification), and
    its loss is the mean over its labels. `predict` and `predict_proba` then give (N, K).

    Label smoothing s replaces y by (1 - s) y + s / 2, and class weights multiply the two terms by w1 and w0. The mean is over
    the N examples, whatever they weigh. The loss and gradient of a confident right answer keep their digits, down to
    exp(-|z|).

    Args:
        label_smoothing: the share of each target that is spread over both classes, in [0, 1); unitless.
        class_weights: (w0, w1), what an example of class 0 and one of class 1 count, at least 0; for K labels such a pair for
            all, or K pairs; `"balanced"`: n / (2 n_k) for n_k of the n training examples, for each label; None: 1 each.
            PyTorch's `pos_weight=w` is (1, w).
    Shapes: `outputs` z are (N, 1) or (N, K); `targets` y are (N,) or (N, 1) for one output, else (N, K); all in [0, 1].
    Raises: TypeError, ValueError: if a parameter lies outside its interval; for weights that are no such pairs, where loss and
        model meet.
    Source: smoothing, Szegedy et al. 2016, section 7.
    """

    _: KW_ONLY
    label_smoothing: LabelSmoothing = 0.0
    class_weights: ClassWeights = None

    metrics = ("accuracy",)
    resolve = weighting.given_labels

    def __attrs_post_init__(self) -> None:
        pairs = self.class_weights if self.class_weights and isinstance(self.class_weights[0], tuple) else ()
        weighting.check_label_weights(self.class_weights, len(pairs))

    def task(self, outputs: int) -> str:
        """One class for each example, or several labels."""
        return "classification" if outputs == 1 else "multilabel"

    def check_outputs(self, outputs: int) -> None:
        weighting.check_label_weights(self.class_weights, outputs)

    def check(self, targets: Array, outputs: int) -> None:
        if outputs > 1 and targets.shape[1:] != (outputs,):
            raise ValueError(
                f"targets must be of shape (N, {outputs}), 0 or 1 for each label, got {targets.shape}; where each example has "
                f"one of {outputs} classes, the loss is SoftmaxCrossEntropy()"
            )
        classes.check_shape(targets, outputs)
        classes.check_shares(targets)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        xp, z, y = namespace(outputs), outputs, targets.reshape(outputs.shape)
        # What a certain answer costs, and what the doubt adds: neither is rounded away beside the other.
        favoured, e = xp.heaviside(z, 0.5), xp.exp(xp.minimum(z, -z))
        doubt = xp.log1p(e)
        if not self.label_smoothing and self.class_weights is None:
            gap = favoured - y
            return _mean(z * gap + doubt), lambda: (gap - xp.sign(z) * (e / (1 + e))) * (1 / z.size)
        zeros, ones = self._shares(y, z.dtype)
        mass, gap = zeros + ones, favoured * zeros - (1 - favoured) * ones
        return _mean(z * gap + mass * doubt), lambda: (gap - xp.sign(z) * (mass * e / (1 + e))) * (1 / z.size)

    def _shares(self, y: Any, dtype: Any) -> tuple[Any, Any]:
        """What classes 0 and 1 count, smoothed and weighted; each by itself, because 1 - y would lose digits."""
        rest, half = 1 - self.label_smoothing, self.label_smoothing / 2
        w0, w1 = (1.0, 1.0) if self.class_weights is None else _columns(self.class_weights, dtype)
        return w0 * ((1 - y) * rest + half), w1 * (y * rest + half)

    def predict(self, outputs: Array) -> Array:
        """The likelier class of each example, (N,), or of each of its labels, (N, K): an integer, 0 or 1."""
        return classes.predict(outputs) if outputs.shape[1] == 1 else (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """The probability of each class, (N, 2), or that of class 1 for each label, (N, K)."""
        return classes.probabilities(outputs) if outputs.shape[1] == 1 else np.asarray(logistic(outputs))


def _mean(losses: Any) -> Any:
    """The mean over labels, (N,)."""
    return losses.reshape(-1) if losses.shape[1] == 1 else losses.sum(1) / losses.shape[1]


def _columns(weights: Any, dtype: Any) -> Any:
    """The weights of classes 0 and 1, each a number or one for each label."""
    pairs = weighting.known(weights)
    return constant_array(pairs, dtype).T if isinstance(pairs[0], tuple) else pairs
