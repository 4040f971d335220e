"""What an engine is, and how one is had by its name."""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from fnloop.data import Dataset
from fnloop.engines import numpy as numpy_engine
from fnloop.engines.numpy import Run, Sums
from fnloop.errors import EngineError
from fnloop.short import short
from fnloop.state import TrainState
from fnloop.trainer import Trainer
from fnloop.typing import Array


class Engine(Protocol):
    """What folds the step over batches, and measures a state; see `fnloop.engines.numpy`, which is one."""

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
        room = import_module("fnloop.engines.jax")
    except ModuleNotFoundError as error:
        raise EngineError(f"engine {short(name)} needs JAX: python -m pip install 'fnloop[jax]' ({error})") from None
    engine: Engine = room.JaxEngine(room.find_device(name))
    return engine
