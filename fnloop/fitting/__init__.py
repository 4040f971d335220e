"""`fit`: a whole run in one call, and its result."""

from fnloop.fitting.result import Fit
from fnloop.fitting.run import StreamFunction, fit, fit_stream, result_of

__all__ = ["Fit", "StreamFunction", "fit", "fit_stream", "result_of"]
