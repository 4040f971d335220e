"""Warnings that point to the user's line, not to one inside the package."""

import sys
import warnings

INTERNAL_PACKAGES = {"fnloop", "toolz", "tlz"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside the package: the user's code that consumes a stream."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in INTERNAL_PACKAGES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
