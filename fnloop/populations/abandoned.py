"""Trials that a killed process has left running in a storage."""

from typing import TYPE_CHECKING

from fnloop.runs.owner import is_gone, this_process

if TYPE_CHECKING:
    from optuna import Study, Trial

PROCESS = "process"  # the user attribute of a trial that names the process that trains it


def name_process(trials: "list[Trial]") -> None:
    """Keep in each trial which process trains it.

    Args:
        trials: The trials.
    """
    process = this_process().decode()
    for trial in trials:
        trial.set_user_attr(PROCESS, process)


def fail_abandoned(study: "Study") -> None:
    """Let the running trials fail whose process was one of this machine and has ended.

    Args:
        study: The study.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_gone(str(trial.user_attrs.get(PROCESS)).encode()):
            study.tell(trial.number, state=TrialState.FAIL)
