"""Purity of steps and epochs, and the epoch as a fold of steps: states are compared to the bit."""

import hashlib
import pickle
from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from toolz import nth, reduce, take

import fnloop as fl
from fnloop.core.arrays import read_only
from fnloop.core.digest import same_bits
from fnloop.core.fields import leaves
from fnloop.core.random import Stream, permutation, permutations, words
from fnloop.core.records import evolve, frozen
from fnloop.engines.numpy import measure
from tests.strategies import LAYERED, OPTIMIZERS, dataset, problems


def batches_of(trainer, data, epoch=0):
    return list(fl.batches(data, trainer.batch_size * trainer.accumulate, seed=trainer.seed, epoch=epoch))


def global_generator():
    return fl.digest(list(np.random.get_state(legacy=True)))  # noqa: NPY002


def cast(batch, dtype):
    return fl.Batch(batch.x.astype(dtype), batch.y.astype(dtype))


@given(problems())
def test_step_and_epoch_are_pure(problem):
    """The same input gives the same bits; the input and NumPy's global generator are unchanged."""
    trainer, data = problem
    state, batch = fl.init_state(trainer), batches_of(trainer, data)[0]
    before, drawn = (fl.digest(state), fl.digest(batch), fl.digest(data)), global_generator()
    step, epoch = fl.make_step(trainer), fl.make_epoch(trainer, data)
    assert fl.same_bits(step(state, batch), step(state, batch))
    assert fl.same_bits(epoch(state), fl.make_epoch(trainer, data)(state))
    assert (fl.digest(state), fl.digest(batch), fl.digest(data)) == before
    assert global_generator() == drawn
    for _, leaf in leaves(epoch(state)):
        assert not isinstance(leaf, np.ndarray) or not leaf.flags.writeable


@given(problems())
def test_an_epoch_is_the_fold_of_its_steps(problem):
    """`reduce` of `make_step`, the stream of steps and the epoch, which folds in place, have the same bits."""
    trainer, data = problem
    state, batches = fl.init_state(trainer), batches_of(trainer, data)
    by_reduce = reduce(fl.make_step(trainer), batches, state)
    by_steps = nth(len(batches), fl.steps(trainer, data))
    by_epoch = fl.make_epoch(trainer, data)(state)
    assert fl.same_bits(by_steps, by_epoch)
    assert fl.same_bits(
        (by_epoch.params, by_epoch.optimizer, by_epoch.step), (by_reduce.params, by_reduce.optimizer, by_reduce.step)
    )
    if trainer.schedule_every == "step":
        assert fl.same_bits(by_epoch.scheduler, by_reduce.scheduler)


@given(problems(st.sampled_from([None, fl.EarlyStopping("loss", patience=1, min_delta=0.1)])), st.data())
def test_a_split_run_equals_the_whole(problem, draw):
    """It may be split up to three times at any step, and pickled in between."""
    trainer, data = problem
    whole = fl.last(take(4, fl.epochs(trainer, data, data)))
    current = fl.init_state(trainer)
    for part in draw.draw(st.lists(st.integers(0, 5), max_size=3)):
        steps = list(take(part + 1, fl.steps(trainer, data, data, start=current)))
        current = [state for state in steps if state.epoch < whole.epoch][-1:] or [current]
        current = pickle.loads(pickle.dumps(current[0]))
    while current.epoch < whole.epoch and current.stop_reason is None:
        current = fl.make_epoch(trainer, data, data)(current)
    assert fl.same_bits(current, whole)


@given(problems(st.just(fl.EarlyStopping("loss", patience=1, min_delta=1e9))))
def test_a_stopped_state_stays(problem):
    """Steps and epochs return it unchanged, and a stream from it has no other state."""
    trainer, data = problem
    states = list(fl.epochs(trainer, data))
    stopped = states[-1]
    assert stopped.stop_reason == "no improvement"
    assert stopped.early_stopping.stopped_epoch == stopped.epoch == len(states) - 1
    assert fl.make_epoch(trainer, data)(stopped) is stopped
    assert fl.make_step(trainer)(stopped, batches_of(trainer, data)[0]) is stopped
    assert list(fl.epochs(trainer, data, start=stopped)) == [stopped] == list(fl.steps(trainer, data, start=stopped))


