"""The cross-entropy of two classes."""

from typing import Any

from fnloop.losses import classes
from fnloop.losses.classes import ClassWeights, LabelSmoothing
from fnloop.losses.loss import Backward
from fnloop.namespace import namespace
from fnloop.nn.activations import logistic
from fnloop.record import record
from fnloop.typing import Array


@record
class BinaryCrossEntropy:
    """Cross-entropy of two classes, from logits: safe for any finite logit.

        loss = log(1 + exp(z)) - z y        dz = (sigmoid(z) - y) / N

    Label smoothing s puts (1 - s) y + s / 2 in the place of y; class weights make the loss
    w1 y log(1 + exp(-z)) + w0 (1 - y) log(1 + exp(z)). The mean is over the N examples, whatever they weigh.

    Args:
        label_smoothing: the share of each target that is spread over both classes, in [0, 1); unitless.
        class_weights: (w0, w1), what an example of class 0 and one of class 1 count, at least 0; None: 1 each. PyTorch's
            `pos_weight=w` is (1, w).
    Shapes: `outputs` z are (N, 1); `targets` y are (N,) or (N, 1), in [0, 1].
    Raises: TypeError, ValueError: if a parameter lies outside its interval, or the weights are not two.
    Source: smoothing, Szegedy et al. 2016, section 7.
    """

    label_smoothing: LabelSmoothing = 0.0
    class_weights: ClassWeights = None

    metrics = ("accuracy",)

    def __attrs_post_init__(self) -> None:
        classes.check_class_weights(self.class_weights, 1)

    def check_outputs(self, outputs: int) -> None:
        if outputs != 1:
            raise ValueError(f"BinaryCrossEntropy needs a model with 1 output, the logit of class 1, got {outputs}")

    def check(self, targets: Array, outputs: int) -> None:
        classes.check_targets(targets, 1)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        z, y = outputs, targets.reshape(outputs.shape)
        softplus = namespace(outputs).logaddexp(0.0, z)
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.class_weights is None:
            return (softplus - z * y).reshape(-1), lambda: (logistic(z) - y) * (1 / len(z))
        w0, w1 = self.class_weights
        ones = w1 * y
        mass = ones + w0 * (1 - y)
        return (mass * softplus - z * ones).reshape(-1), lambda: (mass * logistic(z) - ones) * (1 / len(z))

    predict = staticmethod(classes.predict)
    probabilities = staticmethod(classes.probabilities)
