"""The engines check each other: hand-derived gradients against JAX's, and NumPy's fold against the compiled one."""

import subprocess
import sys
from itertools import product, takewhile

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolz import nth, take

import fnloop as fl
from fnloop.core.records import evolve, frozen
from fnloop.engines.jax.fold import get_program
from fnloop.engines.jax.kept_programs import KEPT
from fnloop.engines.numpy.gradient import make_gradient
from fnloop.nn import Sequential
from fnloop.optimizers import Elementwise
from fnloop.training.engine import computation_of, select_engine
from tests.project.test_bad_input import exploding
from tests.strategies import ACTIVATIONS, BASIC, LOSSES, OPTIMIZERS, PLATEAU, SCHEDULERS, dataset, metrics_of, problems

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
ADAM, CONSTANT = fl.optimizers.Adam(), fl.schedulers.ConstantLR(0.02)
# Each activation and loss once, some optimizers, each schedule by epoch and by step.
TABLE = [
    *product(ACTIVATIONS, ["softmax"], [ADAM], [CONSTANT], ["epoch"]),
    *product(["tanh"], ["softmax"], OPTIMIZERS[:6], [CONSTANT], ["epoch"]),
    *product(["tanh"], [kind for kind in LOSSES if kind != "softmax"], [ADAM], [CONSTANT], ["epoch"]),
    *product(["relu"], ["softmax"], [ADAM], SCHEDULERS, ["epoch", "step"]),
    ("relu", "softmax", ADAM, PLATEAU, "epoch"),
]
# All optimizers, and float64.
MORE = [
    *((*row, "float64") for row in TABLE),
    *product(["tanh"], ["softmax"], OPTIMIZERS[6:], [CONSTANT], ["epoch"], TOLERANCE),
]


@pytest.fixture(autouse=True)
def _double():
    """Let JAX compute in float64 where a test needs it."""
    with jax.enable_x64(True):
        yield


def test_float32_needs_no_other_setting():
    """Sums are float64 all the same: R² of constant targets is exactly 0."""
    data = fl.Dataset(dataset("mse", 5).x, np.full((5, 2), 0.7))
    trainer = trainer_of(kind="mse")
    with jax.enable_x64(False):
        theirs = nth(2, fl.epochs(trainer, data, data, engine="jax"))
    assert theirs.metrics == pytest.approx(nth(2, fl.epochs(trainer, data, data)).metrics, rel=1e-4)
    assert theirs.metrics["val_r2"] == 0


def trainer_of(activation="tanh", kind="softmax", optimizer=ADAM, scheduler=CONSTANT, every="epoch", **changes):
    loss, outputs = LOSSES[kind]
    model = fl.mlp([3, 6, 5, outputs], activation)
    options = {"model": model, "loss": loss, "optimizer": optimizer, "scheduler": scheduler, "schedule_every": every}
    return fl.Trainer(**{**options, "batch_size": 4, **changes})


def relative_distance(a, b):
    """Return the relative distance of two vectors."""
    return np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(a.astype(np.float64))


ROWS = [*(pytest.param(*row, "float32") for row in TABLE), *(pytest.param(*row, marks=pytest.mark.thorough) for row in MORE)]


@pytest.mark.parametrize(("activation", "kind", "optimizer", "scheduler", "every", "dtype"), ROWS)
def test_the_engines_agree(activation, kind, optimizer, scheduler, every, dtype):
    """After 50 steps, some with a smaller last batch, parameters, slots and metrics agree to rounding, counts exactly."""
    data, other = dataset(kind, 18), dataset(kind, 7, seed=1)
    trainer = trainer_of(activation, kind, optimizer, scheduler, every, dtype=dtype)
    ours, theirs = (nth(10, fl.epochs(trainer, data, other, engine=name)) for name in ("numpy", "jax"))
    assert ours.step == theirs.step == 50
    assert relative_distance(ours.params.vector, theirs.params.vector) < TOLERANCE[dtype]
    for a, b in zip(ours.optimizer.slots, theirs.optimizer.slots, strict=True):
        assert relative_distance(a, b) < 10 * TOLERANCE[dtype]
    assert ours.metrics.keys() == theirs.metrics.keys()
    for name, value in ours.metrics.items():
        assert theirs.metrics[name] == pytest.approx(value, rel=10 * TOLERANCE[dtype], abs=10 * TOLERANCE[dtype])
    assert ours.lr == theirs.lr
    assert theirs.params.vector.dtype == ours.params.vector.dtype == dtype


