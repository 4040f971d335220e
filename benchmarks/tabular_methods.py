"""The methods of `benchmarks/tabular.py`: each predicts the rows of a raw frame from another raw frame.

A method is a function of the training frame, the test frame without its target, the target, the task and a seed. It returns
the predictions, labels as text or quantities, with the wall and processor seconds of its preprocessing, fit and predictions.
"""

import time
from functools import partial

import numpy as np
import pandas as pd
import tabular_realmlp
from pandas.api.types import is_numeric_dtype
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fnloop as fl

METHODS = "fnloop", "mlp", "mlp-es", "hgb", "realmlp"
MOST_LEVELS = 250  # of a category, for gradient boosting


def method(name, realmlp_python):
    """The function of a method's name."""
    if name == "realmlp":
        tabular_realmlp.start(realmlp_python)
        return partial(realmlp, python=realmlp_python)
    functions = {"fnloop": fnloop, "mlp": mlp, "mlp-es": partial(mlp, early_stopping=True), "hgb": hgb}
    return partial(timed, functions[name])


def timed(function, train, test, target, task, seed):
    started = time.perf_counter(), time.process_time()
    predicted = function(train, test, target, task, seed)
    return predicted, time.perf_counter() - started[0], time.process_time() - started[1]


def fnloop(train, test, target, task, seed):
    """The preprocessing and the recipe as a user gets them, with a fifth of the training rows for validation."""
    classes = np.zeros(len(train), int) if task == "regression" else np.unique(train[target], return_inverse=True)[1]
    rows = fl.split(fl.Dataset(np.arange(len(train))[:, None], classes), test=0, validation=0.2, seed=seed)
    parts = [train.iloc[part.x[:, 0].astype(int)] for part in (rows.train, rows.validation)]
    preprocessing = fl.Preprocessing.fit(parts[0], target, task=task)
    training, validation = map(preprocessing.dataset, parts)
    trainer = fl.recipes.tabular(training, task=task, classes=len(preprocessing.classes) or None, seed=seed)
    result = fl.fit(trainer.replace(threads=1), training, validation, progress=False)
    return preprocessing.decode(result.predict(preprocessing.features(test)))


def mlp(train, test, target, task, seed, early_stopping=False):
    """scikit-learn's network, with the preprocessing that its documentation advises."""
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    network = MLPClassifier if task == "classification" else MLPRegressor
    model = network(random_state=seed, early_stopping=early_stopping)
    if task == "regression":
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    return (
        make_pipeline(encode, model).fit(plain(train.drop(columns=target)), labels(train, target, task)).predict(plain(test))
    )


def hgb(train, test, target, task, seed):
    """scikit-learn's gradient boosting, with texts as categories; the rarest of very many are one."""
    x, new = plain(train.drop(columns=target)), plain(test)
    for name in x.select_dtypes(exclude="number"):
        common = x[name].value_counts().index[:MOST_LEVELS]
        known = [*common, "(other)"] if x[name].nunique() > MOST_LEVELS else [*common]
        for frame in (x, new):
            frame[name] = frame[name].where(frame[name].isin(common), "(other)").astype(pd.CategoricalDtype(known))
    estimator = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    model = estimator(random_state=seed, categorical_features="from_dtype")
    return model.fit(x, labels(train, target, task)).predict(new)


def realmlp(train, test, target, task, seed, python):
    """RealMLP-TD-S of pytabkit (Holzmüller et al. 2024), with the median for missing numbers, which it refuses."""
    x, y = plain(train.drop(columns=target)), labels(train, target, task)
    return tabular_realmlp.predictions(python, x, y, plain(test), task, seed)


def plain(frame):
    """A frame of floats and texts; a missing text is the text "missing"."""
    columns = {}
    for name in frame:
        column = frame[name]
        if is_numeric_dtype(column):
            columns[name] = column.astype(float)
        else:
            columns[name] = column.astype(object).where(column.notna(), "missing").map(str).astype(object)
    return frame.assign(**columns)


def labels(frame, target, task):
    return frame[target].to_numpy(object if task == "classification" else float)
