"""Warnings that name the line which a person wrote, however deep in the package they come from."""

import sys
import warnings

INNER = {"fnloop", "toolz", "tlz"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the innermost line outside the package: a stream is asked for its states by whatever consumes it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in INNER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
