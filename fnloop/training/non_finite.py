"""What is not finite in a stream of states, said in warnings."""

import math
from collections.abc import Iterator

from fnloop.core.errors import NonFiniteWarning
from fnloop.core.warnings import warn
from fnloop.training.state import StopReason, TrainState


def announced(states: Iterator[TrainState]) -> Iterator[TrainState]:
    """The same stream; a warning names the step that was not finite, and each metric when it first is not."""
    known: set[str] = set()
    before = None
    for state in states:
        for name, text in _faults(before, state):
            if name not in known:
                known.add(name)
                warn(text, NonFiniteWarning)
        yield state
        before = state


def _faults(before: TrainState | None, state: TrainState) -> Iterator[tuple[str, str]]:
    """What is not finite in a state and was not so in the one before, by name."""
    if before is None:
        return
    where = f"epoch {state.epoch + bool(state.progress.batches)}, step {state.step}"
    if state.stopped is not None and state.stopped.reason == StopReason.NON_FINITE:
        yield "stopped", f"training stopped: {state.stopped}; the state is the last finite one"
    skipped = (state.step - before.step) - (state.updates - before.updates)
    if skipped:
        yield "skipped", f"{skipped} updates were skipped up to {where}: the loss, its gradient or the result was not finite"
    for name, value in state.metrics.items():
        if not math.isfinite(value):
            yield name, f"{name} is {value} in {where}, though the parameters are finite"
