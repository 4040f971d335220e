"""The number of BLAS threads is the trainer's: bits do not depend on the process's setting, and no call changes that."""

import dis
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread, Timer
from time import sleep

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from toolz import nth, take

import fnloop as fl
from fnloop.core.digest import hash_of
from fnloop.core.records import evolve
from fnloop.engines import threads as module
from fnloop.engines.threads import find_blas, with_threads
from tests.replay.support import in_new_process

pytestmark = pytest.mark.skipif(find_blas() is None, reason="threadpoolctl knows no BLAS of NumPy")

SIZES = [501, 333, 77, 3]  # large enough that two threads give other bits than one
TRAINER = fl.Trainer(model=fl.mlp(SIZES), loss=fl.losses.SoftmaxCrossEntropy(), batch_size=128)
draw = np.random.default_rng(0)
DATA = fl.Dataset(draw.standard_normal((140, SIZES[0]), dtype=np.float32), draw.integers(0, 3, 140))


def trained(threads=None):
    """What comes of an epoch, an evaluation, outputs and a single step."""
    trainer = evolve(TRAINER, threads=threads)
    state = nth(1, fl.epochs(trainer, DATA, DATA))
    stepped = fl.make_step(trainer)(state, next(fl.batches(DATA, 128, seed=0, epoch=0)))
    measured = fl.evaluate(trainer, state, DATA)
    assert all(fl.same_bits(value, state.metrics[f"val_{name}"]) for name, value in measured.items())
    return [*map(fl.digest, (state, stepped)), hash_of(fl.predict_proba(trainer, state, DATA.x)).hex()]


@pytest.fixture(autouse=True)
def the_setting_is_what_it_was():
    """After each test nobody computes, nobody waits, and the process's setting is as before."""
    before = find_blas().get()
    yield
    assert (find_blas().get(), module._held, module._queue, module._before) == (before, {}, [], None)


@pytest.fixture(scope="module")
def solo():
    """What trainers of one and of two threads come to when nothing else runs."""
    with threadpool_limits(2):
        return {threads: trained(threads) for threads in (1, 2)}


def test_one_and_two_threads_give_different_bits(solo):
    """The control: these matrix products notice."""
    assert solo[1] != solo[2]


@pytest.mark.parametrize("setting", [1, 2, 3])
def test_bits_depend_on_the_trainer_alone(solo, setting):
    """Whatever the process is set to; by default the number follows from the size of the model, 193,000 parameters here."""
    with threadpool_limits(setting):
        assert {threads: trained(threads) for threads in (1, 2)} == solo
        assert trained() == solo[2]
        assert find_blas().get() == setting


@pytest.mark.parametrize("setting", ["1", "2"])
def test_bits_depend_on_the_trainer_alone_in_a_new_process(solo, setting):
    """Which was started with another setting."""
    assert in_new_process(trained, OPENBLAS_NUM_THREADS=setting) == solo[2]


@pytest.mark.parametrize(("sizes", "threads"), [([10, 16, 1], 1), ([999, 100], 1), ([999, 101], 2), ([1000, 1000, 1], 2)])
def test_the_rule(sizes, threads):
    """One thread up to 100,000 parameters, two beyond, whatever the batch size."""
    assert fl.Trainer(model=fl.mlp(sizes), loss=fl.losses.MeanSquaredError(), batch_size=7).blas_threads() == threads


def test_initial_weights_by_factorisation():
    """Orthogonal ones are LAPACK's."""
    model = fl.nn.Sequential(300, [fl.nn.Dense(300, 300, init="orthogonal")])
    trainer = fl.Trainer(model=model, loss=fl.losses.MeanSquaredError())
    made = []
    for setting in (1, 2):
        with threadpool_limits(setting):
            made.append(fl.digest(fl.init_state(trainer)))
    assert made[0] == made[1]


def test_two_python_threads_train_with_different_numbers(solo):
    """At the same time, again and again: each has its solo run's bits."""
    with ThreadPoolExecutor(4) as pool:
        asked = [1, 2, 2, 1] * 2
        assert list(pool.map(trained, asked)) == [solo[threads] for threads in asked]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=2, max_size=5))
def test_what_is_asked_for_is_what_is_set(asked):
    """In any number of Python threads, with calls within calls, and where some of them fail."""

    def nested(numbers):
        if not numbers:
            return find_blas().get()
        inner = with_threads(numbers[0], lambda: (find_blas().get(), nested(numbers[1:]), find_blas().get()))
        assert inner[0] == inner[2] == numbers[0]
        if len(numbers) == 2:
            raise ZeroDivisionError
        return numbers[-1] if numbers[1:] else inner[1]

    with ThreadPoolExecutor(len(asked)) as pool:
        futures = [pool.submit(nested, numbers) for numbers in asked for _ in range(5)]
    for future in futures:
        assert isinstance(future.exception(), ZeroDivisionError | None)


