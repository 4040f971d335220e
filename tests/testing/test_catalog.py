"""Every part in the catalog, and every function of a stream, keeps its laws."""

from itertools import takewhile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from toolz import curry

import fnloop as fl
from fnloop import testing as laws
from fnloop.testing.catalog import INPUTS, LAYERS, LOSSES, OPTIMIZERS, PLATEAU, SCHEDULERS, dataset

EXAMPLES = {"max_examples": 10}
nested = settings(max_examples=25, suppress_health_check=[HealthCheck.nested_given], deadline=None)


@pytest.mark.parametrize("scheduler", [*SCHEDULERS, PLATEAU, fl.schedulers.times(PLATEAU, SCHEDULERS[-1])], ids=repr)
def test_schedulers(scheduler):
    """The catalog, a plateau, and a product with a plateau."""
    laws.check_scheduler(scheduler, **EXAMPLES)


@nested
@given(laws.schedulers(metric="loss"))
def test_all_schedulers(scheduler):
    """Schedules of any kind with any parameters, and compositions of them."""
    laws.check_scheduler(scheduler, max_examples=3)


MORE = [pytest.param(optimizer, marks=pytest.mark.thorough) for optimizer in OPTIMIZERS[6:]]


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS[:6], *MORE], ids=repr)
def test_optimizers(optimizer):
    """On both engines."""
    laws.check_optimizer(optimizer, engine="jax", **EXAMPLES)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "embedding"])
def test_layers(name):
    """All but the embedding, which takes indices, not real values."""
    laws.check_layer(*LAYERS[name], **EXAMPLES)


@pytest.mark.parametrize("name", ["dense", "conv2d", "batch norm", "dropout", "residual of a chain"])
def test_layers_on_both_engines(name):
    """Including layers with buffers and with random numbers."""
    laws.check_layer(*LAYERS[name], engine="jax", max_examples=1)


SAMPLES = [(kind, np.asarray(dataset(kind, 9).y, np.float64)) for kind in LOSSES]


@pytest.mark.parametrize(("kind", "sample"), [*SAMPLES, ("binary", np.array([0.25, 1.0])), ("softmax", np.eye(3))])
def test_losses(kind, sample):
    """With labels, probabilities, rows and values as targets."""
    laws.check_loss(*LOSSES[kind], sample, **EXAMPLES)


@nested
@given(laws.problems())
def test_trainers(problem):
    """Steps and epochs, of all parts together."""
    laws.check_trainer(*problem, max_examples=2)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", LOSSES)
def test_trainers_on_both_engines(kind):
    """Every loss, with its default metrics."""
    loss, outputs = LOSSES[kind]
    model = fl.mlp([INPUTS, 4, outputs], "tanh")
    laws.check_trainer(fl.Trainer(model=model, loss=loss, batch_size=4), dataset(kind, 9), engine="jax", max_examples=3)


@pytest.mark.parametrize("restore", [True, False])
def test_trainers_that_stop(restore):
    """With early stopping, with and without restoring the best parameters."""
    stopping = fl.EarlyStopping("loss", patience=1, min_delta=1.0, restore_best=restore)
    laws.check_trainer(fl.Trainer(model=fl.mlp([3, 2]), loss=LOSSES["mse"][0], early_stopping=stopping), dataset("mse", 5))


def values_of(states):
    return [state.metrics["val_loss"] for state in states if state.metrics]


def arg_best(states):
    """The earliest state with the smallest value."""
    valid = [state for state in states if state.metrics and not np.isnan(state.metrics["val_loss"])]
    return min(valid, key=lambda state: state.metrics["val_loss"])


def is_reached(state):
    return bool(state.metrics) and state.metrics["val_loss"] <= 0.5


def up_to_reached(states):
    """The states up to and including the first with a value of at most 0.5."""
    before = list(takewhile(lambda state: not is_reached(state), states))
    return states[: len(before) + 1]


SELECTORS = {
    "best": (fl.best("val_loss"), arg_best),
    "last": (fl.last, lambda states: states[-1]),
    "every": (fl.every(3), lambda states: states[::3]),
    "history": (fl.history, lambda states: {"val_loss": values_of(states)} if values_of(states) else {}),
    "moving average": (fl.moving_average(1, "val_loss"), lambda states: [value / 1 for value in values_of(states)]),
    "until": (fl.until(fl.reaches("val_loss", 0.5)), up_to_reached),
    "tap": (fl.tap(lambda state: None), lambda states: states),
    "top": (
        fl.top(2, "val_loss"),
        lambda states: sorted(
            (s for s in states if s.metrics and s.metrics["val_loss"] == s.metrics["val_loss"]),
            key=lambda s: s.metrics["val_loss"],
        )[:2],
    ),
}


@pytest.mark.parametrize("name", SELECTORS)
def test_selectors(name):
    """Each agrees with a reference over the whole list."""
    selector, reference = SELECTORS[name]
    laws.check_selector(selector, reference, max_examples=30)


def test_a_custom_step_over_plain_values():
    """The state is a mapping of numbers, not a record."""
    laws.check_step(lambda state, batch: {"sum": state["sum"] + batch}, {"sum": 0.5}, [1.0, 2.0, -0.1])


@curry
def skip(n, states):
    """A lazy custom selector."""
    return (state for i, state in enumerate(states) if i >= n)


def test_a_custom_selector():
    """It returns a generator expression."""
    laws.check_selector(skip(2), lambda states: states[2:])
