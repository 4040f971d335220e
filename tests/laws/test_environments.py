"""Where bits differ, the environment differs and the difference is named; finding the environment changes no bits."""

import ctypes
import platform
import sys
from itertools import combinations
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from toolz import nth, take

import fnloop as fl
from fnloop.core.fixed_numbers import fixed_numbers
from fnloop.core.records import evolve, frozen
from fnloop.engines.jax.environment import find_settings, normalized
from fnloop.engines.threads import find_blas, own_threads, with_threads
from fnloop.nn.model import Params
from fnloop.runs import environment
from fnloop.runs.environment import (
    changed_environment,
    current_environment,
    environment_differences,
    environment_of,
    observe,
    parse_environment,
)
from tests.replay.support import in_new_process

X = fixed_numbers(300 * 64).reshape(300, 64).astype(np.float32)
DATA = fl.Dataset(X, np.arange(300) % 3)
MODELS = fl.mlp([64, 16, 3], activation="tanh"), fl.mlp([64, 700, 300, 3], activation="gelu")
HAS_X86 = platform.machine() in ("x86_64", "AMD64")
BLAS_VARIABLES = [{"OPENBLAS_CORETYPE": name} for name in ("Haswell", "Prescott", "Nehalem", "Sandybridge")]
NUMPY_VARIABLES = [{"NPY_DISABLE_CPU_FEATURES": names} for names in ("X86_V4 AVX512_ICL AVX512_SPR", "AVX512_SPR")]


def trainer_of(model, **changes):
    return fl.Trainer(model=model, loss="cross_entropy", optimizer="adam", batch_size=128, **changes)


def train_here(engine="numpy"):
    """Return the environment of this process, and digests of states from equal parameters, as this process computes them."""
    digests = []
    for model in MODELS:
        trainer = trainer_of(model, threads=1)
        start = evolve(fl.init_state(trainer), params=Params(np.float32(0.1) * fixed_numbers(model.size).astype("f"), model))
        digests.append(fl.digest(nth(2, fl.epochs(trainer, DATA, DATA, start=start, engine=engine))))
    return current_environment(engine, 1), digests


def check_canary(name, here, others):
    """Check that where two processes have other bits, the canaries differ; return in how many pairs they have other bits."""
    pairs = [*combinations([here, *others], 2)]
    for (environment_a, digests_a), (environment_b, digests_b) in pairs:
        assert environment_a[name] != environment_b[name] or digests_a == digests_b
    return sum(a[1] != b[1] for a, b in pairs)


@pytest.mark.thorough
@pytest.mark.skipif(not HAS_X86, reason="the variables are those of x86")
def test_the_canary_differs_where_the_bits_of_a_run_differ():
    """So it is for other kernels of the BLAS, and for other instructions of NumPy."""
    others = [in_new_process(train_here, **variables) for variables in [*BLAS_VARIABLES, *NUMPY_VARIABLES]]
    assert check_canary("canary", in_new_process(train_here), others) > 0


@pytest.mark.thorough
def test_the_canary_of_jax_differs_where_the_bits_of_a_run_differ():
    """So it is for flags of XLA, and for the number of threads that share a product."""
    flags = ("--xla_cpu_enable_fast_math=true", "--xla_disable_hlo_passes=fusion", "--xla_backend_optimization_level=0")
    others = [in_new_process(train_here, "jax", XLA_FLAGS=flag) for flag in flags]
    others.append(in_new_process(train_here, "jax", NPROC="1"))
    here = in_new_process(train_here, "jax", NPROC="4")
    assert check_canary("JAX canary", here, others) > 3
    assert [environment["XLA flags"] for environment, _ in others] == [*flags, ""]


def record_here(path, engine="numpy"):
    trainer = trainer_of(MODELS[1])
    fl.last(fl.record(path, trainer, DATA, None, take(4, fl.epochs(trainer, DATA, engine=engine)), engine=engine))
    return current_environment(engine)


def replay_here(path):
    """Return what the verification and the refused resumption of a run say."""
    found = fl.open_run(path).verify()
    try:
        fl.open_run(path).resume(epochs=5, progress=False)
    except fl.ReplayError as error:
        return found.ok, str(found), str(error)
    return found.ok, str(found), None


