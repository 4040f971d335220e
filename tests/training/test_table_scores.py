"""Scores agree with scikit-learn's; each is next to that of a predictor that ignores the features."""

import math
import warnings

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression

import fnloop as fl
from fnloop.training.importances import permutation_importances
from fnloop.training.table_scores import confusion_of, score_classes, score_quantities

DRAW = np.random.default_rng(0)


def draw_classes(seed, n, classes):
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.ones(classes), n)
    return draw.integers(0, classes, n), probabilities


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 5))
def test_scores_of_classes_are_those_of_scikit_learn(seed, n, classes):
    """Also where the test set lacks some classes."""
    y, p = draw_classes(seed, n, classes)
    found, predicted = score_classes(y, p), p.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert found["log_loss"] == pytest.approx(-np.log(p[np.arange(n), y]).mean())
    assert confusion_of(y, predicted, classes) == tuple(
        tuple(int(((y == i) & (predicted == j)).sum()) for j in range(classes)) for i in range(classes)
    )
    if len(set(y)) == classes:
        wanted = metrics.roc_auc_score(y, p[:, 1] if classes == 2 else p, multi_class="ovr")
        assert found["roc_auc"] == pytest.approx(wanted)
    if len(set(y)) == 1:
        assert math.isnan(found["roc_auc"])


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_scores_of_quantities_are_those_of_scikit_learn(seed, n):
    """R², RMSE and MAE; a constant quantity has no R²."""
    draw = np.random.default_rng(seed)
    y, predicted = draw.standard_normal((2, n)) * 10.0 ** draw.integers(-3, 4)
    found = score_quantities(y, predicted)
    assert found["r2"] == pytest.approx(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert found["rmse"] == pytest.approx(np.sqrt(((y - predicted) ** 2).mean()))
    assert found["mae"] == pytest.approx(np.abs(y - predicted).mean())
    assert math.isnan(score_quantities(np.ones(n), predicted)["r2"])


def linear_model(weights):
    """A model that predicts a weighted sum of the features."""
    trainer = fl.Trainer(model=fl.mlp([len(weights), 1]), loss="mse", dtype="float64")
    state = fl.init_state(trainer)
    return fl.Ensemble((trainer,), (attrs.evolve(state, params=attrs.evolve(state.params, vector=np.append(weights, 0.0))),))


def test_only_columns_that_the_model_uses_are_important():
    """A column that no prediction depends on has importance 0; the features of a column are permuted together."""
    linear = linear_model([3.0, 0.0, 1.0, -1.0])
    x = DRAW.standard_normal((500, 1))
    x = np.concatenate([x, DRAW.standard_normal((500, 2)), np.zeros((500, 1))], axis=1)
    x[:, 3] = x[:, 2]  # the two features of a column cancel one another, if they are permuted together
    data = fl.Dataset(x, 3 * x[:, 0])
    found = permutation_importances(linear, data, [("a", 1), ("unused", 1), ("pair", 2)], seed=1)
    assert next(iter(found)) == "a"
    assert found["unused"] == 0.0
    assert found["pair"] == pytest.approx(0.0, abs=1e-12)
    assert found["a"] == pytest.approx(18, rel=0.2)  # twice the variance that the column explains


def test_importances_are_those_of_scikit_learn():
    """Where each column has one feature; the permutations are others."""
    weights = np.array([3.0, 1.0, 0.5, 0.0])
    linear = linear_model(weights)
    x = DRAW.standard_normal((1500, 4))
    y = x @ weights + DRAW.standard_normal(1500)
    model = LinearRegression().fit(x, x @ weights)
    wanted = permutation_importance(model, x, y, scoring="neg_mean_squared_error", n_repeats=5, random_state=0)
    found = permutation_importances(linear, fl.Dataset(x, y), [(str(i), 1) for i in range(4)], seed=0)
    np.testing.assert_allclose([found[str(i)] for i in range(4)], wanted.importances_mean, rtol=0.15, atol=1e-9)


def test_the_importances_of_a_wide_table_are_those_of_the_columns_that_matter():
    """At most 100 columns, which the outputs depend on most, whatever their place; the others are not computed."""
    weights = np.zeros(3000)
    used = DRAW.choice(3000, 5, replace=False)
    weights[used] = [5, 4, 3, 2, 1]
    linear = linear_model(weights)
    x = DRAW.standard_normal((400, 3000))
    x[:, 7] = 1.0
    columns = [(f"c{i}", 1) for i in range(3000)]
    found = permutation_importances(linear, fl.Dataset(x, x @ weights), columns, seed=0)
    assert len(found) == 100
    assert list(found)[:3] == [f"c{i}" for i in used[:3]]


FRAME = pd.DataFrame(
    {
        "x": DRAW.standard_normal(200),
        "colour": DRAW.choice(["red", "blue"], 200),
        "noise": DRAW.standard_normal(200),
    }
).assign(
    y=lambda frame: 300 + 40 * frame["x"] + 5 * (frame["colour"] == "red"),
    kind=lambda frame: np.where(frame["x"] + DRAW.standard_normal(200) / 3 > 0.7, "big", "small"),
)


@pytest.mark.parametrize(("target", "other"), [("y", "kind"), ("kind", "y")])
def test_a_table_is_scored_by_its_test_part(target, other):
    """From frame to scores in three calls; the record prints, and has what `metrics.json` has."""
    table = fl.split_table(FRAME.drop(columns=other), target)
    trainer = fl.Trainer(
        model=fl.mlp([table.train.x.shape[1], 8, 1]), loss="bce" if target == "kind" else "mse", scheduler=0.01
    )
    result = fl.fit(trainer, table.train, table.validation, epochs=20, progress=False)
    scores = fl.score_table(result.trainer, result.best, table)
    predicted = table.preprocessing.decode(result.predict(table.test.x))
    truth = table.preprocessing.decode(table.test.y)
    assert next(iter(scores.importances)) == "x"
    assert not scores.is_trivial
    if target == "kind":
        assert scores.scores["accuracy"] == (predicted == truth).mean()
        assert scores.trivial["accuracy"] == (truth == "small").mean()
        assert scores.trivial["balanced_accuracy"] == scores.trivial["roc_auc"] == 0.5
        assert scores.rule == "always small"
        assert sum(map(sum, scores.confusion)) == len(table.test)
    else:
        assert scores.scores["mae"] == pytest.approx(np.abs(predicted - truth).mean())
        assert scores.trivial["mae"] == pytest.approx(np.abs(truth - FRAME["y"].mean()).mean(), rel=0.1)
    assert "trivial" in str(scores)
    assert "importance (rise of the loss if permuted): x " in str(scores)
    assert "mae" in scores._repr_html_() or "roc auc" in scores._repr_html_()


def test_a_model_that_learned_nothing_is_told():
    """Within 0.003 of the accuracy or R² of the trivial predictor."""
    table = fl.split_table(FRAME.drop(columns="y"), "kind")
    trainer = fl.Trainer(model=fl.mlp([table.train.x.shape[1], 1]), loss="bce")
    state = fl.init_state(trainer)
    state = attrs.evolve(state, params=attrs.evolve(state.params, vector=np.array([0, 0, 0, 0, 5.0], np.float32)))
    scores = fl.score_table(trainer, state, table)
    assert scores.is_trivial
    assert "no better than the trivial predictor" in str(scores)
    assert attrs.evolve(scores, scores={"accuracy": scores.trivial["accuracy"] + 0.004}).is_trivial is False


def test_what_does_not_fit_is_refused():
    """By name."""
    table = fl.split_table(FRAME.drop(columns="y"), "kind")
    trainer = fl.Trainer(model=fl.mlp([table.train.x.shape[1], 3]), loss="softmax_cross_entropy")
    with pytest.raises(TypeError, match=r"table must be what fl.split_table returns, got Dataset"):
        fl.score_table(trainer, fl.init_state(trainer), table.train)
    with pytest.raises(ValueError, match="each of the 2 classes"):
        fl.score_table(trainer, fl.init_state(trainer), table)
