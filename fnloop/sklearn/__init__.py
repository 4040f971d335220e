"""Estimators for scikit-learn: drop-in multilayer perceptrons, and estimators over any `Trainer`."""

from fnloop.sklearn.mlp_classifier import MLPClassifier
from fnloop.sklearn.mlp_regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
