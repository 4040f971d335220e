"""The scores of a model of a table, next to those of a predictor that ignores the features."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import integer
from fnloop.core.display import html_table
from fnloop.core.formatting import cut_end, short
from fnloop.core.records import frozen
from fnloop.data.table_split import TableSplit
from fnloop.training.ensemble import Ensemble
from fnloop.training.importances import permutation_importances
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer

MOST_CLASSES = 100  # in a confusion matrix
NO_BETTER = 0.003  # of accuracy or R²
SHOWN_COLUMNS = 5
_seed = integer(0, 2**64)


@frozen
class TableScores:
    """The scores of a model on the test part of a table; `print` shows them.

    For classes they are `accuracy`, `balanced_accuracy` (the mean recall of the classes in the test part), `roc_auc` (of
    several classes, the mean of each against the others; NaN if only one is in the test part) and `log_loss`; for a quantity
    `r2`, `rmse` and `mae`, in the units of the target.

    Args:
        scores: The scores of the model, by name.
        trivial: Those of the trivial predictor: always the most frequent class of the training part, with the frequencies as
            probabilities, or always the mean.
        rule: What the trivial predictor predicts.
        classes: The classes; () for a quantity.
        confusion: The number of rows of each class (a row) by predicted class (a column); () for a quantity, or for more than
            100 classes.
        importances: How much the loss on the test part rises if the values of a column are permuted among the rows, the
            largest rise first. Of a table of more than 100 columns, those 100 that the predictions depend on most, by
            correlation.
        members: The scores of each member of an ensemble alone; () for a single model.

    See Also:
        `fnloop.score_table`
    """

    scores: Mapping[str, float]
    trivial: Mapping[str, float]
    rule: str
    classes: tuple[Any, ...]
    confusion: tuple[tuple[int, ...], ...]
    importances: Mapping[str, float]
    members: tuple[Mapping[str, float], ...] = ()

    @property
    def is_trivial(self) -> bool:
        """Whether accuracy or R² is at most 0.003 above that of the trivial predictor."""
        name = "accuracy" if self.classes else "r2"
        return bool(self.scores[name] <= self.trivial[name] + NO_BETTER)

    def __str__(self) -> str:
        head = ("ensemble", "one member") if self.members else ("model",)
        widths = (10, 18, 10) if self.members else (10, 10)
        lines = [f"{'':20} {_columns((*head, 'trivial'), widths)}  ({self.rule})"]
        lines += [f"{name:20} {_columns(cells, widths)}" for name, cells in self._cells().items()]
        if self.is_trivial:
            lines.append("The model is no better than the trivial predictor.")
        top = [f"{short(name, 40)[1:-1]} {value:.3g}" for name, value in list(self.importances.items())[:SHOWN_COLUMNS]]
        if top:
            lines.append(f"importance (rise of the loss if permuted): {', '.join(top)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = {
            name: f"{model}{f' (one member: {member[0]})' if member else ''} (trivial: {trivial})"
            for name, (model, *member, trivial) in self._cells().items()
        }
        return html_table("TableScores", {**rows, "trivial": self.rule})

    def _cells(self) -> dict[str, tuple[str, ...]]:
        """Return the score, those of the members if there are any, and the trivial one."""
        return {
            name.replace("_", " "): (_number(value), *self._of_members(name), _number(self.trivial[name]))
            for name, value in self.scores.items()
        }

    def _of_members(self, name: str) -> tuple[str, ...]:
        """Return the mean and the standard deviation of the members' scores; () for a single model."""
        values = [scores[name] for scores in self.members]
        return (f"{_number(float(np.mean(values)))} ± {float(np.std(values)):.2g}",) if values else ()


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


@overload
def score_table(
    trainer: Trainer, state: TrainState, table: TableSplit, *, seed: int = 42, engine: str = "numpy"
) -> TableScores: ...
@overload
def score_table(trainer: Ensemble, state: TableSplit, *, seed: int = 42, engine: str = "numpy") -> TableScores: ...
@overload
def score_table(trainer: Ensemble, *, table: TableSplit, seed: int = 42, engine: str = "numpy") -> TableScores: ...
def score_table(
    trainer: Trainer | Ensemble,
    state: TrainState | TableSplit | None = None,
    table: TableSplit | None = None,
    *,
    seed: int = 42,
    engine: str = "numpy",
) -> TableScores:
    """Return the scores of a model on the test part of a table, next to those of a predictor that ignores the features.

    Those of an ensemble, `score_table(ensemble, table)`, are of its mean prediction; the result has those of each member too.

    Args:
        trainer: The trainer, or an ensemble, as `fl.ensemble` returns and `fl.load` reads it.
        state: The state, such as the best one of a fit to the training part. An ensemble has its own: the table follows it.
        table: The table, as `split_table` returns it.
        seed: Seed of the permutations for the importances, in [0, 2^64). Default: 42.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Raises:
        TypeError: If an argument is of another type, or the loss is not one for the target.
        ValueError: If the table does not fit the model.

    Examples:
        >>> from fnloop.data import datasets
        >>> from fnloop.nn import mlp
        >>> from fnloop.training.start import init_state
        >>> table = datasets.iris()
        >>> trainer = Trainer(model=mlp([4, 3]), loss="softmax_cross_entropy")
        >>> state = init_state(trainer, table.train)
        >>> scores = score_table(trainer, state, table)
        >>> sorted(scores.scores), scores.rule, sum(map(sum, scores.confusion))
        (['accuracy', 'balanced_accuracy', 'log_loss', 'roc_auc'], 'always setosa', 30)
        >>> len(score_table(Ensemble((trainer, trainer), (state, state)), table).members)
        2

    See Also:
        `evaluate` and `Ensemble.evaluate`, which have the trainer's own loss and metrics
    """
    if isinstance(trainer, Ensemble):
        if table is not None and state is not None:
            raise TypeError(f"state must be left out for an ensemble, which has its own, got {short(state)}")
        return _scores_of(trainer, state if table is None else table, seed, engine)
    check_trainer(trainer).check_state(state, "state")
    return _scores_of(Ensemble((trainer,), (state,)), table, seed, engine)  # type: ignore[arg-type]  # it is a TrainState


