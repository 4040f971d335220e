"""Bad parameters and data are refused with a message that names them, and shows what is allowed."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import fnloop as fl
from fnloop.sklearn import LoopClassifier, LoopRegressor, MLPClassifier, MLPRegressor
from tests.sklearn.data import LABELS, THREE, TWO, VALUE, X
from tests.sklearn.test_tools import line, network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
BAD_X = [
    (X.astype(str)[:, :1] + "a", "could not convert string"),
    (X.astype(complex), "[Cc]omplex"),
    (np.full_like(X, np.nan), "NaN"),
]


@pytest.mark.parametrize(("x", "message"), BAD_X, ids=["text", "complex", "NaN"])
@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor(), LoopClassifier(), LoopRegressor()], ids=str)
def test_bad_features(estimator, x, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(x, TWO)
    with pytest.raises(ValueError, match=r"zero|Negative"):
        estimator.fit(X, TWO, sample_weight=-np.ones(len(X)) if message == "NaN" else np.zeros(len(X)))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"trainer": 5}, TypeError, "trainer must be a fl.Trainer, a function"),
        ({"trainer": lambda d, k: None}, TypeError, "got None"),
        ({"trainer": network(7, 2)}, ValueError, "model with 3 outputs for these targets, got 2"),
        ({"trainer": line}, ValueError, "loss for classification, got MeanSquaredError.*for regression"),
        ({"trainer": lambda d, k: network(d + 1, k)}, ValueError, r"shape \(N, 8\) for this model"),
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1"),
        ({"validation_fraction": 1.0}, ValueError, r"validation_fraction must be a real number in \[0, 1\)"),
        ({"record": fl.record("x.run")}, TypeError, "record must be the path of a run file"),
        ({"overwrite": True}, ValueError, "overwrite must be False unless record"),
        ({"random_state": "x"}, ValueError, "random_state must be None, an integer"),
        ({"random_state": -1}, ValueError, "random_state must be None, an integer"),
        ({"warm_start": 2}, TypeError, "warm_start must be True or False"),
        ({"engine": "torch"}, ValueError, "engine"),
        ({"class_weight": "even"}, ValueError, "balanced"),
        ({"class_weight": {0: -1, 1: 1, 2: 1}}, ValueError, r"class_weight must be at least 0 for each class, got \{0: -1"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, ValueError, "class_weight must be above 0 for at least one row, got 330 zeros"),
        (
            {"trainer": network(7, 3).replace(early_stopping=fl.EarlyStopping()), "validation_fraction": 0},
            ValueError,
            "val_loss",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_parameters_of_a_loop(parameters, error, message):
    with pytest.raises(error, match=message):
        LoopClassifier(**{"trainer": network, "epochs": 1, **parameters}).fit(X, THREE)


def test_bad_targets_of_a_loop():
    with pytest.raises(ValueError, match="at least 2 classes, got 1 class"):
        LoopClassifier().fit(X, np.zeros(len(X), int))
    with pytest.raises(ValueError, match="Unknown label type"):
        LoopClassifier().fit(X, VALUE)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.1 needs at least 2 different rows, got 1"):
        LoopRegressor().fit(X[:1], VALUE[:1])
    loop = LoopClassifier(network).partial_fit(X[:50], THREE[:50], classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"classes of the first fit, \[0 1 2\], got \[3\]"):
        loop.partial_fit(X, THREE + 1)
    with pytest.raises(ValueError, match=r"classes must be those of the first fit, \[0 1 2\], got \[0 1 2 3\]"):
        loop.partial_fit(X, THREE, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="7 features"):
        loop.partial_fit(X[:, :5], THREE)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        LoopClassifier().fit(csr_matrix(X), THREE)
    with pytest.raises(AttributeError, match="fit it with record="):
        loop.run_  # noqa: B018


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": -1}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": (3, 2.5)}, r"hidden_layer_sizes must be integers, got \[3, 2.5\]"),
        ({"activation": "gelu"}, "'activation' parameter"),
        ({"momentum": 2}, "'momentum' parameter"),
        ({"early_stopping": True, "validation_fraction": 0.003}, "validation set is too small.*validation_fraction=0.003"),
        ({"solver": "sgd", "learning_rate_init": 1e200}, "non-finite parameter weights"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_parameters_of_a_perceptron(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        MLPClassifier(**{"max_iter": 3, **parameters}).fit(X, THREE)


@pytest.mark.parametrize("regressor", [MLPRegressor(), LoopRegressor()], ids=str)
@pytest.mark.parametrize(
    "y", [np.array(["a", "b"])[TWO], VALUE.astype(str), TWO.astype("M8[D]")], ids=["text", "digits", "dates"]
)
def test_targets_that_are_no_numbers(regressor, y):
    with pytest.raises(ValueError, match="y must be numbers for a regressor, got dtype"):
        regressor.fit(X, y)


def test_what_a_perceptron_cannot_continue():
    mlp = MLPClassifier(5, max_iter=1, warm_start=True).fit(X, THREE)
    with pytest.raises(ValueError, match="must fit the weights to continue from"):
        mlp.set_params(hidden_layer_sizes=6).fit(X, THREE)
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        mlp.set_params(hidden_layer_sizes=5).fit(X, TWO)
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier().partial_fit(X, THREE, classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, THREE)
    with pytest.raises(ValueError, match="early_stopping"):
        MLPRegressor(early_stopping=True).partial_fit(X, VALUE)
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
    with pytest.raises(ValueError, match="at least 0"):
        MLPRegressor("poisson").fit(X, VALUE)
    other = MLPRegressor(solver="sgd", random_state=0).partial_fit(X, VALUE).set_params(solver="adam").partial_fit(X, VALUE)
    assert np.isfinite(other.predict(X)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_interrupted_fit_keeps_what_it_has(monkeypatch):
    """As in scikit-learn; the warning says so."""
    from fnloop.sklearn import mlp_fit

    count = iter(range(10))

    def interrupt(*arguments):
        if next(count) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    original = mlp_fit._iterate
    monkeypatch.setattr(mlp_fit, "_iterate", interrupt)
    mlp = MLPClassifier(random_state=0).fit(X, LABELS)
    assert mlp.n_iter_ == 3
    assert np.isfinite(mlp.predict_proba(X)).all()
