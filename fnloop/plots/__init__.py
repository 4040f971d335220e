"""Pictures of runs, drawn from what the runs recorded; each function returns a figure that its caller shows or saves."""

from fnloop.plots.comparison import best_performer, comparison, highest
from fnloop.plots.drawing import COLOURS
from fnloop.plots.lr_range_test import lr_range_test
from fnloop.plots.schedulers import schedulers
from fnloop.plots.training import training
from fnloop.plots.verdict import verdict

__all__ = ["COLOURS", "best_performer", "comparison", "highest", "lr_range_test", "schedulers", "training", "verdict"]
