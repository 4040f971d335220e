"""Scores of predictions in the terms of the table, next to those of a predictor that ignores the features."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.random import Stream, words

SMALLEST = 1e-15  # a probability in the log loss
REPEATS = 5
MOST_ROWS, MOST_COLUMNS = 2000, 200  # that importances are computed from


def classification_scores(y: Array, probabilities: Array) -> dict[str, float]:
    """Return accuracy, balanced accuracy, ROC AUC and log loss.

    Balanced accuracy is the mean recall of the classes in `y`. The AUC of several classes is the mean of each class against
    the others; it is NaN if `y` has one class.

    Args:
        y: Class indices, (N,).
        probabilities: Probabilities of the classes, (N, K).

    Examples:
        >>> classification_scores(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))["accuracy"]
        1.0
    """
    predicted = probabilities.argmax(axis=1)
    recalls = [float((predicted[y == k] == k).mean()) for k in np.unique(y)]
    return {
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "roc_auc": _auc(y, probabilities),
        "log_loss": float(-np.log(np.maximum(probabilities[np.arange(len(y)), y], SMALLEST)).mean()),
    }


def _auc(y: Array, probabilities: Array) -> float:
    from sklearn.metrics import roc_auc_score

    present = np.unique(y)
    if len(present) < 2:
        return math.nan
    classes = [1] if probabilities.shape[1] == 2 else present
    return float(np.mean([roc_auc_score(y == k, probabilities[:, k]) for k in classes]))


def regression_scores(y: Array, predicted: Array) -> dict[str, float]:
    """Return R², the root mean squared error and the mean absolute error, in the units of the target.

    Args:
        y: The quantities, (N,).
        predicted: Their predictions, (N,).

    Examples:
        >>> regression_scores(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
        {'r2': 0.5, 'rmse': 0.7071067811865476, 'mae': 0.5}
    """
    errors, spread = predicted - y, y - y.mean()
    total = float(spread @ spread)
    return {
        "r2": 1 - float(errors @ errors) / total if total else math.nan,
        "rmse": float(np.sqrt((errors @ errors) / len(y))),
        "mae": float(np.abs(errors).mean()),
    }


def class_frequencies(y: Array, classes: int) -> Array:
    """Return the share of each class.

    Args:
        y: Class indices, (N,).
        classes: The number of classes.
    """
    return np.bincount(y, minlength=classes) / len(y)


def confusion(y: Array, predicted: Array, classes: int) -> list[list[int]]:
    """Return the number of rows of each class (a row) that are predicted as each class (a column).

    Args:
        y: Class indices, (N,).
        predicted: Predicted class indices, (N,).
        classes: The number of classes.
    """
    counts: list[list[int]] = np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes).tolist()
    return counts


def importances(
    loss: Callable[[Array, Array], float], x: Array, y: Array, columns: Sequence[tuple[str, int]], seed: int
) -> dict[str, float]:
    """Return how much the loss rises if the values of a column are permuted among the rows, the largest first.

    It is the mean of 5 permutations, of at most 2,000 rows; for a table of more than 200 columns nothing is computed.

    Args:
        loss: The loss of predictions for features and targets.
        x: The features, (N, D).
        y: The targets, (N,).
        columns: The columns of the table, with the number of features of each, in the order of the features.
        seed: The seed of the permutations.

    Source: Breiman 2001, Random forests, section 10.
    """
    if len(columns) > MOST_COLUMNS:
        return {}
    x, y = x[:MOST_ROWS], y[:MOST_ROWS]
    base, found, start = loss(x, y), {}, 0
    for name, width in columns:
        rises = []
        for repeat in range(REPEATS):
            order = np.argsort(words(len(x), seed, Stream.SPLIT, 3 + start, repeat))
            permuted = np.array(x)
            permuted[:, start : start + width] = x[order, start : start + width]
            rises.append(loss(permuted, y) - base)
        found[name] = float(np.mean(rises))
        start += width
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def score_lines(scores: Mapping[str, float], trivial: Mapping[str, float], rule: str) -> str:
    """Return scores as text, each with that of the trivial predictor.

    Args:
        scores: The scores.
        trivial: Those of the trivial predictor.
        rule: What the trivial predictor does.
    """
    lines = [f"{'':20} {'model':>10} {'trivial':>10}  ({rule})"]
    lines += [f"{name.replace('_', ' '):20} {_number(value)} {_number(trivial[name])}" for name, value in scores.items()]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:10.4g}" if math.isfinite(value) else f"{'-':>10}"


def is_no_better(scores: Mapping[str, Any], trivial: Mapping[str, Any]) -> bool:
    """Return whether a model is within 0.3 points of the trivial predictor, by accuracy or R².

    Args:
        scores: The scores of the model.
        trivial: Those of the trivial predictor.
    """
    name = "accuracy" if "accuracy" in scores else "r2"
    return bool(scores[name] <= trivial[name] + 0.003)
