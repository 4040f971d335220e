"""Populations on JAX: each member is its own run, to rounding."""

import jax
import numpy as np
import pytest

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.engines import Carry
from fnloop.engines.jax.engine import _RESIDENT
from fnloop.engines.jax.population import padded_size
from fnloop.engines.jax.resident_data import ResidentData
from fnloop.engines.jax.schedule import make_schedule, make_schedules
from fnloop.nn import (
    Activation,
    AvgPool1d,
    BatchNorm,
    Conv1d,
    Dense,
    Dropout,
    Flatten,
    MaxPool1d,
    Reshape,
    Residual,
    Sequential,
)
from fnloop.optimizers import SGD, AdamW, chain, clip_by_global_norm, scheduled
from fnloop.schedulers import LinearLR
from fnloop.training.engine import computation_of
from tests.engines.test_programs import COMPILED
from tests.strategies import dataset

DATA, OTHER = dataset("mse", 22), dataset("mse", 9, seed=1)
TRAINER = fl.Trainer(model=fl.mlp([3, 4, 2]), loss="mse", batch_size=5, scheduler=0.01)
CONVOLVED = Sequential(
    3,
    (
        *(Dense(3, 12), Reshape((6, 2)), Residual(Conv1d(2, 2, 3, padding="same")), MaxPool1d(2)),
        *(Conv1d(2, 3, 2, stride=2), AvgPool1d(1), Flatten(), Dense(3, 2)),
    ),
)
NORMALIZED = Sequential(3, (Dense(3, 5), BatchNorm(5), Activation("tanh"), Dropout(0.3), Dense(5, 2)))


@fl.frozen
class Comparing(fl.optimizers.Elementwise):
    """A part whose numbers are constants of its program."""

    limit: float = 0.5

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if self.limit > 0.4 else 0.5 * gradient), ()


POPULATIONS = {
    "weight decay": [evolve(TRAINER, seed=k, optimizer=AdamW(weight_decay=0.1 * k)) for k in range(3)],
    "rates": [evolve(TRAINER, seed=7, scheduler=rate) for rate in (0.1, 0.01)],
    "buffers and draws": [evolve(TRAINER, model=NORMALIZED, seed=k, optimizer=SGD(momentum=0.9)) for k in range(3)],
    "convolutions": [evolve(TRAINER, model=CONVOLVED, seed=k) for k in range(3)],
    "clip": [evolve(TRAINER, optimizer=chain(clip_by_global_norm(c), SGD(momentum=0.9 * c))) for c in (0.1, 0.9)],
    "schedules": [
        evolve(TRAINER, optimizer=scheduled(SGD(momentum=0.9), momentum=LinearLR(v, total_iters=5))) for v in (0.1, 0.9)
    ],
    "accumulation": [evolve(TRAINER, accumulate=2, seed=k) for k in range(2)],
    "constants": [evolve(TRAINER, optimizer=Comparing(limit)) for limit in (0.1, 0.9)],
    "a fault": [evolve(TRAINER, scheduler=rate, optimizer=SGD()) for rate in (0.01, 1e30)],
    "early stopping": [
        evolve(TRAINER, seed=k, early_stopping=fl.EarlyStopping(patience=1, min_delta=1.0 * k)) for k in range(3)
    ],
}


