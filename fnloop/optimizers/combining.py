"""The optimizers of a population as one, whose hyperparameters are columns of numbers where they differ."""

from collections.abc import Sequence
from typing import Any

from fnloop.core.columns import column
from fnloop.core.digest import same_bits
from fnloop.core.fields import field_names
from fnloop.core.records import evolve_unchecked
from fnloop.optimizers.elementwise import Elementwise


def combine(optimizers: Sequence[Elementwise]) -> tuple[Elementwise, ...] | None:
    """Return the parts of one optimizer for all members, whose kernels take arrays (K, P); None if there is none.

    The parts of each member must be of the same classes and differ in floats only. Their scalars must not depend on the values
    or the layer of an array.

    Args:
        optimizers: An optimizer for each member.
    """
    of_members = [optimizer.parts for optimizer in optimizers]
    if len({tuple(map(type, parts)) for parts in of_members}) > 1:
        return None
    combined = [_combine_part(parts) for parts in zip(*of_members, strict=True)]
    return None if None in combined else tuple(part for part in combined if part is not None)


def _combine_part(parts: Sequence[Elementwise]) -> Elementwise | None:
    first = parts[0]
    if any(part.depends_on is not None or part.per_element_scalars or part.slots != first.slots for part in parts):
        return None
    changes = {}
    for name in field_names(type(first)):
        values = [getattr(part, name) for part in parts]
        if not all(type(value) is float for value in values) and not all(_is_same(value, values[0]) for value in values):
            return None
        changes[name] = column(values) if type(values[0]) is float else values[0]
    return evolve_unchecked(first, **changes)


def _is_same(value: Any, other: Any) -> bool:
    return value is other or same_bits(value, other)
