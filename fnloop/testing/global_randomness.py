"""The law of global random state: pure code neither reads nor changes the global random number generators."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.digest import digest, same_bits
from fnloop.testing.law import Law
from fnloop.testing.requirements import copy_leaves, require, require_same

GLOBAL = Law("no global random state", "the global generators of NumPy and of random must be neither read nor changed")


def require_no_global_randomness(function: Callable[[], Any]) -> None:
    """Require that a call does not change a global generator, and that its result does not depend on their seeds.

    A function that raises, whose result is not data, or whose result also differs for the same seed, is left to other laws.

    Args:
        function: Takes no arguments.

    Raises:
        Violation: If the function reads or changes a global generator.
    """
    results = []
    for seed in (0, 1, 0):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = _generator_digests()
        try:
            results.append(copy_leaves(result=function()))
            digest(results[-1])
        except Exception:
            return
        for name, state in _generator_digests().items():
            require(state == before[name], f"the global generator of {name}", before=before[name], after=state)
    if same_bits(results[0], results[2]):
        require_same(results[0], results[1], ("with generators seeded 0", "with generators seeded 1"))


def _generator_digests() -> dict[str, str]:
    states = {"random": random.getstate(), "numpy.random": list(np.random.get_state(legacy=True))}  # noqa: NPY002
    return {name: digest(state)[:12] for name, state in states.items()}
