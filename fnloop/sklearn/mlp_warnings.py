"""Warnings that filters see as those of scikit-learn's multilayer perceptrons."""

import sys
import warnings

MODULE = "sklearn.neural_network._multilayer_perceptron"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, at the line outside this package that called it, in the name of scikit-learn's module.

    Filters such as `warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")` thus keep their effect.

    Args:
        message: The text.
        category: The class of the warning.
    """
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("fnloop.sklearn."):
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, MODULE, registry)
