"""The result of `cross_validate`: a metric of several trainers in each fold, and predictions of all rows."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from fnloop.core.arrays import Array, freeze
from fnloop.core.checks import sequence_of
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.core.signatures import did_you_mean
from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit
from fnloop.populations.values import Fits, RankedFits, finite, mean_of, spread, std_of

if TYPE_CHECKING:
    import pandas as pd


def _row_numbers(name: str, value: Any) -> Array:
    rows = np.asarray(value)
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(f"{name} must be the numbers of rows, got {short(value)}")
    return freeze(rows)


def _dataset(name: str, value: Any) -> Dataset:
    if not isinstance(value, Dataset):
        raise TypeError(f"{name} must be a fl.Dataset, got {short(value)}")
    return value


@frozen
class CrossValidation(RankedFits):
    """The result of `cross_validate`.

    A run without a best state, such as one that diverged in its first epoch, has the value NaN. It is counted, and left out of
    the mean; a trainer with such runs ranks after all that have fewer.

    Args:
        fits: The results of each trainer by name, one for each fold.
        rows: The rows of each fold, which its run was not trained on.
        data: The dataset.
        epochs: The number of epochs that each run was to train. Default: None, unknown.

    See Also:
        `cross_validate`
    """

    fits: Fits
    rows: Annotated[tuple[Array, ...], sequence_of(_row_numbers)]
    data: Annotated[Dataset, _dataset]
    epochs: int | None = None

    def __attrs_post_init__(self) -> None:
        self._check_runs(self.rows, "folds")

    def predict(self, name: str | None = None, *, engine: str = "numpy") -> Array:
        """Return the prediction of each row by the run that was not trained on it, in the order of the data.

        Args:
            name: The name of the trainer. Default: None, the best one.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            NoBestError: If the run of a fold has no best state.
            ValueError: If there is no trainer of that name.
        """
        return self._out_of_fold(name, lambda fit, x: fit.predict(x, engine=engine))

    def predict_proba(self, name: str | None = None, *, engine: str = "numpy") -> Array:
        """Return the probability of each class for each row, by the run that was not trained on it, (N, K).

        Args:
            name: The name of the trainer. Default: None, the best one.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            NoBestError: If the run of a fold has no best state.
            TypeError: If the loss has no probabilities.
            ValueError: If there is no trainer of that name.
        """
        return self._out_of_fold(name, lambda fit, x: fit.predict_proba(x, engine=engine))

    def _out_of_fold(self, name: str | None, predict: Callable[[Fit, Array], Array]) -> Array:
        chosen = self.best if name is None else name
        if not isinstance(chosen, str) or chosen not in self.fits:
            raise ValueError(
                f"name must be one of the trainers, {listed(self.fits)}, got {short(name)}{did_you_mean(chosen, self.fits)}"
            )
        parts = [predict(fit, self.data.x[rows]) for fit, rows in zip(self.fits[chosen], self.rows, strict=True)]
        ordered: Array = np.concatenate(parts)[np.argsort(np.concatenate(self.rows), kind="stable")]
        return ordered

    def table(self) -> "pd.DataFrame":
        """Return a frame with a row for each trainer, best first.

        Its columns are the mean of the metric over the folds and its standard deviation, the number of runs without a best
        state, and the value of each fold.
        """
        import pandas as pd

        values, folds = self.values, len(self.rows)
        rows = [
            {
                self.metric: mean_of(values[name]),
                "std": std_of(values[name]),
                "failed": folds - len(finite(values[name])),
                **{f"fold {fold}": value for fold, value in enumerate(values[name])},
            }
            for name in self.ranked
        ]
        return pd.DataFrame(rows, index=pd.Index(self.ranked, name="trainer"))

    def summary(self) -> str:
        """Return the result in plain words, a line for each trainer, best first."""
        width = max(map(len, self.fits))
        lines = [f"{self.metric} in {len(self.rows)} folds: mean ± standard deviation, then each fold"]
        lines = [*self._interruption(), *lines]
        for name in self.ranked:
            values = self.values[name]
            failed = sum(map(math.isnan, values))
            note = f"  {failed} of {pluralize(len(values), 'run')} without a best state" if failed else ""
            lines.append(f"{name:{width}}  {spread(values)}  {' '.join(f'{value:.4g}' for value in values)}{note}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        facts = {"trainers": f"{len(self.fits)}", "folds": f"{len(self.rows)}", "best": repr(self.best)}
        return one_line("CrossValidation", {**facts, self.metric: spread(self.values[self.best])})

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return html_table("CrossValidation", self._spreads())
