"""Two states side by side: field by field, and layer by layer, which bits are the same and how far the others lie apart."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.digest import same_bits
from fnloop.core.fields import leaves
from fnloop.core.records import frozen
from fnloop.training.state import TrainState


@frozen
class Difference:
    """One field of two states.

    `norm` is the Euclidean norm of what one has more than the other, `largest` the largest change of an element and `at` its
    index; they are None where there is nothing to subtract. `text` says it for people.
    """

    field: str
    same: bool
    norm: float | None
    largest: float | None
    at: tuple[int, ...] | None
    text: str


@frozen
class Diff:
    """Two states side by side; `str()` of it is a table of what differs.

    `rows` has each field of either; those of the model's arrays stand layer by layer.
    """

    rows: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether every field is the same in every bit."""
        return all(row.same for row in self.rows)

    def __str__(self) -> str:
        different = [row for row in self.rows if not row.same]
        if not different:
            return f"the same bits in all {len(self.rows)} fields"
        width = max(len(row.field) for row in different)
        lines = [f"{row.field:{width}}  {row.text}" for row in different]
        return "\n".join([*lines, f"{len(self.rows) - len(different)} of {len(self.rows)} fields have the same bits"])


def diff(a: Any, b: Any) -> Diff:
    """The differences from state a to state b."""
    left, right = (dict(fields(state)) for state in (a, b))
    return Diff(tuple(_difference(name, left.get(name, _NOTHING), right.get(name, _NOTHING)) for name in left | right))


_NOTHING = "nothing"


def fields(state: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a state; a vector of the parameters' shape array by array of the model's layers."""
    model = state.params.model if isinstance(state, TrainState) else None
    for path, leaf in leaves(state):
        if path.startswith("params.model"):
            continue
        if model is not None and isinstance(leaf, np.ndarray) and leaf.shape == (model.size,) and model.size:
            yield from _arrays(model.unflatten(leaf), "params.layers" if path == "params.vector" else path)
        else:
            yield path, leaf


def _arrays(layers: Any, path: str) -> Iterator[tuple[str, Array]]:
    if isinstance(layers, np.ndarray):
        yield path, layers
        return
    for name, part in layers._asdict().items() if hasattr(layers, "_asdict") else enumerate(layers):
        yield from _arrays(part, f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}")


def _difference(name: str, a: Any, b: Any) -> Difference:
    if same_bits(a, b):
        return Difference(name, True, 0.0, 0.0, None, "the same bits")
    if not all(_is_number(value) for value in (a, b)) or np.shape(a) != np.shape(b):
        return Difference(name, False, None, None, None, f"{_short(a)} -> {_short(b)}")
    with np.errstate(all="ignore"):
        change = np.asarray(b, np.float64) - np.asarray(a, np.float64)
        size = np.abs(change)
        norm = float(np.sqrt(np.sum(size * size)))
    if not size.size:
        return Difference(name, False, None, None, None, f"{_short(a)} -> {_short(b)}")
    at = tuple(map(int, np.unravel_index(int(np.argmax(size)), size.shape)))  # NaN counts as the largest
    largest = float(size[at])
    if not at:
        return Difference(name, False, norm, largest, None, f"{a!r} -> {b!r}")
    text = f"norm of the change {norm:.3g}, of {np.linalg.norm(a):.3g}; largest {largest:.3g} at {list(at)}"
    return Difference(name, False, norm, largest, at, text)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.ndarray) and not isinstance(value, bool) and np.asarray(value).dtype.kind in "iuf"
    )


def _short(value: Any) -> str:
    if value is _NOTHING:
        return value
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
