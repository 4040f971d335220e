"""Several labels an example, quantiles, and class weights that are balanced from the training data."""

from itertools import islice

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

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


@given(SEEDS, st.integers(1, 9), st.floats(0.01, 0.99))
def test_pinball_equals_scikit_learn(seed, rows, q):
    """For one quantile of several targets, and for several quantiles of one target."""
    draw = np.random.default_rng(seed)
    f, y = draw.normal(0, 3, (rows, 2)), draw.integers(-3, 3, (rows, 2)).astype(float)
    values, _ = values_and_gradient(ls.Pinball(q), f, y)
    np.testing.assert_allclose(values.mean(), skm.mean_pinball_loss(y, f, alpha=q), rtol=1e-12)
    values, _ = values_and_gradient(ls.Pinball((q, 0.3)), f, y[:, 0])
    expected = [skm.mean_pinball_loss(y[:, 0], f[:, k], alpha=a) for k, a in enumerate((q, 0.3))]
    np.testing.assert_allclose(values.mean(), np.mean(expected), rtol=1e-12)


def test_pinball_finds_quantiles():
    """A constant model learns the quantiles of the targets, one for each output."""
    y = np.sort(np.random.default_rng(3).exponential(size=999))
    q = (0.1, 0.5, 0.9)
    data = fl.Dataset(np.zeros((999, 1)), y)
    trainer = fl.Trainer(model=fl.mlp([1, 3]), loss=ls.Pinball(q), scheduler=fl.schedulers.ConstantLR(0.03), batch_size=333)
    state = fl.fit(trainer, data, epochs=150, progress=False).last
    np.testing.assert_allclose(fl.predict(trainer, state, data.x[:1])[0], np.quantile(y, q), atol=0.1)


def test_pinball_raises_for_arguments_that_do_not_fit():
    """For quantiles, outputs and metrics."""
    for wrong in (0.0, 1, (0.5, 1.5), ()):
        with pytest.raises(ValueError, match="quantile"):
            ls.Pinball(wrong)
    assert ls.Pinball([0.3]) == ls.Pinball(0.3)
    with pytest.raises(ValueError, match="needs a model with 2 outputs, got 3"):
        fl.Trainer(model=fl.mlp([4, 3]), loss=ls.Pinball((0.1, 0.9)))
    with pytest.raises(ValueError, match=r"'mae' needs a loss for regression, got Pinball, .* for several quantiles"):
        fl.Trainer(model=fl.mlp([4, 2]), loss=ls.Pinball((0.1, 0.9)), metrics=("mae",))


@given(SEEDS, st.integers(6, 40), st.booleans())
def test_balanced_weights_equal_scikit_learn(seed, rows, weighted):
    """For labels, rows and one output, and for each of several labels; examples count by their weights."""
    draw = np.random.default_rng(seed)
    y = np.concatenate([np.arange(3), draw.integers(0, 3, rows - 3)])
    w = draw.integers(1, 4, rows) if weighted else None
    counted = y if w is None else np.repeat(y, w)
    three = compute_class_weight("balanced", classes=np.arange(3), y=counted)
    two = compute_class_weight("balanced", classes=np.arange(2), y=(counted > 0).astype(int))
    for loss in (
        ls.SoftmaxCrossEntropy(label_smoothing=0.1, class_weights="balanced"),
        ls.Focal(gamma=1.0, class_weights="balanced"),
    ):
        for targets in (y, y[:, None], y.astype("float32"), np.eye(3)[y]):
            np.testing.assert_allclose(loss.resolve(targets, 3, w).class_weights, three)
    loss = ls.BinaryCrossEntropy(class_weights="balanced")
    np.testing.assert_allclose(loss.resolve(y > 0, 1, w).class_weights, two)
    labels = np.stack([y > 0, y > 1], 1)
    expected = [
        compute_class_weight("balanced", classes=np.arange(2), y=c if w is None else np.repeat(c, w))
        for c in labels.T.astype(int)
    ]
    np.testing.assert_allclose(loss.resolve(labels, 2, w).class_weights, expected)


