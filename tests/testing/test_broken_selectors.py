"""Broken functions of a stream: a law finds each fault, and its error has the law and the counterexample."""

import pytest

from fnloop import testing as laws
from tests.testing.finding import assert_found, found


def eager(states):
    everything = list(states)
    return iter(everything)


def reads_ahead(states):
    """Reads the whole stream before it yields the first state."""

    def chosen():
        yield from list(states)

    return chosen()


def last_of_ties(states):
    found = None
    for state in states:
        if state.metrics and (found is None or state.metrics["val_loss"] <= found.metrics["val_loss"]):
            found = state
    if found is None:
        raise ValueError("no state has metrics")
    return found


def first_of_ties(states):
    """The reference: the earliest of equal values, like Python's `min`."""
    found = None
    for state in states:
        if state.metrics and (found is None or state.metrics["val_loss"] < found.metrics["val_loss"]):
            found = state
    if found is None:
        raise ValueError("no state has metrics")
    return found


def raises_stop_iteration(states):
    return max((state.metrics["val_loss"], state.epoch) for state in list(states)[1:])[0] if list(states) else next(states)


def raises_without_a_message(states):
    raise ValueError


def accumulates():
    seen = []

    def choose(states):
        seen.extend(states)
        return len(seen)

    return choose


SELECTORS = [
    (eager, None, "lazy", ["states read at the call: 1", "expected: 0", "for history = []"]),
    (reads_ahead, None, "lazy", ["states read for the first element", "without end"]),
    (last_of_ties, first_of_ties, "selector = reference", ["at ['epoch']", "the selector: 2", "the reference: 1"]),
    (raises_stop_iteration, None, "clear errors", ["StopIteration"]),
    (raises_without_a_message, None, "clear errors", ["message: 'none'"]),
    (accumulates(), None, "purity", ["once", "again"]),
]


@pytest.mark.parametrize(
    ("selector", "reference", "law", "parts"), SELECTORS, ids=lambda value: getattr(value, "__name__", None)
)
def test_broken_selectors(selector, reference, law, parts):
    """Eager reading, the last of ties, unclear errors, memory."""
    assert_found(found(laws.check_selector, selector, reference), law, *parts)
