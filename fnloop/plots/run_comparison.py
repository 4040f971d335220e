"""Comparison of several fits: ranked by validation; test results are reported, but never used to choose."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from fnloop.core.checks import Mode
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.metrics import mode_of
from fnloop.metrics.direction import known_mode
from fnloop.plots.run_data import History, RecordedRun, RunData, read_run

Metrics = Mapping[str, float]
Fits = Mapping[str, RecordedRun | History | Sequence[RecordedRun | History]]
Tests = Mapping[str, Metrics | Sequence[Metrics]]


@frozen
class RunGroup:
    """The fits of one name, which may differ in their seeds.

    Args:
        name: The name.
        runs: The data of each fit.
        tests: The test metrics of each fit; () without a test.
    """

    name: str
    runs: tuple[RunData, ...]
    tests: tuple[Metrics, ...]

    @property
    def monitor(self) -> str:
        """The metric that selected the best states."""
        return self.runs[0].monitor

    @property
    def mode(self) -> Mode:
        """Whether the smallest or the largest value of that metric is best."""
        return self.runs[0].mode

    @property
    def best_values(self) -> list[float]:
        """The best value of that metric, for each fit."""
        return [run.best_value for run in self.runs]

    @property
    def final_rates(self) -> list[float]:
        """The last learning rate that each fit used."""
        return [run.history["lr"][-1] for run in self.runs]

    def test_values(self, metric: str) -> list[float]:
        """Return the value of a test metric, for each fit.

        Args:
            metric: Name of the metric, such as `"accuracy"`.
        """
        return [test[metric] for test in self.tests]


def group_runs(fits: Fits, tests: Tests | None) -> list[RunGroup]:
    """Return the fits by name, with their tests.

    Args:
        fits: Names to a fit, or to a list of fits.
        tests: The same names to the test metrics of each fit; None without a test.

    Raises:
        ValueError: If there are no fits, names or numbers do not match, tests have different metrics, or fits monitor
            different metrics.
    """
    if not isinstance(fits, Mapping) or not fits:
        raise ValueError(f"fits must map names of schedulers to at least one Fit, got {short(fits)}")
    if tests is not None and tests.keys() != fits.keys():
        raise ValueError(f"tests must have the names of fits, {listed(fits)}, got {listed(tests)}")
    groups = [_group(name, runs, None if tests is None else tests[name]) for name, runs in fits.items()]
    monitors = dict.fromkeys(run.monitor for group in groups for run in group.runs)
    if len(monitors) > 1:
        raise ValueError(f"fits must have selected their best states by the same metric, got {listed(monitors)}")
    metrics = [metric for test in groups[0].tests[:1] for metric in test]
    for group in groups:
        for test in group.tests:
            if missing := [metric for metric in metrics if metric not in test]:
                raise ValueError(f"tests of {short(group.name)} must have {listed(metrics)}; missing: {listed(missing)}")
    return groups


def _group(name: str, fits: Any, tests: Any) -> RunGroup:
    fits = fits if isinstance(fits, list | tuple) else [fits]
    if not fits:
        raise ValueError(f"fits must have at least one Fit for {short(name)}, got none")
    test_of_fit = () if tests is None else (tests,) if isinstance(tests, Mapping) else tuple(tests)
    if tests is not None and len(test_of_fit) != len(fits):
        raise ValueError(f"tests of {short(name)} must be one for each of its {len(fits)} fits, got {len(test_of_fit)}")
    runs = [read_run(fit, f"the history of {short(name)}") for fit in fits]
    for run in runs:
        if "lr" not in run.history:
            raise ValueError(f"the history of {short(name)} must have 'lr', got {listed(run.history)}")
    return RunGroup(name, tuple(runs), test_of_fit)


def rank(groups: Sequence[RunGroup]) -> list[RunGroup]:
    """Return the groups by the mean of their best validation values, best first; groups without one last.

    Args:
        groups: At least one group.
    """
    sign = 1 if groups[0].mode == "min" else -1

    def score(group: RunGroup) -> float:
        mean = sign * fmean(group.best_values)
        return math.inf if math.isnan(mean) else mean

    return sorted(groups, key=score)


def comparison_rows(fits: Fits, tests: Tests) -> list[dict[str, Any]]:
    """Return one row for each scheduler, the best by validation first; for `pandas.DataFrame`.

    A row is a dictionary with

    - `scheduler`: the name,
    - `runs`: the number of fits,
    - `monitor`: the metric that selected their best states,
    - `validation`: the value of that metric in the best epoch,
    - `test loss`, and `test ...` for every other test metric,
    - `final lr`: the last learning rate that was used.

    Of several fits the numbers are means, and `spread` has the standard deviation of each.

    Args:
        fits: Names to a `Fit`, or to a list of fits that differ in their seeds.
        tests: The same names to the result of `fit.evaluate(test)`, or to a list with one for each fit.

    Raises:
        ValueError: If there are no fits, or names, numbers or metrics do not match.

    Examples:
        >>> fits = {"slow": {"loss": [0.9, 0.8], "lr": [0.1, 0.1]}, "fast": {"loss": [0.5, 0.6], "lr": [1.0, 1.0]}}
        >>> rows = comparison_rows(fits, {"slow": {"loss": 0.8}, "fast": {"loss": 0.6}})
        >>> [(row["scheduler"], row["validation"], row["test loss"]) for row in rows]
        [('fast', 0.5, 0.6), ('slow', 0.8, 0.8)]

    See Also:
        `comparison`, the figure
    """
    return [_row(group) for group in rank(group_runs(fits, tests))]


def _row(group: RunGroup) -> dict[str, Any]:
    columns = {
        "validation": group.best_values,
        **{f"test {metric}": group.test_values(metric) for metric in group.tests[0]},
        "final lr": group.final_rates,
    }
    return {
        "scheduler": group.name,
        "runs": len(group.runs),
        "monitor": group.monitor,
        **{name: fmean(values) for name, values in columns.items()},
        "spread": {name: stdev(values) for name, values in columns.items()} if len(group.runs) > 1 else {},
    }


def best_performer(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the scheduler that is best by validation; of equals, the first. Test results are not used.

    Args:
        rows: The rows of `comparison_rows`.

    Examples:
        >>> best_performer([
        ...     {"scheduler": "slow", "monitor": "val_loss", "validation": 0.8},
        ...     {"scheduler": "fast", "monitor": "val_loss", "validation": 0.5},
        ... ])
        'fast'
    """
    mode = known_mode(rows[0]["monitor"])
    if mode is None:  # only the trainer knows it, and `comparison_rows` has ranked the rows by it
        return str(rows[0]["scheduler"])
    sign = 1 if mode == "min" else -1
    return str(min(rows, key=lambda row: (math.isnan(row["validation"]), sign * row["validation"]))["scheduler"])


def highest(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Return the scheduler with the best test value of a metric, to report next to the choice.

    Args:
        rows: The rows of `comparison_rows`.
        metric: Name of a test metric, such as `"accuracy"`.

    Examples:
        >>> highest([{"scheduler": "slow", "test accuracy": 0.9}, {"scheduler": "fast", "test accuracy": 0.8}], "accuracy")
        'slow'
    """
    sign = 1 if mode_of(metric) == "max" else -1
    return str(max(rows, key=lambda row: sign * row[f"test {metric}"])["scheduler"])


def reported_metric(tests: Sequence[Metrics]) -> str:
    """Return the test metric to report: the first one other than the loss whose better direction is known, else the loss.

    Args:
        tests: The test metrics of at least one fit.

    Examples:
        >>> reported_metric([{"loss": 0.1, "accuracy": 0.9}])
        'accuracy'
    """
    return next((name for name in tests[0] if name != "loss" and known_mode(name) is not None), "loss")