def imbalanced_data(rows, seed):
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((rows, 4))
    return fl.Dataset(x, np.digitize(x[:, 0] + draw.normal(0, 0.5, rows), [0.8, 1.6]))


def test_a_balanced_run_equals_a_run_with_its_weights(tmp_path):
    """To the bit, by epochs and by steps, replayed and resumed; the validation loss has the same weights."""
    train, validation = imbalanced_data(60, 0), imbalanced_data(41, 1)
    kept = {"model": fl.mlp([4, 5, 3]), "batch_size": 16}
    balanced = fl.Trainer(loss=ls.SoftmaxCrossEntropy(class_weights="balanced"), **kept)
    weights = tuple(compute_class_weight("balanced", classes=np.arange(3), y=train.y).tolist())
    plain = fl.Trainer(loss=ls.SoftmaxCrossEntropy(class_weights=weights), **kept)
    expected = fl.fit(plain, train, validation, epochs=3, progress=False)
    path = tmp_path / "a.run"
    stream = fl.record(path, balanced, train, validation)(fl.epochs(balanced, train, validation))
    first = [next(stream) for _ in range(3)]
    stream.close()
    run = fl.open_run(path)
    resumed = run.resume(epochs=3, progress=False)
    assert fl.same_bits(resumed.last, expected.last)
    assert run.verify().ok
    onward = [next(islice(fl.epochs(t, train, validation, start=first[1]), 2, None)) for t in (balanced, plain)]
    assert fl.same_bits(onward[0], onward[1])
    assert fl.same_bits(onward[0], expected.last)
    assert fl.same_bits(run.state(step=6), next(s for s in fl.steps(balanced, train, validation) if s.step == 6))
    measured = fl.evaluate(balanced.resolve(train), first[2], validation)
    assert measured == {name: first[2].metrics[f"val_{name}"] for name in measured}
    w = compute_sample_weight(dict(enumerate(weights)), validation.y)
    p = fl.predict_proba(plain, first[2], validation.x)[np.arange(41), validation.y]
    np.testing.assert_allclose(measured["loss"], -(w * np.log(p)).mean(), rtol=1e-5)


def test_balanced_under_jax():
    """One epoch has the same bits as with the weights as numbers."""
    data, model = imbalanced_data(30, 0), fl.mlp([4, 3])
    balanced, plain = (
        fl.Trainer(model=model, loss=ls.SoftmaxCrossEntropy(class_weights=weights), metrics=())
        for weights in ("balanced", tuple(compute_class_weight("balanced", classes=np.arange(3), y=data.y).tolist()))
    )
    a, b = (fl.fit(trainer, data, epochs=1, progress=False, engine="jax").last for trainer in (balanced, plain))
    assert fl.same_bits(a, b)


def test_balanced_needs_the_training_data():
    """Without it the error names `trainer.resolve`; a class without examples raises, too."""
    trainer = fl.Trainer(model=fl.mlp([4, 3]), loss=ls.SoftmaxCrossEntropy(class_weights="balanced"))
    train, state = imbalanced_data(60, 0), fl.init_state(trainer)
    for call in (lambda: fl.evaluate(trainer, state, train), lambda: fl.make_step(trainer)):
        with pytest.raises(ValueError, match=r"class_weights='balanced'.*trainer\.resolve\(train\)"):
            call()
    assert fl.predict(trainer, state, train.x).shape == (60,)
    with pytest.raises(ValueError, match=r"train: class_weights='balanced' needs .* none of class 2"):
        fl.epochs(trainer, fl.Dataset(train.x, np.minimum(train.y, 1)))
    labels = np.eye(3)[np.minimum(train.y, 1)]
    several = fl.Trainer(model=fl.mlp([4, 3]), loss=ls.BinaryCrossEntropy(class_weights="balanced"))
    with pytest.raises(ValueError, match="none of class 1 of label 2"):
        fl.epochs(several, fl.Dataset(train.x, labels))
    with pytest.raises(ValueError, match="class_weights must be a number for each class, 'balanced', or None, got 'even'"):
        ls.Focal(class_weights="even")
    plain = fl.Trainer(model=fl.mlp([4, 3]), loss=ls.SoftmaxCrossEntropy())
    assert plain.resolve(train) is plain