def test_a_state_never_changes_afterwards():
    """Its digest is the same a hundred steps later, although the fold works in place."""
    data = dataset("softmax", 20)
    trainer = fl.Trainer(model=fl.mlp([3, 4, 3]), loss=fl.losses.SoftmaxCrossEntropy(), batch_size=3)
    seen = [(state, fl.digest(state)) for state in take(100, fl.steps(trainer, data))]
    assert all(fl.digest(state) == digest for state, digest in seen)
    assert len({digest for _, digest in seen}) == 100


@frozen
class BadAt(fl.losses.Loss):
    """The mean squared error, but the gradient for an example with target 1 is not finite."""

    bad: float

    inner = fl.losses.MeanSquaredError()

    def forward(self, outputs, targets):
        losses, backward = self.inner.forward(outputs, targets)
        return losses, lambda: np.where(targets.reshape(outputs.shape) == 1, outputs.dtype.type(self.bad), backward())


@pytest.mark.parametrize("optimizer", OPTIMIZERS + LAYERED)
@given(st.integers(0, 11), st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(1, 3))
def test_a_non_finite_gradient_is_found_in_its_step(optimizer, at, bad, size):
    """With every optimizer, by epochs and by steps, the state before that step is the last."""
    x = np.random.default_rng(0).standard_normal((12, 3))
    data = fl.Dataset(x, (np.arange(12) == at).astype(np.float64))
    trainer = fl.Trainer(model=fl.mlp([3, 4, 1], "tanh"), loss=BadAt(bad), optimizer=optimizer, batch_size=size)
    before = next(i for i, batch in enumerate(batches_of(trainer, data)) if 1.0 in batch.y)
    whole, steps = fl.last(take(2, fl.epochs(trainer, data))), list(take(13, fl.steps(trainer, data)))
    assert whole.stop_reason == "non-finite"
    assert whole.step == before == len(steps) - 2
    assert fl.same_bits(whole, steps[-1])
    assert fl.same_bits(whole.params, steps[-2].params)


def has_independent_examples(model):
    """Return whether each example is independent of the rest of the batch: no batch norm, no dropout."""
    return all(isinstance(layer, fl.nn.Dense | fl.nn.Activation) for layer in model.layers)


