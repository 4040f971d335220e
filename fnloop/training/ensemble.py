"""An ensemble: several trained models that predict by their mean."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import sequence_of
from fnloop.core.digest import same_bits
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.metrics.log_loss import log_softmax
from fnloop.nn.activations import logistic, softmax
from fnloop.training.evaluation import evaluate, evaluate_outputs, outputs, read_examples
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Logs = Callable[[Array], tuple[Array, ...]]


def _trainer(name: str, value: Any) -> Trainer:
    if not isinstance(value, Trainer):
        raise TypeError(f"{name} must be a fl.Trainer, got {short(value)}")
    return value


def _state(name: str, value: Any) -> TrainState:
    if not isinstance(value, TrainState):
        raise TypeError(f"{name} must be a TrainState, got {short(value)}")
    return value


@frozen
class Ensemble:
    """Several trained models that predict by their mean; `fl.ensemble` makes one.

    The mean of classes and labels is that of the members' probabilities, the mean of quantities that of their values. Of a
    loss without probabilities, such as `Hinge`, it is that of the scores. An ensemble of one member equals the member to the
    bit; the order of members changes nothing but the rounding.

    Args:
        trainers: The trainer of each member. They may differ in all but the shape of an example, the number of outputs and the
            class of the loss.
        states: The state of each member, all of training data with the same names of columns and classes.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there are no members, or they do not predict the same.

    See Also:
        `fl.ensemble`, `fl.save`
    """

    trainers: Annotated[tuple[Trainer, ...], sequence_of(_trainer)]
    states: Annotated[tuple[TrainState, ...], sequence_of(_state)]

    def __attrs_post_init__(self) -> None:
        if not self.trainers or len(self.trainers) != len(self.states):
            counts = f"{pluralize(len(self.trainers), 'trainer')} and {pluralize(len(self.states), 'state')}"
            raise ValueError(f"trainers and states must be as many, at least one, got {counts}")
        for i, (trainer, state) in enumerate(self):
            trainer.check_state(state, f"states[{i}]")
            trainer.check_resolved()
            for what, first, other in zip(_SHARED, _shared(*next(iter(self))), _shared(trainer, state), strict=True):
                if not same_bits(first, other):
                    raise ValueError(
                        f"members of an ensemble must have the same {what}: {short(other)} of member {i} is not {short(first)}"
                    )

    def __len__(self) -> int:
        return len(self.trainers)

    def __iter__(self) -> Any:
        return zip(self.trainers, self.states, strict=True)

    @property
    def members(self) -> "tuple[Ensemble, ...]":
        """Each member as an ensemble of one."""
        return tuple(Ensemble((trainer,), (state,)) for trainer, state in self)

    def outputs(self, x: Any, *, engine: str = "numpy") -> Array:
        """Return the outputs whose probabilities, or values, are the mean of the members': (N, K), as the loss takes them.

        For one member they are its own; for several they are in float64.

        Args:
            x: The examples, as the data of `fl.outputs`.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            TypeError: If x is not of numbers.
            ValueError: If x does not fit the models.
        """
        return _mean(self.trainers[0].loss, self._outputs(x, engine))

    def predict(self, x: Any, *, engine: str = "numpy") -> Array:
        """Return the class of the highest mean probability, (N,), or the mean values, (N,) or (N, K).

        Args:
            x: The examples, as the data of `fl.outputs`.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            TypeError: If x is not of numbers.
            ValueError: If x does not fit the models.
        """
        return self.states[0].names.decode(self.trainers[0].loss.predict(self.outputs(x, engine=engine)))

    def predict_proba(self, x: Any, *, engine: str = "numpy") -> Array:
        """Return the mean of the members' probabilities of each class or label, (N, K).

        Args:
            x: The examples, as the data of `fl.outputs`.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            TypeError: If the loss has no probabilities, or x is not of numbers.
            ValueError: If x does not fit the models.
        """
        return self.trainers[0].loss.probabilities(self.outputs(x, engine=engine))

    def spread(self, x: Any, *, engine: str = "numpy") -> Array:
        """Return how far the members are apart: a standard deviation, 0 for one member.

        For classes it is that of the members' probabilities of the predicted class, (N,), from 0 to 0.5; for several labels
        that of the probability of each, (N, K); for quantities that of the values, (N,) or (N, K). Of a loss without
        probabilities it is that of the scores.

        Args:
            x: The examples, as the data of `fl.outputs`.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            TypeError: If x is not of numbers.
            ValueError: If x does not fit the models.
        """
        loss, each = self.trainers[0].loss, self._outputs(x, engine)
        task = loss.task(each.shape[2])
        if _logs_of(loss, each.shape[2]) is not None:
            deviations = np.std([loss.probabilities(member) for member in each.astype(np.float64)], axis=0)
        else:
            deviations = each.astype(np.float64).std(axis=0)
        if task == "classification" and deviations.shape[1] > 1:
            predicted = loss.predict(_mean(loss, each))
            return np.asarray(np.take_along_axis(deviations, predicted[:, None], axis=1)[:, 0])
        return np.asarray(deviations[:, 0] if deviations.shape[1] == 1 else deviations)

    def evaluate(self, data: Dataset, *, engine: str = "numpy") -> dict[str, float]:
        """Return the loss and the metrics of the mean prediction on a dataset, by name.

        The loss and the metrics are those of the first member's trainer, computed from `outputs`: cross-entropy is that of the
        mean probabilities, squared error that of the mean values. Neither is above the mean of the members' own.

        Args:
            data: The dataset.
            engine: `"numpy"` (the default) or `"jax"`, which computes the outputs.

        Raises:
            TypeError: If `data` is not a dataset.
            ValueError: If the data does not fit the models and the loss.
        """
        if len(self) == 1:
            return evaluate(self.trainers[0], self.states[0], data, engine=engine)
        return evaluate_outputs(self.trainers[0], self.states[0], data, lambda x: self.outputs(x, engine=engine))

    def _outputs(self, x: Any, engine: str) -> Array:
        """Return the outputs of each member: (M, N, K)."""
        examples = read_examples(self.trainers[0], self.states[0], x)
        return np.stack([outputs(trainer, state, examples, engine=engine) for trainer, state in self])

    def __repr__(self) -> str:
        return one_line("Ensemble", self._facts(), pluralize(len(self), "member"))

    def _repr_html_(self) -> str:
        return html_table("Ensemble", {"members": str(len(self)), **self._facts()})

    def _facts(self) -> dict[str, str]:
        loss, parameters = self.trainers[0].loss, sum(state.params.vector.size for state in self.states)
        return {"loss": type(loss).__name__, "parameters": f"{parameters:,}"}


_SHARED = "shape of an example", "number of outputs", "loss", "columns", "classes"


def _shared(trainer: Trainer, state: TrainState) -> tuple[Any, ...]:
    """Return what the members of an ensemble have in common, in the order of their names."""
    model, loss = trainer.model, type(trainer.loss)
    return model.inputs, model.outputs, f"{loss.__module__}.{loss.__qualname__}", state.names.columns, state.names.classes


def _mean(loss: Loss, each: Array) -> Array:
    """Return the outputs of the mean prediction, (N, K), from those of each member, (M, N, K)."""
    if len(each) == 1:
        return np.asarray(each[0])
    each = each.astype(np.float64)
    logs = _logs_of(loss, each.shape[2])
    if logs is None:
        return np.asarray(each.mean(axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        means = [np.logaddexp.reduce(parts) for parts in zip(*map(logs, each), strict=True)]
        if len(means) == 1:
            return np.asarray(means[0] - np.log(len(each)))
        return np.asarray(means[0] - means[1])


def _logs_of(loss: Loss, outputs: int) -> Logs | None:
    """Return the function from outputs to logarithms of probabilities: of the classes, or of each label and its opposite.

    It is None for a loss whose outputs are not logits.
    """
    probe = np.linspace(-2.0, 3.0, 3 * outputs).reshape(3, outputs)
    try:
        p = loss.probabilities(probe)
    except TypeError:
        return None
    several = loss.task(outputs) == "multilabel"
    if outputs == 1 or several:
        return _log_sigmoids if np.allclose(p if several else p[:, 1:], logistic(probe)) else None
    return _log_softmax if np.allclose(p, softmax(probe)[0]) else None


def _log_sigmoids(z: Array) -> tuple[Array, Array]:
    return -np.logaddexp(0.0, -z), -np.logaddexp(0.0, z)


def _log_softmax(z: Array) -> tuple[Array]:
    return (np.asarray(log_softmax(z)),)
