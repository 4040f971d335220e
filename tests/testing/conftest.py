"""Checks use the same examples in each run."""

import pytest
from hypothesis import settings


@pytest.fixture(autouse=True)
def _same_examples():
    previous = settings.get_current_profile_name()
    settings.load_profile("ci")
    yield
    settings.load_profile(previous)
