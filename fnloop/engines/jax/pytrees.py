"""The records of a state as JAX pytrees: `jax.tree.map`, `jax.jit` and `jax.vmap` take states as they are.

What training changes (arrays, numbers, records of them) are leaves; what stays (the architecture, a stop's reason) is static.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import jax

from fnloop.core.fields import field_names
from fnloop.data.batching import Batch
from fnloop.data.dataset import Dataset
from fnloop.nn.model import Params
from fnloop.optimizers import OptimizerState
from fnloop.schedulers import ComposedState, PlateauState, SchedulerState
from fnloop.training.early_stopping import EarlyStoppingState
from fnloop.training.state import EpochProgress, TrainState

T = TypeVar("T")
STATES = (
    Batch,
    ComposedState,
    Dataset,
    EarlyStoppingState,
    OptimizerState,
    Params,
    PlateauState,
    EpochProgress,
    SchedulerState,
    TrainState,
)


def register(cls: type[T]) -> None:
    """Make a record class a pytree. Its copies hold whatever the transformation put in place of the leaves, unchecked."""
    names = field_names(cls)

    def flatten(record: T) -> tuple[list[Any], tuple[Any, ...]]:
        values = [getattr(record, name) for name in names]
        static = tuple(_static(value) for value in values)
        return [_leaves(value) for value in values], static

    def unflatten(static: tuple[Any, ...], leaves: Any) -> T:
        record = object.__new__(cls)
        for name, (kind, kept), leaf in zip(names, static, leaves, strict=True):
            value = (
                MappingProxyType(dict(zip(kept, leaf, strict=True))) if kind == "mapping" else leaf if kind == "leaf" else kept
            )
            object.__setattr__(record, name, value)
        return record

    jax.tree_util.register_pytree_node(cls, flatten, unflatten)


def _leaves(value: Any) -> Any:
    """What of a field changes; of a mapping its values, in its order."""
    kind, _ = _static(value)
    return None if kind == "static" else tuple(value.values()) if kind == "mapping" else value


def _static(value: Any) -> tuple[str, Any]:
    """What a field is, and what of it stays."""
    if isinstance(value, Mapping):
        return "mapping", tuple(value)
    if isinstance(value, tuple) and any(isinstance(item, str) for item in value):
        return "static", value
    if isinstance(value, (*STATES, tuple)) or hasattr(value, "dtype") or type(value) in (int, float):
        return "leaf", None
    return "static", value


for _cls in STATES:
    register(_cls)
