"""Categories: one column for each that is frequent enough, one for all others."""

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.data.schema import Cells

MOST = 50  # columns of one category column, without those for others and for missing cells


@frozen
class CategoryEncoder:
    """Encode a column of categories as one column for each category: 1 in its rows, 0 in the others.

    A category that is not in the list is "other". Without a column for others, it is 0 in all columns. This is what
    scikit-learn's `OneHotEncoder(handle_unknown="infrequent_if_exist")` does.

    Args:
        column: Name of the column.
        categories: The categories with a column, sorted.
        infrequent: The other categories of the training part, sorted; if there are any, the next column is that of others.
        flag: Whether the last column is that of missing cells.
    """

    column: str
    categories: tuple[str, ...]
    infrequent: tuple[str, ...] = ()
    flag: bool = False

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.categories) + bool(self.infrequent) + self.flag

    def encode(self, cells: Cells) -> tuple[Array, Array]:
        """Return the encoded cells, (N, width), and whether the category of each was not in the training part, (N,).

        Args:
            cells: The cells of the column.
        """
        index = {text: i for i, text in enumerate(self.categories)}
        other, missing, nowhere = len(index), self.width - 1 if self.flag else self.width, self.width
        known = {*index, *self.infrequent}
        place = [index.get(text, other if self.infrequent else nowhere) for text in cells.texts]
        is_new = np.array([text not in known for text in cells.texts] + [False], bool)[cells.values]
        encoded = np.zeros((len(cells.values), self.width + 1))
        encoded[np.arange(len(encoded)), np.array([*place, missing])[cells.values]] = 1.0
        return encoded[:, :-1], is_new


def fit_category(name: str, cells: Cells, minimum: int | None = None, most: int = MOST) -> CategoryEncoder | None:
    """Return the encoder of a column of categories; None if only one value occurs.

    Args:
        name: Name of the column.
        cells: Its cells in the training part.
        minimum: Number of rows that a category must have for its own column; None for 1 in 1,000, at least 2.
        most: The maximum number of columns with that for others; the most frequent categories have one.
    """
    minimum = max(2, len(cells.values) // 1000) if minimum is None else minimum
    present = cells.values[cells.values >= 0]
    counts = np.bincount(present, minlength=len(cells.texts))
    used = np.flatnonzero(counts)
    order = sorted(used, key=lambda i: (counts[i], cells.texts[i]), reverse=True)
    frequent = [i for i in order if counts[i] >= minimum]
    chosen = {int(i) for i in (frequent[: most - 1] if len(frequent) + 1 > most else frequent)}  # one column is for others
    flag = len(present) < len(cells.values)
    categories = tuple(sorted(cells.texts[i] for i in chosen))
    infrequent = tuple(sorted(cells.texts[i] for i in used if int(i) not in chosen))
    encoder = CategoryEncoder(name, categories, infrequent, flag)
    return encoder if encoder.width > 1 else None
