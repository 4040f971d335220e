"""Training states and data as JAX pytrees. This module imports JAX, so it is imported only where JAX is used."""

from fnloop.data.batching import Batch
from fnloop.data.dataset import Dataset
from fnloop.engines.jax.pytrees import register
from fnloop.nn.model import Params
from fnloop.optimizers import OptimizerState
from fnloop.schedulers import ComposedState, PlateauState, SchedulerState
from fnloop.training.early_stopping import EarlyStoppingState
from fnloop.training.state import EpochProgress, TrainState

# The fields of each record that no transformation changes. A record that is not listed becomes a pytree, without such fields,
# when JAX first meets it in one of these.
STATIC_FIELDS: dict[type, tuple[str, ...]] = {
    Batch: (),
    ComposedState: (),
    Dataset: ("columns", "classes"),
    EarlyStoppingState: (),
    EpochProgress: ("plan",),
    OptimizerState: ("slot_names",),
    Params: ("model",),
    PlateauState: (),
    SchedulerState: (),
    TrainState: ("loss", "stopped", "names"),
}


def register_states() -> None:
    """Make the records pytrees, so that `jax.tree.map`, `jax.jit` and `jax.vmap` take states, datasets and batches."""
    for cls, static in STATIC_FIELDS.items():
        register(cls, static)