@pytest.mark.parametrize(
    ("activation", "kind"), [*product(ACTIVATIONS, BASIC), *(("relu", kind) for kind in LOSSES if kind not in BASIC)]
)
def test_hand_derived_gradients_equal_those_of_jax(activation, kind):
    """They agree in float64 to 1e-10, also at ReLU's kink, where all parameters are zero."""
    trainer = trainer_of(activation, kind, dtype="float64")

    @jax.jit
    @jax.grad
    def expected(vector, x, y):
        return trainer.loss.forward(trainer.model(vector, x), y)[0].mean()

    for seed in range(3):
        data = dataset(kind, 9, seed)
        vector = np.random.default_rng(seed).standard_normal(trainer.model.size) * np.array([1.0, 0.0])[seed % 2]
        gradient, targets = np.empty_like(vector), data.y.astype(np.float64)
        make_gradient(computation_of(trainer), vector, gradient)((data.x, targets, None), (), 0)
        np.testing.assert_allclose(gradient, expected(vector, np.float64(data.x), targets), rtol=1e-10, atol=1e-12)


KINKS = [  # outputs at kinks, or so large that a term is rounded away
    (fl.losses.Hinge(), [[1.0], [-1.0], [0.0]], [1.0, 0.0, 1.0]),
    (fl.losses.Hinge(), [[2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 5.0, 5.0]], [0.0, 1.0, 0.0]),
    (fl.losses.MeanAbsoluteError(), [[1.0, 2.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]),
    (fl.losses.Huber(0.5), [[0.5, -0.5], [0.0, 0.4]], [[0.0, 0.0], [0.0, 0.9]]),
    (fl.losses.LogCosh(), [[0.0, 800.0], [1e-9, -800.0]], [[0.0, 0.0], [0.0, 0.0]]),
    (fl.losses.KLDivergence(), [[0.0, 1.0], [800.0, 0.0]], [[0.0, 1.0], [0.5, 0.5]]),
    *[
        (fl.losses.Focal(gamma=gamma), [[800.0], [-800.0], [-800.0], [40.0]], [1.0, 1.0, 0.0, 1.0])
        for gamma in (0.0, 0.5, 1.0, 2.0)
    ],
    *[(fl.losses.Focal(gamma=gamma), [[0.0, 800.0, 1.0], [1e4, 0.0, 0.0]], [1.0, 1.0]) for gamma in (0.0, 0.5, 1.0, 2.0)],
]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("loss", "outputs", "targets"), KINKS)
def test_derivatives_agree_at_kinks_and_extremes(loss, outputs, targets, dtype):
    """They agree where the derivative is a convention, or where one of its factors is 0."""
    f, y = np.array(outputs, dtype), np.array(targets, dtype)
    theirs = jax.jit(jax.grad(lambda f: loss.forward(f, jax.numpy.asarray(y))[0].mean()))(jax.numpy.asarray(f))
    np.testing.assert_allclose(loss.forward(f, y)[1](), theirs, rtol=10 * TOLERANCE[dtype], atol=1e-7)


