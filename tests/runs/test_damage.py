"""Errors from the content of a file say whether it is damaged, of another version, or holds something unknown."""

import pytest

from fnloop.core.decoding import NewerFormat, UnknownRecord
from fnloop.core.version import __version__
from fnloop.runs.damage import Damage, check_format, explain

OTHER = f"was written by fnloop '0.0.1', and this is {__version__}"


@pytest.mark.parametrize(
    ("error", "own", "other"),
    [
        (ValueError("x"), "is not a run of fnloop, or is damaged: x", f"{OTHER}, which cannot read it: x"),
        (MemoryError(), "is not a run of fnloop, or is damaged: MemoryError", f"{OTHER}, which cannot read it: MemoryError"),
        (Damage("x"), "is not a run of fnloop, or is damaged: x", "is not a run of fnloop, or is damaged: x"),
        (UnknownRecord("has a y"), "has a y", f"has a y; it {OTHER}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_is_damaged_for_certain_is_called_damaged_in_another_version(error, own, other):
    """An error without a text has its name; a record that is not known is no damage in any version."""
    assert explain(error, "run", __version__) == own
    assert explain(error, "run", "0.0.1") == other


def test_a_format_is_read_by_its_version_and_later_ones():
    """A newer one is refused."""
    check_format(1, 1)
    check_format(1, 2)
    with pytest.raises(NewerFormat, match=f"is of format 3, and fnloop {__version__} reads format 2: update fnloop"):
        check_format(3, 2)
