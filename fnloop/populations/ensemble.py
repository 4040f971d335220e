"""`ensemble`: the members of a sweep, or other results, as one predictor."""

from collections.abc import Iterable
from typing import Any

from fnloop.core.formatting import short
from fnloop.fitting import Fit
from fnloop.training.ensemble import Ensemble
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Member = Fit | tuple[Trainer, TrainState]


def ensemble(members: Iterable[Member]) -> Ensemble:
    """Return the ensemble of trained models, which predicts by their mean.

    Args:
        members: A `Sweep` or several `Fit`s, such as those of the folds of `fl.cross_validate`, of which the best states are
            taken; or pairs of a trainer and a state. Members may differ in architecture, but predict the same: the shape of an
            example, the number of outputs, the class of the loss, and the names of columns and classes are equal.

    Raises:
        NoBestError: If a `Fit` has no best state.
        TypeError: If an argument has the wrong type.
        ValueError: If there are no members, or they do not predict the same.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.iris()
        >>> trainers = fl.grid(fl.Trainer(model=fl.mlp([4, 8, 3]), loss="cross_entropy", scheduler=0.01), seed=range(3))
        >>> mean = ensemble(fl.sweep(trainers, data.train, data.validation, epochs=5, progress=False))
        >>> mean
        Ensemble(loss=SoftmaxCrossEntropy, parameters=201, 3 members)
        >>> mean.predict_proba(data.test.x).shape, mean.spread(data.test.x).shape
        ((30, 3), (30,))
        >>> sorted(mean.evaluate(data.test))
        ['accuracy', 'loss']

    Source: Lakshminarayanan, Pritzel & Blundell 2017, Simple and scalable predictive uncertainty estimation using deep
    ensembles.

    See Also:
        `fl.Ensemble`, `fl.sweep`, `fl.save`
    """
    if isinstance(members, str | Fit) or not isinstance(members, Iterable):
        raise TypeError(f"members must be several, such as a Sweep or a list of Fit, got {short(members)}")
    trainers, states = [], []
    for i, member in enumerate(members):
        trainer, state = _pair(f"members[{i}]", member)
        trainers.append(trainer)
        states.append(state)
    if not trainers:
        raise ValueError("members must have at least one member, got none")
    return Ensemble(tuple(trainers), tuple(states))


def _pair(name: str, member: Any) -> tuple[Trainer, TrainState]:
    if isinstance(member, Fit):
        return member.trainer, member.best
    if isinstance(member, tuple) and list(map(type, member)) == [Trainer, TrainState]:
        return member
    raise TypeError(f"{name} must be a Fit, or a trainer and a state, got {short(member)}")
