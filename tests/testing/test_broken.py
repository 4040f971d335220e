"""Each law finds the fault that it is for: its message names the law and shows the counter-example."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import fnloop as fl
from fnloop import testing as laws
from fnloop.nn import Dense
from fnloop.optimizers import Elementwise
from fnloop.record import evolve, owned, record
from fnloop.schedulers import SchedulerState
from fnloop.testing.law import Law
from fnloop.testing.tables import dataset
from fnloop.typing import Array


def found(check, *arguments, **options):
    """The error that a check raises."""
    with pytest.raises(laws.LawError) as caught:
        check(*arguments, **{"max_examples": 40, **options})
    return caught.value


def assert_found(error, law, *parts):
    assert error.law == law
    assert str(error).startswith(f"{law}: ")
    for part in parts:
        assert part in str(error)


# Schedulers


@record
class Schedule:
    """A user's schedule that keeps every law; those below each break one."""

    def init(self):
        return SchedulerState(0, self(0))

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, float(0.1 * 0.5 ** (state.t + 1)))

    def __call__(self, t):
        return 0.1 * 0.5**t if isinstance(t, int) else 0.1 * 0.5 ** np.asarray(t, float)


@record
class OffByOne(Schedule):
    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, self(state.t))


@record
class WrongOnArrays(Schedule):
    def __call__(self, t):
        return 0.1 * 0.5**t if isinstance(t, int) else 0.1 * 0.5 ** np.asarray(t + 1, float)


class Mutable:
    def __init__(self, lr):
        self.lr = lr


class ChangesItsState:
    def init(self):
        return Mutable(0.1)

    def step(self, state, metrics=None):
        state.lr *= 0.5
        return state


@record
class ArrayState:
    lr: float
    past: Any


class WritesIntoItsState:
    def init(self):
        return ArrayState(0.1, np.zeros(1))

    def step(self, state, metrics=None):
        state.past[0] += 1
        return ArrayState(state.lr, state.past)


class CountsInSecret:
    def __init__(self):
        self.t = 0

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        self.t += 1
        return SchedulerState(state.t + 1, 0.1 / (1 + self.t))


@record
class Cell:
    """A state that keeps where it stands outside its fields' data."""

    lr: float
    place: Any


class KeepsFunctions:
    def init(self):
        return Cell(0.1, abs)

    def step(self, state, metrics=None):
        return Cell(state.lr * 0.5, abs)


class Draws:
    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, random.uniform(0.1, 0.2))


@record
class GoesNegative(Schedule):
    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, 0.1 - 0.03 * (state.t + 1))


@record
class PoisonedByNaN:
    metric = "val_loss"

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, state.lr * (1 + 0 * metrics["val_loss"]))


class RaisesOnInfinity:
    metric = "val_loss"

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1 + 0 * int(metrics["val_loss"]), 0.1)


class NumPysNumber:
    def init(self):
        return SchedulerState(0, np.float64(0.1))

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, np.float64(0.1))


SCHEDULERS = [
    (OffByOne(), "random access = step by step", ["for times = [1]", "state.lr at t = 1: 0.1", "scheduler(1): 0.05"]),
    (WrongOnArrays(), "random access = step by step", ["scheduler(0): 0.1", "scheduler([0])[0]: 0.05"]),
    (ChangesItsState(), "contract", ["a record may hold", "Mutable"]),
    (WritesIntoItsState(), "contract", ["at past:", "an array that can be written: array([0.])"]),
    (CountsInSecret(), "purity", ["at lr:", "step once: ", "step again: "]),
    (KeepsFunctions(), "resume = whole", ["for cut = 0", "place cannot be written to a file"]),
    (Draws(), "no global random state", ["random's global generator"]),
    (GoesNegative(), "rates", ["at t = 4:", "lr: -0.0"]),
    (PoisonedByNaN(), "rates", ["nan"]),
    (RaisesOnInfinity(), "contract", ["{'val_loss': ", "raised: "]),
    (NumPysNumber(), "resume = whole", ["np.float64(0.1)", "gone on with: 0.1"]),
]


