"""Several labels an example: the loss, its predictions, and the metrics."""

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses as ls

SEEDS = st.integers(0, 10**6)


def values_and_gradient(loss, outputs, targets):
    values, backward = loss.forward(outputs, targets)
    return values, backward()


@given(SEEDS, st.integers(1, 8), st.integers(2, 4), st.floats(0, 0.9), st.sampled_from([None, "pair", "pairs"]))
def test_the_loss_of_labels_is_a_mean_of_binary_losses(seed, rows, labels, smoothing, weighted):
    """The loss of K labels is the mean of K binary losses, with one pair of weights for all labels or one for each."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, labels)), draw.integers(0, 2, (rows, labels)).astype(float)
    pairs = [tuple(draw.uniform(0, 3, 2)) for _ in range(labels)]
    pairs = {None: [None] * labels, "pair": [pairs[0]] * labels, "pairs": pairs}[weighted]
    given_as = {None: None, "pair": pairs[0], "pairs": pairs}[weighted]
    values, gradient = values_and_gradient(ls.BinaryCrossEntropy(label_smoothing=smoothing, class_weights=given_as), z, y)
    alone = [
        values_and_gradient(ls.BinaryCrossEntropy(label_smoothing=smoothing, class_weights=pairs[k]), z[:, [k]], y[:, k])
        for k in range(labels)
    ]
    np.testing.assert_allclose(values, np.mean([v for v, _ in alone], axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, np.concatenate([g for _, g in alone], axis=1) / labels, rtol=1e-12, atol=1e-14)


def test_each_label_has_a_prediction_and_a_probability():
    """Whatever the other labels are."""
    loss, z = ls.BinaryCrossEntropy(), np.array([[-1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])
    assert loss.predict(z).tolist() == [[0, 1, 0], [1, 1, 1]]
    np.testing.assert_allclose(loss.probabilities(z), 1 / (1 + np.exp(-z)))
    assert loss.predict(z[:, :1]).tolist() == [0, 1]
    assert loss.probabilities(z[:, :1]).shape == (2, 2)


def multilabel_data(rows, labels=3, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((rows, 4))
    return fl.Dataset(x, (x[:, :labels] + draw.standard_normal((rows, labels)) > 0.5).astype(int))


MULTILABEL = ("accuracy", "subset_accuracy", "precision", "recall", "f1", "balanced_accuracy", "log_loss")


def test_training_on_several_labels():
    """Every metric equals scikit-learn's for the predictions."""
    train, validation = multilabel_data(120), multilabel_data(50, seed=1)
    loss = ls.BinaryCrossEntropy(class_weights="balanced")
    trainer = fl.Trainer(
        model=fl.mlp([4, 8, 3]), loss=loss, scheduler=fl.schedulers.ConstantLR(0.02), metrics=MULTILABEL, dtype="float32"
    )
    result = fl.fit(trainer, train, validation, epochs=10, progress=False)
    assert result.history["loss"][-1] < result.history["loss"][0]
    measured = fl.evaluate(result.trainer, result.last, validation)
    labels, p = (f(result.trainer, result.last, validation.x) for f in (fl.predict, fl.predict_proba))
    y = validation.y
    assert labels.shape == p.shape == y.shape
    np.testing.assert_array_equal(labels, p > 0.5)
    columns = range(3)
    expected = {
        "accuracy": 1 - skm.hamming_loss(y, labels),
        "subset_accuracy": skm.accuracy_score(y, labels),
        **{
            name: function(y, labels, average="macro", zero_division=0)
            for name, function in [("precision", skm.precision_score), ("recall", skm.recall_score), ("f1", skm.f1_score)]
        },
        "balanced_accuracy": np.mean([skm.balanced_accuracy_score(y[:, k], labels[:, k]) for k in columns]),
        "log_loss": np.mean([skm.log_loss(y[:, k], p[:, k].astype(float)) for k in columns]),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-5, err_msg=name)


def test_targets_and_metrics_that_do_not_fit_raise():
    """The error says what would fit."""
    model = fl.mlp([4, 3])
    trainer = fl.Trainer(model=model, loss=ls.BinaryCrossEntropy())
    with pytest.raises(ValueError, match=r"train: targets must be of shape \(N, 3\), 0 or 1 for each label, got \(9,\)"):
        fl.fit(trainer, fl.Dataset(np.zeros((9, 4)), np.zeros(9)), epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"train: targets must lie in \[0, 1\]"):
        fl.fit(trainer, fl.Dataset(np.zeros((9, 4)), np.full((9, 3), 2)), epochs=1, progress=False)
    with pytest.raises(ValueError, match="needs a loss for classification, got BinaryCrossEntropy, which with 3"):
        fl.Trainer(model=model, loss=ls.BinaryCrossEntropy(), metrics=("top_5_accuracy",))
    with pytest.raises(ValueError, match="needs a loss for multi-label classification, got SoftmaxCrossEntropy"):
        fl.Trainer(model=model, loss=ls.SoftmaxCrossEntropy(), metrics=("subset_accuracy",))
    with pytest.raises(ValueError, match=r"class_weights must be 2 numbers, .*or 3 such pairs"):
        fl.Trainer(model=model, loss=ls.BinaryCrossEntropy(class_weights=[(1, 2), (1, 2)]))
