"""A state as text: every field, and the shape, norm and range of every array."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fnloop.cli.format_values import format_metrics
from fnloop.core.digest import digest
from fnloop.runs.diff import fields
from fnloop.runs.rows import Row
from fnloop.training.state import StopReason, TrainState

_BEST_VECTOR = "early_stopping.best_vector"


def format_state(state: Any) -> str:
    """Return all fields of a state, a line each, with a blank line between the parts of the state.

    Args:
        state: The state.
    """
    lines, previous = [f"digest {digest(state)}"], ""
    if isinstance(state, TrainState):
        lines += [f"learning rate of the next step: {state.lr:.4g}"]
        lines += [format_metrics(state.metrics)] if state.metrics else []
    rows = [(path, _format_leaf(value)) for path, value in _shown_fields(state)]
    width = max((len(path) for path, _ in rows), default=0)
    for path, text in rows:
        part = path.replace("[", ".").partition(".")[0]
        lines += ([""] if part != previous else []) + [f"{path:{width}}  {text}"]
        previous = part
    return "\n".join(lines)


def _shown_fields(state: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a state; of a training state without epoch, step and metrics, which are printed above them."""
    found = list(fields(state))
    for (path, value), (following, _) in zip(found, [*found[1:], ("", None)], strict=True):
        is_container = following.startswith((f"{path}.", f"{path}["))
        if not path or is_container:
            continue
        if not isinstance(state, TrainState):
            yield path, value
        elif path.startswith(f"{_BEST_VECTOR}["):  # the arrays of the best epoch as one vector, not layer by layer
            if not following.startswith(f"{_BEST_VECTOR}["):
                yield _BEST_VECTOR, state.early_stopping.best_vector
        elif path not in ("epoch", "step") and not path.startswith("metrics"):
            yield path, value


def _format_leaf(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return "none" if value in ("sequence of 0", "mapping") or value is None else str(value)
    if value.ndim == 0 or value.dtype.kind not in "iuf" or not value.size:
        return f"{value.dtype} {value.shape}" if value.ndim else str(value)
    numbers = value.astype(np.float64)
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(numbers))
    kind = f"{value.dtype} {'x'.join(map(str, value.shape))}"
    return f"{kind:16}  norm {norm:<9.4g}  from {numbers.min():.3g} to {numbers.max():.3g}"


def format_position(rows: Sequence[Row], state: Any) -> str:
    """Return the epoch and step of a state, for a state within an epoch also its step in that epoch; "" if it has none.

    Args:
        rows: The rows of the run.
        state: A state of the run.
    """
    if not isinstance(state, TrainState):
        return ""
    if not state.progress.batches:
        return f"epoch {state.epoch}, step {state.step}"
    starts = [row.step for row in rows if row.epoch == state.epoch]
    step_in_epoch = state.step - starts[0] if starts else state.progress.batches
    return f"epoch {state.epoch}, step {state.step}: step {step_in_epoch} of epoch {state.epoch + 1}"


def format_place(rows: Sequence[Row], state: Any) -> str:
    """Return the position of a state, and of a stopped one why it is the last; "" if it has none.

    Args:
        rows: The rows of the run.
        state: A state of the run.
    """
    return f"{format_position(rows, state)}{_format_stop(state)}"


def _format_stop(state: Any) -> str:
    stopped = state.stopped if isinstance(state, TrainState) else None
    if stopped is None:
        return ""
    if stopped.reason != StopReason.NON_FINITE:
        return f"; stopped: {stopped.reason} ({stopped.cause})"
    failed = f"step {stopped.step}, in epoch {stopped.epoch}, was {stopped.reason} ({stopped.cause})"
    return f"; the last finite state, because {failed}"


def format_kept(state: Any) -> str:
    """Return a sentence on the parameters of an earlier epoch that early stopping keeps in a state; "" if it keeps none.

    Args:
        state: A state.
    """
    best = state.early_stopping if isinstance(state, TrainState) else None
    if best is None or best.best_vector is None or best.best_epoch == state.epoch:
        return ""
    return (
        f"Its parameters are those of epoch {state.epoch}; it also keeps those of epoch {best.best_epoch}, the best by "
        f"{best.metric} for early stopping, which fl.restored(state) applies."
    )
