"""With the same `random_state`, `MLPClassifier` and `MLPRegressor` become the networks that scikit-learn's become."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fnloop import sklearn as ours
from tests.sklearn.data import COUNTS, LABELS, THREE, TWO, VALUE, VALUES, WEIGHTS, X

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ATTRIBUTES = "n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"
CURVES = "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"
MLPS = (
    ("MLPClassifier", TWO),
    ("MLPClassifier", THREE),
    ("MLPClassifier", LABELS),
    ("MLPRegressor", VALUE),
    ("MLPRegressor", VALUES),
)
SGD = {"solver": "sgd", "learning_rate_init": 0.05, "max_iter": 60, "n_iter_no_change": 2, "tol": 1e-2, "power_t": 0.2}
CASES = [
    {},
    {"activation": "logistic", "alpha": 0.5},
    {"activation": "tanh", "shuffle": False, "batch_size": 64},
    {"activation": "identity", "hidden_layer_sizes": 3, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
    {"early_stopping": True, "n_iter_no_change": 3, "validation_fraction": 0.3},
    {"hidden_layer_sizes": ()},
    {**SGD, "learning_rate": "adaptive"},
    {**SGD, "learning_rate": "invscaling", "nesterovs_momentum": False},
    {**SGD, "momentum": 0.0, "early_stopping": True},
    {"solver": "lbfgs", "max_iter": 10},
]


def fit_both(name, x, y, weights=None, **parameters):
    parameters = {"random_state": 3, "max_iter": 12, "hidden_layer_sizes": (12, 5), "batch_size": 50, **parameters}
    return [getattr(package, name)(**parameters).fit(x, y, weights) for package in (neural_network, ours)]


def fitted_attributes(mlp):
    return {name for name in vars(mlp) if name.endswith("_")}


def assert_same(theirs, mine, x, atol):
    for a, b in zip(theirs.coefs_ + theirs.intercepts_, mine.coefs_ + mine.intercepts_, strict=True):
        np.testing.assert_allclose(b, a, atol=atol)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    for name in ATTRIBUTES:
        assert getattr(theirs, name) == getattr(mine, name), name
    assert fitted_attributes(theirs) == fitted_attributes(mine)
    assert isinstance(mine.loss_, np.float64)
    for name in CURVES:
        expected, found = getattr(theirs, name, None), getattr(mine, name, None)
        if expected is None:
            assert not found, name
        else:
            np.testing.assert_allclose(found, expected, atol=atol, err_msg=name)
    method = "predict_proba" if hasattr(theirs, "predict_proba") else "predict"
    np.testing.assert_allclose(getattr(mine, method)(x), getattr(theirs, method)(x), atol=atol)
    assert getattr(mine, method)(x).dtype == getattr(theirs, method)(x).dtype


@pytest.mark.parametrize("parameters", CASES, ids=str)
@pytest.mark.parametrize(("name", "y"), MLPS, ids=["two", "three", "labels", "value", "values"])
def test_the_network_is_that_of_scikit_learn(name, y, parameters):
    """Weights, losses, scores, counts and predictions: to the rounding of float32."""
    assert_same(*fit_both(name, X, y, **parameters), X, 5e-5)


@pytest.mark.parametrize(("name", "y"), MLPS, ids=["two", "three", "labels", "value", "values"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_single_batch_is_in_float64(name, y, weights, solver):
    """Then the path of many iterations is the same to twelve digits, with sample weights too."""
    both = fit_both(name, X, y, weights, solver=solver, batch_size=len(X), max_iter=60, alpha=0.1)
    assert_same(*both, X, 1e-11)


def test_poisson_deviance():
    assert_same(*fit_both("MLPRegressor", X, COUNTS, loss="poisson", batch_size=330), X, 1e-11)


def test_weights_of_rows():
    """In smaller batches, the penalty is divided by the mean weight of all rows instead of each batch."""
    assert_same(*fit_both("MLPClassifier", X, THREE, WEIGHTS), X, 5e-4)


def test_float32_and_sparse_features():
    """Both are trained on as they are, and predictions keep the dtype."""
    assert_same(*fit_both("MLPClassifier", X.astype(np.float32), THREE), X.astype(np.float32), 1e-5)
    sparse = csr_matrix(X * (X > 0.5))
    assert_same(*fit_both("MLPRegressor", sparse, VALUE), sparse, 1e-5)


@pytest.mark.parametrize(("name", "y"), [("MLPClassifier", THREE), ("MLPRegressor", VALUE)])
def test_parts_of_a_fit(name, y):
    """`partial_fit` and `warm_start`, with the generator, the optimizer and the counts as scikit-learn has them."""
    for solver in "adam", "sgd":
        both = [
            getattr(package, name)(
                hidden_layer_sizes=(9,), solver=solver, random_state=1, max_iter=5, warm_start=True, batch_size=40
            )
            for package in (neural_network, ours)
        ]
        for mlp in both:
            first = {"classes": [0, 1, 2]} if name == "MLPClassifier" else {}
            mlp.partial_fit(X[:100], y[:100], **first)
            mlp.partial_fit(X[100:200], y[100:200])
            mlp.fit(X, y)
            mlp.fit(X, y)
            mlp.partial_fit(X, y)
        assert_same(*both, X, 1e-5)


def test_a_warm_start_with_another_solver():
    """After L-BFGS, which has no curve, Adam begins one."""
    both = [package.MLPClassifier(5, solver="lbfgs", max_iter=3, random_state=0) for package in (neural_network, ours)]
    for mlp in both:
        mlp.fit(X, TWO)
    mine = both[1].set_params(solver="adam", warm_start=True).fit(X, TWO)
    assert fitted_attributes(both[0]) == fitted_attributes(mine) - {*CURVES[1:]}
    assert len(mine.loss_curve_) == mine.n_iter_


def test_squares_that_would_overflow_float32():
    """Large targets, or large features in either format, are trained on in float64."""
    theirs, mine = fit_both("MLPRegressor", X, 1e25 * VALUE)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-9)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-9)
    for x in 1e20 * X, csr_matrix(1e20 * X * (X > 0.5)):
        theirs, mine = fit_both("MLPRegressor", x, VALUE, max_iter=3)
        np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-9)


def test_offsets_that_float32_would_lose():
    """A column of large values that hardly differ, such as a time in seconds, is trained on in float64."""
    x = np.column_stack([X[:, :2], 1.7e9 + 10 * X[:, 2]])
    assert_same(*fit_both("MLPClassifier", x, TWO, activation="tanh", max_iter=5), x, 1e-9)


@pytest.mark.parametrize(
    ("name", "load"), [("MLPClassifier", load_digits), ("MLPClassifier", load_breast_cancer), ("MLPRegressor", load_diabetes)]
)
@pytest.mark.thorough
def test_scores_on_real_data(name, load):
    """Cross-validated scores agree to a point, whatever rounding does in many iterations."""
    x, y = load(return_X_y=True)
    scores = [
        cross_val_score(make_pipeline(StandardScaler(), getattr(package, name)(random_state=0)), x, y, cv=3).mean()
        for package in (neural_network, ours)
    ]
    assert abs(scores[0] - scores[1]) < 0.01


WARN = [{"max_iter": 3}, {"solver": "lbfgs", "max_iter": 3}, {"solver": "lbfgs", "max_fun": 2}, {"batch_size": 999}]


@pytest.mark.parametrize("parameters", WARN, ids=str)
def test_warnings_are_those_of_scikit_learn(parameters):
    """With the same words and classes, at the line of the caller; a filter by scikit-learn's module applies to them."""
    found = []
    for package in neural_network, ours:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            package.MLPClassifier(3, random_state=0, **parameters).fit(X, TWO)
        found.append([(warning.category, str(warning.message)) for warning in seen])
    assert found[0] == found[1] != []
    assert {warning.filename for warning in seen} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="sklearn")
        ours.MLPClassifier(3, random_state=0, **parameters).fit(X, TWO)


def test_verbose_prints_what_scikit_learn_prints(capsys):
    """The same lines: losses, scores, and why training stopped."""
    lines = []
    for package in neural_network, ours:
        for parameters in {**SGD, "learning_rate": "adaptive"}, {"early_stopping": True, "n_iter_no_change": 1}:
            mlp = package.MLPClassifier(random_state=0, verbose=True)
            mlp.set_params(**{"max_iter": 30, **parameters}).fit(X[:200], TWO[:200])
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1]
    assert "Setting learning rate to" in lines[0]
    assert "Stopping." in lines[0]
