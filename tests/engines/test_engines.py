"""Engines on their own: computations and arrays, without trainers and states."""

import numpy as np
import pytest
from toolz import reduce

import fnloop as fl
from fnloop.engines import Carry, Computation, Engine, Fault, get_engine
from fnloop.engines.numpy.fold import make_update
from fnloop.nn import mlp
from tests.strategies import dataset

ENGINES = ["numpy", "jax"]
DATA = dataset("mse", 22)
COMPUTATION = Computation(
    model=mlp([3, 4, 2]),
    loss=fl.losses.MeanSquaredError(),
    optimizer=fl.optimizers.Adam(),
    metrics=(),
    batch_size=5,
    accumulate=1,
    seed=3,
    dtype="float32",
    threads=1,
)


@fl.frozen
class Steep(fl.losses.MeanAbsoluteError):
    """A loss that is finite, and whose gradient is not finite where an error is above 1e20."""

    def rho(self, error):
        xp = error.__array_namespace__()
        value = xp.sqrt(xp.maximum(1e20 - xp.abs(error), 0))
        return value, lambda scale: xp.where(xp.abs(error) > 1e20, np.nan, 0 * scale).astype(error.dtype)


def initial_carry():
    vector = COMPUTATION.model.init(COMPUTATION.seed).vector
    slots = COMPUTATION.optimizer.init(vector).slots
    return Carry(vector=vector, buffers=(), slots=slots, optimizer_count=0, step=0, sums=[])


def arrays_of(carry):
    return carry.vector, carry.slots, carry.buffers


def batches_of(epoch):
    return [batch.cast("float32") for batch in fl.batches(DATA, 5, seed=3, epoch=epoch)]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_fulfils_the_protocol(name):
    """It has all members; engines do not inherit from it, so that a missing one is noticed."""
    assert isinstance(get_engine(name), Engine)


@pytest.mark.parametrize("name", ENGINES)
def test_an_epoch_is_the_fold_of_single_steps(name):
    """On both engines it has the bits of `reduce` over the batches; the given carry is unchanged."""
    engine, start = get_engine(name), initial_carry()
    before = fl.digest(arrays_of(start))
    rates = [0.1, 0.05, 0.02, 0.01, 0.005]
    whole = engine.make_fold(COMPUTATION, DATA)(start, rates, 2, 0)
    step = engine.make_step(COMPUTATION)
    by_steps = reduce(lambda carry, batch: step(carry, *batch), zip(rates, batches_of(2), strict=True), start)
    assert fl.same_bits(arrays_of(whole), arrays_of(by_steps))
    assert (whole.step, whole.optimizer_count, whole.sums) == (5, 5, by_steps.sums)
    assert fl.digest(arrays_of(start)) == before


@pytest.mark.parametrize("name", ENGINES)
def test_parts_of_an_epoch_equal_the_whole(name):
    """A fold continues from the carry of another, whose arrays are recognised or not."""
    engine, start = get_engine(name), initial_carry()
    fold = engine.make_fold(COMPUTATION, DATA)
    whole = fold(start, [0.1] * 5, 0, 0)
    first = fold(start, [0.1] * 2, 0, 0)
    copied = first._replace(vector=first.vector.copy())
    for part in (first, copied):
        assert fl.same_bits(arrays_of(fold(part, [0.1] * 3, 0, 2)), arrays_of(whole))


def test_an_update_of_a_carry_with_a_fault_returns_it_unchanged():
    """So the fold over the rest of the batches ends with the first fault."""
    start = initial_carry()
    writable = start._replace(vector=start.vector.copy(), slots=tuple(slot.copy() for slot in start.slots))
    update = make_update(COMPUTATION, writable, checks_gradient=True)
    failed = writable._replace(fault=Fault.LOSS)
    assert update(failed, (0.1, batches_of(0)[0])) is failed
    assert fl.same_bits(writable.vector, start.vector)


@pytest.mark.parametrize("name", ENGINES)
def test_faults_are_reported_in_the_carry(name):
    """The loss overflows, or the parameters do while the gradient is finite."""
    step = get_engine(name).make_step(COMPUTATION)
    x, y, _ = batches_of(0)[0]
    with np.errstate(all="ignore"):
        assert step(initial_carry(), 0.1, (np.full_like(x, 1e30), y, None)).fault is Fault.LOSS
        assert step(initial_carry(), 1e39, (x, y, None)).fault is Fault.PARAMETERS


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("optimizer", [fl.optimizers.Adam(), fl.optimizers.SGD()], ids=["keeps", "does not keep"])
def test_a_gradient_that_is_not_finite_is_found(name, optimizer):
    """The fold that skips the check of each gradient finds it at its end; a single step names it."""
    y = DATA.y.copy()
    y[13] = 1e30
    carry = initial_carry()
    carry = carry._replace(slots=optimizer.init(carry.vector).slots)
    fold = get_engine(name).make_fold(COMPUTATION._replace(optimizer=optimizer, loss=Steep()), fl.Dataset(DATA.x, y))
    with np.errstate(all="ignore"):
        assert fold(carry, [0.1] * 5, 0, 0).fault is not None
        faults = [fold(carry._replace(step=i), [0.1], 0, i).fault for i in range(5)]
    assert set(faults) == {None, Fault.GRADIENT}
    assert faults.count(Fault.GRADIENT) == 1


@pytest.mark.parametrize("name", ENGINES)
def test_measures_and_outputs_take_arrays(name):
    """The sum of the losses is that of the outputs."""
    engine, carry = get_engine(name), initial_carry()
    outputs = engine.outputs(COMPUTATION, carry.vector, (), DATA.x)
    (total,) = engine.make_measure(COMPUTATION, DATA)(carry.vector, ())
    losses, _ = COMPUTATION.loss.forward(outputs, DATA.y.astype("float32"))
    assert total == pytest.approx(losses.sum(), rel=1e-5)
