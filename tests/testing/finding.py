"""How the tests ask a check for a fault that was put in."""

import pytest

from fnloop.testing import LawError


def found(check, *arguments, **options):
    """The error that a check raises."""
    with pytest.raises(LawError) as caught:
        check(*arguments, **{"max_examples": 40, **options})
    return caught.value


def assert_found(error, law, *parts):
    """The message begins with the law, and has the parts."""
    assert error.law == law
    assert str(error).startswith(f"{law}: ")
    for part in parts:
        assert part in str(error)
