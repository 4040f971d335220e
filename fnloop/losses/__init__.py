"""Losses, with gradients derived by hand.

`forward(outputs, targets)` returns the loss of each example, (N,), and `backward`, which computes the gradient of their mean
with respect to the outputs. A custom loss is a plain function (`FromFunction`), or a subclass of `Regression`,
`Classification` or `Loss`.
"""

from fnloop.losses.binary_cross_entropy import BinaryCrossEntropy
from fnloop.losses.classification import Classification
from fnloop.losses.focal import Focal
from fnloop.losses.from_function import FromFunction
from fnloop.losses.hinge import Hinge
from fnloop.losses.huber import Huber
from fnloop.losses.kl_divergence import KLDivergence
from fnloop.losses.log_cosh import LogCosh
from fnloop.losses.loss import Loss
from fnloop.losses.mean_absolute_error import MeanAbsoluteError
from fnloop.losses.mean_squared_error import MeanSquaredError
from fnloop.losses.named import get_loss
from fnloop.losses.pinball import Pinball
from fnloop.losses.regression import Regression
from fnloop.losses.softmax_cross_entropy import SoftmaxCrossEntropy

__all__ = [
    "BinaryCrossEntropy",
    "Classification",
    "Focal",
    "FromFunction",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Pinball",
    "Regression",
    "SoftmaxCrossEntropy",
    "get_loss",
]
