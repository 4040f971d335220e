"""The focal loss."""

from dataclasses import KW_ONLY

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import NonNegative
from fnloop.core.constants import constant_array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes, weighting
from fnloop.losses.classes import one_hot
from fnloop.losses.classification import Classification
from fnloop.losses.loss import Backward
from fnloop.losses.weighting import ClassWeights


@frozen
class Focal(weighting.ClassWeighted, Classification):
    """Cross-entropy that gives less weight to examples that are already classified well; stable for every finite logit.

        loss = -sum_k w_k y_k (1 - p_k)^gamma log p_k                  p = softmax(z)
        dz = (p sum_k c_k - c) / N      c_k = w_k y_k ((1 - p_k)^gamma - gamma p_k (1 - p_k)^(gamma - 1) log p_k)

    For one output p = (1 - sigmoid(z), sigmoid(z)). For gamma = 0 it is the cross-entropy. The mean is over the N examples,
    whatever their weights.

    Args:
        gamma: The focusing exponent, at least 0: the larger, the less an easy example counts. Default: 2.
        class_weights: A weight of at least 0 for each class; the paper's alpha is (1 - alpha, alpha). `"balanced"` computes
            n / (K n_k) from the n_k examples of class k among the n training examples. Default: None, which weighs all alike.

    Shapes:
        outputs: (N, 1) for two classes, or (N, K); the logits z.
        targets: (N,) or (N, 1), in [0, 1] for one output, else integer labels in [0, K); or rows (N, K) that sum to 1.

    Raises:
        TypeError: If a parameter is not of its type.
        ValueError: If a parameter is outside its interval. A trainer raises it if the number of weights does not fit the
            model.

    Source: Lin et al. 2017, equation 5.
    """

    _: KW_ONLY
    gamma: NonNegative = 2.0
    class_weights: ClassWeights = None

    stacks = True

    def check_outputs(self, outputs: int) -> None:
        """Check that there is a weight for each class."""
        weighting.check_class_weights(self.class_weights, max(2, outputs))

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        return classes.with_classes_first(self._forward, outputs, targets)

    def _forward(self, z: AnyArray, y: AnyArray) -> tuple[AnyArray, Backward]:
        xp = namespace(z)
        highest = one_hot(z.argmax(-2), z)
        rival = 1 - highest
        z = rival * (z - (z * highest).sum(-2, keepdims=True))  # relative to the highest logit, whose entry is exactly 0
        exp = xp.exp(z)
        rest = (rival * exp).sum(-2, keepdims=True)
        total, lowest = 1 + rest, float(np.finfo(z.dtype).min)
        log_p = xp.maximum(z - xp.log1p(rest), lowest)  # a difference of finite logits may overflow
        p = exp / total
        q = rival * (1 - p) + highest * (rest / total)  # 1 - p, without its cancellation
        # At 1 - p = 0 a power below 1 has no derivative, but the loss has one: 0.
        unsure = (q > 0).astype(z.dtype)
        q, share = q + (1 - unsure), y * unsure
        if self.class_weights is not None:
            share = share * constant_array(self.resolved_weights(), z.dtype)[:, None]
        v = share * q**self.gamma
        # Split log p: below -100 the power is exactly 1, and its derivative times log p could overflow.
        near, far = xp.maximum(log_p, -100.0), xp.minimum(log_p + 100.0, 0.0)

        def backward() -> AnyArray:
            c = v * (1 - self.gamma * p * (near / q))
            return (p * (c.sum(-2, keepdims=True) - c) - c * q) * (1 / z.shape[-1])

        return -(v * near + share * far).sum(-2), backward
