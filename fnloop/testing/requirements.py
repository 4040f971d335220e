"""Requirements inside a check: each breaks the law that is being checked if it is not met."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.decoding import Decoder, record_classes
from fnloop.core.digest import bits, same_bits
from fnloop.core.fields import leaves
from fnloop.core.formatting import short
from fnloop.runs.packing import pack_data
from fnloop.testing.law import violate


def require(condition: Any, path: str = "", **values: Any) -> None:
    """Require a condition.

    Args:
        condition: Must be true.
        path: Where the values are, for the message.
        **values: The values that explain the violation, by name; an underscore is shown as a space.

    Raises:
        Violation: If the condition is false.
    """
    if not condition:
        violate(values, path)


def require_same(a: Any, b: Any, names: tuple[str, str]) -> None:
    """Require that two values have the same bits; the message shows the first leaf that differs.

    Args:
        a: A value.
        b: Another value.
        names: Names of the two values, for the message.

    Raises:
        Violation: If they differ.
    """
    if not same_bits(a, b):
        path, *leaf_values = first_difference(a, b)
        violate(dict(zip(names, leaf_values, strict=True)), path)


def require_unchanged(before: Mapping[str, Any], **values: Any) -> None:
    """Require that values have not changed since `copy_leaves`.

    Args:
        before: The result of `copy_leaves` for the same names.
        **values: The values.

    Raises:
        Violation: If a leaf has changed.
    """
    for path, leaf in copy_leaves(**values).items():
        if path not in before or bits(leaf) != bits(before[path]):
            index, old, new = first_difference(before.get(path), leaf)
            violate({"before": old, "after": new}, path + index)


def require_read_only(value: Any) -> None:
    """Require that no array of a value can be written to.

    Args:
        value: A record, mapping, sequence or array.

    Raises:
        Violation: If an array is writable.
    """
    for path, array in arrays_of(value):
        require(not array.flags.writeable, path, writable_array=array)


def copy_leaves(**values: Any) -> dict[str, Any]:
    """Return copies of all leaves of the values by path, for `require_unchanged`.

    Args:
        **values: The values.

    Examples:
        >>> copy_leaves(batch=(np.ones(1), 2))
        {'batch': 'sequence of 2', 'batch[0]': array([1.]), 'batch[1]': 2}
    """
    return {
        name + (f".{path}" if path[:1].isalpha() else path): leaf.copy() if isinstance(leaf, np.ndarray) else leaf
        for name, value in values.items()
        for path, leaf in leaves(value)
    }


def first_difference(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return the path of the first leaf that differs, and its two values; for arrays, the first element that differs.

    Args:
        a: A value.
        b: A value with other bits.

    Raises:
        ValueError: If the values have the same bits.

    Examples:
        >>> first_difference(np.array([1, 2]), np.array([1, 3]))
        ('[1]', 2, 3)
    """
    missing: Any = "nothing", None
    for (a_path, a_leaf), (b_path, b_leaf) in zip_longest(leaves(a), leaves(b), fillvalue=missing):
        if a_path != b_path or bits(a_leaf) != bits(b_leaf):
            if not _have_same_layout(a_leaf, b_leaf):
                return a_path, a_leaf, b_leaf
            index = next(i for i in np.ndindex(a_leaf.shape) if bits(a_leaf[i]) != bits(b_leaf[i]))
            path = f"{a_path}{list(map(int, index))}" if index else a_path
            return path, a_leaf[index].item(), b_leaf[index].item()
    raise ValueError(f"a and b must differ, got {short(a)} twice")


def _have_same_layout(a: Any, b: Any) -> bool:
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and (a.shape, a.dtype) == (b.shape, b.dtype)


def arrays_of(value: Any) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a value with their paths.

    Args:
        value: A record, mapping, sequence or array.
    """
    return ((path, leaf) for path, leaf in leaves(value) if isinstance(leaf, np.ndarray))


def round_trip(value: Any) -> Any:
    """Return a value after it was written to a file and read back: the same data in new records.

    Args:
        value: A record, mapping, sequence, array or number.

    Raises:
        TypeError: If the value has something that is not data, such as a function.
    """
    packed = pack_data(value)
    copies = {name: array.copy() for name, array in packed.arrays.items()}
    decoder = Decoder(
        copies.__getitem__, lambda name: decoder.value(json.loads(packed.records[name])), tuple(record_classes(value))
    )
    return decoder.value(json.loads(packed.text))
