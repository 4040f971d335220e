"""The catalog and strategies of `fnloop.testing`, by the names that the tests use."""

from fnloop.nn import ACTIVATIONS
from fnloop.optimizers import SGD, Adam, Lion, add_decayed_weights, chain, freeze, masked
from fnloop.testing import metric_histories, problems
from fnloop.testing.catalog import AVERAGING, LOSSES, PLATEAU, SCHEDULERS, dataset, metrics_of
from fnloop.testing.catalog import OPTIMIZERS as _OPTIMIZERS

OPTIMIZERS = _OPTIMIZERS + AVERAGING
LAYERED = (
    chain(freeze(1), Adam()),
    chain(masked(Lion(), [1]), Adam()),
    masked(Adam(), [1]),
    chain(Adam(), masked(add_decayed_weights(0.1), kinds=["weights"])),
    chain(masked(SGD(momentum=0.5), [0, 1], kinds=["biases"]), Adam()),
)
BASIC = ("binary", "softmax", "mse")
histories = metric_histories()

__all__ = [
    "ACTIVATIONS",
    "BASIC",
    "LAYERED",
    "LOSSES",
    "OPTIMIZERS",
    "PLATEAU",
    "SCHEDULERS",
    "dataset",
    "histories",
    "metrics_of",
    "problems",
]
