"""Small data sets for the tests of estimators."""

import numpy as np

DRAW = np.random.RandomState(0)
X = DRAW.normal(size=(330, 7))
TWO = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
THREE = TWO + (X[:, 2] > 1)
LABELS = np.column_stack([X[:, 0] > 0, X[:, 1] > X[:, 2], X[:, 3] > 1]).astype(int)
VALUE = X[:, 0] * X[:, 1] + X[:, 2]
VALUES = np.column_stack([VALUE, X[:, 3] ** 2])
COUNTS = np.floor(np.abs(VALUE))
WEIGHTS = DRAW.randint(0, 4, len(X)).astype(float)
