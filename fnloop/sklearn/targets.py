"""The check of the targets of a regressor."""

from fnloop.core.arrays import Array


def check_numbers(y: Array) -> None:
    """Check that targets are numbers.

    Args:
        y: The targets.

    Raises:
        ValueError: If they are text, dates, or anything else.
    """
    if y.dtype.kind not in "biuf":
        raise ValueError(f"y must be numbers for a regressor, got values of dtype {y.dtype}, such as {y.flat[0]!r}")
