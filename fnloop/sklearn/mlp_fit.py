"""How a multilayer perceptron is fitted: iterations until it no longer improves, or L-BFGS."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fnloop.core.arrays import Array
from fnloop.engines.base import Examples
from fnloop.nn import Sequential
from fnloop.optimizers import Elementwise
from fnloop.sklearn.lbfgs import minimize
from fnloop.sklearn.mlp_parameters import check_batch_size
from fnloop.sklearn.mlp_rows import Rows, iteration_batches
from fnloop.sklearn.mlp_warnings import warn
from fnloop.sklearn.network import to_arrays, to_vector
from fnloop.sklearn.objectives import PlainEpsilonAdam, Velocity, make_loss, reported_divisor
from fnloop.sklearn.perceptron import Perceptron, Progress, Score
from fnloop.sklearn.solver import NOT_FINITE, Iterate, Settings, compute_outputs, make_iterate, start_carry

SMALLEST_RATE = 1e-6  # the adaptive learning rate is not divided further


def make_settings(mlp: Perceptron, network: Sequential, dtype: str, alpha: float) -> Settings:
    """Return the settings of a fit, with a batch size for any number of rows.

    Args:
        mlp: The estimator.
        network: Its network.
        dtype: The dtype of all computation.
        alpha: The weight of the penalty.
    """
    loss = make_loss(mlp.loss, mlp.out_activation_, mlp.n_outputs_)
    optimizer: Elementwise = PlainEpsilonAdam(b1=mlp.beta_1, b2=mlp.beta_2, eps=mlp.epsilon)
    if mlp.solver == "sgd":
        optimizer = Velocity(momentum=mlp.momentum, nesterov=mlp.nesterovs_momentum)
    return Settings(network, loss, optimizer, 1, dtype, alpha, reported_divisor(mlp.loss, mlp.n_outputs_))


def fit_lbfgs(mlp: Perceptron, network: Sequential, rows: Rows, alpha: float) -> None:
    """Fit by L-BFGS, in float64.

    Args:
        mlp: The estimator, whose weights are changed.
        network: Its network.
        rows: The examples.
        alpha: The weight of the penalty.
    """
    settings = make_settings(mlp, network, "float64", alpha)._replace(batch_size=len(rows))
    vector = to_vector(mlp.coefs_, mlp.intercepts_, "float64")
    vector, mlp.loss_, mlp.n_iter_ = minimize(settings, vector, rows, mlp)
    _set_weights(mlp, settings, vector)


def fit_once(
    mlp: Perceptron, settings: Settings, rows: Rows, random_state: np.random.RandomState, progress: Progress | None
) -> Progress:
    """Fit by one iteration, which continues with the state of the optimizer, and return the progress after it.

    Args:
        mlp: The estimator, whose weights and fitted attributes are changed.
        settings: The settings.
        rows: The examples.
        random_state: The generator of the order of the rows.
        progress: That of the fits before, or None.

    Raises:
        ValueError: If early stopping is asked for, or training diverges; the weights stay as they were.
    """
    if mlp.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True")
    rows = rows.cast(settings.dtype)
    settings = _with_batches(mlp, settings, len(rows))
    if progress is None or len(progress.carry.slots) != len(settings.optimizer.slots):
        progress = _begin(mlp, settings, progress)
    iterate, progress = _start(mlp, settings, progress)
    order = _shuffled(np.arange(len(rows)), random_state) if mlp.shuffle else None
    progress = _iterate(mlp, settings, iterate, progress, iteration_batches(rows, settings.batch_size, order), len(rows))
    progress, _ = _judge(mlp, progress, None)
    progress, _ = _continue(mlp, progress)
    _set_weights(mlp, settings, progress.carry.vector)
    return progress


def fit_stochastic(
    mlp: Perceptron,
    settings: Settings,
    rows: Rows,
    random_state: np.random.RandomState,
    progress: Progress | None,
    score: Score,
) -> Progress:
    """Fit by iterations over batches until nothing improves, and return the progress after them.

    Args:
        mlp: The estimator, whose weights and fitted attributes are changed.
        settings: The settings.
        rows: The examples.
        random_state: The generator of the validation set and the order of the rows.
        progress: That of the fits before, or None. The optimizer starts anew.
        score: The score by which early stopping selects.

    Raises:
        ValueError: If the validation set is too small, or training diverges; the weights stay as they were.
    """
    rows = rows.cast(settings.dtype)
    train, validation = _split(mlp, rows, random_state) if mlp.early_stopping else (rows, None)
    settings = _with_batches(mlp, settings, len(train))
    iterate, progress = _start(mlp, settings, _begin(mlp, settings, progress))
    order, best = np.arange(len(train)), progress.carry.vector.copy()
    try:
        for _ in range(mlp.max_iter):
            if mlp.shuffle:
                order = _shuffled(order, random_state)
            batches = iteration_batches(train, settings.batch_size, order if mlp.shuffle else None)
            progress = _iterate(mlp, settings, iterate, progress, batches, len(train))
            value = None
            if validation is not None:
                outputs = compute_outputs(settings, progress.carry.vector, validation)
                value = score(outputs, validation.y, validation.weights)
            progress, is_best = _judge(mlp, progress, value)
            if is_best and validation is not None:
                best = progress.carry.vector.copy()
            progress, ends = _continue(mlp, progress)
            if ends:
                break
        else:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({mlp.max_iter}) reached and the optimization hasn't converged "
                "yet.",
                ConvergenceWarning,
            )
    except KeyboardInterrupt:
        warn("Training interrupted by user.")
    _set_weights(mlp, settings, progress.carry.vector if validation is None else best)
    return progress


def _with_batches(mlp: Perceptron, settings: Settings, n: int) -> Settings:
    """Return the settings with the batch size for n rows."""
    if mlp.batch_size != "auto" and mlp.batch_size > n:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return settings._replace(batch_size=check_batch_size(mlp.batch_size, n))


def _set_weights(mlp: Perceptron, settings: Settings, vector: Array) -> None:
    if not np.isfinite(vector).all():
        raise ValueError(NOT_FINITE.format("a parameter"))
    mlp.coefs_, mlp.intercepts_ = to_arrays(settings.network, vector.astype(mlp.coefs_[0].dtype))


def _split(mlp: Perceptron, rows: Rows, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
    """Split as scikit-learn does: stratified for two classes."""
    arrays = [rows.x, rows.y] if rows.weights is None else list(rows)
    stratify = rows.y if mlp.out_activation_ == "logistic" and mlp.n_outputs_ == 1 else None
    parts = train_test_split(*arrays, random_state=random_state, test_size=mlp.validation_fraction, stratify=stratify)
    train, validation = Rows(*parts[::2]), Rows(*parts[1::2])
    if len(validation) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset; it has "
            f"{len(validation)} rows of {len(rows)}, with validation_fraction={mlp.validation_fraction}."
        )
    return train, validation


def _begin(mlp: Perceptron, settings: Settings, progress: Progress | None) -> Progress:
    """Return the progress before the first update of an optimizer; iterations without improvement count on."""
    vector = to_vector(mlp.coefs_, mlp.intercepts_, settings.dtype)
    return Progress(start_carry(settings, vector), float(mlp.learning_rate_init), 0 if progress is None else progress.waits)


def _start(mlp: Perceptron, settings: Settings, progress: Progress) -> tuple[Iterate, Progress]:
    """Return the function of one iteration and the progress to start from, with the weights `coefs_`."""
    vector = to_vector(mlp.coefs_, mlp.intercepts_, settings.dtype)
    iterate, carry = make_iterate(settings, progress.carry._replace(vector=vector))
    if mlp.early_stopping and mlp.validation_scores_ is None:
        mlp.validation_scores_, mlp.best_validation_score_ = [], -np.inf
    if not mlp.early_stopping and mlp.best_loss_ is None:
        mlp.best_loss_ = np.inf
    mlp.n_iter_ = 0
    return iterate, progress._replace(carry=carry)


def _shuffled(order: Any, random_state: np.random.RandomState) -> Any:
    """Return the order in which scikit-learn's `shuffle` puts it."""
    rows = np.arange(len(order))
    random_state.shuffle(rows)
    return order[rows]


