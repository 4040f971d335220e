"""`compare`: trainers over many seeds, on common random numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

import toolz

from fnloop.core.checks import boolean, integer, line
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.populations.comparable import common_metric
from fnloop.populations.comparison import Comparison
from fnloop.populations.hyperparameters import find_twins
from fnloop.populations.members import Member, Population, failure_of, run_in_step, start_fits
from fnloop.populations.memory import check_memory
from fnloop.populations.progress import show_members
from fnloop.populations.resolved import resolve_all
from fnloop.training.engine import select_engine
from fnloop.training.population import kind_of, prepare_population
from fnloop.training.trainer import Trainer, check_trainer

_seed = integer(0, 2**64)


def compare(
    trainers: Mapping[str, Trainer],
    train: Dataset,
    validation: Dataset | None = None,
    *,
    seeds: int | Iterable[int] = 16,
    epochs: int = 100,
    metric: str | None = None,
    engine: str = "numpy",
    progress: bool = True,
) -> Comparison:
    """Train each of several trainers with the same seeds, in one fold, and compare their best values.

    With the same seed, trainers of one architecture start from the same parameters and see the examples in the same order.
    So the differences between two trainers are compared seed by seed, which needs far fewer seeds than comparing means.

    The value of a run is that of its best epoch. On the data that chose the epoch it is too good: report a test set besides.

    Ctrl-C ends all runs after the same number of epochs: the result compares them as far as that, and says so.

    Args:
        trainers: The trainers, by name; their own seeds are not used.
        train: The training set.
        validation: The validation set; None for no validation metrics.
        seeds: The seeds, or their number: 16 (the default) is 0 to 15.
        epochs: The number of epochs of each run, at least 1.
        metric: Name of the metric to compare, which selects the best states. Default: None, for which it is the one that early
            stopping monitors; without early stopping, `"val_loss"`, or `"loss"` without a validation set. Trainers of
            different losses are compared by another metric, such as `"val_accuracy"`, which must be stated.
        engine: `"numpy"` or `"jax"`, as in `sweep`. Default: `"numpy"`.
        progress: Whether to show progress.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of a trainer.
        KeyboardInterrupt: If Ctrl-C is pressed before every run has finished an epoch.
        NonFiniteError: If a trainer has `non_finite="raise"`, and a loss or an update is not finite. The message has its name
            and the seed; `result` of the error is the comparison until then.
        TypeError: If an argument has the wrong type.
        ValueError: If there are no trainers, two are equal or monitor different metrics, a seed is invalid or given twice, or
            the data does not match a trainer.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.iris()
        >>> slow = fl.Trainer(model=fl.mlp([4, 8, 3]), loss="cross_entropy", scheduler=0.001)
        >>> trainers = {"slow": slow, "fast": slow.replace(scheduler=0.05)}
        >>> result = fl.compare(trainers, data.train, data.validation, seeds=4, epochs=5, progress=False)
        >>> result.ranked, result.differences["slow"].shown
        (('fast', 'slow'), True)

    See Also:
        `Comparison`, the result; `cross_validate`, `sweep`
    """
    candidates = check_candidates(trainers)
    if isinstance(seeds, Sized):
        check_memory(list(candidates.values()), len(seeds))
    numbers = _check_seeds(seeds)
    check_memory(list(candidates.values()), len(numbers))
    monitor = common_metric(candidates, validation is not None, metric)
    integer(1)("epochs", epochs)
    boolean("progress", progress)
    select_engine(engine)
    resolved = resolve_all(candidates, train, validation, monitor)
    populations = [
        _start({name: resolved[name] for name in kind}, numbers, train, validation, epochs, monitor, engine)
        for kind in toolz.groupby(lambda name: kind_of(resolved[name]), resolved).values()
    ]
    mode = next(iter(resolved.values())).mode_of(monitor)
    fits, failed = run_in_step(populations, monitor, mode, show_members(epochs) if progress else lambda states: None)
    of_trainers = {name: tuple(fits[name, seed] for seed in numbers) for name in candidates} if fits else {}
    result = Comparison(of_trainers, tuple(numbers), epochs) if fits else None
    if failed is not None:
        name, seed = failed.member
        raise failure_of(_name(name, seed), failed, result) from failed
    assert result is not None
    return result


def _start(
    trainers: Mapping[str, Trainer],
    seeds: Sequence[int],
    train: Dataset,
    validation: Dataset | None,
    epochs: int,
    monitor: str,
    engine: str,
) -> Population[tuple[str, int]]:
    """Return the fits of trainers of one kind with each seed."""
    members = {
        (name, seed): Member(trainer.replace(seed=seed), train, validation, name=_name(name, seed))
        for name, trainer in trainers.items()
        for seed in seeds
    }
    prepared = prepare_population([member.trainer for member in members.values()], train, validation, engine)
    return start_fits(members, prepared, epochs=epochs, monitor=monitor, engine=engine)


def _name(trainer: str, seed: int) -> str:
    return f"trainers[{short(trainer)}] with seed {seed}"


def check_candidates(trainers: Any) -> dict[str, Trainer]:
    """Return the trainers by name, which differ in more than their seeds.

    Args:
        trainers: The argument of `compare`.

    Raises:
        TypeError: If it does not map names to trainers.
        ValueError: If it is empty, or two trainers are equal.
    """
    if not isinstance(trainers, Mapping):
        raise TypeError(f'trainers must map names to trainers, such as {{"adam": trainer}}, got {short(trainers)}')
    if not trainers:
        raise ValueError("trainers must have at least one trainer, got none")
    named = check_names(trainers)
    if twins := find_twins({name: trainer.replace(seed=0) for name, trainer in named.items()}):
        name, twin = twins
        raise ValueError(f"trainers must differ in more than their seeds, but {short(name)} equals {short(twin)}")
    return named


def check_names(trainers: Mapping[Any, Any]) -> dict[str, Trainer]:
    """Check trainers and their names, and return them.

    Args:
        trainers: The trainers, by name.

    Raises:
        TypeError: If a name is not text, or a value is not a trainer.
        ValueError: If a name is blank, or has several lines.
    """
    for name, trainer in trainers.items():
        line("names of trainers", name)
        check_trainer(trainer, f"trainers[{short(name)}]")
    return dict(trainers)


def _check_seeds(seeds: Any) -> Sequence[int]:
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        return range(integer(1, 2**63)("seeds", seeds))
    numbers: Sequence[int] = [_seed(f"seeds[{i}]", seed) for i, seed in enumerate(seeds)]
    if not numbers:
        raise ValueError("seeds must have at least one seed, got none")
    if len(set(numbers)) < len(numbers):
        twice = next(seed for seed, count in Counter(numbers).items() if count > 1)
        raise ValueError(f"seeds must all differ, got {twice} more than once")
    return tuple(numbers)
