"""How a multilayer perceptron is fitted: iterations until it no longer improves, or L-BFGS."""

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fnloop.nn import Sequential
from fnloop.sklearn.lbfgs import minimize
from fnloop.sklearn.mlp_parameters import check_batch_size
from fnloop.sklearn.mlp_rows import Rows, iteration_batches
from fnloop.sklearn.mlp_warnings import warn
from fnloop.sklearn.network import to_arrays, to_vector
from fnloop.sklearn.objectives import PlainEpsilonAdam, Velocity, make_loss
from fnloop.sklearn.solver import NOT_FINITE, Iterate, Settings, compute_outputs, make_iterate, start_carry

SMALLEST_RATE = 1e-6  # the adaptive learning rate is not divided further


def fit_lbfgs(mlp: Any, network: Sequential, rows: Rows) -> None:
    """Fit by L-BFGS, in float64."""
    settings = _settings(mlp, network, "float64", len(rows))
    vector = to_vector(mlp.coefs_, mlp.intercepts_, "float64")
    vector, mlp.loss_, mlp.n_iter_ = minimize(settings, vector, rows, mlp)
    mlp.coefs_, mlp.intercepts_ = to_arrays(network, vector.astype(mlp.coefs_[0].dtype))


def fit_stochastic(mlp: Any, network: Sequential, rows: Rows, *, incremental: bool) -> None:
    """Fit by iterations over batches: a single one if it is incremental, else until nothing improves."""
    if mlp.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    rows = rows.cast(mlp._dtype)
    train, validation = _split(mlp, rows) if mlp.early_stopping else (rows, None)
    if mlp.batch_size != "auto" and mlp.batch_size > len(train):
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    settings = _settings(mlp, network, mlp._dtype, check_batch_size(mlp.batch_size, len(train)))
    iterate = _start(mlp, settings, incremental)
    order, best = np.arange(len(train)), mlp._carry.vector.copy()
    try:
        for _ in range(mlp.max_iter):
            if mlp.shuffle:
                order = _shuffled(order, mlp._random_state)
            batches = iteration_batches(train, settings.batch_size, order if mlp.shuffle else None)
            _iterate(mlp, iterate, batches, len(train))
            if _improves(mlp, settings, validation) and validation is not None:
                best = mlp._carry.vector.copy()
            if _is_finished(mlp) or incremental:
                break
        else:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({mlp.max_iter}) reached and the optimization hasn't converged "
                "yet.",
                ConvergenceWarning,
            )
    except KeyboardInterrupt:
        warn("Training interrupted by user.")
    vector = mlp._carry.vector if validation is None else best
    if not np.isfinite(vector).all():
        raise ValueError(NOT_FINITE.format("a parameter"))
    mlp.coefs_, mlp.intercepts_ = to_arrays(network, vector.astype(mlp.coefs_[0].dtype))


def _settings(mlp: Any, network: Sequential, dtype: str, batch_size: int) -> Settings:
    loss = make_loss(mlp.loss, mlp.out_activation_, mlp.n_outputs_)
    if mlp.solver == "sgd":
        optimizer: Any = Velocity(momentum=mlp.momentum, nesterov=mlp.nesterovs_momentum)
    else:
        optimizer = PlainEpsilonAdam(b1=mlp.beta_1, b2=mlp.beta_2, eps=mlp.epsilon)
    return Settings(network, loss, optimizer, batch_size, dtype)


def _split(mlp: Any, rows: Rows) -> tuple[Rows, Rows]:
    """Split as scikit-learn does: stratified for two classes."""
    arrays = [rows.x, rows.y] if rows.weights is None else list(rows)
    stratify = rows.y if mlp.out_activation_ == "logistic" and mlp.n_outputs_ == 1 else None
    parts = train_test_split(*arrays, random_state=mlp._random_state, test_size=mlp.validation_fraction, stratify=stratify)
    train, validation = Rows(*parts[::2]), Rows(*parts[1::2])
    if len(validation) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset; it has "
            f"{len(validation)} rows of {len(rows)}, with validation_fraction={mlp.validation_fraction}."
        )
    return train, validation