def _iterate(
    mlp: Perceptron, settings: Settings, iterate: Iterate, progress: Progress, batches: Iterable[Examples], n: int
) -> Progress:
    """Train for one iteration over n rows, and record its loss with the penalty."""
    carry, losses, squares = iterate(progress.carry, batches, progress.rate)
    mlp.loss_ = settings.reported(losses, squares, n)
    mlp.n_iter_ += 1
    mlp.t_ += n
    mlp.loss_curve_.append(mlp.loss_)
    if mlp.verbose:
        print(f"Iteration {mlp.n_iter_}, loss = {mlp.loss_:.8f}")
    return progress._replace(carry=carry)


def _judge(mlp: Perceptron, progress: Progress, score: float | None) -> tuple[Progress, bool]:
    """Record the score, and return the progress with the iterations without improvement, and whether this is the best."""
    if score is None:
        assert mlp.best_loss_ is not None
        value, best = -mlp.loss_, -mlp.best_loss_
        mlp.best_loss_ = min(mlp.loss_, mlp.best_loss_)
    else:
        assert mlp.validation_scores_ is not None
        assert mlp.best_validation_score_ is not None
        value, best = score, mlp.best_validation_score_
        mlp.validation_scores_.append(value)
        mlp.best_validation_score_ = value if value > best else best
        if mlp.verbose:
            print(f"Validation score: {value:f}")
    return progress._replace(waits=progress.waits + 1 if value < best + mlp.tol else 0), bool(value > best)


def _continue(mlp: Perceptron, progress: Progress) -> tuple[Progress, bool]:
    """Return the progress with the learning rate of the next iteration, and whether training ends."""
    rate = progress.rate
    if mlp.solver == "sgd" and mlp.learning_rate == "invscaling":
        rate = mlp.learning_rate_init / (mlp.t_ + 1) ** mlp.power_t
    if progress.waits <= mlp.n_iter_no_change:
        return progress._replace(rate=rate), False
    what = "Validation score" if mlp.early_stopping else "Training loss"
    text = f"{what} did not improve more than tol={mlp.tol:f} for {mlp.n_iter_no_change} consecutive epochs."
    adaptive = mlp.solver == "sgd" and mlp.learning_rate == "adaptive"
    ends = not adaptive or rate <= SMALLEST_RATE
    waits = progress.waits
    if ends:
        text += " Learning rate too small. Stopping." if adaptive else " Stopping."
    else:
        rate, waits = rate / 5.0, 0
        text += f" Setting learning rate to {rate:f}"
    if mlp.verbose:
        print(text)
    return progress._replace(rate=rate, waits=waits), ends
