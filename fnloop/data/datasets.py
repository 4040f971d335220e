"""Small real datasets in three parts, standardized by the training part."""

from collections.abc import Callable

from fnloop.core.formatting import short
from fnloop.data.table_split import TableSplit, split_table
from fnloop.data.tables import DATASET_NAMES, builtin_table


def load(name: str) -> TableSplit:
    """One of the datasets by its name, split 64 : 16 : 20 with seed 42.

    Raises: ValueError: for an unknown name, with those there are.
    """
    if name not in DATASET_NAMES:
        raise ValueError(f"name must be one of {', '.join(DATASET_NAMES)}, got {short(name)}")
    table, target = builtin_table(name)
    return split_table(table, target)


def _loader(name: str) -> Callable[[], TableSplit]:
    def loader() -> TableSplit:
        return load(name)

    loader.__name__ = loader.__qualname__ = name
    loader.__doc__ = f"The dataset `{name}`, as `load({name!r})` gives it."
    return loader


lab, digits, breast_cancer, wine, diabetes, iris = map(_loader, DATASET_NAMES)
