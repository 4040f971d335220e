"""Losses and metrics equal scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import fnloop as fl
from fnloop.core.records import evolve


def evaluate_outputs(loss, outputs, targets, names):
    """Evaluate a model that returns its input unchanged."""
    width = outputs.shape[1]
    trainer = fl.Trainer(model=fl.mlp([width, width], "identity"), loss=loss, metrics=names, dtype="float64")
    state = fl.init_state(trainer)
    vector = np.concatenate([np.eye(width).ravel(), np.zeros(width)])
    state = evolve(state, params=evolve(state.params, vector=vector))
    return fl.evaluate(trainer, state, fl.Dataset(outputs, targets)), fl.predict(trainer, state, outputs)


@given(st.integers(0, 10**6), st.integers(1, 3000))
def test_binary_classification(seed, rows):
    """Log loss, accuracy and labels, over more rows than one forward pass has."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 1)), draw.integers(0, 2, rows)
    measured, labels = evaluate_outputs(fl.losses.BinaryCrossEntropy(), z, y, ("accuracy",))
    p = 1 / (1 + np.exp(-z[:, 0]))
    np.testing.assert_allclose(measured["loss"], metrics.log_loss(y, p, labels=[0, 1]), rtol=1e-9)
    np.testing.assert_allclose(measured["accuracy"], metrics.accuracy_score(y, p > 0.5), rtol=1e-12)
    assert labels.tolist() == (p > 0.5).astype(int).tolist()


@given(st.integers(0, 10**6), st.integers(1, 2000), st.integers(2, 6), st.booleans())
def test_many_classes(seed, rows, classes, dense):
    """The same for K classes, from labels and from one-hot rows."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, classes)), draw.integers(0, classes, rows)
    targets = np.eye(classes)[y] if dense else y
    measured, labels = evaluate_outputs(fl.losses.SoftmaxCrossEntropy(), z, targets, ("accuracy",))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(measured["loss"], metrics.log_loss(y, p, labels=range(classes)), rtol=1e-9)
    np.testing.assert_allclose(measured["accuracy"], metrics.accuracy_score(y, z.argmax(1)), rtol=1e-12)
    assert labels.tolist() == z.argmax(1).tolist()


@given(st.integers(0, 10**6), st.integers(2, 2500), st.integers(1, 3), st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_regression(seed, rows, width, mean, spread):
    """Squared error and R², averaged over outputs."""
    draw = np.random.default_rng(seed)
    y = draw.normal(mean, spread, (rows, width))
    f = y + draw.normal(0, spread, (rows, width))
    measured, _ = evaluate_outputs(fl.losses.MeanSquaredError(), f, y, ("r2", "mae"))
    np.testing.assert_allclose(measured["mae"], metrics.mean_absolute_error(y, f), rtol=1e-9)
    np.testing.assert_allclose(measured["loss"], metrics.mean_squared_error(y, f), rtol=1e-9)
    np.testing.assert_allclose(measured["r2"], metrics.r2_score(y, f), rtol=1e-5, atol=1e-5)


def scores(y, f, **how):
    """Precision, recall and F1 by scikit-learn."""
    kinds = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    return {name: kind(y, f, zero_division=0, **how) for name, kind in kinds.items()}


@given(st.integers(0, 10**6), st.integers(1, 1500), st.floats(0, 1))
def test_precision_and_recall_of_two_classes(seed, rows, share):
    """Of class 1, also if it has no examples or no predictions."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(draw.choice([-9, 0, 9]), 3, (rows, 1)), (draw.uniform(size=rows) < share).astype(int)
    measured, labels = evaluate_outputs(fl.losses.BinaryCrossEntropy(), z, y, ("precision", "recall", "f1"))
    for name, value in scores(y, labels).items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-12, err_msg=name)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 7), st.booleans())
def test_macro_averages_of_many_classes(seed, rows, classes, dense):
    """Over all classes, including those without examples."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, classes)), draw.integers(0, classes, rows)
    targets = np.eye(classes)[y] if dense else y
    measured, labels = evaluate_outputs(fl.losses.Focal(), z, targets, ("precision", "recall", "f1"))
    for name, value in scores(y, labels, labels=range(classes), average="macro").items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-12, err_msg=name)


@given(st.integers(0, 10**6), st.integers(1, 1500), st.integers(3, 8), st.data())
def test_top_k_accuracy(seed, rows, classes, data):
    """Without ties; for k = 1 it is the accuracy with ties, too."""
    draw, k = np.random.default_rng(seed), data.draw(st.integers(1, classes - 1))
    z, y = draw.normal(0, 3, (rows, classes)), draw.integers(0, classes, rows)
    metric = fl.metrics.TopKAccuracy(k)
    measured, _ = evaluate_outputs(fl.losses.SoftmaxCrossEntropy(), z, y, (metric,))
    expected = metrics.top_k_accuracy_score(y, z, k=k, labels=range(classes))
    np.testing.assert_allclose(measured[f"top_{k}_accuracy"], expected, rtol=1e-12)
    ties = np.round(z / 4)
    measured, _ = evaluate_outputs(fl.losses.SoftmaxCrossEntropy(), ties, y, (fl.metrics.TopKAccuracy(1), "accuracy"))
    assert measured["top_1_accuracy"] == measured["accuracy"]


@given(st.integers(0, 10**6), st.integers(1, 1500), st.integers(3, 6))
def test_hinge(seed, rows, classes):
    """Of two classes, both of which scikit-learn must see, and Crammer and Singer's of more."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 2, (rows + 2, classes)), np.append([0, 1], draw.integers(0, classes, rows))
    many, two = metrics.hinge_loss(y, z, labels=range(classes)), metrics.hinge_loss(y % 2, z[:, 0])
    np.testing.assert_allclose(evaluate_outputs(fl.losses.Hinge(), z, y, ())[0]["loss"], many, rtol=1e-9)
    np.testing.assert_allclose(evaluate_outputs(fl.losses.Hinge(), z[:, :1], y % 2, ())[0]["loss"], two, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_a_nan_score_is_ranked_last(k):
    """It does not promote other classes."""
    metric, nan = fl.metrics.TopKAccuracy(k), np.nan
    outputs = np.array([[nan, 1.0, 0.0], [nan, 1.0, 0.0], [nan, nan, nan]])
    assert metric.sums(outputs, np.array([0.0, 1.0, 2.0])) == [k - 1]
