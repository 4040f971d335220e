"""What an engine is, and how one is had by its name."""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from fnloop.core.arrays import Array
from fnloop.core.errors import EngineError
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.engines.numpy import fold as numpy_engine
from fnloop.engines.numpy.fold import Run, Sums
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


class Engine(Protocol):
    """What folds the step over batches, and measures a state; see `fnloop.engines.numpy.fold`, which is one."""

    def make_run(self, trainer: Trainer, data: Dataset) -> Run: ...
    def make_measure(self, trainer: Trainer, data: Dataset) -> Callable[[TrainState], Sums]: ...
    def outputs_over(self, trainer: Trainer, state: TrainState, x: Array) -> Array: ...


def get_engine(name: str) -> Engine:
    """The engine of a name: `"numpy"`, or `"jax"` with a device behind it if wanted, as in `"jax:gpu"` or `"jax:cpu:0"`.

    Raises: ValueError: for another name; EngineError: if JAX is not installed, or the device is not there.
    """
    if name == "numpy":
        return numpy_engine
    if not isinstance(name, str) or name.partition(":")[0] != "jax":
        raise ValueError(
            f"engine must be 'numpy', 'jax', or 'jax' with a device, such as 'jax:gpu' or 'jax:cpu:0', got {short(name)}"
        )
    try:
        room = import_module("fnloop.engines.jax.fold")
    except ModuleNotFoundError as error:
        raise EngineError(f"engine {short(name)} needs JAX: python -m pip install 'fnloop[jax]' ({error})") from None
    engine: Engine = room.JaxEngine(room.find_device(name))
    return engine
