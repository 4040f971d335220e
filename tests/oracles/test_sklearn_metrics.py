"""Metrics of all examples at once, and ratios of sums, equal scikit-learn's."""

import math
from functools import partial

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from tests.oracles.test_sklearn import evaluate_outputs

SEEDS = st.integers(0, 10**6)
BCE, CE, MSE = fl.losses.BinaryCrossEntropy(), fl.losses.SoftmaxCrossEntropy(), fl.losses.MeanSquaredError()
RANKING = ("roc_auc", "average_precision")


def close(measured, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


@given(SEEDS, st.integers(1, 40), st.booleans())
def test_two_classes(seed, rows, ties):
    """Also with ties, and with one class only, for which areas are undefined but log loss and balanced accuracy are not."""
    draw = np.random.default_rng(seed)
    z = draw.integers(-2, 3, (rows, 1)).astype(float) if ties else draw.normal(0, 3, (rows, 1))
    y = draw.integers(0, 2, rows)
    measured, labels = evaluate_outputs(BCE, z, y, (*RANKING, "log_loss", "balanced_accuracy"))
    p, one_class = 1 / (1 + np.exp(-z[:, 0])), len(set(y)) == 1
    close(
        measured,
        {
            "roc_auc": np.nan if one_class else skm.roc_auc_score(y, z[:, 0]),
            "average_precision": skm.average_precision_score(y, z[:, 0]) if y.any() else np.nan,
            "log_loss": skm.log_loss(y, p, labels=[0, 1]),
            "balanced_accuracy": np.mean([(labels[y == k] == k).mean() for k in set(y)]),
        },
    )
    if not one_class:
        close(measured, {"balanced_accuracy": skm.balanced_accuracy_score(y, labels)})


@given(SEEDS, st.integers(4, 40), st.integers(3, 4), st.booleans())
def test_several_classes(seed, rows, classes, dense):
    """From labels and from rows: each class against the others."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 2, (rows, classes)), np.concatenate([np.arange(classes), draw.integers(0, classes, rows - classes)])
    targets = np.eye(classes)[y] if dense else y
    measured, labels = evaluate_outputs(CE, z, targets, (*RANKING, "log_loss", "balanced_accuracy"))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    close(
        measured,
        {
            "roc_auc": skm.roc_auc_score(y, p, multi_class="ovr"),
            "average_precision": skm.average_precision_score(np.eye(classes)[y], p, average="macro"),
            "log_loss": skm.log_loss(y, p, labels=range(classes)),
            "balanced_accuracy": skm.balanced_accuracy_score(y, labels),
        },
    )


@given(SEEDS, st.integers(4, 40))
def test_several_labels(seed, rows):
    """The mean over labels."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 3)), draw.integers(0, 2, (rows, 3))
    y[:2] = [[0, 0, 0], [1, 1, 1]]
    measured, _ = evaluate_outputs(BCE, z, y, RANKING)
    close(
        measured,
        {
            "roc_auc": skm.roc_auc_score(y, z, average="macro"),
            "average_precision": skm.average_precision_score(y, z, average="macro"),
        },
    )


@given(SEEDS, st.integers(1, 40), st.integers(1, 3), st.sampled_from([1e-3, 1.0, 1e12]))
def test_root_mean_squared_error(seed, rows, width, scale):
    """The mean over outputs."""
    draw = np.random.default_rng(seed)
    y, f = draw.normal(0, scale, (rows, width)), draw.normal(0, scale, (rows, width))
    close(evaluate_outputs(MSE, f, y, ("rmse",))[0], {"rmse": skm.root_mean_squared_error(y, f)})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_confident_examples_are_still_ranked(dtype):
    """If all probabilities round to 1, logits or log probabilities still differ."""
    y, gap = np.array([1, 1, 0, 0]), np.array([80.0, 70, 60, 50])
    for loss, z in ((BCE, gap[:, None]), (CE, np.stack([0 * gap, gap], 1))):
        data, model = fl.Dataset(z, y), fl.nn.Sequential(z.shape[1], [fl.nn.Activation("identity")])
        trainer = fl.Trainer(model=model, loss=loss, metrics=("roc_auc",), dtype=dtype)
        assert fl.evaluate(trainer, fl.init_state(trainer), data)["roc_auc"] == 1.0


FUNCTIONS = {
    "classes": (
        CE,
        3,
        (
            skm.cohen_kappa_score,
            skm.matthews_corrcoef,
            skm.zero_one_loss,
            partial(skm.f1_score, average="weighted"),
            partial(skm.top_k_accuracy_score, k=2),
            partial(skm.roc_auc_score, multi_class="ovo"),
        ),
    ),
    "two classes": (BCE, 1, (skm.f1_score, skm.brier_score_loss, skm.roc_auc_score, skm.log_loss, skm.hinge_loss)),
    "quantities": (MSE, 1, (skm.explained_variance_score, skm.max_error, skm.median_absolute_error)),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_of_scikit_learn(kind):
    """Each function gets the second argument that it needs, once an epoch and in `evaluate`."""
    loss, outputs, functions = FUNCTIONS[kind]
    draw = np.random.default_rng(0)
    x = draw.standard_normal((40, 3))
    y = {"classes": draw.integers(0, 3, 40), "two classes": draw.integers(0, 2, 40), "quantities": x[:, 0]}[kind]
    data = fl.Dataset(x, y)
    trainer = fl.Trainer(model=fl.mlp([3, outputs]), loss=loss, metrics=functions, dtype="float64")
    state = fl.fit(trainer, data, data, epochs=2, progress=False).last
    predicted = fl.predict(trainer, state, x)
    measured = fl.evaluate(trainer, state, data)
    for function in functions:
        name = getattr(function, "func", function).__name__
        if name in {"brier_score_loss", "roc_auc_score", "log_loss", "top_k_accuracy_score"}:
            p = fl.predict_proba(trainer, state, x)
            second = p if outputs > 1 else p[:, 1]
        elif name == "hinge_loss":
            p = fl.predict_proba(trainer, state, x)
            second = np.log(p[:, 1] / p[:, 0])
        else:
            second = predicted
        np.testing.assert_allclose(measured[name], function(y, second), rtol=1e-9)
        assert state.metrics[f"val_{name}"] == measured[name]
        assert name not in state.metrics


def test_modes():
    """The mode follows from the end of scikit-learn's name; for a custom function it is unknown unless stated."""
    get = fl.metrics.get_metric
    modes = {"max": (skm.cohen_kappa_score, skm.matthews_corrcoef, "roc_auc", "average_precision", "balanced_accuracy")}
    modes["min"] = (skm.max_error, skm.hamming_loss, skm.mean_poisson_deviance, "rmse", "log_loss")
    for mode, metrics in modes.items():
        assert {get(metric).mode for metric in metrics} == {mode}
    assert fl.metrics.Whole(np.corrcoef).mode is None
    assert fl.metrics.Whole(np.corrcoef, mode="max").mode == "max"


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_on_both_engines_and_from_a_file(tmp_path, engine):
    """A run file names scikit-learn's functions, so that a replay needs nothing else."""
    data = fl.Dataset(np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 2)
    metrics = ("roc_auc", partial(skm.fbeta_score, beta=2.0))
    trainer = fl.Trainer(
        model=fl.mlp([3, 1]), loss=BCE, metrics=metrics, early_stopping=fl.EarlyStopping("val_roc_auc", mode="max", patience=9)
    )
    result = fl.fit(trainer, data, data, epochs=2, progress=False, engine=engine, record=tmp_path / "a.run")
    run = fl.open_run(tmp_path / "a.run")
    assert run.trainer == trainer
    assert run.verify().ok
    assert result.monitor == "val_roc_auc"
    assert result.best.metrics["val_roc_auc"] == fl.evaluate(trainer, result.best, data, engine=engine)["roc_auc"]
    assert 0 <= result.best.metrics["val_fbeta_score"] <= 1


def test_nan_is_never_best():
    """With one class in the validation data the area is undefined, and no epoch is best."""
    data = fl.Dataset(np.ones((8, 3)), np.zeros(8))
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss=BCE, metrics=RANKING)
    result = fl.fit(trainer, data, data, epochs=2, progress=False, monitor="val_roc_auc")
    assert math.isnan(result.last.metrics["val_roc_auc"])
    with pytest.raises(fl.NoBestError):
        _ = result.best
    broken = fl.Trainer(model=fl.mlp([3, 1]), loss=MSE, metrics=(skm.max_error,))
    state = fl.init_state(broken)
    far = fl.Dataset(np.full((2, 3), 3e38), np.zeros(2))
    assert math.isnan(fl.evaluate(broken, state, far)["max_error"])


def test_a_metric_that_cannot_be_measured_raises_at_the_call():
    """A function with other arguments, one that returns a matrix, an unknown name, scores that are not probabilities."""
    data = fl.Dataset(np.eye(3)[np.arange(9) % 3], np.arange(9) % 3)

    def started(metric, loss=CE, **changes):
        trainer = fl.Trainer(model=fl.mlp([3, 3]), loss=loss, metrics=(metric,), **changes)
        return fl.epochs(trainer, data, data)

    for metric, message in [
        (skm.f1_score, "'f1_score' cannot be measured on this data: .*average"),
        (skm.confusion_matrix, "'confusion_matrix' cannot be measured on this data: .*must return a number"),
    ]:
        with pytest.raises(ValueError, match=message):
            started(metric)
    with pytest.raises(ValueError, match=r"must be a function or the name of one in sklearn.metrics, got 'nothing'"):
        fl.metrics.Whole("nothing")
    for metric in ("log_loss", skm.log_loss):
        with pytest.raises(ValueError, match="'log_loss': Hinge has no probabilities"):
            started(metric, fl.losses.Hinge())
    with pytest.raises(ValueError, match="needs a loss for classification, got MeanSquaredError"):
        fl.Trainer(model=fl.mlp([3, 3]), loss=MSE, metrics=("roc_auc",))
    with pytest.raises(ValueError, match=r"'roc_auc', which this run does not produce .*as 'val_roc_auc'"):
        started("roc_auc", early_stopping=fl.EarlyStopping("roc_auc", mode="max"))


def test_a_partial_function_has_the_name_of_its_function():
    assert fl.metrics.Mean(partial(np.subtract, 1.0)).name == "subtract"


@pytest.mark.parametrize(("loss", "outputs"), [(BCE, 1), (CE, 3), (BCE, 3), (fl.losses.Hinge(), 3)])
def test_confusion_matrix(loss, outputs):
    """Of classes, and of each of several labels; a class without examples has a row, too."""
    draw = np.random.default_rng(1)
    z = draw.normal(0, 2, (30, outputs))
    several = loss is BCE and outputs > 1
    y = draw.integers(0, 2, (30, outputs) if several else 30)
    trainer = fl.Trainer(model=fl.nn.Sequential(outputs, [fl.nn.Activation("identity")]), loss=loss)
    state = fl.init_state(trainer)
    measured, labels = fl.confusion_matrix(trainer, state, fl.Dataset(z, y)), fl.predict(trainer, state, z)
    every = {} if several else {"labels": range(max(2, outputs))}
    counts = skm.multilabel_confusion_matrix if several else skm.confusion_matrix
    np.testing.assert_array_equal(measured, counts(y, labels, **every))
    quantities = fl.Trainer(model=fl.mlp([3, 1]), loss=MSE)
    with pytest.raises(ValueError, match="trainer must have a loss for classes, got MeanSquaredError"):
        fl.confusion_matrix(quantities, fl.init_state(quantities), fl.Dataset(np.ones((3, 3)), np.ones(3)))
