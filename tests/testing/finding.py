"""Helpers for tests that give a broken part to a check."""

import pytest

from fnloop.testing import LawError


def found(check, *arguments, **options):
    """Return the error that a check raises."""
    with pytest.raises(LawError) as caught:
        check(*arguments, **{"max_examples": 40, **options})
    return caught.value


def assert_found(error, law, *parts):
    """Check that the error is of this law, and that its message has all parts."""
    assert error.law == law
    assert str(error).startswith(f"{law}: ")
    for part in parts:
        assert part in str(error)
