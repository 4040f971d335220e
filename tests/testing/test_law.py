"""Laws: the search for counterexamples, and the check of gradients."""

import itertools

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import fnloop as fl
from fnloop import testing as laws
from fnloop.testing.law import Law
from tests.testing.finding import found


def test_broken_gradients():
    """The error has the worst component and both values."""
    point = np.array([[1.0, -2.0], [3.0, 0.5]])
    laws.check_gradients(lambda z: (z**3).sum(), point, 3 * point**2)
    wrong = 3 * point**2 + np.array([[0, 1e-4], [0, 0.1]])
    with pytest.raises(laws.LawError, match=r"gradient = central differences: (?s:.*)at \[1, 1\]:\n    gradient: 0.85\n"):
        laws.check_gradients(lambda z: (z**3).sum(), point, wrong)
    with pytest.raises(laws.LawError, match=r"at \[0\](?s:.*)gradient: nan"):
        laws.check_gradients(lambda z: z.sum(), np.ones(1), lambda z: z * np.nan)


def test_every_subgradient_at_a_kink_passes():
    """A value between the slopes of the two sides, and none beyond."""
    for slope in (0.0, 0.3, 1.0):
        laws.check_gradients(lambda z: np.maximum(z, 0).sum(), np.zeros(3), np.full(3, slope))
    for slope in (-0.01, 1.01):
        with pytest.raises(laws.LawError):
            laws.check_gradients(lambda z: np.maximum(z, 0).sum(), np.zeros(3), np.full(3, slope))


def test_a_law_that_is_broken_only_sometimes():
    """By chance, for no particular value: the example that was seen is reported."""
    calls = itertools.count()
    error = found(laws.check_step, lambda state, batch: state + (next(calls) % 7 == 3), 0.5, [1.0])
    assert error.law in {"purity", "no global random state"}
    assert "for batches = [1.0" in str(error)


def test_examples_are_the_same_in_each_run():
    """With Hypothesis's default profile; the settings of a custom profile are used."""
    law, previous = Law("any", "nothing"), settings()

    def drawn():
        seen = []
        law.check(lambda n: seen.append(n), n=st.floats())
        return seen

    settings.load_profile("default")
    try:
        assert fl.same_bits(drawn(), drawn())
        assert len(drawn()) == 100
        settings.register_profile("few", max_examples=7)
        settings.load_profile("few")
        assert len(drawn()) == 7
    finally:
        settings.register_profile("previous", previous)
        settings.load_profile("previous")
