"""Activations: elementwise functions between the dense layers, each with its derivative."""

from collections.abc import Callable
from typing import Annotated, Any

from fnloop.record import record
from fnloop.typing import Array, choice

Elementwise = Callable[[Any], tuple[Any, Callable[[Any], Any]]]


def identity(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """y = x."""
    return x, lambda dy: dy


def relu(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """y = x where x > 0, else 0; dx = dy there, else 0: at the kink the derivative is 0, on every engine."""
    kept = (x > 0).astype(x.dtype)
    return x * kept, lambda dy: dy * kept


def sigmoid(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """y = 1 / (1 + exp(-x)); dx = dy y (1 - y). Written by tanh, which no x overflows."""
    y = logistic(x)
    return y, lambda dy: dy * y * (1 - y)


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)) as (1 + tanh(x / 2)) / 2."""
    xp = x.__array_namespace__()
    return (xp.tanh(x * 0.5) + 1) * 0.5


def tanh(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """y = tanh(x); dx = dy (1 - y²)."""
    y = x.__array_namespace__().tanh(x)
    return y, lambda dy: dy * (1 - y * y)


BY_NAME: dict[str, Elementwise] = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh, "identity": identity}
# The initialisation that keeps the signal's variance through each activation.
INITIALIZER = {"relu": "he_uniform"}


@record
class Activation:
    """A layer without parameters that applies an activation by its name.

    Shapes: `x` and `y` are (N, D).
    """

    name: Annotated[str, choice(*BY_NAME)]

    params = staticmethod(tuple)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ()

    def initial(self, seed: int, layer: int) -> tuple[Array, ...]:
        return ()

    def forward(self, params: Any, x: Any) -> tuple[Any, Callable[[Any, Any, bool], Any]]:
        """The activation of x, and the function that takes dy back to dx."""
        y, backward = BY_NAME[self.name](x)
        return y, lambda dy, grads, wanted: backward(dy) if wanted else None