@pytest.mark.parametrize(("scheduler", "law", "parts"), SCHEDULERS, ids=lambda value: type(value).__name__)
def test_broken_schedulers(scheduler, law, parts):
    """Off by one, states that change or are no data, hidden counters, global randomness, rates that are none."""
    assert_found(found(laws.check_scheduler, scheduler), law, *parts)


def test_the_schedule_that_they_are_made_of_is_sound():
    """So each fault above is the one that is found."""
    laws.check_scheduler(Schedule())


# Optimizers


@record
class MutatesItsInput(Elementwise):
    def update(self, gradient, state, vector):
        gradient *= 2
        return gradient.copy(), evolve(state, count=state.count + 1)


@record
class DependsOnTheBlock(Elementwise):
    """Subtracts the mean of the block that it happens to see."""

    def kernel(self, gradient, slots, params, scalars):
        return gradient - gradient.mean(), ()


@record
class DependsOnTheOrder(Elementwise):
    """Nothing stands before the first element; each other has the one before it."""

    def kernel(self, gradient, slots, params, scalars):
        return gradient * np.arange(len(gradient), dtype=gradient.dtype), ()


class RemembersInSecret(Elementwise):
    def __init__(self):
        self.momentum = 0.0

    def kernel(self, gradient, slots, params, scalars):
        self.momentum = 0.9 * self.momentum + gradient
        return self.momentum, ()


@record
class Widens(Elementwise):
    def update(self, gradient, state, vector):
        return gradient * np.float64(1.0), evolve(state, count=state.count + 1)


@record
class KeepsWritable(Elementwise):
    def update(self, gradient, state, vector):
        return gradient * gradient.dtype.type(1), Slots(gradient.copy())

    def init(self, vector):
        return Slots(np.zeros_like(vector))


@record
class Slots:
    slots: Any


@record
class NumPyAlone(Elementwise):
    """What JAX cannot trace."""

    def kernel(self, gradient, slots, params, scalars):
        return np.asarray(gradient, gradient.dtype), ()


@record
class OtherOnJax(Elementwise):
    """Not the same function of another namespace's arrays."""

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if isinstance(gradient, np.ndarray) else 2 * gradient), ()


OPTIMIZERS = [
    (MutatesItsInput(), "purity", ["for gradients = array([[1.]]", "at gradient[0]", "before: 1.0", "afterwards: 4.0"]),
    (DependsOnTheBlock(), "blocks", ["in one block", "in two, cut at 1"]),
    (DependsOnTheOrder(), "blocks", ["for cut = 1", "in one block"]),
    (RemembersInSecret(), "contract", ["for gradients = ", "raised: "]),
    (Widens(), "contract", ["direction: array", "float32"]),
    (KeepsWritable(), "contract", ["at slots:", "an array that can be written"]),
    (NumPyAlone(), "both engines", ["NumPyAlone() cannot be traced by JAX"]),
    (OtherOnJax(), "both engines", ["at params.vector[", "numpy: ", "jax: "]),
]


@pytest.mark.parametrize(("optimizer", "law", "parts"), OPTIMIZERS, ids=lambda value: type(value).__name__)
def test_broken_optimizers(optimizer, law, parts):
    """Arguments written to, memory that is no state, results of the block, the order or the engine."""
    assert_found(found(laws.check_optimizer, optimizer, engine="jax"), law, *parts)


class ForgetsWhenCopied:
    """Counts in itself; the same call again gives the same, as long as the state is not a newer one."""

    def __init__(self):
        self.seen = {}

    def init(self, vector):
        return fl.optimizers.OptimizerState(0, ())

    def update(self, gradient, state, vector):
        scale = self.seen.setdefault(id(state), 1.0 + len(self.seen))
        return gradient * scale, fl.optimizers.OptimizerState(state.count + 1, ())


def test_a_hidden_cache():
    """That only now and then breaks a law is found, too."""
    assert found(laws.check_optimizer, ForgetsWhenCopied()).law in {"purity", "resume = whole"}


# Layers


def spoiled(change):
    """A dense layer whose backward pass is changed: `change(grads)`."""

    @record
    class Spoiled(Dense):
        def forward(self, params, x):
            y, backward = Dense.forward(self, params, x)

            def changed(dy, grads, wanted):
                dx = backward(dy, grads, wanted)
                change(grads)
                return dx

            return y, changed

    return Spoiled(3, 2)


