"""Differences between two states, field by field and layer by layer."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.digest import same_bits
from fnloop.core.fields import NodeType, leaves
from fnloop.core.records import frozen
from fnloop.training.state import TrainState

_MISSING = "nothing"  # the value of a field that one of the states does not have


@frozen
class Difference:
    """One field of two states.

    Args:
        field: The path of the field, such as `params.layers[0].weights`.
        same: Whether both states have the same bits.
        norm: The Euclidean norm of the change; None if the values cannot be subtracted.
        largest: The largest absolute change of an element; None as for `norm`.
        at: The index of that element; None as for `norm`, and for a number.
        text: The difference as text.
    """

    field: str
    same: bool
    norm: float | None
    largest: float | None
    at: tuple[int, ...] | None
    text: str


@frozen
class Diff:
    """The comparison of two states; `str()` of it is a table of the fields that differ.

    Args:
        rows: Every field of either state. The arrays of the model are compared layer by layer.
    """

    rows: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether the states have the same bits."""
        return all(row.same for row in self.rows)

    def __str__(self) -> str:
        different = [row for row in self.rows if not row.same]
        if not different:
            return f"the same bits in all {len(self.rows)} fields"
        width = max(len(row.field) for row in different)
        lines = [f"{row.field:{width}}  {row.text}" for row in different]
        return "\n".join([*lines, f"{len(self.rows) - len(different)} of {len(self.rows)} fields have the same bits"])


def diff(a: Any, b: Any) -> Diff:
    """Compare two states; changes are from a to b.

    Args:
        a: A state.
        b: Another state.

    Examples:
        >>> print(diff({"x": 1, "y": 2.0}, {"x": 1, "y": 3.0}))
        ['y']  2.0 -> 3.0
        2 of 3 fields have the same bits
    """
    left, right = (dict(fields(state)) for state in (a, b))
    return Diff(tuple(_difference(name, left.get(name, _MISSING), right.get(name, _MISSING)) for name in left | right))


def fields(state: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each leaf of a state; a vector of parameters is yielded array by array.

    This includes every vector with the layout of the parameters: that of the best epoch, and the slots of the optimizer, whose
    paths have the names of the slots, such as `optimizer.slots.mu[0].weights`.

    Args:
        state: The state.
    """
    if not isinstance(state, TrainState):
        yield from leaves(state)
        return
    model = state.params.model
    renamed = {"params.vector": "params.layers", **_slot_paths(state.optimizer.slot_names)}
    for path, leaf in leaves(state):
        if path.startswith("params.model"):
            continue
        if isinstance(leaf, np.ndarray) and leaf.shape == (model.size,) and model.size:
            yield from _arrays(model.unflatten(leaf), renamed.get(path, path))
        else:
            yield path, leaf


def _slot_paths(names: Sequence[str]) -> dict[str, str]:
    """Return the path of each slot of the optimizer by name, for names that no other part of the optimizer has.

    Examples:
        >>> _slot_paths(["Adam().mu", "Adam().nu", "Lion().mu"])
        {'optimizer.slots[1]': 'optimizer.slots.nu'}
    """
    short_names = [name.rpartition(".")[2] for name in names]
    return {
        f"optimizer.slots[{i}]": f"optimizer.slots.{name}"
        for i, name in enumerate(short_names)
        if short_names.count(name) == 1
    }


def _arrays(layers: Any, path: str) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of nested layers with their paths."""
    if isinstance(layers, np.ndarray):
        yield path, layers
        return
    for name, part in layers._asdict().items() if hasattr(layers, "_asdict") else enumerate(layers):
        yield from _arrays(part, f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}")


def _difference(name: str, a: Any, b: Any) -> Difference:
    if same_bits(a, b):
        return Difference(name, True, 0.0, 0.0, None, "the same bits")
    if not (_is_numeric(a) and _is_numeric(b)) or np.shape(a) != np.shape(b) or not np.size(a):
        return Difference(name, False, None, None, None, f"{_shown(a)} -> {_shown(b)}")
    with np.errstate(all="ignore"):
        change = np.abs(np.asarray(b, np.float64) - np.asarray(a, np.float64))
        norm = float(np.sqrt(np.sum(change * change)))
    index = tuple(map(int, np.unravel_index(int(np.argmax(change)), change.shape)))  # argmax takes NaN for the largest
    largest = float(change[index])
    if not index:
        return Difference(name, False, norm, largest, None, f"{a!r} -> {b!r}")
    text = f"norm of the change {norm:.3g}, of {np.linalg.norm(a):.3g}; largest {largest:.3g} at {list(index)}"
    return Difference(name, False, norm, largest, index, text)


def _is_numeric(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.ndarray) and not isinstance(value, bool)
    return is_number and np.asarray(value).dtype.kind in "iuf"


def _shown(value: Any) -> str:
    if value is _MISSING or isinstance(value, NodeType):
        return value.removeprefix("fnloop.")
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