@pytest.mark.filterwarnings("ignore::fnloop.NonFiniteWarning")
@pytest.mark.parametrize("trainers", POPULATIONS.values(), ids=POPULATIONS)
def test_a_member_is_its_own_run(trainers):
    """Parameters, slots, buffers and metrics are those of a run of its own, to rounding; seeds, counts and ends are equal."""
    fits = fl.sweep(trainers, DATA, OTHER, epochs=3, engine="jax", progress=False)
    for trainer, fit in zip(trainers, fits, strict=True):
        own = fl.fit(trainer, DATA, OTHER, epochs=3, engine="jax", progress=False)
        assert (fit.last.epoch, fit.last.step, fit.stop_reason) == (own.last.epoch, own.last.step, own.stop_reason)
        for a, b in zip(jax.tree.leaves(arrays_of(fit.last)), jax.tree.leaves(arrays_of(own.last)), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
        assert fit.last.metrics == pytest.approx(own.last.metrics, rel=1e-4)
        assert not any(array.flags.writeable for array in (fit.last.params.vector, *fit.last.optimizer.slots))


def arrays_of(state):
    return state.params.vector, state.optimizer.slots, state.buffers


@pytest.mark.parametrize("name", [name for name in POPULATIONS if name not in ("constants", "a fault")])
def test_members_are_computed_together(name, monkeypatch):
    """None has an epoch of its own, which is for those that cannot be mapped, or are not finite."""
    monkeypatch.setattr("fnloop.training.population.make_prepared_epoch", None)
    fl.sweep(POPULATIONS[name], DATA, OTHER, epochs=1, engine="jax", progress=False)


def test_members_that_leave_compile_nothing_new():
    """The axis has few sizes; the members that fill it up are copies."""
    sizes = [padded_size(members) for members in range(1, 200)]
    assert all(members <= size <= max(2, 1.5 * members) for members, size in enumerate(sizes, 1))
    assert len(set(sizes)) == 16
    fl.sweep([evolve(TRAINER, seed=k) for k in range(7)], DATA, OTHER, epochs=1, engine="jax", progress=False)
    COMPILED.clear()
    fl.sweep([evolve(TRAINER, seed=9 + k) for k in range(8)], DATA, OTHER, epochs=2, engine="jax", progress=False)
    assert not COMPILED


def test_copies_of_data_on_the_device_are_bounded_in_bytes():
    """Those that were used last are kept; a copy is dropped with its array, and an array that can be written has none."""
    kept = ResidentData(limit=100)
    arrays = [np.full(10, k, np.float32) for k in range(4)]
    for array in arrays[:3]:
        array.flags.writeable = False
        kept.keep(array, "float32", jax.device_put(array))
        kept.get(arrays[0], "float32")
    assert [kept.get(array, "float32") is not None for array in arrays[:3]] == [True, False, True]
    kept.keep(arrays[3], "float32", jax.device_put(arrays[3]))
    assert kept.get(arrays[3], "float32") is None
    assert kept.nbytes == 80
    assert kept.get(arrays[0], "float64") is None
    large = np.zeros(100)
    large.flags.writeable = False
    kept.keep(large, "float32", jax.device_put(large))
    assert kept.nbytes == 80


def test_runs_on_the_same_data_share_its_copy():
    """The second run sends nothing."""
    fl.fit(TRAINER, DATA, OTHER, epochs=1, engine="jax", progress=False)
    before = _RESIDENT.nbytes
    fl.fit(evolve(TRAINER, seed=5), DATA, OTHER, epochs=1, engine="jax", progress=False)
    assert _RESIDENT.nbytes == before > 0


def test_recorded_members_are_replayed(tmp_path):
    """To the bit, on JAX too."""
    trainers = [evolve(TRAINER, seed=k) for k in range(2)]
    fits = fl.sweep(trainers, DATA, OTHER, epochs=2, engine="jax", record=tmp_path, progress=False)
    run = fl.open_run(tmp_path / "0001.run")
    assert run.verify()
    assert fl.same_bits(run.last.params, fits[1].last.params)


def test_the_engine_of_a_sweep_is_checked():
    """At the call."""
    with pytest.raises(ValueError, match="engine must be 'numpy', 'jax'"):
        fl.sweep([TRAINER], DATA, epochs=1, engine="torch")


@pytest.mark.parametrize("trainers", POPULATIONS.values(), ids=POPULATIONS)
def test_the_numbers_of_all_updates_are_those_of_each_member(trainers):
    """To the bit, also from the middle of an epoch on."""
    computations = [computation_of(trainer.resolve(DATA)) for trainer in trainers]
    rates = [[0.1 * k, 0.2, 0.3 + k] for k in range(len(trainers))]
    together = make_schedules(computations)(7, rates, 2, 5)
    for k, computation in enumerate(computations):
        carry = Carry(DATA.x[0], (), (), optimizer_count=7, step=2, sums=[])
        alone = make_schedule(computation, carry, rates[k], 2, 5)
        assert fl.same_bits(jax.tree.leaves(alone), [values[k] for values in jax.tree.leaves(together)])
