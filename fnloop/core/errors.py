"""The package's own errors, and a warning. Each error is a `ValueError`, so one `except ValueError` covers all bad input."""


class FnloopError(ValueError):
    """Base of the errors below."""


class CheckpointError(FnloopError):
    """A file is no checkpoint, is damaged, or names a record that this version does not know."""


class NonFiniteError(FnloopError):
    """The loss, its gradient, the parameters or the optimizer's slots became NaN or infinite under `non_finite="raise"`."""


class NonFiniteWarning(RuntimeWarning):
    """Training stopped or skipped an update because something was not finite, or a metric is NaN or infinite."""


class NoBestError(FnloopError):
    """No state of the stream can be called best: each value of the metric was NaN, or there was none."""


class EngineError(FnloopError):
    """An engine or its device is not there, or cannot compute what the trainer asks for."""


class RunError(FnloopError):
    """A file is no run of fnloop, is damaged or being written by another, or a run cannot be recorded any more."""


class ReplayError(FnloopError):
    """A state that was computed again is not the one that the run went through; the message says where they differ."""


class RecordingWarning(RuntimeWarning):
    """A run is not recorded any more, as its file cannot be written; training goes on."""
