"""Text and categories of many values: hashed n-grams of characters."""

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.data.schema import Cells

WIDTH = 64


@frozen
class TextEncoder:
    """Encode a column of text as hashed n-grams of 2 to 4 characters within words, normalized to length 1.

    These are the numbers of scikit-learn's `HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4))`. A missing cell has
    zeros.

    Args:
        column: Name of the column.
        width: Number of encoded columns.
    """

    column: str
    width: int = WIDTH

    def encode(self, cells: Cells) -> tuple[Array, Array]:
        """Return the encoded cells, (N, width), and False for each: no text is unknown.

        Args:
            cells: The cells of the column.
        """
        from sklearn.feature_extraction.text import HashingVectorizer

        encoded = np.zeros((len(cells.texts) + 1, self.width))
        if len(cells.texts):
            hashed = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=self.width).transform(cells.texts)
            encoded[:-1] = hashed.toarray()
        return encoded[cells.values], np.zeros(len(cells.values), bool)
