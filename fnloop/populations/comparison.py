"""The result of `compare`: a metric of several trainers over seeds, with paired differences."""

import math
from typing import TYPE_CHECKING, Annotated

from fnloop.core.checks import integer, sequence_of
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import cut_end, listed
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.populations.differences import PairedDifference, paired_difference
from fnloop.populations.values import Fits, RankedFits, finite, mean_of, spread, std_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@frozen
class Comparison(RankedFits):
    """The result of `compare`.

    A run without a best state, such as one that diverged in its first epoch, has the value NaN. It is counted, and left out of
    means and differences; a trainer with such runs ranks after all that have fewer. Of the trainers that show no difference to
    the best one, each may be the best.

    Args:
        fits: The results of each trainer by name, one for each seed.
        seeds: The seeds.
        epochs: The number of epochs that each run was to train. Default: None, unknown.

    See Also:
        `compare`
    """

    fits: Fits
    seeds: Annotated[tuple[int, ...], sequence_of(integer(0, 2**64))]
    epochs: int | None = None

    def __attrs_post_init__(self) -> None:
        self._check_runs(self.seeds, "seeds")

    @property
    def differences(self) -> dict[str, PairedDifference]:
        """The paired difference of every other trainer to the best one, with its confidence interval, best first."""
        values, (best, *others) = self.values, self.ranked
        return {name: paired_difference(values[name], values[best]) for name in others}

    def table(self) -> "pd.DataFrame":
        """Return a frame with a row for each trainer, best first.

        Its columns are the mean of the metric and its standard deviation over seeds, the number of runs and of those without
        a best state, the mean `difference` to the best trainer, the ends of its 95 % confidence interval, and whether that
        excludes 0.
        """
        import pandas as pd

        values, differences = self.values, self.differences
        rows = []
        for name in self.ranked:
            difference = differences.get(name)
            rows.append(
                {
                    self.metric: mean_of(values[name]),
                    "std": std_of(values[name]),
                    "runs": len(values[name]),
                    "failed": len(values[name]) - len(finite(values[name])),
                    "difference": math.nan if difference is None else difference.mean,
                    "low": math.nan if difference is None else difference.low,
                    "high": math.nan if difference is None else difference.high,
                    "shown": difference.shown if difference is not None and difference.is_known else None,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(self.ranked, name="trainer"))

    def summary(self) -> str:
        """Return the comparison in plain words, a line for each trainer, best first."""
        differences, names = self.differences, self.ranked
        width = max(map(len, names))
        columns = [(name, spread(self.values[name]), str(differences.get(name, ""))) for name in names]
        widest = [max(len(row[i]) for row in columns) for i in (1, 2)]
        lines = [f"{self.metric} over {pluralize(len(self.seeds), 'seed')}: mean ± standard deviation, best first"]
        if differences:
            lines[0] += "; difference to the best [95 % interval]"
        for name, value, difference in columns:
            note = self._note(name, differences.get(name))
            line = f"{name:{width}}  {value:>{widest[0]}}  {difference:{widest[1]}}  {note}"
            lines.append(line.rstrip())
        return "\n".join([*self._interruption(), *lines])

    def _note(self, name: str, difference: PairedDifference | None) -> str:
        failed = len(self.seeds) - len(finite(self.values[name]))
        notes = [f"{failed} of {pluralize(len(self.seeds), 'run')} without a best state"] if failed else []
        if difference is not None and difference.is_known:
            notes.insert(0, "a difference at 95 %" if difference.shown else "no difference shown at 95 %")
        elif difference is not None and difference.pairs > 1:
            notes.insert(0, "too few seeds to tell")
        return "; ".join(notes)

    def evaluate(self, data: Dataset, *, engine: str = "numpy") -> "pd.DataFrame":
        """Return the metrics of the best states on other data, such as a test set: a row for each trainer and seed.

        Args:
            data: The dataset.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            NoBestError: If no run has a best state.
            ValueError: If the data does not match the trainers.
        """
        import pandas as pd

        rows = {
            (name, seed): fit.evaluate(data, engine=engine)
            for name in self.ranked
            for seed, fit in zip(self.seeds, self.fits[name], strict=True)
            if fit.best_state is not None
        }
        if not rows:
            raise NoBestError(f"there is nothing to evaluate: no run of {listed(self.fits)} has a best state")
        return pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["trainer", "seed"]))

    def plot(self) -> "Figure":
        """Return the figure of the comparison, as `fnloop.plots.comparison` draws it, with the runs that finished an epoch.

        Raises:
            NoBestError: If none did.
        """
        from fnloop.plots import comparison

        drawn = {name: [fit for fit in self.fits[name] if fit.metrics["loss"]] for name in self.ranked}
        if not any(drawn.values()):
            raise NoBestError(f"there is nothing to compare: no run of {listed(drawn)} finished an epoch")
        left_out = {name: len(self.seeds) - len(fits) for name, fits in drawn.items()}
        figure = comparison({name: fits for name, fits in drawn.items() if fits})
        notes = [f"{pluralize(n, 'run')} of {cut_end(name, 40)} without an epoch" for name, n in left_out.items() if n]
        if len(notes) > 2:
            notes = [f"{pluralize(sum(left_out.values()), 'run')} of {len(notes)} trainers without an epoch"]
        figure.suptitle("  ".join([figure.get_suptitle(), *(f"({note})" for note in notes)]))
        return figure

    def __repr__(self) -> str:
        return one_line("Comparison", self._facts())

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return html_table("Comparison", self._spreads())

    def _facts(self) -> dict[str, str]:
        close = [name for name, difference in self.differences.items() if difference.pairs > 1 and not difference.shown]
        facts = {"trainers": f"{len(self.fits)}", "seeds": f"{len(self.seeds)}", "best": repr(self.best)}
        return {
            **facts,
            self.metric: spread(self.values[self.best]),
            **({"no difference shown to": ", ".join(map(repr, close))} if close else {}),
        }
