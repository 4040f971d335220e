"""A custom function as a loss, differentiated automatically."""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Task, function_of, instance_of, optional
from fnloop.core.errors import EngineError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.signatures import name_of
from fnloop.losses.loss import Backward, Loss

PerExample = Callable[[AnyArray, AnyArray], AnyArray]
_check_like = instance_of(Loss, "a loss, such as fl.losses.BinaryCrossEntropy(), or None")


@frozen
class FromFunction(Loss):
    """A loss from a plain function `(outputs, targets) -> losses`; a trainer wraps a function given as `loss=` in it.

    The NumPy engine differentiates the function with autograd (`python -m pip install autograd`), so it must use
    `autograd.numpy`; the JAX engine differentiates it with JAX, so it must use JAX's functions. A function that uses only
    arithmetic and methods of its arguments, such as `((outputs[:, 0] - targets) ** 2).clip(0, 4)`, runs on both.

    Args:
        function: The function; it returns one loss for each example, (N,), which depends on that example alone.
        like: A loss that defines what outputs and targets mean: its task, predictions, probabilities, default metrics and
            checks are used. Default: None, for which the outputs are the predictions, targets are not checked, and no
            metric is measured by default.

    Shapes:
        outputs: (N, K), in the trainer's dtype.
        targets: (N,) or (N, K), as in the dataset, in the trainer's dtype.

    Raises:
        TypeError: If `function` is not a function, or `like` is not a loss.
        EngineError: When a run starts, if the function cannot be differentiated.

    Examples:
        >>> loss = FromFunction(lambda outputs, targets: abs(outputs[:, 0] - targets) ** 1.5)
        >>> loss.forward(np.array([[1.0], [4.0]]), np.array([1.0, 0.0]))[0]
        array([0., 8.])
    """

    function: Annotated[PerExample, function_of("(outputs, targets)")]
    like: Annotated[Loss | None, optional(_check_like)] = None

    @property
    def name(self) -> str:
        """The name of the function."""
        return name_of(self.function)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The default metrics: those of `like`, else none."""
        return () if self.like is None else tuple(self.like.metrics)

    def task(self, outputs: int) -> Task | None:
        """Return the task of `like`, else None."""
        return None if self.like is None else self.like.task(outputs)

    def check_outputs(self, outputs: int) -> None:
        """Check the number of outputs as `like` does."""
        if self.like is not None:
            self.like.check_outputs(outputs)

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check targets as `like` does."""
        if self.like is not None:
            self.like.check_targets(targets, outputs)

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        return self._losses(outputs, targets), lambda: self._gradient(outputs, targets)

    def predict(self, outputs: Array) -> Array:
        """Return the predictions of the loss `like`; without it the outputs, (N,) for one output, else (N, K)."""
        return Loss.predict(self, outputs) if self.like is None else np.asarray(self.like.predict(outputs))

    def probabilities(self, outputs: Array) -> Array:
        """Return the probabilities of the loss `like`."""
        if self.like is None:
            raise TypeError(
                f"loss {short(self.name)} has no probabilities; losses.FromFunction({self.name}, like=...) defines them"
            )
        return np.asarray(self.like.probabilities(outputs))

    def _losses(self, outputs: AnyArray, targets: AnyArray) -> AnyArray:
        """Call the function and check that it returns one value for each example."""
        losses = self.function(outputs, targets)
        shape = getattr(losses, "shape", None)
        if shape not in {(len(outputs),), (len(outputs), 1)}:
            returned = f"a {type(losses).__name__}" if shape is None else f"an array of shape {shape}"
            raise ValueError(
                f"loss {short(self.name)} must return one value for each example, not their mean or sum: an array of shape "
                f"{(len(outputs),)}, got {returned} for outputs {outputs.shape} and targets {targets.shape}"
            )
        return losses.reshape(-1).astype(outputs.dtype)

    def _gradient(self, outputs: Array, targets: Array) -> Array:
        """Return the gradient of the mean loss, computed by autograd."""
        try:
            from autograd import make_vjp
            from autograd.tracer import isbox
        except ModuleNotFoundError:
            raise EngineError(
                f"loss {short(self.name)} needs autograd on engine='numpy': python -m pip install autograd; "
                "engine='jax' needs no other package"
            ) from None

        def traced(outputs: AnyArray) -> AnyArray:
            losses = self._losses(outputs, targets)
            if not isbox(losses):
                raise TypeError("its value does not depend on its first argument, or a NumPy function hides that it does")
            return losses

        try:
            vjp, _ = make_vjp(traced)(outputs)
            gradient = vjp(np.full(len(outputs), 1 / len(outputs), outputs.dtype))
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise EngineError(
                f"loss {short(self.name)} cannot be differentiated by autograd: {type(error).__name__}: {why}; for "
                "engine='numpy' use autograd.numpy in place of numpy, or only arithmetic and methods of its arguments"
            ) from error
        return np.asarray(gradient, outputs.dtype)
