"""Engines, as training uses them: a trainer becomes a computation, and states are JAX pytrees where JAX is used."""

from fnloop.core.arrays import Array
from fnloop.engines import Computation, Engine, get_engine
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


def computation_of(trainer: Trainer) -> Computation:
    """Return what an engine computes for a trainer."""
    return Computation(
        model=trainer.model,
        loss=trainer.loss,
        optimizer=trainer.optimizer,
        metrics=trainer.summed_metrics(),
        batch_size=trainer.batch_size,
        accumulate=trainer.accumulate,
        seed=trainer.seed,
        dtype=trainer.dtype,
        threads=trainer.blas_threads(),
    )


def select_engine(name: str) -> Engine:
    """Return an engine by its name, as `fnloop.engines.get_engine` does; JAX then takes states as pytrees.

    Raises:
        ValueError: If no engine has that name.
        EngineError: If JAX is not installed, or does not have the device.
    """
    engine = get_engine(name)
    if name != "numpy":
        from fnloop.training.pytrees import register_states

        register_states()
    return engine


def compute_outputs(trainer: Trainer, state: TrainState, x: Array, engine: str) -> Array:
    """Return the outputs of a state's model for each row of x."""
    return select_engine(engine).outputs(computation_of(trainer), state.params.vector, state.buffers, x)
