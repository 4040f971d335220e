"""Faults are found in the same way each time."""

import pytest
from hypothesis import settings


@pytest.fixture(autouse=True)
def _same_examples():
    kept = settings.get_current_profile_name()
    settings.load_profile("ci")
    yield
    settings.load_profile(kept)
