"""Activations: elementwise functions between layers, each with its backward function."""

from collections.abc import Callable
from typing import Annotated, Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import choice
from fnloop.core.namespace import apply_into, namespace
from fnloop.core.records import frozen
from fnloop.nn.layer import Context, Forward, Layer, WithBackward


def identity(x: AnyArray) -> WithBackward:
    """Compute y = x."""
    return x, lambda dy: dy


def relu(x: AnyArray) -> WithBackward:
    """Compute y = x and dx = dy where x > 0, else 0. The derivative at 0 is 0, on every engine."""
    kept = (x > 0).astype(x.dtype)
    return x * kept, lambda dy: dy * kept


def leaky_relu(x: AnyArray) -> WithBackward:
    """Compute y = x where x > 0, else x / 100.

    Source: Maas, Hannun & Ng 2013.
    """
    kept = (x > 0).astype(x.dtype)
    slope = kept + 0.01 * (1 - kept)
    return x * slope, lambda dy: dy * slope


def elu(x: AnyArray) -> WithBackward:
    """Compute y = x where x > 0, else exp(x) - 1; dx = dy exp(min(x, 0)).

    On JAX, the absolute error of dx / dy is about the machine epsilon.

    Source: Clevert, Unterthiner & Hochreiter 2016.
    """
    xp, kept = namespace(x), (x > 0).astype(x.dtype)
    below = x * (1 - kept)
    return x * kept + xp.expm1(below), lambda dy: dy * xp.exp(below)


def gelu(x: AnyArray) -> WithBackward:
    """Compute y = x sigmoid(2 c (x + 0.044715 x³)) with c = sqrt(2 / π), which is x (1 + tanh(c (x + 0.044715 x³))) / 2.

    Source: Hendrycks & Gimpel 2016, section 2.
    """
    xp, c = namespace(x), 2 * 0.7978845608028654
    near = xp.maximum(x, -30.0)  # beyond 30 the sigmoid is 0 or 1 in float64 too, and no square overflows
    near = apply_into(near, xp.minimum, near, 30.0)
    square = near * near
    s, slope = sigmoid(near * (c + c * 0.044715 * square))
    return x * s, lambda dy: dy * (s + slope(near * (c + c * 0.134145 * square)))


def silu(x: AnyArray) -> WithBackward:
    """Compute y = x sigmoid(x), also called swish.

    Source: Elfwing, Uchibe & Doya 2018.
    """
    s, slope = sigmoid(x)
    return x * s, lambda dy: dy * (s + slope(x))


def sigmoid(x: AnyArray) -> WithBackward:
    """Compute y = 1 / (1 + exp(-x)); dx = dy y (1 - y).

    It is computed from exp(-|x|), so that no x overflows and the smaller of y and 1 - y is accurate.
    """
    xp, e = namespace(x), -x
    e = apply_into(e, xp.exp, apply_into(e, xp.minimum, x, e))  # min(x, -x) is -|x|; JAX gives |x| the slope 1 at 0
    total = 1 + e
    smaller = apply_into(e, xp.divide, e, total)
    larger = apply_into(total, xp.subtract, 1, smaller)
    y = xp.minimum(x, 0.0)
    y = apply_into(y, xp.multiply, apply_into(y, xp.exp, y), larger)

    def backward(dy: AnyArray) -> AnyArray:
        slope = 1 - smaller
        slope = apply_into(slope, xp.multiply, slope, smaller)
        return apply_into(slope, xp.multiply, slope, dy)

    return y, backward


def logistic(x: AnyArray) -> AnyArray:
    """Return 1 / (1 + exp(-x)), the value of `sigmoid` without its backward function."""
    return sigmoid(x)[0]


def tanh(x: AnyArray) -> WithBackward:
    """Compute the hyperbolic tangent y of x; dx = dy (1 - y²).

    The absolute error of dx / dy is about the machine epsilon: in float32, dx is 0 where |x| > 9.
    """
    y = namespace(x).tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def softplus(x: AnyArray) -> WithBackward:
    """Compute y = log(1 + exp(x)), computed so that no x overflows; dx = dy sigmoid(x).

    Source: Dugas et al. 2001.
    """
    return namespace(x).logaddexp(x, 0.0), lambda dy: dy * logistic(x)


def softmax(x: AnyArray) -> WithBackward:
    """Compute y_k = exp(x_k) / sum_j exp(x_j) over the last axis; dx = y (dy - sum_j dy_j y_j).

    Do not put it before a loss that takes logits.
    """
    xp = namespace(x)
    exp = xp.exp(x - x.max(-1, keepdims=True))
    y = exp / exp.sum(-1, keepdims=True)
    return y, lambda dy: y * (dy - xp.vecdot(dy, y)[..., None])


_ALL = (relu, leaky_relu, elu, gelu, silu, tanh, sigmoid, softplus, identity, softmax)
FUNCTIONS: dict[str, Callable[[AnyArray], WithBackward]] = {function.__name__: function for function in _ALL}
ACTIVATIONS = tuple(FUNCTIONS)
# The initializer that keeps the variance of the signal through each activation, if it is not Glorot's.
DEFAULT_INITIALIZER = dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu"), "he_uniform")


@frozen
class Activation(Layer):
    """Apply an activation function to each value; `softmax` to each vector along the last axis.

    Args:
        name: `relu`, `leaky_relu`, `elu`, `gelu`, `silu`, `tanh`, `sigmoid`, `softplus`, `identity` or `softmax`.

    Shapes:
        `x` and `y` are (N, ...), of any shape.

    Raises:
        TypeError: If the name is not a string.
        ValueError: If the name is unknown.
    """

    name: Annotated[str, choice(*ACTIVATIONS)]

    random = False
    stacks = True

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the activation of x, the backward function, and no buffers."""
        y, backward = FUNCTIONS[self.name](x)
        return y, lambda dy, grads, need_dx: backward(dy) if need_dx else None, ()
