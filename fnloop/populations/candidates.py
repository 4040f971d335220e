"""The trainers of a sweep: every combination of some values, or draws from distributions."""

import math
from collections.abc import Iterable, Sized
from itertools import product
from typing import Any

from fnloop.core.checks import integer
from fnloop.core.formatting import short
from fnloop.core.random import Stream, uniform
from fnloop.populations.hyperparameters import with_hyperparameters
from fnloop.populations.memory import check_number
from fnloop.populations.spaces import Distribution, check_distribution
from fnloop.training.trainer import Trainer, check_trainer


def grid(trainer: Trainer, **values: Iterable[Any]) -> list[Trainer]:
    """Return the trainers of all combinations of hyperparameters; the last one varies fastest.

    Args:
        trainer: The trainer that has all other hyperparameters.
        values: For each hyperparameter its values. A name is a field of the trainer, such as `seed`; `lr`, the initial or
            highest rate of its schedule; the name of a field that exactly one of its parts has, such as `weight_decay`; or a
            path, as in `**{"optimizer.b1": [0.8, 0.9]}`.

    Raises:
        TypeError: If `trainer` is not a trainer, a hyperparameter has no several values, or a value is not of its type.
        ValueError: If a hyperparameter is unknown or has no values, or a value is not allowed.

    Examples:
        >>> import fnloop as fl
        >>> trainer = fl.Trainer(model=fl.mlp([2, 1]), loss="mse")
        >>> [(t.seed, t.scheduler.initial_lr) for t in grid(trainer, seed=range(2), lr=[0.1, 0.2])]
        [(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.2)]

    See Also:
        `sample`, `sweep`
    """
    check_trainer(trainer)
    if not values:
        raise ValueError("grid needs the values of at least one hyperparameter, such as lr=[0.01, 0.001]")
    check_number(math.prod(len(given) for given in values.values() if isinstance(given, Sized)), "the combinations of values")
    axes = [_several(name, given) for name, given in values.items()]
    return [with_hyperparameters(trainer, dict(zip(values, point, strict=True))) for point in product(*axes)]


def _several(name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be several values, such as [{short(given)}], got {short(given)}")
    values = list(given)
    if not values:
        raise ValueError(f"{name} must have at least one value, got none")
    return values


def sample(trainer: Trainer, n: int, *, seed: int = 0, **distributions: Distribution) -> list[Trainer]:
    """Return n trainers whose hyperparameters are drawn from distributions: a pure function of its arguments.

    The first n trainers are the same for a larger n.

    Args:
        trainer: The trainer that has all other hyperparameters.
        n: The number of trainers, at least 1.
        seed: The seed of the draws, in [0, 2^64). Default: `0`. It is not the seed of the trainers.
        distributions: For each hyperparameter a distribution of `fl.spaces`, such as `log_uniform(1e-4, 0.1)`. Names are those
            of `grid`.

    Raises:
        TypeError: If an argument is not of its type.
        ValueError: If a hyperparameter is unknown, or a value is not allowed.

    Examples:
        >>> import fnloop as fl
        >>> trainer = fl.Trainer(model=fl.mlp([2, 1]), loss="mse")
        >>> drawn = sample(trainer, 3, lr=fl.spaces.log_uniform(0.001, 0.1))
        >>> all(0.001 <= t.scheduler.initial_lr < 0.1 for t in drawn)
        True

    See Also:
        `grid`, `sweep`
    """
    check_trainer(trainer)
    integer(1)("n", n)
    integer(0, 2**64)("seed", seed)
    check_number(n, "n")
    if not distributions:
        raise ValueError("sample needs the distribution of at least one hyperparameter, such as lr=log_uniform(1e-4, 0.1)")
    for name, distribution in distributions.items():
        check_distribution(name, distribution)
    return [with_hyperparameters(trainer, point(distributions, seed, i)) for i in range(n)]


def point(distributions: dict[str, Distribution], seed: int, index: int) -> dict[str, Any]:
    """Return the values of one draw, by name.

    Args:
        distributions: The distributions.
        seed: The seed of the draws.
        index: The number of the draw.
    """
    drawn = uniform(len(distributions), seed, Stream.SEARCH, index).tolist()
    return {name: distribution.quantile(u) for (name, distribution), u in zip(distributions.items(), drawn, strict=True)}
