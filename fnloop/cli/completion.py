"""Completion in the shell: choices and names of datasets here, paths by the shell itself."""

import os
from collections.abc import Callable, Iterable

from fnloop.data.builtin_tables import DATASET_NAMES

Complete = Callable[[str], list[str]]


def complete_path(incomplete: str) -> list[str]:
    """Return nothing, so that the shell completes a path.

    Args:
        incomplete: The text typed so far.
    """
    return []


def complete_choice(choices: Iterable[str]) -> Complete:
    """Return the completion of an option that takes one of some names.

    Args:
        choices: The names.
    """
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Return the names of datasets that match, and the tables and folders; nothing if no dataset matches.

    A list without a dataset is left to the shell, which completes paths in any folder.

    Args:
        incomplete: The text typed so far.
    """
    datasets = [name for name in DATASET_NAMES if name.startswith(incomplete)]
    entries = [entry for entry in os.scandir() if entry.name.startswith(incomplete) and not entry.name.startswith(".")]
    names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
    return datasets and datasets + sorted(name for name in names if name.endswith(("/", ".csv", ".npz")))
