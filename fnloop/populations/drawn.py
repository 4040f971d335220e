"""The trainer of a trial, from the hyperparameters that Optuna drew for it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from fnloop.core.formatting import short
from fnloop.populations.hyperparameters import with_hyperparameters
from fnloop.populations.spaces import Distribution, check_distribution, one_of
from fnloop.populations.studies import import_optuna, labels, quiet_optuna, value_of
from fnloop.training.trainer import Trainer, check_trainer

HINTS = {  # for arguments of similar functions in other packages
    "n_trials": "the number of trials is trials",
    "n_jobs": "use map, such as that of a ProcessPoolExecutor",
    "timeout": "use seconds",
    "callbacks": "use until, a function of the study, which is called after each batch",
    "sampler": "use study=optuna.create_study(sampler=...)",
    "direction": "it follows the metric, monitor",
    "space": "each hyperparameter is an argument, such as lr=fl.spaces.log_uniform(1e-4, 0.1)",
}


def check_space(trainer: Any, space: Mapping[str, Any]) -> None:
    """Check the distributions of a search.

    Args:
        trainer: As in `search`.
        space: Its distributions.

    Raises:
        TypeError: If one is no distribution.
        ValueError: If there is none, and the trainer is no function.
    """
    if not space and isinstance(trainer, Trainer):
        raise ValueError("search needs the distribution of at least one hyperparameter, such as lr=log_uniform(1e-4, 0.1)")
    for name, distribution in space.items():
        if not isinstance(distribution, Distribution) and name in HINTS:
            raise TypeError(f"search has no argument {short(name)}: {HINTS[name]}")
        check_distribution(name, distribution)
        if isinstance(distribution, one_of):
            labels(distribution.values)


def example_of(trainer: Any, space: Mapping[str, Distribution]) -> Trainer:
    """Return the trainer of the middle of the space; without one, of a trial that is the same in every call.

    Args:
        trainer: As in `search`.
        space: Its distributions.
    """
    if space:
        return _make(trainer, {name: distribution.quantile(0.5) for name, distribution in space.items()})
    optuna = import_optuna()
    with quiet_optuna():
        return trainer_of(trainer, space, optuna.create_study(sampler=optuna.samplers.RandomSampler(0)).ask())


def ends_of(trainer: Any, space: Mapping[str, Distribution]) -> Iterator[Trainer]:
    """Yield trainers of which one hyperparameter is at either end of its values, and the others are in the middle.

    A function of hyperparameters is not called for them: it may be slow, or fail in other ways.

    Args:
        trainer: As in `search`.
        space: Its distributions. What only some combinations of values allow is left out.
    """
    if not isinstance(trainer, Trainer):
        return
    middle = {name: distribution.quantile(0.5) for name, distribution in space.items()}
    for name, distribution in space.items():
        for share in (0.0, math.nextafter(1.0, 0.0)):
            with suppress(TypeError, ValueError):
                yield _make(trainer, {**middle, name: distribution.quantile(share)})


def trainer_of(trainer: Any, space: Mapping[str, Distribution], trial: Any) -> Trainer:
    """Return the trainer of a trial.

    Args:
        trainer: As in `search`.
        space: Its distributions.
        trial: A trial of Optuna. One that is finished draws nothing.
    """
    if space:
        return _make(trainer, {name: value_of(distribution, trial.params[name]) for name, distribution in space.items()})
    if not callable(trainer):
        raise TypeError(f"trainer must be a trainer, or a function that returns one, got {short(trainer)}")
    of_optuna = import_optuna().trial
    is_finished = isinstance(trial, of_optuna.FrozenTrial)
    return check_trainer(trainer(of_optuna.FixedTrial(trial.params) if is_finished else trial))


def _make(trainer: Any, values: Mapping[str, Any]) -> Trainer:
    if isinstance(trainer, Trainer):
        return with_hyperparameters(trainer, values)
    if not callable(trainer):
        raise TypeError(f"trainer must be a trainer, or a function that returns one, got {short(trainer)}")
    return check_trainer(trainer(**values))
