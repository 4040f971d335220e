"""`metrics.json`: the scores of a training, what was noted about the table, and the history."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fnloop.cli.errors import as_options
from fnloop.data.table_split import TableSplit
from fnloop.fitting import Fit
from fnloop.runs.files import replacing
from fnloop.training.table_scores import TableScores


def write_report(
    fits: Sequence[Fit], splits: TableSplit, test_metrics: Mapping[str, float], scores: TableScores, path: Path
) -> None:
    """Write the metrics as JSON; a number that is not finite is written as null.

    Args:
        fits: The run, or that of each member of an ensemble.
        splits: The data.
        test_metrics: The metrics on the test set.
        scores: The scores on the test set, in the terms of the table.
        path: The file.
    """
    of_classes = {"classes": list(scores.classes), "confusion_matrix": scores.confusion or None} if scores.classes else {}
    report = {
        "task": splits.task,
        "target": splits.preprocessing.target,
        **(_run_of(fits[0]) if len(fits) == 1 else {}),
        "test": _finite(test_metrics),
        "scores": _finite(scores.scores),
        "trivial": {"rule": scores.rule, **_finite(scores.trivial)},
        **of_classes,
        "importances": _finite(scores.importances),
        "columns": {column.name: column.kind for column in splits.preprocessing.schema.columns},
        "notes": _notes_of(splits),
        **(_history_of(fits[0]) if len(fits) == 1 else {"members": _members(fits, scores)}),
    }
    with replacing(path) as file:
        file.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())


def _run_of(result: Fit) -> dict[str, Any]:
    return {"best_epoch": result.best.epoch, "stop_reason": result.stop_reason}


def _history_of(result: Fit) -> dict[str, Any]:
    return {"history": {name: [_or_none(value) for value in column] for name, column in result.history.items()}}


def _members(fits: Sequence[Fit], scores: TableScores) -> list[dict[str, Any]]:
    """Return what the report has of each member: its run, its scores alone, and its history."""
    return [
        {"seed": result.trainer.seed, **_run_of(result), "scores": _finite(alone), **_history_of(result)}
        for result, alone in zip(fits, scores.members, strict=True)
    ]


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in values.items()}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _notes_of(splits: TableSplit) -> list[str]:
    """Return everything that was noted about a table."""
    schema = splits.preprocessing.schema
    of_columns = [f"{column.name}: {note}" for column in schema.columns for note in column.notes]
    of_target = () if schema.target is None else schema.target.notes
    return [as_options(note) for note in (*schema.notes, *of_columns, *of_target, *splits.notes)]
