"""The cross-entropy of K classes."""

from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.constants import constant_array, ones
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes, weighting
from fnloop.losses.classes import LabelSmoothing, classes_first
from fnloop.losses.loss import Backward
from fnloop.losses.weighting import ClassWeights


@frozen
class SoftmaxCrossEntropy:
    """Cross-entropy of K classes, from logits, safe up to half of the dtype's largest.

        loss = sum_k y_k (log sum_j exp(z_j) - z_k)        dz = (softmax(z) - y) / N

    Label smoothing s puts (1 - s) y + s / K in the place of y, and then class weights w_k y_k in the place of y_k, so that an
    example with a label counts by the weight of its class. The mean is over the N examples, whatever they weigh; PyTorch's
    `CrossEntropyLoss(weight)` divides by the sum of the labels' weights instead.

    Args:
        label_smoothing: the share of each target that is spread over all classes, in [0, 1); unitless.
        class_weights: K numbers of at least 0; `"balanced"`: n / (K n_k) for n_k of the n training examples, so that all
            classes count alike; None: 1 each.
    Shapes: `outputs` z are (N, K); `targets` y are integer labels in [0, K), (N,) or (N, 1), or rows (N, K) that sum to 1.
    Raises: TypeError, ValueError: if a parameter lies outside its interval; for another number of weights than the model has
        outputs, where they meet.
    Source: smoothing, Szegedy et al. 2016, section 7.
    """

    _: KW_ONLY
    label_smoothing: LabelSmoothing = 0.0
    class_weights: ClassWeights = None

    metrics = ("accuracy",)
    task = staticmethod(classes.task)
    resolve = weighting.given

    def check_outputs(self, outputs: int) -> None:
        if outputs < 2:
            raise ValueError(f"SoftmaxCrossEntropy needs a model with an output for each of 2 or more classes, got {outputs}")
        weighting.check_class_weights(self.class_weights, outputs)

    def check(self, targets: Array, outputs: int) -> None:
        classes.check_targets(targets, outputs)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        return classes_first(self._forward, outputs, targets)

    def _forward(self, z: Any, y: Any) -> tuple[Any, Backward]:
        z, exp, rest = shifted(z)
        log, one = namespace(z).log1p(rest), ones(len(z), z.dtype)
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + self.label_smoothing / len(z)
        if self.class_weights is None:
            return log - (z * y).T.dot(one), lambda: excess(exp, rest, y)
        y = y * constant_array(weighting.known(self.class_weights), z.dtype)[:, None]
        mass = one @ y
        return mass * log - one @ (z * y), lambda: excess(mass * exp, rest, y)

    predict = staticmethod(classes.predict)
    probabilities = staticmethod(classes.probabilities)


def shifted(z: Any) -> tuple[Any, Any, Any]:
    """The logits less the highest of their example, and their exponentials, (K, N): none overflows; and `rest`, (N,).

    1 + rest is the sum of an example's exponentials. The 1, which is the highest logit's, is left out of `rest`, so that
    log1p(rest) keeps its digits where one class takes all.
    """
    z = z - z.max(0)
    xp, one = namespace(z), ones(len(z), z.dtype)
    exp = xp.exp(z)
    highest = xp.floor(exp)  # 1 for the highest, and for those that tie with it
    return z, exp, (exp - highest).T.dot(one) + (highest.T.dot(one) - 1)


def excess(exp: Any, rest: Any, y: Any) -> Any:
    """(exp / (1 + rest) - y) / N, the gradient of the mean cross-entropy.

    The difference exp - y comes first: for a confident right answer it is 0, and y rest keeps its digits.
    """
    return (exp - y - y * rest) * (1 / y.shape[1] / (1 + rest))
