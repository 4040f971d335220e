"""Class weights that are balanced from the training data."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import fnloop as fl
from fnloop import losses as ls

SEEDS = st.integers(0, 10**6)


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
    shared = {"model": fl.mlp([4, 5, 3]), "batch_size": 16}
    balanced = fl.Trainer(loss=ls.SoftmaxCrossEntropy(class_weights="balanced"), **shared)
    weights = tuple(compute_class_weight("balanced", classes=np.arange(3), y=train.y).tolist())
    plain = fl.Trainer(loss=ls.SoftmaxCrossEntropy(class_weights=weights), **shared)
    expected = fl.fit(plain, train, validation, epochs=3, progress=False)
    path = tmp_path / "a.run"
    stream = fl.record(path, balanced, train, validation)(fl.epochs(balanced, train, validation))
    first = [next(stream) for _ in range(3)]
    stream.close()
    run = fl.open_run(path)
    resumed = run.resume(epochs=3, progress=False)
    assert fl.same_bits(resumed.last, expected.last)
    assert run.verify().ok
    resumed_within = [next(islice(fl.epochs(t, train, validation, start=first[1]), 2, None)) for t in (balanced, plain)]
    assert fl.same_bits(resumed_within[0], resumed_within[1])
    assert fl.same_bits(resumed_within[0], expected.last)
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
