"""The results of a sweep."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, overload

from fnloop.core.checks import metric_name, sequence_of
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.fitting import Fit
from fnloop.metrics import improves, look_up
from fnloop.populations.comparable import check_comparable
from fnloop.populations.hyperparameters import varying
from fnloop.populations.values import Runs
from fnloop.training.trainer import Trainer, check_trainer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


_trainers = sequence_of(lambda name, trainer: check_trainer(trainer, name))


@frozen
class Sweep(Sequence[Fit]):
    """The results of `sweep`: a sequence of a `Fit` for each trainer, in their order.

    Args:
        trainers: The trainers.
        fits: Their results.

    See Also:
        `sweep`
    """

    trainers: Annotated[tuple[Trainer, ...], _trainers]
    fits: Runs

    def __attrs_post_init__(self) -> None:
        if len(self.trainers) != len(self.fits):
            raise ValueError(f"fits must be one for each of the {len(self.trainers)} trainers, got {len(self.fits)}")

    def __len__(self) -> int:
        return len(self.fits)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Fit, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.fits[index]

    def __iter__(self) -> Iterator[Fit]:
        return iter(self.fits)

    def best(self, metric: str | None = None) -> Fit:
        """Return the result whose best state has the best value of a metric; of equal values, the first.

        Args:
            metric: Name of the metric. Default: None, for which it is the metric that selected the best states. It must be
                stated if that differs between members; so must another than the loss, if the members have different losses.

        Raises:
            NoBestError: If no member has a best state.
            ValueError: If the runs do not produce the metric, its mode is unknown, or its values cannot be compared.
        """
        monitored = [fit.monitor if metric is None else metric_name("metric", metric) for fit in self.fits]
        ways = [(name, fit.trainer.mode_of(name)) for name, fit in zip(monitored, self.fits, strict=True)]
        name = check_comparable(ways, [trainer.loss for trainer in self.trainers], metric, "metric")
        found: Fit | None = None
        for fit in self.fits:
            if fit.best_state is None:
                continue
            value = look_up(fit.best.metrics, name)
            if found is None or improves(value, found.best.metrics[name], fit.trainer.mode_of(name)):
                found = fit
        if found is None:
            raise NoBestError(f"there is no best member by {short(name)}: none of {len(self.fits)} has a best state")
        return found

    def table(self) -> "pd.DataFrame":
        """Return a frame with a row for each member.

        Its columns are the hyperparameters in which the trainers differ, the metrics of the best state, its epoch as
        `best_epoch`, and the number of epochs, their seconds and the reason of the end as `epochs`, `seconds` and `ended`.
        """
        import pandas as pd

        of_runs = [
            {
                **({} if fit.best_state is None else fit.best_state.metrics),
                "best_epoch": None if fit.best_state is None else fit.best_state.epoch,
                "epochs": fit.last.epoch,
                "seconds": sum(fit.metrics.get("seconds", ())),
                "ended": fit.stop_reason,
            }
            for fit in self.fits
        ]
        changed = varying(self.trainers)
        frame = (
            pd.DataFrame(of_runs)
            .astype({"best_epoch": "Int64"})
            .rename(columns=lambda name: f"best_{name}" if name in changed else name)
        )
        return pd.concat([pd.DataFrame(changed, index=frame.index), frame], axis=1)

    def plot(self, metric: str | None = None) -> "Figure":
        """Return the figure of the best value of each member against each hyperparameter that varies, by `plots.sweep`.

        Args:
            metric: Name of a metric of the best states. Default: None, for which it is the one that selected them.

        Raises:
            ValueError: If the runs do not produce the metric.
        """
        from fnloop.plots import sweep

        name = self.fits[0].monitor if metric is None else metric_name("metric", metric)
        values = [math.nan if fit.best_state is None else look_up(fit.best_state.metrics, name) for fit in self.fits]
        return sweep(varying(self.trainers), values, metric=name, mode=self.fits[0].trainer.known_mode(name))

    def __repr__(self) -> str:
        return one_line("Sweep", self._facts())

    def _repr_html_(self) -> str:
        return html_table("Sweep", self._facts())

    def _facts(self) -> dict[str, str]:
        names = ", ".join(varying(self.trainers)) or "nothing"
        facts = {"members": pluralize(len(self.fits), "run"), "vary": names}
        try:
            best = self.best()
        except NoBestError:
            return {**facts, "best": "none"}
        except ValueError:  # of different losses, or by different metrics
            return facts
        value = best.best.metrics[best.monitor]
        return {**facts, "best": f"member {self.fits.index(best)}", best.monitor: f"{value:.4g}"}