def test_who_asks_for_the_same_number_does_not_wait():
    """Two compute side by side, a third with another number after them; and then in the order in which they came."""
    order, inside, go_on = [], threading.Barrier(3, timeout=30), Event()

    def beside():
        inside.wait()
        go_on.wait(30)
        order.append(find_blas().get())

    threads = [Thread(target=with_threads, args=(1, beside)) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    for number in (2, 1):  # the last asks for what is set, and yet waits for the one before it
        threads.append(Thread(target=with_threads, args=(number, lambda: order.append(find_blas().get()))))
        threads[-1].start()
        for _ in range(3000):
            if len(module._queue) == number % 2 + 1:
                break
            sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert order == [1, 1, 2, 1]


@contextmanager
def another_computes(number):
    """Another Python thread, until the event that is given is set."""
    inside, go_on = Event(), Event()
    other = Thread(target=with_threads, args=(number, lambda: (inside.set(), go_on.wait(30))))
    other.start()
    inside.wait(30)
    yield go_on
    go_on.set()
    other.join(30)


class Interrupted(KeyboardInterrupt):
    """Raised by tracing."""


LISTENS = "CALL", "RESUME", "JUMP_BACKWARD"  # the interpreter looks for signals once it has done one of these


def interrupted(events, call, go_on):
    """Whether a signal came at the so manyth place where it can, within that call of what sets and restores."""
    left, calls, done = events, 0, {}

    def trace(frame, event, argument):
        nonlocal left, calls
        if frame.f_code.co_filename != module.__file__ or not (calls or frame.f_code is hold):
            return None
        if event == "call":
            calls += frame.f_code is hold
            frame.f_trace_opcodes = True
        elif event == "opcode":
            before, done[frame] = done.get(frame, ""), dis.opname[frame.f_code.co_code[frame.f_lasti]]
            left -= calls == call and before.startswith(LISTENS)
            if left == 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    hold = module._hold.__code__
    sys.settrace(trace)
    try:
        with_threads(find_blas().get() + 2, go_on.set)
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("call", [1, 2], ids=["as it begins", "as it ends"])
def test_an_interrupt_anywhere(call):
    """At each place where a signal can be heard in what sets and restores."""
    before = find_blas().get()
    for events in count(1):
        came = interrupted(events, call, Event())
        assert (find_blas().get(), module._held, module._queue) == (before, {}, [])
        with another_computes(before + 1):
            pass
        if not came:
            break
    assert events > 3


def test_an_interrupt_while_it_waits():
    """For somebody who computes with another number: that one goes on, and nobody waits for who was interrupted."""
    before = find_blas().get()
    for events in count(1):
        with another_computes(before + 1) as go_on:
            later = Timer(0.01, go_on.set)
            later.start()
            came = interrupted(events, 1, go_on)
            later.join()
        assert (find_blas().get(), module._held, module._queue) == (before, {}, [])
        if not came:
            break
    assert events > 5


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_within(error):
    """Comes through, and the setting is restored."""

    def fails():
        raise error

    with pytest.raises(error):
        with_threads(find_blas().get() + 1, fails)


def test_a_suspended_stream_holds_nothing():
    """Between two states the setting is the process's."""
    setting = find_blas().get()
    for _ in take(3, fl.epochs(evolve(TRAINER, threads=setting + 1), DATA)):
        assert (find_blas().get(), module._held) == (setting, {})


def forked():
    """What a child of fork sees that was made while another Python thread computed, and one made by who computes."""
    before = find_blas().get()
    with another_computes(before + 1):
        seen = _in_child(lambda: (find_blas().get() - before, with_threads(before + 2, find_blas().get) - before))
    inside = with_threads(before + 1, lambda: _in_child(lambda: (find_blas().get() - before, len(module._held))))
    return [seen, inside, find_blas().get() - before]


def _in_child(function):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, repr(function()).encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 100).decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork():
    """The child of a process in which another thread computes has the process's setting, and waits for nobody."""
    assert in_new_process(forked) == ["(0, 2)", "(1, 1)", 0]


@pytest.mark.parametrize("bad", [0, -1, 1025, 1.0, True, "2"])
def test_bad_numbers(bad):
    """Are refused by the trainer."""
    with pytest.raises((TypeError, ValueError), match="threads must be an integer of at least 1 and below 1025"):
        evolve(TRAINER, threads=bad)


def test_the_run_file_says_what_the_fold_used(tmp_path):
    """And not what the process is set to."""
    with threadpool_limits(2):
        for threads, used in ((None, "2"), (1, "1"), (3, "3")):
            path, trainer = tmp_path / f"{used}.run", evolve(TRAINER, threads=threads)
            list(fl.record(path, trainer, DATA)(take(2, fl.epochs(trainer, DATA))))
            run = fl.open_run(path)
            assert run.environment["BLAS threads"] == used
            assert run.verify().ok


def test_metrics_of_all_examples_are_measured_with_the_trainers_number():
    """Whoever wrote them may multiply matrices."""
    seen = []

    def spy(targets, predictions):
        seen.append(find_blas().get())
        return 0.0

    trainer = evolve(TRAINER, threads=find_blas().get() + 1, metrics=(fl.metrics.Whole(spy, mode="max"),))
    nth(1, fl.epochs(trainer, DATA, DATA))
    fl.evaluate(trainer, fl.init_state(trainer), DATA)
    assert set(seen[1:]) == {trainer.threads}  # the first call tries the metric on made-up outputs
