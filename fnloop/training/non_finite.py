"""Values that are not finite: what the trainer's `non_finite` does about a fault, and warnings about a stream of states."""

import math
from collections.abc import Generator, Iterator

from fnloop.core.display import pluralize
from fnloop.core.errors import NonFiniteError, NonFiniteWarning
from fnloop.core.records import evolve
from fnloop.core.warnings import warn
from fnloop.engines import Fault
from fnloop.training.state import Stopped, StopReason, TrainState
from fnloop.training.trainer import Trainer


def handle_fault(trainer: Trainer, state: TrainState, fault: Fault) -> TrainState:
    """Return the state after a step that failed: stopped, or past the batch that is skipped.

    Args:
        trainer: The trainer; its `non_finite` says what to do.
        state: The state before the step.
        fault: The quantity that was not finite.

    Raises:
        NonFiniteError: If `non_finite` is `"raise"`.
    """
    progress = state.progress
    if trainer.non_finite == "skip":
        return evolve(state, step=state.step + 1, progress=evolve(progress, batches=progress.batches + 1))
    cause = f"{fault}, at learning rate {state.lr:g}"
    stopped = Stopped(reason=StopReason.NON_FINITE.value, epoch=state.epoch + 1, step=state.step + 1, cause=cause)
    if trainer.non_finite == "raise":
        raise NonFiniteError(f"training stopped: {stopped}, batch {progress.batches + 1} of the epoch")
    return evolve(state, stopped=stopped)


def warn_non_finite(states: Iterator[TrainState], name: str | None = None) -> Generator[TrainState, None, None]:
    """Yield the states unchanged, and warn of a fault, of skipped updates, and of each metric when it is first not finite.

    Args:
        states: The states.
        name: What the run is called in the messages. Default: None, for a single run.
    """
    warned: set[str] = set()
    previous = None
    for state in states:
        for subject, message in _find_faults(previous, state):
            if subject not in warned:
                warned.add(subject)
                warn(message if name is None else f"{name}: {message}", NonFiniteWarning)
        yield state
        previous = state


def _find_faults(previous: TrainState | None, state: TrainState) -> Iterator[tuple[str, str]]:
    """Yield the subject and the message of each warning about a state; the first state of a stream causes none."""
    if previous is None:
        return
    where = f"epoch {state.epoch + bool(state.progress.batches)}, step {state.step}"
    if state.stopped is not None and state.stopped.reason == StopReason.NON_FINITE:
        yield "stopped", f"training stopped: {state.stopped}; the state is the last finite one"
    skipped = (state.step - previous.step) - (state.updates - previous.updates)
    if skipped:
        yield (
            "skipped",
            f"{pluralize(skipped, 'update')} skipped up to {where}: the loss, its gradient or the result was not finite",
        )
    for name, value in state.metrics.items():
        if not math.isfinite(value):
            yield name, f"{name} is {value} in {where}, though the parameters are finite"