@given(problems(), st.integers(1, 5))
def test_accumulating_equals_one_big_batch(problem, k):
    """k micro-batches of b examples are one batch of k b, also at the end of the epoch."""
    trainer, data = problem
    assume(has_independent_examples(trainer.model))
    trainer = evolve(trainer, dtype="float64", accumulate=1)
    small = fl.make_epoch(evolve(trainer, accumulate=k), data)(fl.init_state(trainer))
    large = fl.make_epoch(evolve(trainer, batch_size=trainer.batch_size * k), data)(fl.init_state(trainer))
    assert small.step == large.step
    np.testing.assert_allclose(small.params.vector, large.params.vector, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(list(small.metrics.values()), list(large.metrics.values()), rtol=1e-9, atol=1e-12)


@given(problems(), st.integers(1, 30))
def test_means_do_not_depend_on_the_batch(problem, rows):
    """Every example counts once, in evaluation and in training, for any batches and chunks."""
    trainer, data = problem
    assume(has_independent_examples(trainer.model))
    trainer = evolve(trainer, dtype="float64", scheduler=fl.schedulers.ConstantLR(1e-300))
    state = fl.init_state(trainer)
    anywhere = np.random.default_rng(0).standard_normal(trainer.model.size)  # with biases that 1e-300 does not move
    params = evolve(state.params, vector=read_only(anywhere))
    state = evolve(state, params=params, optimizer=trainer.optimizer.init(params.vector))
    measured = fl.evaluate(trainer, state, data)
    losses = trainer.loss.forward(trainer.model(state.params.vector, data.x), data.y.astype(np.float64))[0]
    np.testing.assert_allclose(measured["loss"], losses.mean(), rtol=1e-12)
    trained = fl.make_epoch(trainer, data)(state)
    for name, value in measured.items():
        np.testing.assert_allclose(trained.metrics[name], value, rtol=1e-9, atol=1e-12)
    original, measure.ROWS = measure.ROWS, rows
    try:
        np.testing.assert_allclose(
            list(fl.evaluate(trainer, state, data).values()), list(measured.values()), rtol=1e-9, atol=1e-12
        )
    finally:
        measure.ROWS = original


@given(st.integers(1, 200), st.integers(1, 250), st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_an_epoch_sees_every_example_once(rows, size, seed, epoch):
    """The order depends on seed and epoch only; the last batch has the remaining examples."""
    data = fl.Dataset(np.arange(rows, dtype=np.float64)[:, None], np.arange(rows))
    seen = [batch.y.tolist() for batch in fl.batches(data, size, seed=seed, epoch=epoch)]
    order = list(chain.from_iterable(seen))
    assert sorted(order) == list(range(rows))
    assert [len(batch) for batch in seen[:-1]] == [size] * (rows // size - (rows % size == 0))
    assert order == [i for batch in fl.batches(data, 7, seed=seed, epoch=epoch) for i in batch.y.tolist()]
    assert all(np.array_equal(b.x[:, 0], b.y) for b in fl.batches(data, size, seed=seed, epoch=epoch))


def test_the_order_is_pinned():
    """An order that changed with a version would break every replay."""
    data = fl.Dataset(np.zeros((8, 1)), np.arange(8))
    orders = {(s, e): next(fl.batches(data, 8, seed=s, epoch=e)).y.tolist() for s in (0, 42) for e in (0, 7)}
    assert orders == PINNED
    weights = fl.init_state(fl.Trainer(model=fl.mlp([2, 3, 1]), loss=fl.losses.BinaryCrossEntropy())).params.vector
    assert hashlib.sha256(weights.tobytes()).hexdigest() == PINNED_WEIGHTS


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 32767, 32768, 32769, 100_000])
def test_an_order_sorts_random_words(n):
    """It equals an `argsort` of the words, also where its integers get wider."""
    bits = max(1, (n - 1).bit_length())
    expected = np.argsort(words(n, 3, Stream.SHUFFLE, 2) >> np.uint64(bits), kind="stable")
    order = permutation(n, 3, 2)
    assert np.array_equal(order, expected)
    assert order.itemsize <= 4


@given(st.integers(1, 70_000), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5), st.integers(0, 10**6))
def test_orders_of_many_seeds_are_those_of_each(n, seeds, epoch):
    """Of a population, all orders of an epoch are drawn by one generator."""
    assert same_bits(list(permutations(n, seeds, epoch)), [permutation(n, seed, epoch) for seed in seeds])


def test_batches_do_not_depend_on_chunks(monkeypatch):
    """The number of rows that are gathered at once changes no batch."""
    data = dataset("mse", 50)
    whole = [fl.digest(batch) for batch in fl.batches(data, 4, seed=3, epoch=2)]
    monkeypatch.setattr("fnloop.data.batching.CHUNK", 1)
    assert [fl.digest(batch) for batch in fl.batches(data, 4, seed=3, epoch=2)] == whole


@given(problems())
def test_a_cast_batch_gives_the_same_step(problem):
    """The step casts batches to the trainer's dtype, as the epoch does."""
    trainer, data = problem
    state, batch = fl.init_state(trainer), batches_of(trainer, data)[0]
    assert fl.same_bits(fl.make_step(trainer)(state, batch), fl.make_step(trainer)(state, cast(batch, trainer.dtype)))


PINNED = {
    (0, 0): [5, 3, 7, 2, 4, 1, 0, 6],
    (0, 7): [6, 3, 5, 4, 1, 2, 7, 0],
    (42, 0): [4, 5, 3, 0, 2, 7, 1, 6],
    (42, 7): [0, 5, 7, 3, 2, 6, 4, 1],
}
PINNED_WEIGHTS = "49751b01309f65c5fd84076bfa6704b1a197131668c9e3480ec077437dc1ef39"
