"""What the options of commands share: errors that name the option, and what a shell completes."""

import os
import re
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar

from fnloop.data.tables import DATASET_NAMES

C = TypeVar("C", bound=Callable[..., None])
Complete = Callable[[str], list[str]]


def naming_options(**others: str) -> Callable[[C], C]:
    """Decorate a command: an error that begins with the name of a parameter begins with the option's instead.

    Args:
        others: options by the names that errors of the parts behind them begin with, such as `initial_lr="--lr"`.
    """

    def decorate(command: C) -> C:
        optional = [p.name for p in signature(command).parameters.values() if p.default is not Parameter.empty]
        options = {**{name: f"--{name.replace('_', '-')}" for name in optional}, **others}

        @wraps(command)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                command(*args, **kwargs)
            except (ValueError, TypeError, FileNotFoundError) as error:
                said = str(error)
                named = with_options(said, options)
                if named == said:
                    raise
                raise (FileNotFoundError if isinstance(error, OSError) else ValueError)(named) from error

        return run  # type: ignore[return-value]

    return decorate


def example(command: str) -> str:
    """The end of a command's help: an example on a line of its own, which is not wrapped."""
    return f"\b\nExample:\n  {command}"


def with_options(said: str, options: dict[str, str]) -> str:
    """A message whose first words are names of parameters, `test`, or `test and validation`, with the options for them.

    Examples:
        >>> with_options("initial_lr must be above 0, got -1", {"initial_lr": "--lr"})
        '--lr must be above 0, got -1'
    """
    begin = re.match(r"\w+(\[\d+\])?( and \w+)?(?= )", said)
    if begin is None or begin[0].split()[0].partition("[")[0] not in options:
        return said
    words = [options.get(word.partition("[")[0], word) for word in begin[0].split()]
    return " ".join(words) + said[begin.end() :]


def paths(incomplete: str) -> list[str]:
    """No completion of our own: the shell completes a path."""
    return []


def one_of(names: Iterable[str]) -> Complete:
    """The names that begin so."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def tables(incomplete: str) -> list[str]:
    """The datasets that begin so, and the tables and folders that do; where no dataset does, the shell completes a path."""
    names = [name for name in DATASET_NAMES if name.startswith(incomplete)]
    files = [entry for entry in os.scandir() if entry.name.startswith(incomplete) and not entry.name.startswith(".")]
    here = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in files]
    return names and names + sorted(name for name in here if name.endswith(("/", ".csv", ".npz")))