@pytest.mark.skipif(not HAS_X86, reason="the variable is that of x86")
def test_a_run_on_other_blas_kernels_is_refused_by_name(tmp_path):
    """The message names the canary and the kernels first."""
    path = str(tmp_path / "a.run")
    was = in_new_process(record_here, path, OPENBLAS_CORETYPE="Nehalem")["BLAS kernels"]
    if was == find_blas().info["architecture"]:
        pytest.skip("the BLAS has no other kernels")
    ok, verified, refused = replay_here(path)
    assert not ok
    for text in (verified, refused):
        assert "the environment differs: NumPy gives other bits" in text
        assert f"the processor's BLAS kernels were {was}, are {find_blas().info['architecture']}" in text


@pytest.mark.thorough
def test_a_run_with_other_flags_of_xla_is_refused_by_name(tmp_path):
    """With the flags of the recording it is verified, and resumed."""
    path, flag = str(tmp_path / "a.run"), "--xla_cpu_enable_fast_math=true"
    in_new_process(record_here, path, "jax", XLA_FLAGS=flag)
    ok, verified, refused = in_new_process(replay_here, path, XLA_FLAGS="")
    assert not ok
    for text in (verified, refused):
        assert "the environment differs: JAX gives other bits" in text
        assert f"the flags of XLA were {flag}, are none" in text
    assert in_new_process(replay_here, path, XLA_FLAGS=flag) == [True, "verified, 4 of 4", None]


@frozen
class Product:
    """A state of a custom step."""

    epoch: int
    value: np.ndarray


LEFT, RIGHT = fixed_numbers(17 * 700).reshape(17, 700), fixed_numbers(700 * 130).reshape(700, 130)


def multiply(state):
    """Multiply matrices; the last bits depend on the number of BLAS threads."""
    product = (LEFT + state.epoch) @ RIGHT
    return Product(state.epoch + 1, product)


@pytest.mark.skipif(find_blas() is None, reason="threadpoolctl knows no BLAS of NumPy")
def test_each_state_is_replayed_with_the_threads_that_it_was_computed_with(tmp_path):
    """A custom step computes with the process's own setting, which changes twice; a fork inherits that of its first state."""
    path, numbers = tmp_path / "a.run", [2, 2, 1, 1, 1, 3, 2]

    def stream():
        state = Product(-1, np.zeros((17, 130)))
        for number in numbers:
            with threadpool_limits(number):
                state = multiply(state)
                yield state

    fl.last(fl.record(path, None, None, None, stream(), snapshot_every=100))
    run = fl.open_run(path, step=multiply, records=[Product])
    replay = run._replay
    recorded = [replay.reader.row(i).environment for i in range(len(numbers))]
    assert [text is not None for text in recorded] == [True, False, True, False, False, True, True]
    assert [replay.threads_at(i) for i in range(len(numbers))] == numbers
    assert [replay.threads_at(i) for i in reversed(range(len(numbers)))] == numbers[::-1]
    fork = run.fork(3, tmp_path / "b.run")
    assert fork.environment["BLAS threads"] == "1"


def test_threads_chosen_for_a_fork_are_used(tmp_path):
    """Without the change it has those of the state that it starts from."""
    trainer = trainer_of(MODELS[0], threads=2)
    fl.last(fl.record(tmp_path / "a.run", trainer, DATA, None, take(3, fl.epochs(trainer, DATA))))
    run = fl.open_run(tmp_path / "a.run")
    assert run.fork(1, tmp_path / "b.run").environment["BLAS threads"] == "2"
    fork = run.fork(1, tmp_path / "c.run", threads=1).resume(epochs=3, progress=False)
    assert fork.environment["BLAS threads"] == "1"
    assert fork.verify().ok


def test_the_environment_is_found_once(monkeypatch):
    """The canary is computed again only for another number of BLAS threads."""
    computed = []
    monkeypatch.setattr(environment, "canary", lambda: computed.append(own_threads()) or "canary")
    environment._measure.cache_clear()
    try:
        for threads in (1, 2, 1, 2, 1):
            assert current_environment("numpy", threads)["BLAS threads"] == str(threads)
    finally:
        environment._measure.cache_clear()
    assert computed == [1, 2]


def test_another_thread_finds_the_environment_after_an_epoch_with_other_blas_threads():
    """It waits for the computation, whose number of BLAS threads stays the same, and then the computation can continue."""
    environment._measure.cache_clear()
    started, release, found, seen = Event(), Event(), [], []

    def train():
        started.set()
        release.wait(30)
        seen.append(find_blas().get())

    writer = Thread(target=lambda: found.append(current_environment("numpy", 1)["BLAS threads"]))
    trainer = Thread(target=with_threads, args=(2, train))
    trainer.start()
    started.wait(30)
    writer.start()
    writer.join(0.2)
    assert not found
    assert with_threads(None, find_blas().get) == 2
    release.set()
    for thread in (trainer, writer):
        thread.join(30)
    assert (seen, found) == ([2], ["1"])


