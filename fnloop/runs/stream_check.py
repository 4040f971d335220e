"""Check that the states of a stream are those of a trainer and data, by computing one epoch again."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.errors import RecordingWarning
from fnloop.core.fields import field_names, is_record
from fnloop.core.formatting import listed, short
from fnloop.core.warnings import warn
from fnloop.data.dataset import Dataset
from fnloop.runs.source import Source, differing_fields
from fnloop.training.adapt import adapt
from fnloop.training.loop import make_epoch
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Check = Callable[[int, Any, Any], None]  # of the position of a state, the state before it (None for the first), and the state


def make_check(source: Source) -> Check:
    """Return the check of each state of a stream which is said to have a source.

    The trainer must continue from the first state without changing it. The second state must have the bits of the epoch that
    is computed again from the first. All states must be an epoch apart. Of a custom step only the last is known, and that a
    state is not the one before it, changed in place.

    Args:
        source: The trainer, the data and the engine.
    """
    trainer, train, validation, engine = source
    if trainer is None or train is None:
        return _check_custom

    def check(position: int, previous: Any, state: Any) -> None:
        if position == 0:
            _check_first(trainer, state, train, validation is not None)
            return
        if not isinstance(state, TrainState):
            raise TypeError(f"states must be a TrainState, got {short(state)}")
        _check_apart(previous, state)
        _check_validated(previous, state, validation is not None)
        if position == 1:
            _check_bits(state, make_epoch(trainer, train, validation, engine=engine)(previous))

    return check


def _check_custom(position: int, previous: Any, state: Any) -> None:
    if position and state is previous and _is_mutable(state):
        raise TypeError(
            f"states must be new objects, got the same {type(state).__name__} twice: a step that changes a state in place "
            "loses the earlier ones"
        )
    if isinstance(state, TrainState) and isinstance(previous, TrainState):
        _check_apart(previous, state)
    if position == 0 and isinstance(state, TrainState):
        warn(
            "the stream does not know the trainer of its states, so they are recorded as those of a custom step, which only "
            "open_run(path, step=...) computes again; put fl.record directly after fl.epochs(...), or give it the trainer",
            RecordingWarning,
        )


def _is_mutable(state: Any) -> bool:
    if not is_record(state):
        return isinstance(state, dict | list) or (isinstance(state, np.ndarray) and state.flags.writeable)
    names = field_names(type(state))
    if not names:
        return False
    try:
        setattr(state, names[0], getattr(state, names[0]))
    except AttributeError:  # from attrs, if the class is frozen
        return False
    return True


def _check_first(trainer: Trainer, state: Any, train: Dataset, validated: bool) -> None:
    """Check that the trainer would continue from the first state of a stream without changing it."""
    adapted, _ = adapt(trainer, state, train, validated, "states")
    if adapted is not state:
        fields = listed(differing_fields(adapted, state))
        raise ValueError(f"states must be those of this trainer and data; the first one differs in {fields}")


def _check_apart(previous: TrainState, state: TrainState) -> None:
    """Check that a state is one epoch after the previous one, or stopped within it."""
    stopped, epochs = state.stop_reason is not None, state.epoch - previous.epoch
    if (state.progress.batches and not stopped) or not (epochs == 1 or (stopped and epochs == 0)):
        raise ValueError(
            f"states must be an epoch apart, as those of fl.epochs are, got one with {state.epoch} epochs and "
            f"{state.progress.batches} batches after one with {previous.epoch} epochs"
        )


def _check_validated(previous: TrainState, state: TrainState, validated: bool) -> None:
    has_metrics = any(name.startswith("val_") for name in state.metrics)
    if state.epoch > previous.epoch and has_metrics != validated:
        raise ValueError(
            f"validation must be that of the stream, whose states have the metrics {listed(state.metrics)}, got "
            f"{'some' if validated else 'none'}"
        )


def _check_bits(state: TrainState, computed: TrainState) -> None:
    fields = differing_fields(computed, state)
    if fields:
        raise ValueError(
            f"states must be those of this trainer, data and engine: epoch {computed.epoch}, computed again from the state "
            f"before it, differs in {listed(fields)}; give fl.record those of the stream, or put it directly after "
            "fl.epochs(...), where it needs nothing but the path"
        )
