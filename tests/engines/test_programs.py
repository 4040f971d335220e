"""Programs on JAX: which runs share one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest
from toolz import nth, take

import fnloop as fl
from fnloop.core.fields import field_names, is_record, leaves
from fnloop.core.records import evolve, evolve_unchecked
from fnloop.engines import get_engine
from fnloop.engines.jax import kept_programs
from fnloop.engines.jax.fold import get_program
from fnloop.engines.jax.hyperparameters import split_numbers
from fnloop.optimizers import SGD, Adam, AdamW, add_decayed_weights, chain, clip_by_global_norm, masked, scheduled
from fnloop.schedulers import LinearLR
from fnloop.testing import catalog
from fnloop.training.engine import computation_of
from tests.strategies import dataset

DATA, OTHER = dataset("mse", 22), dataset("mse", 9)
COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _seconds, **_: COMPILED.append(event) if event.endswith("backend_compile_duration") else None
)
FAMILIES = {
    "weight decay": lambda v: AdamW(weight_decay=v),
    "betas and eps": lambda v: Adam(b1=v, b2=0.9 + v / 10, eps=v * 1e-3),
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


SIZES = 1, 7, 16, 17, 500, 1023, 1024, 1030, 2100, 17_500


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_a_new_number_of_rows_compile_nothing(weighted):
    """They are those of NumPy, to rounding, also if their statistics are merged; of a population those of each member."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(17_500, 3)), 3 + rng.normal(size=(17_500, 2))
    weights = rng.uniform(0, 2, 17_500) if weighted else None
    trainers = [evolve(trainer_of(Adam()), metrics=("mae", "r2"), seed=k).resolve(DATA) for k in range(3)]
    states, computation = [fl.init_state(trainer) for trainer in trainers], computation_of(trainers[0])
    arrays = [state.params.vector for state in states], [state.buffers for state in states]

    def measure(n, engine):
        data = fl.Dataset(x[:n], y[:n], None if weights is None else weights[:n])
        together = get_engine(engine).make_population_measure(computation, data)(*arrays)
        return [fl.evaluate(trainers[1], states[1], data, engine=engine), *together]

    for n in (16, 32, 64, 128, 256, 512, 1000, 17_500):
        measure(n, "jax")
    COMPILED.clear()
    found = [measure(n, "jax") for n in SIZES]
    assert not COMPILED
    for (alone, *together), n in zip(found, SIZES, strict=True):
        expected, *of_members = measure(n, "numpy")
        assert alone == pytest.approx(expected, rel=1e-5, nan_ok=True)
        np.testing.assert_allclose(together, of_members, rtol=1e-5)


@pytest.mark.parametrize("optimizer", catalog.OPTIMIZERS + catalog.AVERAGING, ids=repr)
def test_no_program_depends_on_a_float_of_an_optimizer(optimizer):
    """Numbers of 0 aside, which may change the slots; they are compiled as arguments."""
    other = with_floats(optimizer, lambda value: value * 0.875)
    kind, numbers = split_numbers(optimizer, "float32")
    assert split_numbers(other, "float32")[0] == kind
    floats = [
        leaf for part in optimizer.parts for path, leaf in leaves(part) if type(leaf) is float and "schedules" not in path
    ]
    assert [value for part in numbers for value in part] == floats


def with_floats(value, change):
    """An optimizer with other floats."""
    if isinstance(value, tuple):
        return tuple(with_floats(item, change) for item in value)
    if is_record(value):
        return evolve_unchecked(value, **{n: with_floats(getattr(value, n), change) for n in field_names(type(value))})
    return change(value) if type(value) is float else value


def test_no_program_depends_on_a_schedule_or_a_policy():
    """Nor on the seed; on the numbers of a loss it does."""
    trainer = trainer_of(Adam())
    changes = {"scheduler": fl.schedulers.CosineAnnealingLR(0.1, 5)}, {"seed": 9}, {"early_stopping": fl.EarlyStopping("loss")}
    program, _ = get_program(computation_of(trainer))
    assert all(get_program(computation_of(trainer.replace(**change)))[0] is program for change in changes)
    assert get_program(computation_of(trainer.replace(loss=fl.losses.Huber(0.5))))[0] is not program


def test_programs_are_bounded_in_bytes():
    """Those that were used last are kept; one that alone exceeds the limit, for many shapes of data, is compiled anew."""
    kept, made = kept_programs.KeptPrograms(limit=4 * kept_programs.OTHER), []

    def get(key):
        return kept.get(key, lambda: made.append(key) or Doubled(jax.jit(lambda x: 2 * x))).double

    for key in "abacab":
        get(key)(np.ones(1 if key == "a" else 2))
    assert made == ["a", "b", "c"]
    assert kept.nbytes == 3 * kept_programs.OTHER
    for n in range(3):
        get("c")(np.ones(n))
    get("a")
    assert made == ["a", "b", "c", "a"]
    for n in range(9):
        get("a")(np.ones(n))
        assert kept.nbytes <= 5 * kept_programs.OTHER
    assert made == ["a", "b", "c", "a"]


class Doubled(NamedTuple):
    double: Callable


def test_batches_that_are_gathered_together_have_the_bits_of_single_ones():
    """An epoch, its parts and single steps are one computation, whose states are those of NumPy to rounding."""
    rng = np.random.default_rng(0)
    data = fl.Dataset(rng.normal(size=(32 * 40 + 5, 64)), rng.normal(size=32 * 40 + 5))
    trainer = fl.Trainer(model=fl.mlp([64, 2, 1]), loss="mse", batch_size=32, scheduler=0.01, metrics=())
    epoch = fl.last(take(2, fl.epochs(trainer, data, engine="jax")))
    step_by_step = fl.last(take(42, fl.steps(trainer, data, engine="jax")))
    assert fl.same_bits(step_by_step, epoch)
    on_numpy = fl.last(take(2, fl.epochs(trainer, data)))
    np.testing.assert_allclose(epoch.params.vector, on_numpy.params.vector, rtol=1e-3, atol=1e-5)
