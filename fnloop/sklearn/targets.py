"""The check of the targets of a regressor."""

from fnloop.core.arrays import Array
from fnloop.core.formatting import short


def check_numbers(y: Array) -> None:
    """Check that targets are numbers.

    Args:
        y: The targets.

    Raises:
        ValueError: If they are text, dates, or anything else.
    """
    if y.dtype.kind not in "biuf":
        raise ValueError(f"y must be numbers for a regressor, got dtype {y.dtype} with {short(y.reshape(-1)[:1].tolist()[0])}")