@pytest.mark.parametrize("kind", ["binary", "softmax", "kl", "huber"])
def test_metrics_agree(kind):
    """All sums agree, counts exactly, also where many scores are equal."""
    draw, (_, outputs) = np.random.default_rng(0), LOSSES[kind]
    f, y = draw.integers(-1, 2, (200, outputs)).astype("float32"), dataset(kind, 200).y.astype("float32")
    for metric in trainer_of(kind=kind, metrics=metrics_of(kind)).summed_metrics():
        ours, theirs = (metric.sums(xp.asarray(f), xp.asarray(y)) for xp in (np, jax.numpy))
        assert len(ours) == metric.width(outputs)
        counts = all(float(value).is_integer() for value in ours)
        np.testing.assert_allclose(ours, np.array(theirs), rtol=0 if counts else 1e-12, atol=0 if counts else 1e-12)


@settings(max_examples=6)
@given(problems(), st.integers(1, 5))
@pytest.mark.thorough
def test_a_run_has_the_same_bits_in_any_parts(problem, cut):
    """Repeated, step by step, and continued from any step."""
    trainer, data = problem
    whole = list(take(6, fl.epochs(trainer, data, engine="jax")))
    assert fl.same_bits(whole, list(take(6, fl.epochs(trainer, data, engine="jax"))))
    middle = fl.last(take(cut, fl.steps(trainer, data, engine="jax")))
    rest = fl.epochs(trainer, data, start=middle, engine="jax")
    assert fl.same_bits(whole[-1], fl.last(takewhile(lambda state: state.epoch <= whole[-1].epoch, rest)))


@pytest.mark.parametrize(
    "optimizer",
    [
        fl.optimizers.Adam(b1=0.87),
        fl.optimizers.scheduled(fl.optimizers.AdamW(), b1=fl.schedulers.ExponentialLR(0.87), weight_decay=CONSTANT),
        fl.optimizers.chain(fl.optimizers.LAMB(), fl.optimizers.freeze(1), fl.optimizers.ema(0.9)),
    ],
)
def test_a_run_compiles_once(optimizer):
    """Smaller last batches, other learning rates, later epochs, single steps and parts of epochs use the same programs."""
    data, other = dataset("softmax", 22), dataset("softmax", 9, seed=1)
    trainer = trainer_of(batch_size=5, scheduler=fl.schedulers.ExponentialLR(0.0123), optimizer=optimizer)
    KEPT.clear()  # other tests may use the same program
    program, _ = get_program(computation_of(trainer))
    fl.last(take(6, fl.epochs(trainer, data, other, engine="jax")))
    middle = fl.last(take(9, fl.steps(trainer, data, other, engine="jax")))
    again = evolve(trainer, scheduler=fl.schedulers.ConstantLR(0.3))
    later = fl.last(take(3, fl.epochs(again, data, other, start=middle, engine="jax")))
    fl.last(take(2, fl.epochs(evolve(again, seed=9), data, other, start=later, engine="jax")))
    assert get_program(computation_of(evolve(again, seed=9)))[0] is program
    assert [f._cache_size() for f in (program.split, program.fold)] == [1, 1]


def multiply_by(number):
    """Return an instance of a new class, of the same name each time."""

    @frozen
    class Multiply(fl.nn.Layer):
        def forward(self, params, x, context):
            return x * number, lambda dy, grads, need_dx: dy * number if need_dx else None, ()

    return Multiply()


@pytest.mark.parametrize("wrap", [lambda layer: layer, fl.nn.Residual])
def test_a_class_that_is_defined_again_is_compiled_again(wrap):
    """The second definition is used, as after a cell of a notebook has changed."""
    data = dataset("softmax", 9)
    for number in (0.5, 2.0):
        trainer = trainer_of(model=Sequential(3, (wrap(multiply_by(number)), fl.nn.Dense(3, 3))))
        state = fl.init_state(trainer)
        ours, theirs = (fl.evaluate(trainer, state, data, engine=engine)["loss"] for engine in ("numpy", "jax"))
        assert theirs == pytest.approx(ours, rel=1e-5)


