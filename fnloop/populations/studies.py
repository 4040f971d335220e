"""Optuna's side of a search: the study, its storage, its pruner, and the distributions of its space."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fnloop.core.digest import digest
from fnloop.core.display import pluralize
from fnloop.core.errors import FnloopError
from fnloop.core.formatting import short
from fnloop.core.random import Stream, words
from fnloop.populations.spaces import Distribution, integers, log_uniform, one_of, uniform

if TYPE_CHECKING:
    from optuna import Study

SIMPLE = (type(None), bool, int, float, str)  # the values that a storage keeps as they are
ADDRESS = re.compile(" at 0x[0-9a-f]+")
PRUNERS = "halving", "hyperband", "median"
ENUMERATING = "GridSampler", "BruteForceSampler"  # they end `study.optimize`, which a search does not call


def import_optuna() -> Any:
    """Return the package `optuna`.

    Raises:
        FnloopError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise FnloopError(f"a search needs Optuna: pip install 'fnloop[optuna]' ({error})") from None
    return optuna


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Let Optuna log warnings and errors only."""
    logging = import_optuna().logging
    before = logging.get_verbosity()
    logging.set_verbosity(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(before)


def make_study(
    study: "str | Study", storage: Any, pruner: Any, direction: str, epochs: int, setting: Mapping[str, Any]
) -> "Study":
    """Return the study of a search: a new one, that of the storage, or the one that is given.

    Args:
        study: The name of the study, or a study of Optuna.
        storage: As in `search`.
        pruner: As in `search`.
        direction: `"minimize"` or `"maximize"`.
        epochs: The number of epochs of a trial.
        setting: What must be the same when a study is resumed.

    Raises:
        TypeError: If an argument is not of its type.
        ValueError: If a name is unknown, the study is one of another search, or its database cannot be opened.
    """
    optuna = import_optuna()
    if isinstance(study, optuna.Study):
        for name, value in {"storage": storage, "pruner": pruner}.items():
            if value is not None:
                raise ValueError(f"{name} must be None for a study of Optuna, which has its own, got {short(value)}")
        made = study
    elif isinstance(study, str) and study:
        chosen, kept = make_pruner(pruner, epochs), make_storage(storage)
        with quiet_optuna():
            kept = _open_database(kept) if isinstance(kept, str) else kept
            made = optuna.create_study(study_name=study, storage=kept, direction=direction, pruner=chosen, load_if_exists=True)
    else:
        raise TypeError(f"study must be the name of a study, or a study of Optuna, got {short(study)}")
    if len(made.directions) > 1:
        raise ValueError(f"study must have one direction, since a search improves one metric, got {len(made.directions)}")
    if type(made.sampler).__name__ in ENUMERATING:
        raise ValueError(f"study must have a sampler without an end, got a {type(made.sampler).__name__}; use sweep and grid")
    if made.direction.name.lower() != direction:
        raise ValueError(f"study {short(made.study_name)} must {direction} the metric, but it does the opposite")
    _check_setting(made, setting)
    return made


def _check_setting(study: "Study", setting: Mapping[str, Any]) -> None:
    before = study.user_attrs.get("fnloop")
    if before is None:
        states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
        if others := len(states) - states.count("WAITING"):
            raise ValueError(
                f"study {short(study.study_name)} has {pluralize(others, 'trial')} that no search trained; give a new one, "
                "whose method enqueue_trial takes what to try first"
            )
        study.set_user_attr("fnloop", dict(setting))
        return
    different = [name for name, value in setting.items() if before.get(name) != value]
    if different:
        raise ValueError(
            f"study {short(study.study_name)} has trials of another search: {', '.join(different)} differ; "
            "its values cannot be compared with new ones; give the new one another storage"
        )


def make_storage(storage: Any) -> Any:
    """Return a storage of Optuna: a URL of a database, the file of a journal, or None.

    Args:
        storage: A URL such as `"sqlite:///trials.db"`, a path, or a storage of Optuna.

    Raises:
        TypeError: If it is none of them.
        ValueError: If the folder of the file does not exist, or the file is no journal.
    """
    optuna = import_optuna()
    if storage is None or isinstance(storage, optuna.storages.BaseStorage) or "://" in str(storage):
        return storage
    if not isinstance(storage, (str, os.PathLike)):
        raise TypeError(f"storage must be a URL, the path of a journal, or a storage of Optuna, got {short(storage)}")
    path = Path(storage)
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(f"storage must be a URL, or a file in a folder that exists, got {short(str(storage))}")
    if path.exists() and not _is_journal(path):
        raise ValueError(f"storage must be a new file, or the journal of a search, which {short(str(path))} is not")
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))


def _open_database(url: str) -> Any:
    try:
        return import_optuna().storages.get_storage(url)
    except Exception as error:  # of SQLAlchemy, of the driver, or of the import of either; the URL may have a password
        kind, reason = url.partition("://")[0], str(error).partition("\n")[0].partition(" (Background")[0]
        raise ValueError(f"storage must be a database that can be opened, got {kind}://...: {reason}") from None


def _is_journal(path: Path) -> bool:
    """Return whether a file is empty or begins with an operation of Optuna, which would append to any other file too."""
    with path.open("rb") as file:
        line = file.readline(1_000_000)
    try:
        return not line or "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False


def make_pruner(pruner: Any, epochs: int) -> Any:
    """Return a pruner of Optuna.

    Args:
        pruner: `"halving"`, `"hyperband"`, `"median"`, a pruner, or None for one that prunes nothing.
        epochs: The number of epochs of a trial.

    Raises:
        ValueError: If it is none of them.
    """
    pruners = import_optuna().pruners
    if isinstance(pruner, pruners.BasePruner):
        return pruner
    made = {
        None: pruners.NopPruner,
        "halving": lambda: pruners.SuccessiveHalvingPruner(min_resource=1),
        "hyperband": lambda: pruners.HyperbandPruner(1, epochs),
        "median": pruners.MedianPruner,
    }
    if not (pruner is None or isinstance(pruner, str)) or pruner not in made:
        raise ValueError(f"pruner must be one of {', '.join(PRUNERS)}, a pruner of Optuna, or None, got {short(pruner)}")
    return made[pruner]()


def prunes(study: "Study") -> bool:
    """Return whether trials of a study may be pruned.

    Args:
        study: The study.
    """
    return not isinstance(study.pruner, import_optuna().pruners.NopPruner)


def make_sampler(seed: int, first: int, *, conditional: bool) -> Any:
    """Return Optuna's sampler for the trials that are asked for together: TPE, which takes running trials into account.

    The draws depend on the seed, the number of trials before them, and the results so far. So a study that is resumed does
    not repeat its first draws.

    Args:
        seed: The seed of the search.
        first: The number of trials before them.
        conditional: Whether hyperparameters may depend on others, and so are drawn one by one and not together.
    """
    options = {"multivariate": False} if conditional else {}
    address = int(words(1, seed, Stream.SEARCH, first)[0]) % 2**32
    return import_optuna().samplers.TPESampler(seed=address, constant_liar=True, **options)


def of_optuna(distribution: Distribution) -> Any:
    """Return Optuna's form of a distribution; for a custom one, that of the share that it maps to a value.

    Args:
        distribution: A distribution of `fl.spaces`.
    """
    made = import_optuna().distributions
    match distribution:
        case uniform(low, high):
            return made.FloatDistribution(low, high)
        case log_uniform(low, high):
            return made.FloatDistribution(low, high, log=True)
        case integers(low, high):
            return made.IntDistribution(low, high)
        case one_of(values):
            return made.CategoricalDistribution(tuple(labels(values)))
        case _:
            return made.FloatDistribution(0.0, 1.0)


def value_of(distribution: Distribution, drawn: Any) -> Any:
    """Return the value of a hyperparameter for what Optuna drew.

    Args:
        distribution: The distribution.
        drawn: A value of `of_optuna(distribution)`.
    """
    if isinstance(distribution, one_of):
        return distribution.values[labels(distribution.values).index(drawn)]
    if isinstance(distribution, (uniform, log_uniform, integers)):
        return drawn
    return distribution.quantile(min(drawn, math.nextafter(1.0, 0.0)))


def labels(values: tuple[Any, ...]) -> list[Any]:
    """Return what a study stores for each of several values: the value if it is simple, else its text.

    A text without the addresses of functions is the same in every process; their digest is in their place.

    Args:
        values: The values.

    Raises:
        ValueError: If two values have the same text.
    """
    texts = [value if type(value) in SIMPLE else stable_repr(value) for value in values]
    if len(set(texts)) < len(texts):
        raise ValueError(f"one_of must have values with different texts in a search, got {short(values)}")
    return texts


def stable_repr(value: Any) -> str:
    """Return the repr of a value with the digest of each function in the place of its address.

    Args:
        value: The value.
    """
    text = repr(value)
    return ADDRESS.sub(f" {digest(value)[:12]}", text) if ADDRESS.search(text) else text
