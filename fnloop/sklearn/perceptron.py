"""A typed view of a multilayer perceptron, for the functions that fit it, and what they keep between its fits."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from fnloop.core.arrays import Array
from fnloop.engines.base import Carry

Score = Callable[[Array, Array, Array | None], float]  # of the outputs before the last activation, targets and weights


class Progress(NamedTuple):
    """Where training is between two iterations, which one call of `partial_fit` leaves to the next.

    Attributes:
        carry: The parameters and the state of the optimizer.
        rate: The learning rate of the next iteration.
        waits: Iterations in a row without an improvement.
    """

    carry: Carry
    rate: float
    waits: int


class Perceptron(Protocol):
    """`MLPClassifier` or `MLPRegressor`: parameters, then fitted attributes."""

    solver: str
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    max_fun: int
    shuffle: bool
    tol: float
    verbose: Any
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    loss: str

    coefs_: list[Array]
    intercepts_: list[Array]
    n_outputs_: int
    out_activation_: str
    loss_: float
    loss_curve_: list[float]
    n_iter_: int
    t_: int
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
