"""L-BFGS, by SciPy, on the gradient of the NumPy engine."""

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fnloop.core.arrays import Array
from fnloop.engines.numpy.gradient import make_gradient
from fnloop.engines.threads import with_threads
from fnloop.sklearn.mlp_rows import Rows, iteration_batches
from fnloop.sklearn.mlp_warnings import warn
from fnloop.sklearn.perceptron import Perceptron
from fnloop.sklearn.solver import NOT_FINITE, Settings, sum_of_squares
from fnloop.training.measurement import quiet


def minimize(settings: Settings, vector: Array, rows: Rows, mlp: Perceptron) -> tuple[Array, float, int]:
    """Return the parameters that minimize the loss, the loss, and the number of iterations.

    Args:
        settings: The settings; the batch has all rows.
        vector: The parameters to start from, float64.
        rows: The examples.
        mlp: The estimator, with `max_iter`, `max_fun`, `tol` and `verbose`.

    Raises:
        ValueError: If the parameters are not finite.
    """
    from scipy.optimize import minimize as scipy_minimize
    from sklearn.utils.fixes import _get_additional_lbfgs_options_dict

    point, gradient = np.array(vector), np.empty_like(vector)
    computation = settings.computation()
    gradient_of = make_gradient(computation, point, gradient)
    (batch,) = iteration_batches(rows.cast(settings.dtype), len(rows), None)
    weights = [layer.weights.reshape(-1) for layer in settings.network.unflatten(point)]

    def value_and_gradient(at: Array) -> tuple[float, Array]:
        point[:] = at
        (total, *_), _ = gradient_of(batch, (), 0)
        return settings.reported(total, sum_of_squares(weights), len(rows)), gradient.copy()

    options = {"maxfun": mlp.max_fun, "maxiter": mlp.max_iter, "gtol": mlp.tol}
    options |= _get_additional_lbfgs_options_dict("iprint", 1 if mlp.verbose is True or mlp.verbose >= 1 else -1)
    with quiet():
        result = with_threads(
            computation.threads,
            lambda: scipy_minimize(value_and_gradient, vector, method="L-BFGS-B", jac=True, options=options),
        )
    if not np.isfinite(result.x).all():
        raise ValueError(NOT_FINITE.format("a parameter"))
    iterations = min(result.nit, mlp.max_iter)
    if result.status != 0:
        warn(_explanation(result, iterations, mlp.max_iter), ConvergenceWarning)
    return result.x, np.float64(result.fun), iterations


def _explanation(result: Any, iterations: int, most: int) -> str:
    """Return the text of the warning that the minimization did not converge, which is scikit-learn's."""
    text = f"lbfgs failed to converge after {iterations} iteration(s) (status={result.status}):\n{result.message}\n"
    if iterations == most:
        text += f"\nIncrease the number of iterations to improve the convergence (max_iter={most})."
    return (
        f"{text}\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )
