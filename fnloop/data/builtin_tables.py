"""The built-in datasets and plain arrays as tables."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.data.dataset import check_array

DATASET_NAMES = ("lab", "digits", "breast_cancer", "wine", "diabetes", "iris")


def builtin_table(name: str) -> Any:
    """Return one of the datasets in `DATASET_NAMES` as a pandas frame, whose last column is the target.

    Labels are text if scikit-learn has names for them.

    Args:
        name: One of `DATASET_NAMES`.
    """
    from sklearn import datasets

    if name == "lab":
        x, y = datasets.make_classification(
            n_samples=1000,
            n_features=10,
            n_redundant=0,
            n_informative=8,
            n_clusters_per_class=1,
            class_sep=1.2,
            random_state=42,
        )
        return table_of_arrays(x, y)
    bunch = getattr(datasets, f"load_{name}")()
    y = bunch.target
    if name not in {"diabetes", "digits"}:
        y = np.asarray(bunch.target_names)[y]
    return table_of_arrays(np.asarray(bunch.data, dtype=np.float64), y, [str(name) for name in bunch.feature_names])


def table_of_arrays(x: Array, y: Array | None = None, names: list[str] | None = None) -> Any:
    """Return arrays as a pandas frame with the columns `x0`, `x1`, ... and, if there are targets, `target`.

    Args:
        x: The features, (N, D).
        y: The targets, (N,) or (N, 1), or None.
        names: The names of the features; None for `x0`, `x1`, ...

    Raises:
        TypeError: If the features are not numbers, or the targets neither numbers nor text.
        ValueError: If the shapes do not match, or a value of x is infinite.

    Examples:
        >>> table_of_arrays(np.array([[1.0, 2.0]]), np.array([0])).columns.tolist()
        ['x0', 'x1', 'target']
    """
    import pandas

    if x.dtype.kind == "f" and x.ndim == 2:
        check_array("x", np.nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf), ndims=(2,))
    else:
        check_array("x", x, ndims=(2,))
    frame = pandas.DataFrame({names[i] if names else f"x{i}": values for i, values in enumerate(x.T)})
    if y is None:
        return frame
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or len(y) != len(x):
        raise ValueError(f"y must have one value for each of the {len(x)} rows of x, got shape {y.shape}")
    if y.dtype.kind not in "biufUS":
        raise TypeError(f"y must be numbers or text, got dtype {y.dtype}")
    return frame.assign(target=y.astype(str) if y.dtype.kind == "S" else y)
