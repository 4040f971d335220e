"""Broken functions of a stream: the law finds each fault, names itself, and shows the counter-example."""

import pytest

from fnloop import testing as laws
from tests.testing.finding import assert_found, found


def eager(states):
    everything = list(states)
    return iter(everything)


def reads_ahead(states):
    """Waits for its end before the first."""

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
    """What Python's own min makes of it: the reference, which leaves NaN to chance as well."""
    found = None
    for state in states:
        if state.metrics and (found is None or state.metrics["val_loss"] < found.metrics["val_loss"]):
            found = state
    if found is None:
        raise ValueError("no state has metrics")
    return found


def unclear(states):
    return max((state.metrics["val_loss"], state.epoch) for state in list(states)[1:])[0] if list(states) else next(states)


def wordless(states):
    raise ValueError


def twice():
    kept = []

    def choose(states):
        kept.extend(states)
        return len(kept)

    return choose


SELECTORS = [
    (eager, None, "lazy", ["states read at the call: 1", "expected: 0", "for history = []"]),
    (reads_ahead, None, "lazy", ["states read for the first element", "without end"]),
    (last_of_ties, first_of_ties, "selector = reading of the whole", ["at ['epoch']", "the selector: 2", "the reference: 1"]),
    (unclear, None, "clear errors", ["StopIteration"]),
    (wordless, None, "clear errors", ["message: 'none'"]),
    (twice(), None, "purity", ["once", "again"]),
]


@pytest.mark.parametrize(
    ("selector", "reference", "law", "parts"), SELECTORS, ids=lambda value: getattr(value, "__name__", None)
)
def test_broken_selectors(selector, reference, law, parts):
    """Eager ones, the last of ties, errors that say nothing, memory."""
    assert_found(found(laws.check_selector, selector, reference), law, *parts)
