"""Hand-derived gradients against central differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import real
from fnloop.testing.law import Law, require_callable, violate

GRADIENT = Law("gradient = central differences", "the gradient must agree with the slopes of the function in every component")
STEP = 6e-6  # relative: about the cube root of float64's epsilon, where truncation and rounding errors are equal


def check_gradients(
    function: Callable[[Array], Any], point: Array, gradient: Array | Callable[[Array], Array], *, rtol: float = 1e-6
) -> None:
    """Check a gradient at a point against central differences in float64, component by component.

        relative error_i = |g_i - n_i| / max(|g_i|, |n_i|, rms n, 1e-4 |f|)        n_i = (f(z + h e_i) - f(z - h e_i)) / 2 h

    with h = 6e-6 max(1, |z_i|). A component between the slopes on the two sides of the point has no error, so that every
    subgradient at a kink passes. The error is also relative to the root mean square of n and to a small part of f, because
    rounding limits the accuracy of n.

    Args:
        function: Returns a number for a point.
        point: z, of any shape; converted to float64.
        gradient: The gradient at the point, or a function that returns it for a point.
        rtol: The largest relative error that is allowed, at least 0.

    Shapes:
        gradient: The shape of the point.

    Raises:
        LawError: If a component disagrees, with the worst component, its index and both values.
        TypeError: If `function` is not a function.
        ValueError: If the gradient has another shape than the point, or `rtol` is negative.

    Examples:
        >>> check_gradients(lambda z: (z * z).sum(), np.array([1.0, -2.0]), lambda z: 2 * z)
    """
    require_callable("function", function)
    rtol, point = real("[0, inf)")("rtol", rtol), np.asarray(point, dtype=np.float64)
    values = np.asarray(gradient(point.copy()) if callable(gradient) else gradient)
    if values.shape != point.shape:
        raise ValueError(f"gradient must have the point's shape {point.shape}, got {values.shape}")
    GRADIENT.check_once(lambda: require_gradient(function, point, values, rtol))


def require_gradient(
    function: Callable[[Array], Any], point: Array, gradient: Array, rtol: float = 1e-6, name: str = ""
) -> None:
    """Require that a gradient agrees with central differences; see `check_gradients`.

    Args:
        function: Returns a number for a point.
        point: The point, float64.
        gradient: The gradient, of the point's shape.
        rtol: The largest relative error that is allowed.
        name: Name of the point, for the message.

    Raises:
        Violation: If a component disagrees.
    """
    left, right = slopes(function, point)
    numeric = (left + right) / 2
    excess = np.maximum(np.minimum(left, right) - gradient, gradient - np.maximum(left, right))
    rms = np.sqrt(np.mean(numeric**2)) if numeric.size else 0.0
    smallest_scale = max(rms, 1e-4 * abs(float(function(point.copy()))), 1e-300)
    error = np.maximum(excess, 0.0) / np.maximum(np.maximum(abs(gradient), abs(numeric)), smallest_scale)
    error[~np.isfinite(error)] = np.inf
    if error.size and error.max() > rtol:
        worst = np.unravel_index(error.argmax(), error.shape)
        values = {"gradient": gradient[worst].item(), "central difference": numeric[worst].item()}
        violate({**values, "relative error": error[worst].item()}, f"{name}{list(map(int, worst))}")


def slopes(function: Callable[[Array], Any], point: Array) -> tuple[Array, Array]:
    """Return the slopes of a function on the left and the right of a point, along each component.

    Args:
        function: Returns a number for a point.
        point: The point, float64.

    Examples:
        >>> left, right = slopes(lambda z: abs(z).sum(), np.zeros(1))
        >>> left.tolist(), right.tolist()
        ([-1.0], [1.0])
    """
    left, right, value = np.empty_like(point), np.empty_like(point), float(function(point.copy()))
    for i in np.ndindex(point.shape):
        h = STEP * max(1.0, abs(float(point[i])))
        for slope, step in ((left, -h), (right, h)):
            moved = point.copy()
            moved[i] += step
            slope[i] = (float(function(moved.copy())) - value) / (moved[i] - point[i])
    return left, right
