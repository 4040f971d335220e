"""Small real datasets in three parts, standardized by the training part."""

from collections.abc import Callable

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import choice
from fnloop.data.builtin_tables import DATASET_NAMES, builtin_table
from fnloop.data.encoders.target import ClassEncoder
from fnloop.data.inference import infer_schema
from fnloop.data.table_split import TableSplit, encode_parts

__all__ = ["breast_cancer", "diabetes", "digits", "iris", "lab", "load", "wine"]

_name = choice(*DATASET_NAMES)


def load(name: str) -> TableSplit:
    """Return a dataset by name, split 64 : 16 : 20 with seed 42.

    Args:
        name: `"lab"` (synthetic), or one of scikit-learn's `"digits"`, `"breast_cancer"`, `"wine"`, `"diabetes"`, `"iris"`.

    Raises:
        TypeError: If the name is not a string.
        ValueError: If the name is unknown. The message lists the names.

    Examples:
        >>> load("iris").train
        Dataset(x=(96, 4) float64, y=(96,) int64, 96 examples)
    """
    frame = builtin_table(_name("name", name))
    schema = infer_schema(frame, "target", kinds=dict.fromkeys(frame.columns[:-1], "number"))
    labels = ClassEncoder("target", schema.classes).encode(frame["target"]) if schema.classes else None
    rest, test = _halves(np.arange(len(frame)), labels)
    train, validation = _halves(rest, labels)
    return encode_parts(frame, schema, [train, validation, test], "standard")


def _halves(rows: Array, labels: Array | None) -> tuple[Array, Array]:
    """Split rows 80 : 20, stratified by their labels."""
    from sklearn.model_selection import train_test_split

    first, second = train_test_split(rows, test_size=0.2, random_state=42, stratify=None if labels is None else labels[rows])
    return first, second


def _loader(name: str) -> Callable[[], TableSplit]:
    def loader() -> TableSplit:
        return load(name)

    loader.__name__ = loader.__qualname__ = name
    loader.__doc__ = f"Return the dataset `{name}`: the same as `load({name!r})`."
    return loader


lab, digits, breast_cancer, wine, diabetes, iris = map(_loader, DATASET_NAMES)
