"""The laws of training code, for your own parts: checks that search for a counterexample, and Hypothesis strategies.

A check raises a `LawError` with the law, its statement, and the smallest counterexample that was found.
"""

from importlib.util import find_spec

if find_spec("hypothesis") is None:
    raise ImportError("fnloop.testing needs Hypothesis: python -m pip install 'fnloop[testing]'")

from fnloop.testing.gradients import check_gradients
from fnloop.testing.law import LawError
from fnloop.testing.layer_laws import check_layer
from fnloop.testing.loss_laws import check_loss
from fnloop.testing.optimizer_laws import check_optimizer
from fnloop.testing.scheduler_laws import check_scheduler
from fnloop.testing.scheduler_strategies import schedulers
from fnloop.testing.selector_laws import check_selector
from fnloop.testing.step_laws import check_step, check_trainer
from fnloop.testing.strategies import (
    datasets,
    layers,
    losses,
    metric_histories,
    optimizers,
    problems,
    runs,
    states,
    trainers,
)

__all__ = [
    "LawError",
    "check_gradients",
    "check_layer",
    "check_loss",
    "check_optimizer",
    "check_scheduler",
    "check_selector",
    "check_step",
    "check_trainer",
    "datasets",
    "layers",
    "losses",
    "metric_histories",
    "optimizers",
    "problems",
    "runs",
    "schedulers",
    "states",
    "trainers",
]
