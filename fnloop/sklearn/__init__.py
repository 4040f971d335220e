"""Estimators for scikit-learn: drop-in multilayer perceptrons, and estimators over any `Trainer`."""

from fnloop.sklearn.loop_classifier import LoopClassifier
from fnloop.sklearn.loop_regressor import LoopRegressor
from fnloop.sklearn.mlp_classifier import MLPClassifier
from fnloop.sklearn.mlp_regressor import MLPRegressor

__all__ = ["LoopClassifier", "LoopRegressor", "MLPClassifier", "MLPRegressor"]
