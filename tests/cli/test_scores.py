"""Scores agree with scikit-learn's; each is next to that of a predictor that ignores the features."""

import csv
import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import fnloop as fl
from fnloop.cli.scores import classification_scores, confusion, importances, is_no_better, regression_scores
from tests.cli.support import run_here


def draw_classes(seed, n, classes):
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.ones(classes), n)
    return draw.integers(0, classes, n), probabilities


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 5))
def test_scores_of_classes_are_those_of_scikit_learn(seed, n, classes):
    """Also where the test set lacks some classes."""
    y, p = draw_classes(seed, n, classes)
    found, predicted = classification_scores(y, p), p.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p, labels=range(classes)))
    assert confusion(y, predicted, classes) == metrics.confusion_matrix(y, predicted, labels=range(classes)).tolist()
    if len(set(y)) == classes:
        wanted = metrics.roc_auc_score(y, p[:, 1] if classes == 2 else p, multi_class="ovr")
        assert found["roc_auc"] == pytest.approx(wanted)
    if len(set(y)) == 1:
        assert math.isnan(found["roc_auc"])


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_scores_of_quantities_are_those_of_scikit_learn(seed, n):
    """R², RMSE and MAE."""
    draw = np.random.default_rng(seed)
    y, predicted = draw.standard_normal((2, n)) * 10.0 ** draw.integers(-3, 4)
    found = regression_scores(y, predicted)
    assert found["r2"] == pytest.approx(metrics.r2_score(y, predicted))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, predicted))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(y, predicted))


def test_only_columns_that_the_model_uses_are_important():
    """A column that no prediction depends on has importance 0; the order is that of the rise."""
    x = np.random.default_rng(0).standard_normal((500, 4))
    y = 3 * x[:, 0] + x[:, 2]

    def loss(x, y):
        return float(((3 * x[:, 0] + x[:, 2] - y) ** 2).mean())

    found = importances(loss, x, y, [("a", 1), ("unused", 1), ("pair", 2)], seed=1)
    assert list(found) == ["a", "pair", "unused"]
    assert found["unused"] == 0.0
    assert found["a"] == pytest.approx(18, rel=0.2)  # twice the variance that the column explains
    assert importances(loss, x, y, [("a", 1)] * 300, seed=1) == {}


def test_no_better_than_the_trivial_predictor_is_within_0_3_points():
    """Of accuracy or R²."""
    assert is_no_better({"accuracy": 0.902}, {"accuracy": 0.9})
    assert not is_no_better({"accuracy": 0.91}, {"accuracy": 0.9})
    assert is_no_better({"r2": -0.2}, {"r2": 0.0})


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_the_report_has_every_score_next_to_the_trivial_one(tmp_path):
    """On the screen and in metrics.json; a model that learned nothing is told."""
    draw = np.random.default_rng(0)
    rows = [[f"{draw.standard_normal():.3f}", "no" if i % 10 else "yes"] for i in range(200)]
    done = run_here("train", write(tmp_path / "t.csv", [["x", "y"], *rows]), "--epochs", 2, "--out", tmp_path / "o")
    assert done.status == 0, done.err
    assert "(always no)" in done.out
    assert "The model is no better than the trivial predictor." in done.out
    report = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert report["trivial"]["accuracy"] == pytest.approx(0.9)
    assert report["trivial"]["balanced_accuracy"] == report["trivial"]["roc_auc"] == 0.5
    assert set(report["scores"]) == {"accuracy", "balanced_accuracy", "roc_auc", "log_loss"}
    assert report["scores"]["accuracy"] == pytest.approx(report["test"]["accuracy"])
    assert report["scores"]["log_loss"] == pytest.approx(report["test"]["loss"], rel=1e-4)
    assert np.sum(report["confusion_matrix"]) == 40
    assert report["classes"] == ["no", "yes"]
    assert list(report["importances"]) == ["x"]
    assert report["columns"] == {"x": "number"}


def test_quantities_are_scored_in_their_units(tmp_path):
    """RMSE and MAE are those of the predictions of `fnloop predict` on the test rows."""
    rows = [[i % 17, 1000 + 50 * (i % 17) + i % 3, "test" if i % 4 == 0 else "train"] for i in range(200)]
    path = write(tmp_path / "t.csv", [["x", "y", "part"], *rows])
    done = run_here("train", path, "--target", "y", "--split", "part", "--epochs", 20, "--out", tmp_path / "o", "--quiet")
    assert done.status == 0, done.err
    predicted = np.array(run_here("predict", tmp_path / "o" / "best.npz", path).out.split()[1:], float)[::4]
    y = np.array([row[1] for row in rows])[::4]
    report = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert report["scores"]["mae"] == pytest.approx(np.abs(predicted - y).mean())
    assert report["scores"]["rmse"] == pytest.approx(np.sqrt(((predicted - y) ** 2).mean()))
    assert report["trivial"]["rmse"] == pytest.approx(y.std(), rel=0.1)


def test_refit_trains_on_the_validation_rows_too(tmp_path):
    """For the number of epochs that validation chose, at the same rates; there is no val_loss then."""
    for options in ([], ["--refit"]):
        done = run_here("train", "iris", "--epochs", 12, "--out", tmp_path / f"o{len(options)}", *options)
        assert done.status == 0, done.err
    first, last = (fl.load(tmp_path / name / "best.npz") for name in ("o0", "o1"))
    assert last.epoch == first.epoch
    assert last.step > first.step
    assert "val_loss" not in last.metrics
    assert f"Trained again on the training and validation rows, {first.epoch} epoch" in done.out
