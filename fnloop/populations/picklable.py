"""The part of a trainer that another process cannot be sent."""

import pickle
from collections.abc import Mapping
from typing import Any

from fnloop.core.fields import NodeType, leaves
from fnloop.training.trainer import Trainer


def unpicklable_part(trainers: Mapping[int, Trainer]) -> str | None:
    """Return the path of the first part that cannot be pickled, such as `"trainers[0].loss.function"`; None if all can.

    Args:
        trainers: The trainers, by index.
    """
    for index, trainer in trainers.items():
        if not _is_picklable(trainer):
            parts = (path for path, value in leaves(trainer) if not (isinstance(value, NodeType) or _is_picklable(value)))
            return ".".join([f"trainers[{index}]", *list(parts)[:1]])
    return None


def _is_picklable(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True
