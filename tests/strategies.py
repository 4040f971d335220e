"""What the laws are tried on: the tables and strategies of `fnloop.testing`, by the names that the tests use."""

from fnloop.testing import metric_histories, problems
from fnloop.testing.tables import ACTIVATIONS, LOSSES, OPTIMIZERS, PLATEAU, SCHEDULERS, dataset

histories = metric_histories()

__all__ = ["ACTIVATIONS", "LOSSES", "OPTIMIZERS", "PLATEAU", "SCHEDULERS", "dataset", "histories", "problems"]
