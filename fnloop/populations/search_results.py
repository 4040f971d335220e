"""The result of a search."""

from typing import TYPE_CHECKING, Annotated, Any

from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.fitting import Fit
from fnloop.populations.values import Runs, fit_of

if TYPE_CHECKING:
    import pandas as pd


def _study(name: str, value: Any) -> Any:
    if not hasattr(value, "get_trials"):
        raise TypeError(f"{name} must be a study of Optuna, got {short(value)}")
    return value


@frozen
class Search:
    """The result of `search`.

    Args:
        study: The study of Optuna, with all trials.
        best: The result of the best trial, `study.best_trial`; if it has several runs, of the one with the best value.
        fits: The results of all runs of the best trial. `fl.ensemble(found.fits)` predicts by their mean.
        interrupted: Whether Ctrl-C ended the search.

    See Also:
        `search`
    """

    study: Annotated[Any, _study]
    best: Annotated[Fit, fit_of]
    fits: Runs
    interrupted: bool = False

    def table(self) -> "pd.DataFrame":
        """Return a frame with a row for each trial: the best first, then the pruned ones.

        Its index is the number of the trial. Its columns are the hyperparameters, the metric, the number of epochs, the epoch
        of the best state as `best_epoch`, and `ended`, which is `"complete"`, `"pruned"`, `"fail"` or `"running"`.
        """
        import pandas as pd

        trials = self.study.get_trials(deepcopy=False)
        rows = [
            {
                **trial.params,
                self.best.monitor: trial.value if trial.state.name == "COMPLETE" else None,
                "best_epoch": trial.user_attrs.get("best_epoch"),
                "epochs": max(trial.intermediate_values, default=0),
                "ended": trial.state.name.lower(),
            }
            for trial in trials
        ]
        frame = pd.DataFrame(rows, index=pd.Index([trial.number for trial in trials], name="trial"))
        frame["best_epoch"] = frame["best_epoch"].astype("Int64")
        frame[self.best.monitor] = frame[self.best.monitor].astype(float)
        highest_first = self.study.direction.name == "MAXIMIZE"
        return frame.sort_values(self.best.monitor, ascending=not highest_first, kind="stable")

    def __repr__(self) -> str:
        return one_line("Search", self._facts())

    def _repr_html_(self) -> str:
        return html_table("Search", self._facts())

    def _facts(self) -> dict[str, str]:
        states = [trial.state.name for trial in self.study.get_trials(deepcopy=False)]
        best = self.study.best_trial
        return {
            "trials": f"{pluralize(len(states), 'trial')}, {states.count('PRUNED')} pruned",
            "best": f"trial {best.number}, epoch {self.best.best.epoch}",
            self.best.monitor: f"{best.value:.4g}",
        }