def test_a_state_moves_between_engines(tmp_path):
    """Both engines continue from each other's states, also from a file; the states hold read-only NumPy arrays."""
    data, trainer = dataset("binary", 20), trainer_of(kind="binary", optimizer=fl.optimizers.SGD(momentum=0.9))
    first = nth(2, fl.epochs(trainer, data))
    second = nth(2, fl.epochs(trainer, data, start=first, engine="jax"))
    fl.save(second, tmp_path / "second.npz")
    assert fl.same_bits(fl.load(tmp_path / "second.npz"), second)
    third = nth(2, fl.epochs(trainer, data, start=fl.load(tmp_path / "second.npz")))
    assert relative_distance(nth(6, fl.epochs(trainer, data)).params.vector, third.params.vector) < 1e-5
    assert type(second.params.vector) is np.ndarray
    assert not second.params.vector.flags.writeable
    assert fl.same_bits(fl.best("loss", [first, second, third]), third)
    for name in ("numpy", "jax"):
        assert fl.evaluate(trainer, third, data, engine=name)["loss"] == pytest.approx(third.metrics["loss"], abs=0.1)
    np.testing.assert_array_equal(*(fl.predict(trainer, third, data.x, engine=name) for name in ("numpy", "jax")))


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 2048])
def test_measures_in_chunks(rows):
    """The engines agree on numbers of rows around the size of a chunk."""
    data, trainer = dataset("mse", rows), trainer_of(kind="mse", metrics=("r2",))
    state = fl.init_state(trainer)
    ours, theirs = (fl.evaluate(trainer, state, data, engine=name) for name in ("numpy", "jax"))
    assert theirs == pytest.approx(ours, rel=1e-4, abs=1e-4)
    outputs = [fl.predict(trainer, state, data.x, engine=name) for name in ("numpy", "jax")]
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)


@frozen
class Scale(fl.nn.Layer):
    """A layer whose only parameter is a vector: the flat vector needs no concatenation or slicing."""

    shapes = ((3,),)

    def initial(self, seed, address):
        return (np.ones(3),)

    def forward(self, params, x, context):
        return x * params[0], lambda dy, grads, need_dx: np.copyto(grads[0], (dy * x).sum(0)), ()


def test_returned_arrays_are_never_overwritten():
    """So it is where the flat vector and the only array of a layer could share memory."""
    data = fl.Dataset(dataset("softmax", 12).x, dataset("softmax", 12).x * 2)
    trainer = fl.Trainer(model=Sequential(3, (Scale(),)), loss=fl.losses.MeanSquaredError(), batch_size=5)
    seen = [(state, fl.digest(state)) for state in take(5, fl.epochs(trainer, data, engine="jax"))]
    assert all(fl.digest(state) == digest for state, digest in seen)
    assert len({digest for _, digest in seen}) == 5
    assert relative_distance(nth(4, fl.epochs(trainer, data)).params.vector, seen[-1][0].params.vector) < 1e-5


def test_accumulation_agrees():
    """Micro-batches of different sizes give the same parameters on both engines."""
    data = dataset("softmax", 23)
    trainer = trainer_of(accumulate=3, dtype="float64")
    ours, theirs = (nth(5, fl.epochs(trainer, data, engine=name)).params.vector for name in ("numpy", "jax"))
    assert relative_distance(ours, theirs) < 1e-9


def test_frozen_layers_keep_their_bits():
    """The parameters of other layers change."""
    trainer, data = trainer_of(optimizer=fl.optimizers.chain(ADAM, fl.optimizers.freeze(1))), dataset("softmax", 18)
    before, after = (nth(n, fl.epochs(trainer, data, engine="jax")).params.layers for n in (0, 3))
    assert [fl.same_bits(tuple(a), tuple(b)) for a, b in zip(before, after, strict=True)] == [False, True, False]


