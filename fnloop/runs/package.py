"""The version of the package in this process, by the digest of its source: workers must have the same."""

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fnloop.core.errors import RunError
from fnloop.core.version import __version__


class Package(NamedTuple):
    """A version of the package.

    Attributes:
        version: Its version.
        digest: The digest of its source files.
    """

    version: str
    digest: str

    def __str__(self) -> str:
        return f"fnloop {self.version} ({self.digest[:12]})"


@cache
def this_package() -> Package:
    """Return the version of the package in this process."""
    root = Path(__file__).parents[1]
    hashed = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        hashed.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return Package(__version__, hashed.hexdigest())


def this_worker() -> str:
    """Return the name of this process: its host and its number."""
    return f"process {os.getpid()} on {platform.node()}"


def check_package(expected: Package) -> None:
    """Check that this process has the package of the process that sent it work.

    Args:
        expected: The other version.

    Raises:
        RunError: If it differs. The message names the worker and both versions.
    """
    here = this_package()
    if here != expected:
        raise RunError(
            f"map: {this_worker()} has {here}, but the work was sent by {expected}; install the same in all of them"
        )
