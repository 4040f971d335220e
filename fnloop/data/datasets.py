"""Small real datasets in three parts, standardized by the training part."""

from collections.abc import Callable

from fnloop.core.checks import choice
from fnloop.data.table_split import TableSplit, split_table
from fnloop.data.tables import DATASET_NAMES, builtin_table

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
    table, target = builtin_table(_name("name", name))
    return split_table(table, target)


def _loader(name: str) -> Callable[[], TableSplit]:
    def loader() -> TableSplit:
        return load(name)

    loader.__name__ = loader.__qualname__ = name
    loader.__doc__ = f"Return the dataset `{name}`: the same as `load({name!r})`."
    return loader


lab, digits, breast_cancer, wine, diabetes, iris = map(_loader, DATASET_NAMES)
