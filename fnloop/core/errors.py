"""Errors and warnings of the package. Each error is a `ValueError`."""

from typing import Any


class FnloopError(ValueError):
    """The base class of the package's errors."""


class CheckpointError(FnloopError):
    """A file is not a checkpoint, is damaged, or names a record that this version does not know."""


class NonFiniteError(FnloopError):
    """The loss, its gradient, the parameters or the optimizer's slots became NaN or infinite under `non_finite="raise"`.

    Attributes:
        member: Of a population, which member it was; else None.
        result: Of `sweep`, `compare` and `cross_validate`, the result with what was trained until then, as after Ctrl-C; None
            if no epoch was finished.
    """

    member: Any = None
    result: Any = None


class NonFiniteWarning(RuntimeWarning):
    """Training stopped or skipped an update because a value was not finite, or a metric is NaN or infinite."""


class NoBestError(FnloopError):
    """A stream has no best state: it is empty, or every value of the metric is NaN."""


class EngineError(FnloopError):
    """An engine or its device is not available, or cannot run the computation."""


class RunError(FnloopError):
    """A file is not a run, is damaged, or is being written by another process; or a run can no longer be recorded."""


class ReplayError(FnloopError):
    """A replayed state differs from the recorded one; the message says where."""


class RecordingWarning(RuntimeWarning):
    """A run is no longer recorded because its file cannot be written, while training continues; or it is in two files."""