def _start(mlp: Any, settings: Settings, incremental: bool) -> Iterate:
    """Continue with the optimizer's state if the fit is incremental, else with a new one; the weights are `coefs_`.

    It returns the function of one iteration.
    """
    vector = to_vector(mlp.coefs_, mlp.intercepts_, settings.dtype)
    continues = incremental and hasattr(mlp, "_carry") and len(mlp._carry.slots) == len(settings.optimizer.slots)
    if not continues:
        mlp._carry, mlp._rate = start_carry(settings, vector), float(mlp.learning_rate_init)
    iterate, mlp._carry = make_iterate(settings, mlp._carry._replace(vector=vector))
    if mlp.early_stopping and mlp.validation_scores_ is None:
        mlp.validation_scores_, mlp.best_validation_score_ = [], -np.inf
    if not mlp.early_stopping and mlp.best_loss_ is None:
        mlp.best_loss_ = np.inf
    mlp.n_iter_ = 0
    return iterate


def _shuffled(order: Any, random_state: np.random.RandomState) -> Any:
    """Return the order in which scikit-learn's `shuffle` puts it."""
    rows = np.arange(len(order))
    random_state.shuffle(rows)
    return order[rows]


def _iterate(mlp: Any, iterate: Iterate, batches: Any, n: int) -> None:
    """Train for one iteration over n rows, and record its loss with the penalty."""
    mlp._carry, loss, squares = iterate(mlp._carry, batches, mlp._rate)
    mlp.loss_ = np.float64((loss / mlp._loss_divisor + mlp._alpha / 2 * squares) / n)
    mlp.n_iter_ += 1
    mlp.t_ += n
    mlp.loss_curve_.append(mlp.loss_)
    if mlp.verbose:
        print(f"Iteration {mlp.n_iter_}, loss = {mlp.loss_:.8f}")


def _improves(mlp: Any, settings: Settings, validation: Rows | None) -> bool:
    """Update the best value and the iterations without improvement, and return whether the value is the best so far."""
    if validation is None:
        value, best = -mlp.loss_, -mlp.best_loss_
        mlp.best_loss_ = min(mlp.loss_, mlp.best_loss_)
    else:
        outputs = compute_outputs(settings, mlp._carry.vector, validation)
        value, best = mlp._validation_score(outputs, validation.y, validation.weights), mlp.best_validation_score_
        mlp.validation_scores_.append(value)
        mlp.best_validation_score_ = value if value > best else best
        if mlp.verbose:
            print(f"Validation score: {value:f}")
    mlp._waits = mlp._waits + 1 if value < best + mlp.tol else 0
    return bool(value > best)


def _is_finished(mlp: Any) -> bool:
    """Return whether training ends, and set the learning rate of the next iteration."""
    if mlp.solver == "sgd" and mlp.learning_rate == "invscaling":
        mlp._rate = mlp.learning_rate_init / (mlp.t_ + 1) ** mlp.power_t
    if mlp._waits <= mlp.n_iter_no_change:
        return False
    what = "Validation score" if mlp.early_stopping else "Training loss"
    text = f"{what} did not improve more than tol={mlp.tol:f} for {mlp.n_iter_no_change} consecutive epochs."
    adaptive = mlp.solver == "sgd" and mlp.learning_rate == "adaptive"
    ends = not adaptive or mlp._rate <= SMALLEST_RATE
    if ends:
        text += " Learning rate too small. Stopping." if adaptive else " Stopping."
    else:
        mlp._rate, mlp._waits = mlp._rate / 5.0, 0
        text += f" Setting learning rate to {mlp._rate:f}"
    if mlp.verbose:
        print(text)
    return ends
