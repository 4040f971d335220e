"""Programs on JAX: which runs share one."""

import jax
import numpy as np
import pytest
from toolz import nth

import fnloop as fl
from fnloop.engines.jax.hyperparameters import split_numbers
from fnloop.optimizers import SGD, Adam, AdamW, add_decayed_weights, chain, clip_by_global_norm, masked, scheduled
from fnloop.schedulers import LinearLR
from tests.strategies import dataset

DATA, OTHER = dataset("mse", 22), dataset("mse", 9)
COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _seconds, **_: COMPILED.append(event) if event.endswith("backend_compile_duration") else None
)
FAMILIES = {
    "weight decay": lambda v: AdamW(weight_decay=v),
    "momentum": lambda v: SGD(momentum=v, nesterov=True),
    "clip": lambda v: chain(clip_by_global_norm(v), Adam()),
    "clip by value": lambda v: chain(fl.optimizers.clip_by_value(v), Adam()),
    "mask": lambda v: chain(Adam(), masked(add_decayed_weights(v), kinds=["weights"])),
    "schedule": lambda v: scheduled(SGD(momentum=0.9), momentum=LinearLR(v, total_iters=5)),
}


def trainer_of(optimizer):
    return fl.Trainer(model=fl.mlp([3, 4, 2]), loss="mse", optimizer=optimizer, batch_size=5, scheduler=0.01)


def state_of(optimizer, engine="jax"):
    return nth(2, fl.epochs(trainer_of(optimizer), DATA, OTHER, engine=engine))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_one_program_serves_all_numbers_of_an_optimizer(family):
    """A sweep compiles once; the numbers are used: states are those of NumPy, to rounding."""
    state_of(family(0.3))
    COMPILED.clear()
    values = [0.05, 0.2, 0.9]
    states = [state_of(family(value)) for value in values]
    assert not COMPILED
    assert len({fl.digest(state.params) for state in states}) == len(values)
    for value, state in zip(values, states, strict=True):
        on_numpy = state_of(family(value), "numpy")
        np.testing.assert_allclose(state.params.vector, on_numpy.params.vector, rtol=2e-4, atol=2e-5)


@fl.frozen
class Thresholded(fl.optimizers.Elementwise):
    """A part that compares its number, which cannot be traced."""

    limit: float = 0.5

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if self.limit > 0.4 else -gradient), ()


def test_a_number_that_is_compared_remains_a_constant():
    """Of that part alone; a momentum of 0, which has no slot, is of another kind than one above 0."""
    kind, numbers = split_numbers(chain(Thresholded(0.6), SGD(momentum=0.3)), "float32")
    assert [part.takes_numbers for part in kind.parts] == [False, True]
    assert numbers == ((), (0.3,))
    state_of(Thresholded(0.6))
    assert not fl.same_bits(state_of(Thresholded(0.3)).params, state_of(Thresholded(0.6)).params)
    assert split_numbers(SGD(), "float32")[0] != split_numbers(SGD(momentum=0.5), "float32")[0]


def test_a_new_number_of_rows_compiles_nothing():
    """Outputs are computed in chunks of few sizes; those of each row are the same, also without rows."""
    trainer, state = trainer_of(Adam()), state_of(Adam())
    x = np.random.default_rng(0).normal(size=(2100, 3))
    whole = fl.outputs(trainer, state, x, engine="numpy")
    for n in (3, 100, 1000, 2100):
        fl.outputs(trainer, state, x[:n], engine="jax")
    COMPILED.clear()
    for n in (1, 7, 16, 17, 500, 1023, 1024, 1025, 2000, 2049):
        outputs = fl.outputs(trainer, state, x[:n], engine="jax")
        assert outputs.shape == (n, 2)
        np.testing.assert_allclose(outputs, whole[:n], rtol=1e-4, atol=1e-5)
    assert not COMPILED
