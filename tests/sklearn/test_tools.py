"""The estimators in scikit-learn's tools: pipelines, searches, calibration, importances, processes, frames."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fnloop as fl
from fnloop.sklearn import LoopClassifier, LoopRegressor, MLPClassifier, MLPRegressor
from tests.sklearn.data import LABELS, THREE, TWO, VALUE, VALUES, X

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def network(n_features, n_outputs):
    """A trainer for three classes."""
    return fl.Trainer(model=fl.mlp([n_features, 16, n_outputs]), loss="cross_entropy", scheduler=0.02)


def line(n_features, n_outputs):
    """A trainer for values."""
    return fl.Trainer(model=fl.mlp([n_features, 16, n_outputs]), loss="mse", scheduler=0.02)


CLASSIFIERS = [MLPClassifier(max_iter=15, learning_rate_init=0.02, random_state=0), LoopClassifier(network, epochs=10)]
REGRESSORS = [MLPRegressor(max_iter=15, learning_rate_init=0.02, random_state=0), LoopRegressor(line, epochs=10)]
ALL = [*((one, THREE) for one in CLASSIFIERS), *((one, VALUE) for one in REGRESSORS)]
each = pytest.mark.parametrize(
    ("estimator", "y"), ALL, ids=["MLPClassifier", "LoopClassifier", "MLPRegressor", "LoopRegressor"]
)
each_classifier = pytest.mark.parametrize("classifier", CLASSIFIERS, ids=["MLPClassifier", "LoopClassifier"])


def length(estimator):
    """The name of the parameter that is the number of epochs."""
    return "max_iter" if "max_iter" in estimator.get_params() else "epochs"


@each
def test_a_pipeline_of_frames(estimator, y):
    """Columns are known by their names, also those of a transformer that returns frames; a wrong order is refused."""
    frame = pd.DataFrame(X, columns=list("abcdefg"))
    pipeline = make_pipeline(StandardScaler(), clone(estimator)).set_output(transform="pandas").fit(frame, y)
    assert pipeline[-1].feature_names_in_.tolist() == list("abcdefg")
    assert cross_val_score(pipeline, frame, y, cv=3).mean() > 0.3
    alone = clone(estimator).fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        alone.predict(frame[list("gfedcba")])


@each
def test_copies_predict_alike(estimator, y):
    """A clone is not fitted and becomes the same; so does one that was pickled, before or after it was fitted."""
    fitted = clone(estimator).fit(X, y)
    assert not hasattr(clone(fitted), "n_features_in_")
    for other in clone(fitted).fit(X, y), pickle.loads(pickle.dumps(fitted)), pickle.loads(pickle.dumps(estimator)).fit(X, y):
        assert other.predict(X).tobytes() == fitted.predict(X).tobytes()


@each
def test_searches(estimator, y):
    """Over the number of epochs, by halves of the data, and by repeated halves of the number of epochs."""
    name = length(estimator)
    found = GridSearchCV(estimator, {name: [1, 15]}, cv=2).fit(X, y)
    assert found.best_params_ == {name: 15}
    halved = HalvingGridSearchCV(
        estimator, {"random_state": [0, 1, 2]}, resource=name, min_resources=2, max_resources=6, cv=2, random_state=0
    ).fit(X, y)
    assert halved.n_iterations_ == 2


@pytest.mark.thorough
@each
def test_processes(estimator, y):
    """A search in two processes and fits by joblib in two give what one process gives."""
    searches = [GridSearchCV(estimator, {"random_state": [0, 1, 2]}, cv=2, n_jobs=n).fit(X, y) for n in (1, 2)]
    assert len({search.cv_results_["mean_test_score"].tobytes() for search in searches}) == 1
    fits = [joblib.delayed(clone(estimator).set_params(random_state=seed).fit)(X, y) for seed in (0, 1)]
    alone, apart = (joblib.Parallel(n_jobs=n)(fits) for n in (1, 2))
    assert [one.predict(X).tobytes() for one in alone] == [one.predict(X).tobytes() for one in apart]


@each_classifier
def test_calibration_and_importances(classifier):
    calibrated = CalibratedClassifierCV(classifier, cv=2).fit(X, THREE)
    assert calibrated.score(X, THREE) > 0.6
    found = permutation_importance(clone(classifier).fit(X, THREE), X, THREE, n_repeats=2, random_state=0)
    assert found.importances_mean[[0, 1, 2]].min() > np.abs(found.importances_mean[3:]).max()


@each_classifier
def test_labels_of_any_type(classifier):
    """Text, booleans, and numbers with gaps: predicted as they were given, in the order of `classes_`."""
    for labels in (np.array(["c", "a", "b"]), np.array(["c", "a", "b"], object), np.array([7, -2, 40])):
        fitted = clone(classifier).fit(X, labels[THREE])
        assert fitted.classes_.tolist() == sorted(labels.tolist())
        assert fitted.classes_.dtype == fitted.predict(X).dtype
        assert fitted.score(X, labels[THREE]) > 0.6
        np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(1)], fitted.predict(X))
    two = clone(classifier).fit(X, TWO.astype(bool))
    assert two.predict(X).dtype == bool
    np.testing.assert_array_equal(two.predict_proba(X)[:, 1] > 0.5, two.predict(X))


@pytest.mark.parametrize("classifier", [CLASSIFIERS[0], LoopClassifier(epochs=10)], ids=["MLPClassifier", "LoopClassifier"])
def test_several_labels(classifier):
    """An indicator matrix, an array or a sparse one, has a probability for each label."""
    fitted = clone(classifier).fit(X, LABELS)
    assert fitted.predict(X).shape == fitted.predict_proba(X).shape == LABELS.shape
    assert (fitted.predict(X) == LABELS).mean() > 0.7
    np.testing.assert_array_equal(fitted.predict_proba(X) > 0.5, fitted.predict(X))
    sparse = clone(classifier).fit(X, csr_matrix(LABELS))
    np.testing.assert_array_equal(sparse.predict_proba(X), fitted.predict_proba(X))
    assert ClassifierChain(classifier, random_state=0).fit(X, LABELS).predict(X).shape == LABELS.shape


@pytest.mark.parametrize("regressor", REGRESSORS, ids=["MLPRegressor", "LoopRegressor"])
def test_several_outputs(regressor):
    fitted = clone(regressor).fit(X, VALUES)
    assert fitted.predict(X).shape == VALUES.shape
    assert fitted.score(X, VALUES) > 0.2
    assert clone(regressor).fit(X, VALUES[:, 0]).predict(X).shape == (len(X),)


@each
def test_inputs_are_not_written_to(estimator, y):
    """Neither by a fit nor by predictions, in both dtypes."""
    for dtype in "float64", "float32":
        x, weights = X.astype(dtype), np.ones(len(X))
        before = x.tobytes(), y.tobytes(), weights.tobytes()
        clone(estimator).fit(x, y, sample_weight=weights).predict(x)
        assert before == (x.tobytes(), y.tobytes(), weights.tobytes())
        for array in x, weights:
            array.flags.writeable = False
        clone(estimator).fit(x, y, sample_weight=weights).predict(x)
