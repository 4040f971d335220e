"""The meaning of an error from the content of a file: damage, or another version."""

import struct

from fnloop.core.decoding import NewerFormat, UnknownRecord
from fnloop.core.formatting import short
from fnloop.core.version import __version__

CONTENT_ERRORS = (  # that unexpected content raises when it is parsed
    struct.error,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
    ArithmeticError,
    RecursionError,
)


class Damage(ValueError):
    """An array or a text in a file is missing, or does not match its hash."""


def check_format(found: int, known: int) -> None:
    """Check that a file has a format that this version reads.

    Raises:
        NewerFormat: If it has a newer one.
    """
    if found > known:
        raise NewerFormat(f"is of format {found}, and fnloop {__version__} reads format {known}: update fnloop")


def explain(error: Exception, kind: str, version: str) -> str:
    """Return what an error from the content of a file means; the name of the file goes before it.

    Args:
        error: The error.
        kind: What the file should be.
        version: The version of the package that wrote the file; this one until that is known.

    Examples:
        >>> explain(KeyError("record.json"), "checkpoint", __version__)
        "is not a checkpoint of fnloop, or is damaged: 'record.json'"
    """
    reason = str(error) or type(error).__name__
    is_other = version != __version__
    other = f"was written by fnloop {short(version)}, and this is {__version__}"
    if isinstance(error, UnknownRecord):
        return f"{reason}; it {other}" if is_other else reason
    if is_other and not isinstance(error, Damage):
        return f"{other}, which cannot read it: {reason}"
    return f"is not a {kind} of fnloop, or is damaged: {reason}"
