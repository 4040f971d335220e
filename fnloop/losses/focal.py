"""The focal loss."""

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import NonNegative
from fnloop.core.constants import constant_array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes, weighting
from fnloop.losses.classes import one_hot
from fnloop.losses.loss import Backward
from fnloop.losses.weighting import ClassWeights


@frozen
class Focal:
    """Cross-entropy that counts the less, the surer the right class is already; from logits, safe for any finite ones.

        loss = -sum_k w_k y_k (1 - p_k)^gamma log p_k                  p = softmax(z)
        dz = (p sum_k c_k - c) / N      c_k = w_k y_k ((1 - p_k)^gamma - gamma p_k (1 - p_k)^(gamma - 1) log p_k)

    With one output p = (1 - sigmoid(z), sigmoid(z)). With gamma = 0 it is the cross-entropy. The mean is over the N examples,
    whatever they weigh.

    Args:
        gamma: how much the loss of what is right already is turned down, at least 0; unitless.
        class_weights: a number of at least 0 for each class, the paper's alpha being (1 - alpha, alpha);
            `"balanced"`: n / (K n_k) for n_k of the n training examples; None: 1 each.
    Shapes: `outputs` z are (N, 1) for two classes, with `targets` y in [0, 1], (N,) or (N, 1); or (N, K), with integer labels
        in [0, K), (N,) or (N, 1), or rows (N, K) that sum to 1.
    Raises: TypeError, ValueError: if a parameter lies outside its interval; for another number of weights than there are
        classes, where loss and model meet.
    Source: Lin et al. 2017, equation 5.
    """

    _: KW_ONLY
    gamma: NonNegative = 2.0
    class_weights: ClassWeights = None

    metrics = ("accuracy",)
    task = staticmethod(classes.task)
    resolve = weighting.given

    def check_outputs(self, outputs: int) -> None:
        weighting.check_class_weights(self.class_weights, max(2, outputs))

    def check(self, targets: Array, outputs: int) -> None:
        classes.check_targets(targets, outputs)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        return classes.classes_first(self._forward, outputs, targets)

    def _forward(self, z: Any, y: Any) -> tuple[Any, Backward]:
        xp = namespace(z)
        highest = one_hot(z.argmax(0), z)
        rival = 1 - highest
        z = rival * (z - (z * highest).sum(0))  # less the highest, whose own place is a constant 0
        exp = xp.exp(z)
        rest = (rival * exp).sum(0)
        total, lowest = 1 + rest, float(np.finfo(z.dtype).min)
        log_p = xp.maximum(z - xp.log1p(rest), lowest)  # a difference of finite logits may overflow
        p = exp / total
        q = rival * (1 - p) + highest * (rest / total)  # 1 - p, without its cancellation
        # Where 1 - p is 0 a power below 1 of it has no derivative; the loss has one, and it is 0.
        unsure = (q > 0).astype(z.dtype)
        q, share = q + (1 - unsure), y * unsure
        if self.class_weights is not None:
            share = share * constant_array(weighting.known(self.class_weights), z.dtype)[:, None]
        v = share * q**self.gamma
        # log p in two parts: below -100 the power is 1 to the last bit, and its slope times log p might overflow.
        near, far = xp.maximum(log_p, -100.0), xp.minimum(log_p + 100.0, 0.0)

        def backward() -> Any:
            c = v * (1 - self.gamma * p * (near / q))
            return (p * (c.sum(0) - c) - c * q) * (1 / z.shape[1])

        return -(v * near + share * far).sum(0), backward

    predict = staticmethod(classes.predict)
    probabilities = staticmethod(classes.probabilities)