def double_weights(grads):
    grads.weights[...] *= 2


def forget_biases(grads):
    grads.biases[...] = 0


@record
class NoBias(Dense):
    """Leaves what stands where the gradient of the biases belongs."""

    def forward(self, params, x):
        def backward(dy, grads, wanted):
            np.dot(x.T, dy, out=grads.weights)
            return dy @ params.weights.T

        return x @ params.weights + params.biases, backward


@record
class Accumulates(Dense):
    def forward(self, params, x):
        def backward(dy, grads, wanted):
            grads.weights[...] += x.T @ dy
            grads.biases[...] += dy.sum(0)
            return dy @ params.weights.T

        return x @ params.weights + params.biases, backward


@record
class WrongInputs(Dense):
    def forward(self, params, x):
        y, backward = Dense.forward(self, params, x)
        return y, lambda dy, grads, wanted: -backward(dy, grads, True)


@record
class WritesInputs(Dense):
    def forward(self, params, x):
        x *= 1.5
        return Dense.forward(self, params, x)


@record
class SeesTheBatch(Dense):
    def forward(self, params, x):
        def backward(dy, grads, wanted):
            dz = dy @ params.weights.T
            np.dot((x - x.mean(0)).T, dy, out=grads.weights)
            grads.biases[...] = dy.sum(0)
            return dz - dz.mean(0)

        return (x - x.mean(0)) @ params.weights + params.biases, backward


@record
class Float64(Dense):
    def forward(self, params, x):
        y, backward = Dense.forward(self, params, x)
        return y.astype(np.float64), lambda dy, grads, wanted: backward(dy.astype(x.dtype), grads, wanted)


LAYERS = [
    (spoiled(double_weights), "gradient = central differences", ["at parameters[", "relative error: 0.5"]),
    (spoiled(forget_biases), "gradient = central differences", ["at parameters[6]", "gradient: 0.0"]),
    (NoBias(3, 2), "gradient = central differences", ["at parameters[6]", "gradient: nan"]),
    (Accumulates(3, 2), "gradient = central differences", ["gradient: nan"]),
    (WrongInputs(3, 2), "gradient = central differences", ["at dx["]),
    (WritesInputs(3, 2), "purity", ["at x[0, 0]", "before: ", "afterwards: "]),
    (SeesTheBatch(3, 2), "independent rows", ["for rows = 1", "at row 0", "in the batch", "alone"]),
    (Float64(3, 2), "contract", ["at y", "dtype: 'float64'", "dtype of x: 'float32'"]),
]


@pytest.mark.parametrize(("layer", "law", "parts"), LAYERS, ids=lambda value: type(value).__name__)
def test_broken_layers(layer, law, parts):
    """Wrong, forgotten and accumulated gradients; inputs written to; rows that see each other; another dtype."""
    assert_found(found(laws.check_layer, layer, 3), law, *parts)


# Losses


def squared(reduce):
    """The squared error with another gradient or value: `reduce(error) -> (losses, gradient)`."""

    @record
    class Squared:
        def forward(self, outputs, targets):
            losses, gradient = reduce(outputs - targets.reshape(outputs.shape))
            return losses, lambda: gradient

    return Squared()


LOSSES = [
    (squared(lambda e: ((e**2).mean(1), 2 * e / e.shape[1])), "mean over examples", ["the gradient of example 0, times N"]),
    (squared(lambda e: ((e**2).mean(1), e / e.size)), "gradient = central differences", ["relative error: 0.4999"]),
    (squared(lambda e: ((e**2).mean(), 2 * e / e.size)), "contract", ["at losses", "expected: (1,)"]),
    (squared(lambda e: ((e**2).mean(1) / len(e), 2 * e / e.size)), "mean over examples", ["the loss of example 0"]),
    (squared(lambda e: (np.log(np.exp(e**2).mean(1)), 2 * e / len(e))), "finite", ["losses: array([inf"]),
]


@pytest.mark.parametrize(("loss", "law", "parts"), LOSSES, ids=["sum", "half", "scalar", "divided", "overflow"])
def test_broken_losses(loss, law, parts):
    """A gradient of the sum, half a gradient, one loss for all, a loss divided by N, one that overflows."""
    assert_found(found(laws.check_loss, loss, 1, np.array([0.5, 1.0])), law, *parts)


