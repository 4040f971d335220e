"""What can be asked of each state in hindsight: functions of a state for `run.probe`, which can be sent to other processes."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.engines.base import ROWS, apply_weights
from fnloop.nn import Context
from fnloop.training.encoding import encode
from fnloop.training.evaluation import evaluate
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Values = dict[str, float]


def weight_norm(state: TrainState) -> Values:
    """The Euclidean norm of the parameters, in all and of each layer that has some.

    See Also: GradientNorm, UpdateNorm, Evaluation
    """
    return _norms("weight_norm", state.params.vector, state.params.model)


@frozen
class GradientNorm:
    """The Euclidean norm of the gradient of the mean loss over a dataset, in all and by layer; dropout and the like are off.

    Examples:
        run.probe(GradientNorm(run.trainer, run.train))
    """

    trainer: Trainer
    data: Dataset

    def __call__(self, state: TrainState) -> Values:
        return _norms("gradient_norm", self._gradient(state), state.params.model)

    def _gradient(self, state: TrainState) -> Array:
        model, loss, dtype = self.trainer.model, self.trainer.loss, self.trainer.dtype
        total, part = np.zeros(model.size), np.zeros(model.size, dtype)
        params, grads = model.views(state.params.vector), model.views(part)
        data = encode(self.data, state.names, "data")
        for start in range(0, len(data), ROWS):
            rows = slice(start, start + ROWS)
            x, y = (np.asarray(array[rows]).astype(dtype, copy=False) for array in (data.x, data.y))
            weights = None if data.weights is None else data.weights[rows].astype(dtype, copy=False)
            with np.errstate(all="ignore"):
                outputs, backward, _ = model.forward(params, x, Context(state.buffers))
                backward(apply_weights(loss.forward(outputs, y), weights)[1](), grads, False)
                total += part.astype(np.float64) * (len(x) / len(data))
        return total


@frozen
class UpdateNorm:
    """How far the parameters moved since the epoch before, relative to the norm that they had, in all and by layer.

    NaN for the run's first state, which has none before it.

    Args:
        run: the `fl.Run` whose states are asked.
    Examples:
        run.probe(UpdateNorm(run))
    """

    run: Any

    def __call__(self, state: TrainState) -> Values:
        now, model = state.params.vector.astype(np.float64), state.params.model
        first = state.epoch == self.run.rows[0].epoch
        before = np.full_like(now, np.nan) if first else self.run.state(state.epoch - 1).params.vector.astype(np.float64)
        moved, had = _norms("update_norm", now - before, model), _norms("update_norm", before, model)
        with np.errstate(all="ignore"):
            return {name: float(np.float64(norm) / had[name]) for name, norm in moved.items()}


@frozen
class Evaluation:
    """The loss and the metrics on a dataset, as `fl.evaluate` has them.

    Examples:
        run.probe(Evaluation(run.trainer, test))
    """

    trainer: Trainer
    data: Dataset
    engine: str = "numpy"

    def __call__(self, state: TrainState) -> Values:
        return evaluate(self.trainer, state, self.data, engine=self.engine)


def _norms(name: str, vector: Array, model: Any) -> Values:
    """The norm of a vector of the parameters' shape, and of the part of each layer with parameters, float64."""
    places: dict[int, list[Any]] = {}
    for place in model.layout:
        places.setdefault(place.layer, []).append(place)
    values = vector.astype(np.float64)
    layers = {layer: values[parts[0].start : parts[-1].stop] for layer, parts in places.items()}
    return {name: _norm(values), **{f"layer_{layer}": _norm(part) for layer, part in layers.items()}}


def _norm(values: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(values))
