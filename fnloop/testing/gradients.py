"""Derivatives by hand against central differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import real
from fnloop.testing.law import Law, check_part, fail

GRADIENT = Law("gradient = central differences", "the gradient must agree with the slopes of the function in every component")
STEP = 6e-6  # relative: about the cube root of float64's epsilon, where truncation and rounding are alike


def check_gradients(
    function: Callable[[Array], Any], point: Array, gradient: Array | Callable[[Array], Array], *, rtol: float = 1e-6
) -> None:
    """Check a gradient at a point against central differences in float64, component by component.

        relative error_i = |g_i - n_i| / max(|g_i|, |n_i|, rms n, 1e-4 |f|)        n_i = (f(z + h e_i) - f(z - h e_i)) / 2 h

    with h = 6e-6 max(1, |z_i|). What lies between the slopes on the two sides of the point has no error, so at a kink every
    subgradient will do. The error is relative to the root mean square of n, too, and to a little of f itself, because
    rounding leaves no better.

    Args:
        function: of the point; its value is one number.
        point: z, of any shape; computed with as float64.
        gradient: of the point's shape, or a function of the point that returns it.
        rtol: the largest relative error that is allowed, at least 0; unitless.
    Raises: LawError: with the worst component, its index and both values; ValueError: for a gradient of another shape.

    Examples:
        >>> check_gradients(lambda z: (z * z).sum(), np.array([1.0, -2.0]), lambda z: 2 * z)
    """
    check_part("function", function, "__call__")
    rtol, point = real("[0, inf)")("rtol", rtol), np.asarray(point, dtype=np.float64)
    given = np.asarray(gradient(point.copy()) if callable(gradient) else gradient)
    if given.shape != point.shape:
        raise ValueError(f"gradient must have the point's shape {point.shape}, got {given.shape}")
    GRADIENT.check_once(lambda: require_gradient(function, point, given, rtol))


def require_gradient(
    function: Callable[[Array], Any], point: Array, gradient: Array, rtol: float = 1e-6, name: str = ""
) -> None:
    """Break the law unless the gradient agrees; the name is that of the point in the message."""
    left, right = slopes(function, point)
    numeric = (left + right) / 2
    excess = np.maximum(np.minimum(left, right) - gradient, gradient - np.maximum(left, right))
    floor = max(np.sqrt(np.mean(numeric**2)) if numeric.size else 0.0, 1e-4 * abs(float(function(point.copy()))), 1e-300)
    error = np.maximum(excess, 0.0) / np.maximum(np.maximum(abs(gradient), abs(numeric)), floor)
    error[~np.isfinite(error)] = np.inf
    if error.size and error.max() > rtol:
        worst = np.unravel_index(error.argmax(), error.shape)
        values = {"gradient": gradient[worst].item(), "central difference": numeric[worst].item()}
        fail({**values, "relative error": error[worst].item()}, f"{name}{list(map(int, worst))}")


def slopes(function: Callable[[Array], Any], point: Array) -> tuple[Array, Array]:
    """The slopes of the function on the two sides of the point, along each component."""
    left, right, here = np.empty_like(point), np.empty_like(point), float(function(point.copy()))
    for i in np.ndindex(point.shape):
        h = STEP * max(1.0, abs(float(point[i])))
        for slope, step in ((left, -h), (right, h)):
            moved = point.copy()
            moved[i] += step
            slope[i] = (float(function(moved.copy())) - here) / (moved[i] - point[i])
    return left, right
