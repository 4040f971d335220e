"""Losses and metrics equal scikit-learn's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import fnloop as fl
from fnloop.record import evolve


def through(loss, outputs, targets, names):
    """Evaluate a model that passes its input on as it is."""
    width = outputs.shape[1]
    trainer = fl.Trainer(model=fl.mlp([width, width], "identity"), loss=loss, metrics=names, dtype="float64")
    state = fl.init_state(trainer)
    vector = np.concatenate([np.eye(width).ravel(), np.zeros(width)])
    state = evolve(state, params=evolve(state.params, vector=vector))
    return fl.evaluate(trainer, state, fl.Dataset(outputs, targets)), fl.predict(trainer, state, outputs)


@given(st.integers(0, 10**6), st.integers(1, 3000))
def test_binary_classification(seed, rows):
    """Log loss, accuracy, labels; over more rows than one forward pass takes."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 1)), draw.integers(0, 2, rows)
    measured, labels = through(fl.losses.BinaryCrossEntropy(), z, y, ("accuracy",))
    p = 1 / (1 + np.exp(-z[:, 0]))
    np.testing.assert_allclose(measured["loss"], metrics.log_loss(y, p, labels=[0, 1]), rtol=1e-9)
    np.testing.assert_allclose(measured["accuracy"], metrics.accuracy_score(y, p > 0.5), rtol=1e-12)
    assert labels.tolist() == (p > 0.5).astype(int).tolist()


@given(st.integers(0, 10**6), st.integers(1, 2000), st.integers(2, 6), st.booleans())
def test_many_classes(seed, rows, classes, dense):
    """The same for K classes, by labels and by one-hot rows."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, classes)), draw.integers(0, classes, rows)
    targets = np.eye(classes)[y] if dense else y
    measured, labels = through(fl.losses.SoftmaxCrossEntropy(), z, targets, ("accuracy",))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(measured["loss"], metrics.log_loss(y, p, labels=range(classes)), rtol=1e-9)
    np.testing.assert_allclose(measured["accuracy"], metrics.accuracy_score(y, z.argmax(1)), rtol=1e-12)
    assert labels.tolist() == z.argmax(1).tolist()


@given(st.integers(0, 10**6), st.integers(2, 2500), st.integers(1, 3), st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_regression(seed, rows, width, mean, spread):
    """Squared error and R², the mean over outputs."""
    draw = np.random.default_rng(seed)
    y = draw.normal(mean, spread, (rows, width))
    f = y + draw.normal(0, spread, (rows, width))
    measured, _ = through(fl.losses.MeanSquaredError(), f, y, ("r2",))
    np.testing.assert_allclose(measured["loss"], metrics.mean_squared_error(y, f), rtol=1e-9)
    np.testing.assert_allclose(measured["r2"], metrics.r2_score(y, f), rtol=1e-5, atol=1e-5)
