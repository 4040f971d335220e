"""The losses and the solvers of scikit-learn's multilayer perceptrons, as losses and optimizers of this package."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Flag, real
from fnloop.core.records import frozen
from fnloop.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.losses.loss import Backward
from fnloop.optimizers import Adam, Elementwise, Scaled
from fnloop.optimizers.kernel import Scalars, StepContext


@frozen
class ScaledLoss(Loss):
    """A loss times a factor: a sum over outputs, where the loss is a mean over them."""

    loss: Loss
    factor: float

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        losses, backward = self.loss.forward(outputs, targets)
        return losses * self.factor, lambda: backward() * self.factor


@frozen
class HalfPoissonDeviance(Loss):
    """Half of the Poisson deviance of exp(z), summed over outputs: y log(y / exp(z)) - y + exp(z)."""

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        y = targets.reshape(outputs.shape)
        mean = np.exp(outputs)
        constant = y * np.log(np.where(y > 0, y, 1)) - y
        return (constant - y * outputs + mean).sum(1), lambda: (mean - y) / len(y)


def make_loss(name: str, out_activation: str, outputs: int) -> Loss:
    """Return the loss whose gradient scikit-learn follows.

    Args:
        name: `"log_loss"`, `"squared_error"` or `"poisson"`.
        out_activation: `"softmax"`, `"logistic"`, `"identity"` or `"exp"`.
        outputs: The number of outputs.
    """
    if name == "poisson":
        return HalfPoissonDeviance()
    if out_activation == "softmax":
        return SoftmaxCrossEntropy()
    if name == "squared_error":
        return ScaledLoss(MeanSquaredError(), outputs / 2)
    return BinaryCrossEntropy() if outputs == 1 else ScaledLoss(BinaryCrossEntropy(), float(outputs))


def reported_divisor(name: str, outputs: int) -> float:
    """Return what the followed loss is divided by to be reported: scikit-learn follows a sum of squares, and reports a mean.

    Args:
        name: As of `make_loss`.
        outputs: The number of outputs.
    """
    return float(outputs) if name == "squared_error" else 1.0


@frozen
class Velocity(Elementwise):
    """Gradient descent with a velocity that keeps the learning rates of earlier updates.

        v' = momentum v + lr g        the parameters move by -v', or by -(momentum v' + lr g) with Nesterov's momentum

    `optimizers.SGD` differs where the learning rate changes: its momentum has gradients without their rates.
    """

    _: KW_ONLY
    momentum: Annotated[float, real("[0, 1]")] = 0.9
    nesterov: Flag = True

    slots = ("velocity",)
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the learning rate."""
        return context.lr

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new velocity."""
        (velocity,) = slots
        gradient *= scalars
        velocity *= self.momentum
        velocity += gradient
        if not self.nesterov:
            return Scaled(velocity, 1 / scalars), (velocity,)
        gradient += self.momentum * velocity
        return Scaled(gradient, 1 / scalars), (velocity,)


@frozen
class PlainEpsilonAdam(Adam):
    """Adam whose eps is added to the root of the second moment before its bias is corrected, as in scikit-learn.

    Source: Kingma & Ba 2015, the remark on efficiency at the end of section 2.
    """

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rates of the slots, the shift of the denominator, and the factor of the direction."""
        b1, b2, _, factor = Adam.scalars(self, context)
        return b1, b2, self.eps / (1 - self.b2) ** 0.5, factor
