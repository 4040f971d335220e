"""Several fits side by side as rows: the best by validation first; what the test says of them is a report, not a choice."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.metrics import mode_of
from fnloop.metrics.direction import known_mode
from fnloop.plots.run_data import RunData, read_run

Fits = Mapping[str, Any]
Tests = Mapping[str, Any]


@frozen
class Group:
    """The fits of one name, as with several seeds: their stories, best values by what each monitors, and tests."""

    name: str
    stories: tuple[RunData, ...]
    values: tuple[float, ...]
    tests: tuple[Mapping[str, float], ...]

    @property
    def rates(self) -> list[float]:
        """The last learning rate of each fit."""
        return [story.history["lr"][-1] for story in self.stories]


def group_runs(fits: Fits, tests: Tests | None) -> list[Group]:
    """The fits by their names, each alone or several in a sequence, with their tests.

    Raises:
        ValueError: If there are no fits, or names or numbers do not fit together, or the fits monitor different metrics.
    """
    if not isinstance(fits, Mapping) or not fits:
        raise ValueError(f"fits must map names of schedulers to at least one Fit, got {short(fits)}")
    if tests is not None and tests.keys() != fits.keys():
        raise ValueError(f"tests must have the names of fits, {listed(fits)}, got {listed(tests)}")
    groups = [_group(name, _several(given), None if tests is None else tests[name]) for name, given in fits.items()]
    monitors = {story.monitor: None for group in groups for story in group.stories}
    if len(monitors) > 1:
        raise ValueError(f"fits must have chosen their best states by one metric, got {listed(monitors)}")
    return groups


def _several(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list | tuple) else [given]


def _group(name: str, fits: Sequence[Any], tests: Any) -> Group:
    tested = () if tests is None else [tests] if isinstance(tests, Mapping) else list(tests)
    if not fits or (tests is not None and len(tested) != len(fits)):
        raise ValueError(f"tests of {short(name)} must be one for each of its {len(fits)} fits, got {len(tested)}")
    stories = [read_run(fit, f"the history of {short(name)}") for fit in fits]
    for story in stories:
        if "lr" not in story.history:
            raise ValueError(f"the history of {short(name)} must hold 'lr', got {listed(story.history)}")
    return Group(name, tuple(stories), tuple(story.value for story in stories), tuple(tested))


def comparison(fits: Fits, tests: Tests) -> list[dict[str, Any]]:
    """A row for each scheduler, the best by validation first.

    A row has `scheduler`, `runs` (how many fits), `monitor` (the metric that chose their best states) and `validation` (its
    value in the best epoch), `test loss` and the other metrics of the test, such as `test accuracy`, and `final lr`, the last
    learning rate that was used. Of several fits these are means, and `spread` has the standard deviation of each.

    Args:
        fits: Names to a `Fit`, or to several that differ in their seeds.
        tests: The same names to what `fit.evaluate(test)` gives, one for each fit.

    Raises:
        ValueError: If there are no fits, or names and numbers do not fit together.
    """
    groups = group_runs(fits, tests)
    metrics = list(groups[0].tests[0])
    for group in groups:
        for test in group.tests:
            if missing := [metric for metric in metrics if metric not in test]:
                raise ValueError(f"tests of {short(group.name)} must have {listed(metrics)}, there is no {listed(missing)}")
    return [_row(group, metrics) for group in ranked(groups)]


def _row(group: Group, metrics: Sequence[str]) -> dict[str, Any]:
    columns = {
        "validation": group.values,
        **{f"test {metric}": [test[metric] for test in group.tests] for metric in metrics},
        "final lr": group.rates,
    }
    return {
        "scheduler": group.name,
        "runs": len(group.stories),
        "monitor": group.stories[0].monitor,
        **{name: fmean(values) for name, values in columns.items()},
        "spread": {name: stdev(values) for name, values in columns.items()} if len(group.stories) > 1 else {},
    }


def ranked(groups: Sequence[Group]) -> list[Group]:
    """The groups by the mean of their best values, the best first; those without one last."""
    sign = 1 if groups[0].stories[0].mode == "min" else -1

    def rank(group: Group) -> float:
        mean = sign * fmean(group.values)
        return math.inf if math.isnan(mean) else mean

    return sorted(groups, key=rank)


def best_performer(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scheduler that is best by validation, the first of equals: the test is no choice, or it would not be a test."""
    mode = known_mode(rows[0]["monitor"])
    if mode is None:  # `comparison` knows it of the trainer, and puts the best first
        return str(rows[0]["scheduler"])
    sign = 1 if mode == "min" else -1
    return str(min(rows, key=lambda row: (math.isnan(row["validation"]), sign * row["validation"]))["scheduler"])


def reported(tests: Sequence[Mapping[str, float]]) -> str:
    """The metric of a test that is reported first: beside the loss the first that says which values are better."""
    return next((name for name in tests[0] if name != "loss" and known_mode(name) is not None), "loss")


def highest(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """The scheduler that does best in the test by a metric, to be reported beside the choice."""
    sign = 1 if mode_of(metric) == "max" else -1
    return str(max(rows, key=lambda row: sign * row[f"test {metric}"])["scheduler"])
