"""The best values of several runs of each of several trainers: their means, their spread and their ranking."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Annotated, Any

from fnloop.core.checks import sequence_of
from fnloop.core.formatting import short
from fnloop.fitting import Fit
from fnloop.training.state import StopReason


def fit_of(name: str, value: Any) -> Fit:
    """Check that a value is the result of a run."""
    if not isinstance(value, Fit):
        raise TypeError(f"{name} must be a fl.Fit, got {short(value)}")
    return value


def fits_of(name: str, values: Any) -> tuple[Fit, ...]:
    """Check that a value has the results of one or more runs."""
    fits: tuple[Fit, ...] = sequence_of(fit_of)(name, values)
    if not fits:
        raise ValueError(f"{name} must have at least one fl.Fit, got none")
    return fits


def named_fits(name: str, values: Any) -> Mapping[str, tuple[Fit, ...]]:
    """Check that a value has the results of one or more runs of one or more trainers, by name."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must map names of trainers to their results, got {short(values)}")
    if not values:
        raise ValueError(f"{name} must have at least one trainer, got none")
    return MappingProxyType({key: fits_of(f"{name}[{short(key)}]", fits) for key, fits in values.items()})


Runs = Annotated[tuple[Fit, ...], fits_of]
Fits = Annotated[Mapping[str, tuple[Fit, ...]], named_fits]


class RankedFits:
    """The members of a result that has several runs of each of several trainers, `fits` by name."""

    __slots__ = ()
    fits: Fits
    epochs: int | None

    def _check_runs(self, runs: Sequence[Any], name: str) -> None:
        """Check that each trainer has one run for each of several seeds or folds."""
        for key, fits in self.fits.items():
            if len(fits) != len(runs):
                raise ValueError(
                    f"fits[{short(key)}] must have one result for each of the {len(runs)} {name}, got {len(fits)}"
                )

    @property
    def metric(self) -> str:
        """The metric that is compared."""
        return next(iter(self.fits.values()))[0].monitor

    @property
    def values(self) -> dict[str, tuple[float, ...]]:
        """The metric of the best state of each run, by trainer; NaN without a best state."""
        return values_of(self.fits)

    @property
    def ranked(self) -> tuple[str, ...]:
        """The names of the trainers, best mean first."""
        return ranking(self.fits)

    @property
    def best(self) -> str:
        """The name of the first trainer in the ranking."""
        return self.ranked[0]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the runs, all after the same number of epochs."""
        return bool(self._interruption())

    def _interruption(self) -> list[str]:
        """Return the line that says after which epoch the runs were interrupted; nothing if they were not."""
        runs = [fit for fits in self.fits.values() for fit in fits if fit.stop_reason == StopReason.INTERRUPTED.value]
        if not runs:
            return []
        planned = "" if self.epochs is None else f" of {self.epochs}"
        epoch = max(fit.last.epoch for fit in runs)
        return [f"interrupted after epoch {epoch}{planned}: values are the best up to there, and the order may change"]

    def _spreads(self) -> dict[str, str]:
        """Return the mean and the standard deviation of each trainer as text, best first."""
        return {name: spread(self.values[name]) for name in self.ranked}


def values_of(fits: Fits) -> dict[str, tuple[float, ...]]:
    """Return the monitored metric of the best state of each run, by trainer; NaN without a best state."""
    return {
        name: tuple(math.nan if fit.best_state is None else float(fit.best_state.metrics[fit.monitor]) for fit in of_trainer)
        for name, of_trainer in fits.items()
    }


def ranking(fits: Fits) -> tuple[str, ...]:
    """Return the names of the trainers, first those with the fewest runs without a best state, and of these the best mean."""
    values, first = values_of(fits), next(iter(fits.values()))[0]
    sign = 1 if first.trainer.mode_of(first.monitor) == "min" else -1

    def rank(name: str) -> tuple[int, float]:
        known = finite(values[name])
        return len(values[name]) - len(known), sign * fmean(known) if known else math.inf

    return tuple(sorted(values, key=rank))


def finite(values: Sequence[float]) -> list[float]:
    """Return the values that are finite."""
    return [value for value in values if math.isfinite(value)]


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    known = finite(values)
    return fmean(known) if known else math.nan


def std_of(values: Sequence[float]) -> float:
    """Return the standard deviation of the finite values; NaN if there are fewer than two."""
    known = finite(values)
    return stdev(known) if len(known) > 1 else math.nan


def spread(values: Sequence[float]) -> str:
    """Return the mean and the standard deviation of the finite values as text.

    Args:
        values: The values.

    Examples:
        >>> spread([0.5, 0.25]), spread([0.5, math.nan]), spread([math.nan])
        ('0.375 ± 0.18', '0.5', 'none')
    """
    known = finite(values)
    if not known:
        return "none"
    return f"{fmean(known):.4g} ± {stdev(known):.2g}" if len(known) > 1 else f"{known[0]:.4g}"