# Steps


@record
class Weights:
    """A user's own state."""

    w: Array
    n: int = 0
    stop_reason: str | None = None


START, BATCHES = Weights(np.ones(2)), [np.array([0.5, 1.0]), np.array([1.0, -1.0])]


def good(state, batch):
    return state if state.stop_reason else Weights(owned(state.w - 0.1 * batch), state.n + 1)


def draws_globally(state, batch):
    return Weights(state.w + np.random.normal(size=2), state.n + 1)  # noqa: NPY002


def reads_globally(state, batch):
    """Puts the generator back, but is moved by it."""
    before = random.getstate()
    drawn = random.random()
    random.setstate(before)
    return Weights(state.w + drawn, state.n + 1)


def writes_its_batch(state, batch):
    batch -= 1
    return Weights(state.w - batch, state.n + 1)


def writes_its_state(state, batch):
    state.w[...] = 0
    return state


def counter():
    calls = itertools.count()
    return lambda state, batch: Weights(state.w * 0.5, next(calls))


def cache():
    """Keeps the running mean of what it sees."""
    seen = []

    def step(state, batch):
        seen.append(batch)
        return Weights(owned(state.w - np.mean(seen, 0)), state.n + 1)

    return step


@record
class Holder:
    held: Any


def shares(state, batch):
    """Goes on in the same array, which nothing froze."""
    state.held.append(float(batch[0]))
    return Holder(state.held)


def moves_what_stopped(state, batch):
    return Weights(state.w - batch, state.n + 1, "no improvement" if state.n else None)


def hands_out_writable(state, batch):
    return Holder(state.held - batch)


def keeps_a_set(state, batch):
    return Holder(set(batch))


STEPS = [
    (keeps_a_set, Holder(None), "purity", ["a record may hold", "{np.float64(0.5)"]),
    (
        draws_globally,
        START,
        "no global random state",
        ["for batches = [array([0.5, 1. ])]", "numpy.random's global generator"],
    ),
    (reads_globally, START, "no global random state", ["with generators seeded 0", "with generators seeded 1"]),
    (writes_its_batch, START, "purity", ["at batch[0]:", "before: 0.5", "afterwards: -1.5"]),
    (writes_its_state, START, "purity", ["assignment destination is read-only"]),
    (counter(), START, "purity", ["at n:", "once", "again"]),
    (cache(), START, "purity", ["at w["]),
    (shares, Holder([]), "purity", ["at state.held"]),
    (moves_what_stopped, START, "stopped is absorbing", ["the stopped state", "after a step"]),
    (hands_out_writable, Holder(np.ones(2)), "frozen states", ["at held:"]),
]


@pytest.mark.parametrize(("step", "state", "law", "parts"), STEPS, ids=lambda value: getattr(value, "__name__", None))
def test_broken_steps(step, state, law, parts):
    """Global randomness, arguments written to, hidden counters and caches, stopped states that move."""
    assert_found(found(laws.check_step, step, state, BATCHES), law, *parts)


def test_a_sound_step_of_a_users_own():
    """Over a record of its own, with a stopped state."""
    laws.check_step(good, START, BATCHES, stopped=Weights(np.ones(2), 3, "finished"))


def test_a_trainer_with_a_broken_part():
    """The step of a trainer whose optimizer counts in secret."""
    calls = itertools.count(1)

    @record
    class Restless(Elementwise):
        def kernel(self, gradient, slots, params, scalars):
            return gradient * gradient.dtype.type(1 + next(calls) % 5), ()

    trainer = fl.Trainer(model=fl.mlp([3, 2]), loss=fl.losses.MeanSquaredError(), optimizer=Restless())
    assert_found(found(laws.check_trainer, trainer, dataset("mse", 6)), "purity", "at params.vector[0]")


# Selectors


def eager(states):
    everything = list(states)
    return iter(everything)


def reads_ahead(states):
    """Waits for its end before the first."""

    def chosen():
        yield from list(states)

    return chosen()


def last_of_ties(states):
    found = None
    for state in states:
        if state.metrics and (found is None or state.metrics["val_loss"] <= found.metrics["val_loss"]):
            found = state
    if found is None:
        raise ValueError("no state has metrics")
    return found


