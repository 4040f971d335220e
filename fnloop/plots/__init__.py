"""Figures of runs, drawn from their recorded metrics; each function returns a figure to show or save."""

from fnloop.plots.drawing import COLOURS
from fnloop.plots.lr_range import lr_range_test
from fnloop.plots.overfitting import verdict
from fnloop.plots.run_comparison import best_performer, comparison, highest
from fnloop.plots.scheduler_comparison import schedulers
from fnloop.plots.training_curves import training

__all__ = ["COLOURS", "best_performer", "comparison", "highest", "lr_range_test", "schedulers", "training", "verdict"]
