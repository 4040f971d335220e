"""The NumPy engine: every function runs with the computation's number of BLAS threads."""

from collections.abc import Sequence
from functools import partial

import attrs

from fnloop.core.arrays import Array
from fnloop.data.dataset import Dataset
from fnloop.engines.base import Arrays, Computation, Fold, Measure, PopulationFold, PopulationMeasure, Step
from fnloop.engines.numpy.fold import make_fold, make_step
from fnloop.engines.numpy.measure import compute_outputs, make_measure
from fnloop.engines.numpy.population import make_population_fold
from fnloop.engines.numpy.population_measure import make_population_measure
from fnloop.engines.threads import with_threads


@attrs.frozen
class NumpyEngine:
    """The engine that computes with NumPy, in place."""

    def make_fold(self, computation: Computation, data: Dataset) -> Fold:
        """Return the function that folds batches of an epoch, as in `Engine.make_fold`."""
        return partial(with_threads, computation.threads, make_fold(computation, data))

    def make_step(self, computation: Computation) -> Step:
        """Return the function that does one update, as in `Engine.make_step`."""
        return partial(with_threads, computation.threads, make_step(computation))

    def make_measure(self, computation: Computation, data: Dataset) -> Measure:
        """Return the function that measures parameters, as in `Engine.make_measure`."""
        return partial(with_threads, computation.threads, make_measure(computation, data))

    def make_population_fold(
        self, computations: Sequence[Computation], data: Dataset, rows: Sequence[Array] | None = None
    ) -> PopulationFold:
        """Return the function that folds batches for many members at once, as in `Engine.make_population_fold`."""
        return make_population_fold(computations, data, rows)

    def make_population_measure(self, computation: Computation, data: Dataset) -> PopulationMeasure:
        """Return the function that measures many members at once, as in `Engine.make_population_measure`."""
        return make_population_measure(computation, data)

    def outputs(self, computation: Computation, vector: Array, buffers: Arrays, x: Array) -> Array:
        """Return the model's outputs for each row of x."""
        return with_threads(computation.threads, compute_outputs, computation, vector, buffers, x)