@pytest.mark.parametrize("non_finite", ["stop", "skip"])
def test_faults_are_handled_alike(non_finite):
    """Both engines stop or skip at the same step, with the same counts."""
    trainer, data = exploding(non_finite, dtype="float64")
    ours, theirs = (fl.last(take(3, fl.epochs(trainer, data, engine=name))) for name in ("numpy", "jax"))
    assert (ours.epoch, ours.step, ours.stop_reason) == (theirs.epoch, theirs.step, theirs.stop_reason)
    assert ours.optimizer.count == theirs.optimizer.count
    assert relative_distance(ours.params.vector, theirs.params.vector) < 1e-9


def test_states_are_pytrees():
    """They are rebuilt to the bit, mapped, and taken by `jit`."""
    scheduler = fl.schedulers.times(fl.schedulers.ReduceLROnPlateau(1.0, "loss"), fl.schedulers.warmup(CONSTANT, 3))
    trainer, data = trainer_of(early_stopping=fl.EarlyStopping("loss"), scheduler=scheduler), dataset("softmax", 9)
    state = nth(2, fl.epochs(trainer, data, engine="jax"))
    leaves, tree = jax.tree.flatten(state)
    assert fl.same_bits(jax.tree.unflatten(tree, leaves), state)
    double = jax.tree.map(lambda leaf: 2 * leaf, state)
    assert fl.same_bits(double.params.vector, 2 * state.params.vector)
    assert double.scheduler.parts[0].best == 2 * state.scheduler.parts[0].best
    assert double.metrics["loss"] == 2 * state.metrics["loss"]
    assert double.params.model is state.params.model
    total = jax.jit(lambda s: s.params.vector.sum())(state)
    assert total == pytest.approx(state.params.vector.sum(), rel=1e-5)


@frozen
class Countdown:
    """The state of a custom schedule."""

    lr: float
    left: int


def test_the_state_of_a_custom_schedule_is_a_pytree():
    """Its numbers are leaves, although its class was not registered."""
    select_engine("jax")
    state = evolve(fl.init_state(trainer_of()), scheduler=Countdown(0.5, 3))
    double = jax.tree.map(lambda leaf: 2 * leaf, state)
    assert (double.scheduler.lr, double.scheduler.left) == (1.0, 6)
    leaves, tree = jax.tree.flatten(state)
    assert fl.same_bits(jax.tree.unflatten(tree, leaves), state)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_single_steps_agree(accumulate):
    """`make_step` on JAX takes batches of any size, agrees with NumPy to rounding, and with the epoch's steps to the bit."""
    data = dataset("softmax", 20)
    trainer = trainer_of(batch_size=4, accumulate=accumulate, dtype="float64")
    ours, theirs = (fl.make_step(trainer, engine=name) for name in ("numpy", "jax"))
    start = fl.init_state(trainer)
    batches = list(fl.batches(data, 4 * accumulate, seed=trainer.seed, epoch=0))
    a, b = start, start
    for batch in [*batches, fl.Batch(data.x, data.y)]:
        a, b = ours(a, batch), theirs(b, batch)
        assert (a.step, a.updates, a.progress.examples) == (b.step, b.updates, b.progress.examples)
        assert relative_distance(a.params.vector, b.params.vector) < 1e-9
    by_steps = nth(2, fl.steps(trainer, data, engine="jax"))
    assert fl.same_bits(by_steps.params, theirs(theirs(start, batches[0]), batches[1]).params)


def test_a_single_step_on_jax_handles_faults():
    """As on NumPy: `non_finite` says what to do."""
    trainer, data = exploding("stop", dtype="float64")
    huge = fl.Batch(np.full((2, data.x.shape[1]), 1e300), data.y[:2])
    ours, theirs = (fl.make_step(trainer, engine=name)(fl.init_state(trainer), huge) for name in ("numpy", "jax"))
    assert ours.stopped is not None
    assert ours.stopped == theirs.stopped


def numpy_only(outputs, targets):
    return np.linalg.norm(np.asarray(outputs), axis=1)


