"""Figures of runs, drawn from their recorded metrics; each function returns a figure to show or save."""

from fnloop.plots.comparison_figure import comparison
from fnloop.plots.drawing import COLOURS
from fnloop.plots.lr_range import lr_range_test
from fnloop.plots.overfitting import verdict
from fnloop.plots.run_comparison import best_performer, comparison_rows, highest
from fnloop.plots.sweep_figure import sweep
from fnloop.plots.training_curves import training

__all__ = [
    "COLOURS",
    "best_performer",
    "comparison",
    "comparison_rows",
    "highest",
    "lr_range_test",
    "sweep",
    "training",
    "verdict",
]
