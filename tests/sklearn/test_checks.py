"""scikit-learn's own checks of estimators pass, with no expected failure."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fnloop.sklearn import LoopClassifier, LoopRegressor, MLPClassifier, MLPRegressor


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([MLPClassifier(), MLPRegressor(), LoopClassifier(epochs=12), LoopRegressor(epochs=12)])
def test_the_checks_of_scikit_learn(estimator, check):
    """All of them, with default parameters but for the number of epochs, which makes them quick."""
    check(estimator)