@pytest.mark.skipif(not (HAS_X86 and sys.platform == "linux"), reason="the bits are those of x86 on Linux")
@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0x8040, "rounded to nearest, subnormal numbers are flushed to zero"), (0x2000, "rounded in another way")],
)
def test_the_floating_point_mode_is_that_of_the_thread_that_computes(bits, expected):
    """A library may set it; the environment has it whatever thread asks."""
    libm, saved, changed = ctypes.CDLL("libm.so.6"), (ctypes.c_uint32 * 8)(), (ctypes.c_uint32 * 8)()
    libm.fegetenv(saved), libm.fegetenv(changed)
    changed[7] |= bits  # MXCSR
    libm.fesetenv(changed)
    try:
        observation = observe("numpy", 1)
    finally:
        libm.fesetenv(saved)
    assert environment_of(observation)["floating point"] == expected
    assert observe("numpy", 1).floating_point == "rounded to nearest"


def test_settings_of_jax_are_those_of_the_thread_that_computes():
    """A `with` block changes them for one Python thread; the canary is computed with them."""
    jax = pytest.importorskip("jax")
    with jax.default_matmul_precision("highest"):
        observation = observe("jax", 1)
    found = []
    asking = Thread(target=lambda: found.append(environment_of(observation)))
    asking.start()
    asking.join()
    assert "jax_default_matmul_precision=highest" in found[0]["JAX settings"].split()
    assert dict(find_settings())["jax_default_matmul_precision"] is None
    (line,) = environment_differences(found[0], {**found[0], "JAX settings": current_environment("jax", 1)["JAX settings"]})
    assert line == ("the settings of JAX were jax_default_matmul_precision=highest, are jax_default_matmul_precision=None")


def test_a_row_notes_where_a_setting_of_jax_changed(tmp_path):
    """The thread that trains has it, not the one that writes; without it the bits are the same here, so the run is resumed."""
    jax = pytest.importorskip("jax")
    trainer, path = trainer_of(MODELS[0]), tmp_path / "a.run"
    fl.last(fl.record(path, trainer, DATA, None, take(3, fl.epochs(trainer, DATA, engine="jax")), engine="jax"))
    with jax.default_matmul_precision("highest"):
        run = fl.open_run(path).resume(epochs=4, progress=False)
    assert [row.environment is not None for row in run.rows] == [True, False, False, True, False]
    assert str(run.verify()) == (
        "verified, 5 of 5, although the environment differs: the settings of JAX were jax_default_matmul_precision=highest, "
        "are jax_default_matmul_precision=None"
    )


FLAGS = st.dictionaries(st.sampled_from(["--xla_a", "--xla_b", "--xla_c"]), st.sampled_from(["true", "2", "x"]))


@given(FLAGS, st.randoms())
def test_the_order_of_flags_is_no_difference(flags, random):
    """Neither are repeated ones, of which the last is used."""
    shuffled = random.sample([*flags.items()], len(flags))
    text = " ".join([*(f"{name}=0" for name in flags), *(f"{name}={value}" for name, value in shuffled)])
    assert normalized(text) == " ".join(f"{name}={value}" for name, value in sorted(flags.items()))


TEXTS = st.dictionaries(st.text(max_size=5) | st.sampled_from([*environment._PARTS]), st.text(max_size=5))


@given(TEXTS, TEXTS)
def test_an_environment_is_noted_where_it_changes(first, second):
    """It comes back unchanged, and an equal one is not noted again."""
    noted = changed_environment(None, first)
    assert parse_environment(noted) == first
    again = changed_environment(noted, second)
    assert (again is None) == (first == second)
    assert again is None or parse_environment(again) == second


@given(TEXTS, TEXTS)
def test_differences_are_named_in_the_order_of_their_likelihood(was, now):
    """The canary comes first and Python last, and everything that differs has a line."""
    lines = environment_differences(was, now)
    assert len(lines) == sum(was.get(name, "none") != now.get(name, "none") for name in {**was, **now})
    starts = [f"{part.subject} {part.verbs[0]} " for part in environment._PARTS.values()]
    places = [i for line in lines for i, start in enumerate(starts) if line.startswith(start)]
    assert places == sorted(places)
