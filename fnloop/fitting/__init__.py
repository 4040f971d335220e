"""`fit`: a whole run in one call, and its result."""

from fnloop.fitting.result import Fit
from fnloop.fitting.run import fit, fit_stream, result_of

__all__ = ["Fit", "fit", "fit_stream", "result_of"]
