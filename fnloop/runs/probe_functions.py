"""Functions for `run.probe` that can be pickled: norms of parameters, gradients and updates, and metrics on other data."""

from typing import Any

import numpy as np
from toolz import groupby

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.engines.base import ROWS, apply_weights
from fnloop.nn import Context, Model
from fnloop.training.encoding import encode
from fnloop.training.evaluation import evaluate
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Values = dict[str, float]


def weight_norm(state: TrainState) -> Values:
    """Return the Euclidean norm of the parameters, in total and for each layer that has parameters.

    Args:
        state: The state.

    Examples:
        >>> from fnloop import Trainer, init_state, mlp
        >>> list(weight_norm(init_state(Trainer(model=mlp([2, 3, 1]), loss="mse"))))
        ['weight_norm', 'layer_0', 'layer_1']

    See Also:
        GradientNorm, UpdateNorm, Evaluation
    """
    return _norms("weight_norm", state.params.vector, state.params.model)


@frozen
class GradientNorm:
    """The Euclidean norm of the gradient of the mean loss over a dataset, in total and for each layer.

    The gradient is computed in evaluation mode: dropout is off, and batch norm uses its running statistics.

    Args:
        trainer: The trainer of the run.
        data: The dataset.
    """

    trainer: Trainer
    data: Dataset

    def __call__(self, state: TrainState) -> Values:
        """Return the norms for a state."""
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
    """The norm of the change of the parameters in an epoch, relative to their norm before it, in total and for each layer.

    For a state within an epoch it is the change since the start of that epoch. It is NaN for the first state of the run.

    Args:
        run: The `fl.Run` whose states are probed.
    """

    run: Any

    def __call__(self, state: TrainState) -> Values:
        """Return the norms for a state."""
        after, model = state.params.vector.astype(np.float64), state.params.model
        if state.step == self.run.rows[0].step:
            before = np.full_like(after, np.nan)
        else:
            is_within = state.progress.batches or (state.stopped is not None and state.stopped.epoch > state.epoch)
            start = state.epoch if is_within else state.epoch - 1
            before = self.run.state(start).params.vector.astype(np.float64)
        changes, norms = _norms("update_norm", after - before, model), _norms("update_norm", before, model)
        with np.errstate(all="ignore"):
            return {name: float(np.float64(change) / norms[name]) for name, change in changes.items()}


@frozen
class Evaluation:
    """The loss and the metrics on a dataset, as `fl.evaluate` returns them.

    Args:
        trainer: The trainer of the run.
        data: The dataset.
        engine: The engine. Default: `"numpy"`.
    """

    trainer: Trainer
    data: Dataset
    engine: str = "numpy"

    def __call__(self, state: TrainState) -> Values:
        """Return the metrics for a state."""
        return evaluate(self.trainer, state, self.data, engine=self.engine)


def _norms(name: str, vector: Array, model: Model) -> Values:
    """Return the norm of a vector with the layout of the parameters, and of the part of each layer, in float64."""
    values = vector.astype(np.float64)
    slots_of_layers = groupby(lambda slot: slot.layer, model.layout)
    layers = {layer: values[slots[0].start : slots[-1].stop] for layer, slots in slots_of_layers.items()}
    return {name: _norm(values), **{f"layer_{layer}": _norm(part) for layer, part in layers.items()}}


def _norm(values: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(values))
