"""Permutation importances: how much a model's loss depends on each column of a table."""

from collections.abc import Sequence

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.random import Stream, words
from fnloop.data.dataset import Dataset
from fnloop.training.ensemble import Ensemble

REPEATS = 5
MOST_COLUMNS = 100
MOST_ROWS, MOST_NUMBERS = 2000, 1_000_000  # of the features that a loss is computed from


def permutation_importances(
    model: Ensemble,
    data: Dataset,
    columns: Sequence[tuple[str, int]],
    *,
    seed: int,
    engine: str = "numpy",
) -> dict[str, float]:
    """Return how much the loss rises if the values of a column are permuted among the rows, the largest rise first.

    It is the mean of 5 permutations. The features of a column are permuted together, which scikit-learn's
    `permutation_importance` cannot do. The time is bounded: the loss is that of the first 2,000 rows, and of fewer if these
    have more than 1,000,000 features; and of more than 100 columns only those are permuted that have the feature with the
    largest correlation with an output of the model.

    Args:
        model: The model, or several.
        data: The dataset.
        columns: The columns of the table, with the number of features of each, in the order of the features.
        seed: Seed of the permutations.
        engine: The engine.

    Source: Breiman 2001, Random forests, section 10.
    """
    rows = int(np.clip(MOST_NUMBERS // data.x.shape[1], 100, MOST_ROWS))
    x, y, starts = data.x[:rows], data.y[:rows], np.cumsum([0, *(width for _, width in columns)])
    chosen: Sequence[int] = range(len(columns))
    if len(columns) > MOST_COLUMNS:
        strongest = np.maximum.reduceat(_correlations(x, model.outputs(x, engine=engine)), starts[:-1])
        chosen = np.argsort(-strongest, kind="stable")[:MOST_COLUMNS].tolist()

    def loss(features: Array) -> float:
        return model.evaluate(Dataset(features, y), engine=engine)["loss"]

    base, found, permuted = loss(x), {}, np.array(x)
    for i in chosen:
        part, rises = slice(starts[i], starts[i + 1]), []
        for repeat in range(REPEATS):
            order = np.argsort(words(len(x), seed, Stream.SPLIT, 3 + int(starts[i]), repeat))
            permuted[:, part] = x[order, part]
            rises.append(loss(permuted) - base)
        permuted[:, part] = x[:, part]
        found[columns[i][0]] = float(np.mean(rises))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _correlations(x: Array, values: Array) -> Array:
    """The largest correlation, in size, of each feature with one of the outputs: (D,); 0 for a constant feature."""
    x, values = _standardized(x), _standardized(values.reshape(len(values), -1))
    largest: Array = np.abs(x.T @ values).max(axis=1) / len(x)
    return largest


def _standardized(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    scale = x.std(axis=0)
    standardized: Array = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1)
    return standardized
