"""The cross-entropy of K classes."""

from dataclasses import KW_ONLY

from fnloop.core.arrays import AnyArray
from fnloop.core.constants import constant_array, ones
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.stacking import product
from fnloop.losses import weighting
from fnloop.losses.classes import LabelSmoothing, with_classes_first
from fnloop.losses.classification import Classification
from fnloop.losses.loss import Backward
from fnloop.losses.weighting import ClassWeights


@frozen
class SoftmaxCrossEntropy(weighting.ClassWeighted, Classification):
    """Cross-entropy of K classes, computed from logits; stable up to half of the dtype's largest number.

        loss = sum_k y_k (log sum_j exp(z_j) - z_k)        dz = (softmax(z) - y) / N

    Label smoothing s replaces y by (1 - s) y + s / K, and class weights then replace y_k by w_k y_k. The mean is over the N
    examples, whatever their weights; PyTorch's `CrossEntropyLoss(weight)` divides by the sum of the weights instead.

    Args:
        label_smoothing: The share of each target that is spread over all classes, in [0, 1). Default: 0.
        class_weights: K weights of at least 0. `"balanced"` computes n / (K n_k) from the n_k examples of class k among the n
            training examples. Default: None, which weighs all alike.

    Shapes:
        outputs: (N, K), the logits z.
        targets: (N,) or (N, 1), integer labels in [0, K); or rows (N, K) that sum to 1.

    Raises:
        TypeError: If a parameter is not of its type.
        ValueError: If a parameter is outside its interval. A trainer raises it if the number of weights does not fit the
            model.

    Source: smoothing, Szegedy et al. 2016, section 7.

    Examples:
        >>> import numpy as np
        >>> values, backward = SoftmaxCrossEntropy().forward(np.array([[0.0, 0.0, 0.0]]), np.array([2]))
        >>> values.round(3), backward().round(3)
        (array([1.099]), array([[ 0.333,  0.333, -0.667]]))
    """

    _: KW_ONLY
    label_smoothing: LabelSmoothing = 0.0
    class_weights: ClassWeights = None

    stacks = True

    def check_outputs(self, outputs: int) -> None:
        """Check that there are at least two classes, and a weight for each."""
        if outputs < 2:
            raise ValueError(f"SoftmaxCrossEntropy needs a model with 2 or more outputs, one for each class, got {outputs}")
        weighting.check_class_weights(self.class_weights, outputs)

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        return with_classes_first(self._forward, outputs, targets)

    def _forward(self, z: AnyArray, y: AnyArray) -> tuple[AnyArray, Backward]:
        z, exp, rest = shifted_exponentials(z)
        log, classes = namespace(z).log1p(rest), z.shape[-2]
        one = ones(classes, z.dtype)
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.class_weights is None:
            return log - product((z * y).mT, one), lambda: mean_gradient(exp, rest, y)
        y = y * constant_array(self.resolved_weights(), z.dtype)[:, None]
        mass = one @ y
        return mass * log - one @ (z * y), lambda: mean_gradient(mass[..., None, :] * exp, rest, y)


def shifted_exponentials(z: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return z minus the highest logit of each example, its exponentials, both (K, N), and `rest`, (N,); none overflows.

    The exponentials of an example sum to 1 + rest, where the 1 is that of the highest logit. So log1p(rest) keeps its digits
    when one class has nearly all of the probability.
    """
    z = z - z.max(-2, keepdims=True)
    xp, one = namespace(z), ones(z.shape[-2], z.dtype)
    exp = xp.exp(z)
    highest = xp.floor(exp)  # 1 for the highest logit and for its ties, else 0
    return z, exp, product((exp - highest).mT, one) + (product(highest.mT, one) - 1)


def mean_gradient(exp: AnyArray, rest: AnyArray, y: AnyArray) -> AnyArray:
    """Return (exp / (1 + rest) - y) / N, the gradient of the mean cross-entropy.

    The difference exp - y is taken first: it is 0 for a confident correct prediction, and y rest keeps its digits.
    """
    rest = rest[..., None, :]
    return (exp - y - y * rest) * (1 / y.shape[-1] / (1 + rest))