@frozen
class Branching(Elementwise):
    """A kernel that branches on its values."""

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if gradient[0] > 0 else -gradient), ()


@frozen
class Looping(fl.nn.Layer):
    """A layer that leaves the array's namespace."""

    def forward(self, params, x, context):
        return np.array([[float(v) for v in row] for row in x]), lambda dy, grads, need_dx: None, ()


@frozen
class HighestOutput(fl.metrics.Metric):
    """A metric whose `merge` compares its arguments in Python."""

    name = "highest_output"

    def sums(self, outputs, targets):
        return [outputs.max()]

    def width(self, outputs):
        return 1

    def merge(self, a, b):
        return [max(a[0], b[0])]

    def value(self, sums, examples):
        return float(sums[0])


# A schedule that takes one t at a time.
BY_CHOICE = fl.optimizers.scheduled(ADAM, b1=lambda t: 0.9 if t < 1 else 0.5)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"metrics": (numpy_only,)}, "metric 'numpy_only'"),
        ({"metrics": (HighestOutput(),), "accumulate": 2}, "metric 'highest_output'"),
        ({"optimizer": Branching()}, r"optimizer Branching\(\)"),
        ({"optimizer": BY_CHOICE}, r"optimizer scheduled\("),
        ({"model": Sequential(3, (Looping(),))}, r"layer 0, Looping\(\)"),
    ],
)
def test_a_part_that_cannot_be_traced_is_named(changes, name):
    """The call raises an error with its name, before anything is trained."""
    trainer, data = trainer_of(**changes), dataset("softmax", 9)
    with pytest.raises(fl.EngineError, match=f"{name}.* cannot be traced by JAX"):
        fl.epochs(trainer, data, engine="jax")


def test_float64_is_never_rounded_silently():
    """Where JAX is set to float32, the error tells how to change that."""
    trainer, data = trainer_of(dtype="float64"), dataset("softmax", 9)
    with jax.enable_x64(False), pytest.raises(fl.EngineError, match=r"dtype.*jax_enable_x64.*JAX_ENABLE_X64=1"):
        fl.epochs(trainer, data, engine="jax")


@pytest.mark.parametrize("name", ["jax:abacus", "jax:cpu:99", "jax:cpu:x"])
def test_unknown_devices(name):
    """The error lists the devices that JAX has."""
    with pytest.raises(fl.EngineError, match=f"'{name}'.*it has jax:cpu:0"):
        fl.epochs(trainer_of(), dataset("softmax", 9), engine=name)


@pytest.mark.thorough
def test_the_command_takes_an_engine(tmp_path):
    """Without JAX it prints the command that installs it; the core does not need JAX."""
    command = [sys.executable, "-m", "fnloop", "train", "iris", "--epochs", "2", "--out", str(tmp_path), "--engine"]
    done = subprocess.run([*command, "jax"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code = (
        "import sys; sys.modules['jax'] = None; sys.argv = ['fnloop', 'train', 'iris', '--engine', 'jax', '--out', 'x'];"
        "import fnloop as fl; fl.fit; from fnloop.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'fnloop[jax]'" in done.stderr


def test_both_engines_find_slots_that_overflow():
    """If the gradient is finite and its square is not, the state before the step is the last."""
    x = np.array([[1.0], [2.0], [1e20], [3.0]])
    trainer = fl.Trainer(
        model=fl.mlp([1, 1]), loss=fl.losses.MeanAbsoluteError(), optimizer=fl.optimizers.Adam(), batch_size=1
    )
    stopped = [fl.last(fl.epochs(trainer, fl.Dataset(x, np.zeros(4)), engine=engine)) for engine in ("numpy", "jax")]
    assert {state.stop_reason for state in stopped} == {"non-finite"}
    assert stopped[0].step == stopped[1].step < 4
    assert all(np.isfinite(array).all() for state in stopped for array in (state.params.vector, *state.optimizer.slots))
