"""The global generators of random numbers, which pure code neither moves nor reads."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.digest import digest, same_bits
from fnloop.testing.law import Law, copy_leaves, require, require_same

GLOBAL = Law("no global random state", "the global generators of NumPy and of random must be neither moved nor read")


def require_no_global_randomness(function: Callable[[], Any]) -> None:
    """Break the law if a call moves a global generator, or gives another result where they stand elsewhere.

    What raises, is no data, or differs without that, is no matter of generators: it is left to the other laws.
    """
    results = []
    for seed in (0, 1, 0):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = _generators()
        try:
            results.append(copy_leaves(result=function()))
            digest(results[-1])
        except Exception:
            return
        for name, state in _generators().items():
            require(state == before[name], f"{name}'s global generator", before_the_call=before[name], after_it=state)
    if same_bits(results[0], results[2]):
        require_same(results[0], results[1], ("with generators seeded 0", "with generators seeded 1"))


def _generators() -> dict[str, str]:
    own, numpys = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    return {"random": digest(own)[:12], "numpy.random": digest(list(numpys))[:12]}
