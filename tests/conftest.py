"""Hypothesis profiles: `dev` looks around, `ci` draws the same examples each time."""

import os

from hypothesis import settings

settings.register_profile("dev", deadline=None, max_examples=30)
settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
