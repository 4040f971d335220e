"""The best members of a sweep, and the result of a member that has not trained."""

import math
from collections.abc import Sequence

from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit
from fnloop.training.start import init_state
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer


def best_members(fits: Sequence[Fit], n: int) -> list[int]:
    """Return the indices of the n results with the best values of the monitored metric, best first; of equal ones, the first.

    There are fewer if fewer members have a best state.

    Args:
        fits: The results.
        n: The number of members.
    """
    return sorted((i for i, fit in enumerate(fits) if fit.best_state is not None), key=lambda i: _rank(fits[i]))[:n]


def _rank(fit: Fit) -> float:
    value = math.nan if fit.best_state is None else fit.best_state.metrics[fit.monitor]
    return value if fit.trainer.mode_of(fit.monitor) == "min" else -value


def untrained(trainer: Trainer, train: Dataset, validation: Dataset | None, monitor: str | None) -> Fit:
    """Return the result of a member that Ctrl-C ended before its first epoch: the initial state, and no best one.

    Args:
        trainer: The trainer, resolved.
        train: The training set.
        validation: The validation set, or None.
        monitor: As in `fit`.
    """
    has_validation = validation is not None
    return Fit(
        trainer=trainer,
        last=init_state(trainer, train),
        metrics=dict.fromkeys([*trainer.metric_names(has_validation), "lr", "seconds"], ()),
        stop_reason=StopReason.INTERRUPTED.value,
        monitor=trainer.monitored(has_validation, monitor)[0],
        best_state=None,
    )