def first_of_ties(states):
    """What Python's own min makes of it: the reference, which leaves NaN to chance as well."""
    found = None
    for state in states:
        if state.metrics and (found is None or state.metrics["val_loss"] < found.metrics["val_loss"]):
            found = state
    if found is None:
        raise ValueError("no state has metrics")
    return found


def unclear(states):
    return max((state.metrics["val_loss"], state.epoch) for state in list(states)[1:])[0] if list(states) else next(states)


def wordless(states):
    raise ValueError


def twice():
    kept = []

    def choose(states):
        kept.extend(states)
        return len(kept)

    return choose


SELECTORS = [
    (eager, None, "lazy", ["states read at the call: 1", "expected: 0", "for history = []"]),
    (reads_ahead, None, "lazy", ["states read for the first element", "without end"]),
    (last_of_ties, first_of_ties, "selector = reading of the whole", ["at ['epoch']", "the selector: 2", "the reference: 1"]),
    (unclear, None, "clear errors", ["StopIteration"]),
    (wordless, None, "clear errors", ["message: 'none'"]),
    (twice(), None, "purity", ["once", "again"]),
]


@pytest.mark.parametrize(
    ("selector", "reference", "law", "parts"), SELECTORS, ids=lambda value: getattr(value, "__name__", None)
)
def test_broken_selectors(selector, reference, law, parts):
    """Eager ones, the last of ties, errors that say nothing, memory."""
    assert_found(found(laws.check_selector, selector, reference), law, *parts)


# Gradients, and the search itself


def test_broken_gradients():
    """The worst component is named with both values."""
    point = np.array([[1.0, -2.0], [3.0, 0.5]])
    laws.check_gradients(lambda z: (z**3).sum(), point, 3 * point**2)
    wrong = 3 * point**2 + np.array([[0, 1e-4], [0, 0.1]])
    with pytest.raises(laws.LawError, match=r"gradient = central differences: (?s:.*)at \[1, 1\]:\n    gradient: 0.85\n"):
        laws.check_gradients(lambda z: (z**3).sum(), point, wrong)
    with pytest.raises(laws.LawError, match=r"at \[0\](?s:.*)gradient: nan"):
        laws.check_gradients(lambda z: z.sum(), np.ones(1), lambda z: z * np.nan)


def test_at_a_kink_every_subgradient_will_do():
    """Between the slopes of the two sides, and none beyond."""
    for slope in (0.0, 0.3, 1.0):
        laws.check_gradients(lambda z: np.maximum(z, 0).sum(), np.zeros(3), np.full(3, slope))
    for slope in (-0.01, 1.01):
        with pytest.raises(laws.LawError):
            laws.check_gradients(lambda z: np.maximum(z, 0).sum(), np.zeros(3), np.full(3, slope))


def test_a_law_that_is_broken_now_and_then():
    """By no value, but by chance: it is reported as it was seen."""
    calls = itertools.count()
    error = found(laws.check_step, lambda state, batch: state + (next(calls) % 7 == 3), 0.5, [1.0])
    assert error.law in {"purity", "no global random state"}
    assert "for batches = [1.0" in str(error)


def test_the_same_examples_each_time():
    """Under Hypothesis's default profile; a profile of the user's own is followed."""
    law, kept = Law("any", "nothing"), settings()

    def drawn():
        seen = []
        law.search(lambda n: seen.append(n), n=st.floats())
        return seen

    settings.load_profile("default")
    try:
        assert fl.same_bits(drawn(), drawn())
        assert len(drawn()) == 100
        settings.register_profile("few", max_examples=7)
        settings.load_profile("few")
        assert len(drawn()) == 7
    finally:
        settings.register_profile("kept", kept)
        settings.load_profile("kept")


def test_a_check_leaves_the_global_generators():
    """It seeds them for its law, and puts them back."""
    before = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    laws.check_step(good, START, BATCHES, max_examples=5)
    assert_found(found(laws.check_step, draws_globally, START, BATCHES), "no global random state")
    assert fl.same_bits((random.getstate(), np.random.get_state(legacy=True)), before)  # noqa: NPY002
