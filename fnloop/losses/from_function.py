"""A loss that is a function of the user's own, differentiated automatically."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.errors import EngineError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.losses.loss import Backward
from fnloop.metrics.metric import name_of


def _function(name: str, value: Any) -> Any:
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name} must be a function of (outputs, targets), got {short(value)}")
    return value


@frozen
class FromFunction:
    """A plain function `(outputs, targets) -> losses` as a loss; a trainer makes it of a function given as `loss=`.

    The JAX engine differentiates it by JAX, and it must be written for JAX's arrays. The NumPy engine differentiates it by
    autograd (`python -m pip install autograd`), and it must be written with `autograd.numpy`. A function that uses only
    arithmetic and the methods of its arguments, such as `((outputs[:, 0] - targets) ** 2).clip(0, 4)`, runs on both.

    Args:
        function: Returns one loss an example, (N,), which depends on that example alone.
        like: A loss that says what outputs and targets mean: its `predict`, `probabilities`, default metrics and checks are
            used. None: outputs are taken for the predictions, targets are not checked, and no metrics are measured by default.

    Shapes:
        outputs, targets: (N, K); (N,) or (N, K), as in the dataset, both of the trainer's dtype.

    Raises:
        TypeError: For what is no function or loss.
        EngineError: When a run starts, if the function cannot be differentiated.

    Examples:
        >>> loss = FromFunction(lambda outputs, targets: abs(outputs[:, 0] - targets) ** 1.5)
        >>> loss.forward(np.array([[1.0], [4.0]]), np.array([1.0, 0.0]))[0]
        array([0., 8.])
    """

    function: Annotated[Callable[[Any, Any], Any], _function]
    like: Any = None

    def __attrs_post_init__(self) -> None:
        if self.like is not None and (isinstance(self.like, type) or not hasattr(self.like, "check_outputs")):
            raise TypeError(f"like must be a loss such as fl.losses.BinaryCrossEntropy() or None, got {short(self.like)}")

    @property
    def name(self) -> str:
        return name_of(self.function)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured by default."""
        return () if self.like is None else tuple(self.like.metrics)

    def task(self, outputs: int) -> str | None:
        return None if self.like is None else self.like.task(outputs)

    def check_outputs(self, outputs: int) -> None:
        if self.like is not None:
            self.like.check_outputs(outputs)

    def check(self, targets: Array, outputs: int) -> None:
        if self.like is not None:
            self.like.check(targets, outputs)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        return self._losses(outputs, targets), lambda: self._gradient(outputs, targets)

    def predict(self, outputs: Array) -> Array:
        """What the loss says that it is like predicts; else the outputs, (N,) for one, and (N, K)."""
        if self.like is not None:
            return np.asarray(self.like.predict(outputs))
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def probabilities(self, outputs: Array) -> Array:
        if self.like is None:
            raise TypeError(
                f"loss {short(self.name)} has no probabilities; losses.FromFunction({self.name}, like=...) says what they are"
            )
        return np.asarray(self.like.probabilities(outputs))

    def _losses(self, outputs: Any, targets: Any) -> Any:
        """What the function returns, if it is one value an example."""
        losses = self.function(outputs, targets)
        shape = getattr(losses, "shape", None)
        if shape not in {(len(outputs),), (len(outputs), 1)}:
            returned = f"a {type(losses).__name__}" if shape is None else f"an array of shape {shape}"
            raise ValueError(
                f"loss {short(self.name)} must return one value an example, not their mean or sum: an array of shape "
                f"{(len(outputs),)}, got {returned} for outputs {outputs.shape} and targets {targets.shape}"
            )
        return losses.reshape(-1).astype(outputs.dtype)

    def _gradient(self, outputs: Array, targets: Array) -> Array:
        """The gradient of the mean, by autograd."""
        try:
            from autograd import make_vjp
            from autograd.tracer import isbox
        except ModuleNotFoundError:
            raise EngineError(
                f"loss {short(self.name)} is differentiated by autograd on engine='numpy', which is missing: python -m pip "
                "install autograd; engine='jax' differentiates it itself"
            ) from None

        def followed(outputs: Any) -> Any:
            losses = self._losses(outputs, targets)
            if not isbox(losses):
                raise TypeError("its value does not come from its first argument, or a NumPy function hides that it does")
            return losses

        try:
            pull_back, _ = make_vjp(followed)(outputs)
            gradient = pull_back(np.full(len(outputs), 1 / len(outputs), outputs.dtype))
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise EngineError(
                f"loss {short(self.name)} cannot be differentiated by autograd: {type(error).__name__}: {why}; for "
                "engine='numpy' write it with autograd.numpy for numpy, or with arithmetic and methods of its arguments alone"
            ) from error
        return np.asarray(gradient, outputs.dtype)