def _scores_of(model: Ensemble, table: Any, seed: int, engine: str) -> TableScores:
    """Return the scores of a model, and of each member if it has several."""
    if not isinstance(table, TableSplit):
        raise TypeError(f"table must be what fl.split_table returns, got {short(table)}")
    seed, decode, test = _seed("seed", seed), table.preprocessing.decode, table.test
    classes = table.preprocessing.classes
    confusion: tuple[tuple[int, ...], ...] = ()
    if classes:
        probabilities = model.predict_proba(test.x, engine=engine)
        _check_classes(probabilities, classes)
        frequencies = np.bincount(table.train.y, minlength=len(classes)) / len(table.train)
        trivial = score_classes(test.y, np.broadcast_to(frequencies, probabilities.shape))
        rule = f"always {cut_end(str(classes[int(frequencies.argmax())]), 40)}"
        confusion = confusion_of(test.y, probabilities.argmax(axis=1), len(classes))
    else:
        y, mean = decode(test.y), float(decode(table.train.y).mean())
        trivial, rule = score_quantities(y, np.full(len(y), mean)), f"always {mean:.4g}, the mean"
    widths = [(encoder.column, encoder.width) for encoder in table.preprocessing.encoders]
    return TableScores(
        scores=_score(model, table, engine),
        trivial=trivial,
        rule=rule,
        classes=classes,
        confusion=confusion,
        importances=permutation_importances(model, test, widths, seed=seed, engine=engine),
        members=tuple(_score(member, table, engine) for member in model.members) if len(model) > 1 else (),
    )


def _score(model: Ensemble, table: TableSplit, engine: str) -> dict[str, float]:
    """Return the scores on the test part."""
    test, decode = table.test, table.preprocessing.decode
    if table.preprocessing.classes:
        return score_classes(test.y, model.predict_proba(test.x, engine=engine))
    return score_quantities(decode(test.y), decode(_as_column(model.predict(test.x, engine=engine))))


def _check_classes(probabilities: Array, classes: tuple[Any, ...]) -> None:
    if probabilities.shape[1:] != (len(classes),):
        raise ValueError(
            f"trainer must have a probability for each of the {len(classes)} classes, got shape {probabilities.shape}"
        )


def _as_column(values: Array) -> Array:
    return values[:, 0] if values.shape[1:] == (1,) else values


def score_classes(y: Array, probabilities: Array) -> dict[str, float]:
    """Return accuracy, balanced accuracy, ROC AUC and log loss.

    Args:
        y: Class indices, (N,).
        probabilities: Probabilities of the classes, (N, K).

    Examples:
        >>> score_classes(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))["accuracy"]
        1.0
    """
    from sklearn import metrics

    predicted, p = probabilities.argmax(axis=1), probabilities.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)  # the rounding errors of float32 are too large for scikit-learn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are not in the test part
        return {
            "accuracy": float(metrics.accuracy_score(y, predicted)),
            "balanced_accuracy": float(metrics.balanced_accuracy_score(y, predicted)),
            "roc_auc": _auc(y, p),
            "log_loss": float(metrics.log_loss(y, p, labels=range(p.shape[1]))),
        }


def _auc(y: Array, probabilities: Array) -> float:
    """The mean area of the classes that are in y, from the ranks of their probabilities (Mann and Whitney's U).

    scikit-learn's mean needs all classes in y, and takes seconds for 1,000.
    """
    from scipy.stats import rankdata

    present = np.unique(y)
    if len(present) < 2:
        return math.nan
    classes = np.array([1]) if probabilities.shape[1] == 2 else present
    positive = y[:, None] == classes
    count = positive.sum(axis=0)
    ranks = (rankdata(probabilities[:, classes], axis=0) * positive).sum(axis=0)
    return float(((ranks - count * (count + 1) / 2) / (count * (len(y) - count))).mean())


def score_quantities(y: Array, predicted: Array) -> dict[str, float]:
    """Return R², the root mean squared error and the mean absolute error, in the units of the target.

    Args:
        y: The quantities, (N,).
        predicted: Their predictions, (N,).

    Examples:
        >>> score_quantities(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
        {'r2': 0.5, 'rmse': 0.7071067811865476, 'mae': 0.5}
    """
    from sklearn import metrics

    return {
        "r2": float(metrics.r2_score(y, predicted)) if np.ptp(y) else math.nan,
        "rmse": float(metrics.root_mean_squared_error(y, predicted)),
        "mae": float(metrics.mean_absolute_error(y, predicted)),
    }


def confusion_of(y: Array, predicted: Array, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return the number of rows of each class (a row) by predicted class (a column); () for more than 100 classes.

    Args:
        y: Class indices, (N,).
        predicted: Predicted class indices, (N,).
        classes: The number of classes.
    """
    from sklearn.metrics import confusion_matrix

    if classes > MOST_CLASSES:
        return ()
    return tuple(map(tuple, confusion_matrix(y, predicted, labels=range(classes)).tolist()))
