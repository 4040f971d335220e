"""Trials of a search with hyperparameters that another trial has: their results are known, and they are not trained."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import toolz

if TYPE_CHECKING:
    from optuna import Study, Trial


def leave_out_repeated(study: "Study", trials: "Sequence[Trial]") -> "dict[int, list[Trial]]":
    """Return the trials that are equal to each trial that has to be trained, by the number of that one.

    A trial that is equal to a complete one gets its value at once, and is in no list. One whose hyperparameters are drawn when
    its trainer is made is equal to no other.

    Args:
        study: The study.
        trials: Its new trials.
    """
    complete = {_key(trial.params): trial.number for trial in _all(study) if trial.state.name == "COMPLETE"}
    copies: dict[int, list[Trial]] = {}
    for key, (first, *others) in toolz.groupby(lambda trial: _key(trial.params) or trial.number, trials).items():
        if key in complete:
            tell_same(study, [first, *others], complete[key])
        else:
            copies[first.number] = others
    return copies


def tell_same(study: "Study", trials: "Sequence[Trial]", number: int) -> None:
    """Tell the study that trials have the result of another, which it is told already.

    Args:
        study: The study.
        trials: The trials.
        number: The number of the other trial.
    """
    known = _all(study)[number]
    for trial in trials:
        for name, value in {"same_as": number, **known.user_attrs}.items():
            trial.set_user_attr(name, value)
        study.tell(trial, known.value if known.state.name == "COMPLETE" else None, state=known.state)


def _all(study: "Study") -> Any:
    return study.get_trials(deepcopy=False)


def _key(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(value)) for name, value in sorted(params.items()))
