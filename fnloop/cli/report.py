"""The report of a training: scores on the test set, the trivial predictor, the confusion matrix, importances."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fnloop.cli.scores import (
    class_frequencies,
    classification_scores,
    confusion,
    importances,
    is_no_better,
    regression_scores,
    score_lines,
)
from fnloop.core.arrays import Array
from fnloop.core.formatting import cut_end, short
from fnloop.core.records import frozen
from fnloop.data.table_split import TableSplit
from fnloop.fitting import Fit
from fnloop.runs.files import replacing
from fnloop.training.evaluation import predict, predict_proba
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

MOST_CLASSES = 100  # in a confusion matrix


@frozen
class Report:
    """The scores of a model on the test set.

    Args:
        scores: The scores, in the terms of the table.
        trivial: Those of the trivial predictor.
        rule: What the trivial predictor does.
        confusion: For classes, rows of each class by predicted class; () for a quantity, or for more than 100 classes.
        importances: The rise of the loss if the values of a column are permuted, the largest first.
    """

    scores: dict[str, float]
    trivial: dict[str, float]
    rule: str
    confusion: Any
    importances: dict[str, float]

    def lines(self) -> str:
        """Return the report as text."""
        lines = [score_lines(self.scores, self.trivial, self.rule)]
        if is_no_better(self.scores, self.trivial):
            lines.append("The model is no better than the trivial predictor.")
        top = [f"{short(name, 40)[1:-1]} {value:.3g}" for name, value in list(self.importances.items())[:5]]
        if top:
            lines.append(f"importance (rise of the loss if permuted): {', '.join(top)}")
        return "\n".join(lines)

    def as_json(self, classes: tuple[Any, ...]) -> dict[str, Any]:
        """Return the report as values for JSON; a number that is not finite is None.

        Args:
            classes: The classes.
        """
        values: dict[str, Any] = {"scores": _finite(self.scores), "trivial": {"rule": self.rule, **_finite(self.trivial)}}
        if classes:
            values |= {"classes": list(classes), "confusion_matrix": self.confusion or None}
        return {**values, "importances": _finite(self.importances)}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in values.items()}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def make_report(trainer: Trainer, state: TrainState, splits: TableSplit, seed: int) -> Report:
    """Return the report of a state on the test set.

    Args:
        trainer: The trainer.
        state: The state.
        splits: The data.
        seed: The seed of the permutations.
    """
    preprocessing, test = splits.preprocessing, splits.test
    columns = [(encoder.column, encoder.width) for encoder in preprocessing.encoders]
    if not preprocessing.classes:
        return _of_regression(trainer, state, splits, columns, seed)
    count = len(preprocessing.classes)
    probabilities = predict_proba(trainer, state, test.x)
    frequencies = class_frequencies(splits.train.y, count)
    usual = cut_end(str(preprocessing.classes[int(frequencies.argmax())]), 40)

    def log_loss(x: Array, y: Array) -> float:
        return classification_scores(y, predict_proba(trainer, state, x))["log_loss"]

    return Report(
        scores=classification_scores(test.y, probabilities),
        trivial=classification_scores(test.y, np.broadcast_to(frequencies, (len(test), count))),
        rule=f"always {usual}",
        confusion=confusion(test.y, probabilities.argmax(axis=1), count) if count <= MOST_CLASSES else (),
        importances=importances(log_loss, test.x, test.y, columns, seed),
    )


def _of_regression(
    trainer: Trainer, state: TrainState, splits: TableSplit, columns: list[tuple[str, int]], seed: int
) -> Report:
    decode = splits.preprocessing.decode
    y, mean = decode(splits.test.y), float(decode(splits.train.y).mean())

    def squared_error(x: Array, y: Array) -> float:
        return float(((predict(trainer, state, x) - y) ** 2).mean())

    return Report(
        scores=regression_scores(y, decode(predict(trainer, state, splits.test.x))),
        trivial=regression_scores(y, np.full(len(y), mean)),
        rule=f"always {mean:.4g}, the mean",
        confusion=(),
        importances=importances(squared_error, splits.test.x, splits.test.y, columns, seed),
    )


def write_report(result: Fit, splits: TableSplit, test_metrics: Mapping[str, float], scores: Report, path: Path) -> None:
    """Write the metrics as JSON; a number that is not finite is written as null.

    Args:
        result: The run.
        splits: The data.
        test_metrics: The metrics on the test set.
        scores: The scores on the test set, in the terms of the table.
        path: The file.
    """
    report = {
        "task": splits.task,
        "target": splits.preprocessing.target,
        "best_epoch": result.best.epoch,
        "stop_reason": result.stop_reason,
        "test": _finite(test_metrics),
        **scores.as_json(splits.preprocessing.classes),
        "columns": {column.name: column.kind for column in splits.preprocessing.schema.columns},
        "notes": _notes_of(splits),
        "history": {name: [_or_none(value) for value in column] for name, column in result.history.items()},
    }
    with replacing(path) as file:
        file.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())


def _notes_of(splits: TableSplit) -> list[str]:
    """Return everything that was noted about a table."""
    schema = splits.preprocessing.schema
    of_columns = [f"{column.name}: {note}" for column in schema.columns for note in column.notes]
    of_target = () if schema.target is None else schema.target.notes
    return [*schema.notes, *of_columns, *of_target, *splits.notes]
