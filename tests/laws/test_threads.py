"""The trainer sets the number of BLAS threads: results do not depend on the process's setting, and no call changes it."""

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
from fnloop.core.records import evolve
from fnloop.engines import threads as module
from fnloop.engines.threads import find_blas, with_threads
from tests.replay.support import in_new_process

pytestmark = pytest.mark.skipif(find_blas() is None, reason="threadpoolctl knows no BLAS of NumPy")

SIZES = [501, 333, 77, 3]  # large enough that one and two threads give different bits
TRAINER = fl.Trainer(model=fl.mlp(SIZES), loss=fl.losses.SoftmaxCrossEntropy(), batch_size=128)
draw = np.random.default_rng(0)
DATA = fl.Dataset(draw.standard_normal((140, SIZES[0]), dtype=np.float32), draw.integers(0, 3, 140))


def train(threads=None):
    """Return hashes of the results of an epoch, a single step and predictions."""
    trainer = evolve(TRAINER, threads=threads)
    state = nth(1, fl.epochs(trainer, DATA, DATA))
    stepped = fl.make_step(trainer)(state, next(fl.batches(DATA, 128, seed=0, epoch=0)))
    measured = fl.evaluate(trainer, state, DATA)
    assert all(fl.same_bits(value, state.metrics[f"val_{name}"]) for name, value in measured.items())
    return [*map(fl.digest, (state, stepped)), fl.digest(fl.predict_proba(trainer, state, DATA.x))]


@pytest.fixture(autouse=True)
def setting_is_restored():
    """After each test no thread computes or waits, and the process's setting is restored."""
    before = find_blas().get()
    yield
    assert (find_blas().get(), module._active, module._waiting, module._original) == (before, {}, [], None)
    assert not module._forking


@pytest.fixture(scope="module")
def solo():
    """The results with one and with two threads when nothing else runs."""
    with threadpool_limits(2):
        return {threads: train(threads) for threads in (1, 2)}


def test_one_and_two_threads_give_different_bits(solo):
    """Otherwise the other tests would show nothing."""
    assert solo[1] != solo[2]


@pytest.mark.parametrize("setting", [1, 2, 3])
def test_bits_depend_on_the_trainer_alone(solo, setting):
    """They are the same under any setting of the process; by default the size of the model (193,000 parameters) decides."""
    with threadpool_limits(setting):
        assert {threads: train(threads) for threads in (1, 2)} == solo
        assert train() == solo[2]
        assert find_blas().get() == setting


@pytest.mark.parametrize("setting", ["1", "2"])
def test_bits_depend_on_the_trainer_alone_in_a_new_process(solo, setting):
    """A process that was started with another setting computes the same bits."""
    assert in_new_process(train, OPENBLAS_NUM_THREADS=setting) == solo[2]


@pytest.mark.parametrize(("sizes", "threads"), [([10, 16, 1], 1), ([999, 100], 1), ([999, 101], 2), ([1000, 1000, 1], 2)])
def test_default_number_of_threads(sizes, threads):
    """It is one up to 100,000 parameters and two above, for any batch size."""
    assert fl.Trainer(model=fl.mlp(sizes), loss=fl.losses.MeanSquaredError(), batch_size=7).blas_threads() == threads


def test_initial_weights_by_factorisation():
    """Orthogonal weights, which LAPACK computes, do not depend on the setting."""
    model = fl.nn.Sequential(300, [fl.nn.Dense(300, 300, init="orthogonal")])
    trainer = fl.Trainer(model=model, loss=fl.losses.MeanSquaredError())
    digests = []
    for setting in (1, 2):
        with threadpool_limits(setting):
            digests.append(fl.digest(fl.init_state(trainer)))
    assert digests[0] == digests[1]


def test_two_python_threads_train_with_different_numbers(solo):
    """Runs at the same time with different numbers have the bits of solo runs."""
    with ThreadPoolExecutor(4) as pool:
        numbers = [1, 2, 2, 1] * 2
        assert list(pool.map(train, numbers)) == [solo[threads] for threads in numbers]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=2, max_size=5))
def test_every_call_has_the_number_that_it_requests(requests):
    """So it is in any number of Python threads, in nested calls, and after errors."""

    def nested(numbers):
        if not numbers:
            return find_blas().get()
        inner = with_threads(numbers[0], lambda: (find_blas().get(), nested(numbers[1:]), find_blas().get()))
        assert inner[0] == inner[2] == numbers[0]
        if len(numbers) == 2:
            raise ZeroDivisionError
        return numbers[-1] if numbers[1:] else inner[1]

    with ThreadPoolExecutor(len(requests)) as pool:
        futures = [pool.submit(nested, numbers) for numbers in requests for _ in range(5)]
    for future in futures:
        assert isinstance(future.exception(), ZeroDivisionError | None)


def test_calls_with_the_same_number_run_together():
    """Two calls with one number run at once; calls that come later run in the order in which they came."""
    order, inside, go_on = [], threading.Barrier(3, timeout=30), Event()

    def record_number():
        inside.wait()
        go_on.wait(30)
        order.append(find_blas().get())

    threads = [Thread(target=with_threads, args=(1, record_number)) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    for number in (2, 1):  # the last needs the number that is set, and still waits for the one before it
        threads.append(Thread(target=with_threads, args=(number, lambda: order.append(find_blas().get()))))
        threads[-1].start()
        for _ in range(3000):
            if len(module._waiting) == number % 2 + 1:
                break
            sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert order == [1, 1, 2, 1]


@contextmanager
def other_thread_computes(number):
    """Run a computation in another Python thread until the yielded event is set."""
    inside, go_on = Event(), Event()
    other = Thread(target=with_threads, args=(number, lambda: (inside.set(), go_on.wait(30))))
    other.start()
    inside.wait(30)
    yield go_on
    go_on.set()
    other.join(30)


class Interrupted(KeyboardInterrupt):
    """Raised by the trace function in place of a signal."""


CHECKS_SIGNALS = "CALL", "RESUME", "JUMP_BACKWARD"  # instructions after which the interpreter handles signals


def interrupt(nth_check, call, go_on):
    """Raise at the n-th check for signals within a call of `_request`; return whether there were that many."""
    left, calls, done = nth_check, 0, {}

    def trace(frame, event, argument):
        nonlocal left, calls
        if frame.f_code.co_filename != module.__file__ or not (calls or frame.f_code is request):
            return None
        if event == "call":
            calls += frame.f_code is request
            frame.f_trace_opcodes = True
        elif event == "opcode":
            before, done[frame] = done.get(frame, ""), dis.opname[frame.f_code.co_code[frame.f_lasti]]
            left -= calls == call and before.startswith(CHECKS_SIGNALS)
            if left == 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    request = module._request.__code__
    sys.settrace(trace)
    try:
        with_threads(find_blas().get() + 2, go_on.set)
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("call", [1, 2], ids=["set", "restore"])
def test_an_interrupt_anywhere(call):
    """At each check for signals while the number is set or restored, an interrupt leaves the setting restored."""
    before = find_blas().get()
    for nth_check in count(1):
        was_raised = interrupt(nth_check, call, Event())
        assert (find_blas().get(), module._active, module._waiting) == (before, {}, [])
        with other_thread_computes(before + 1):
            pass
        if not was_raised:
            break
    assert nth_check > 3


def test_an_interrupt_of_a_waiting_call():
    """The computation that it waits for continues, and later calls do not wait for the interrupted one."""
    before = find_blas().get()
    for nth_check in count(1):
        with other_thread_computes(before + 1) as go_on:
            later = Timer(0.01, go_on.set)
            later.start()
            was_raised = interrupt(nth_check, 1, go_on)
            later.join()
        assert (find_blas().get(), module._active, module._waiting) == (before, {}, [])
        if not was_raised:
            break
    assert nth_check > 5


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_of_the_function(error):
    """It is raised, and the setting is restored."""

    def fails():
        raise error

    with pytest.raises(error):
        with_threads(find_blas().get() + 1, fails)


def test_a_suspended_stream_leaves_the_setting():
    """Between two states the setting is the process's own."""
    setting = find_blas().get()
    for _ in take(3, fl.epochs(evolve(TRAINER, threads=setting + 1), DATA)):
        assert (find_blas().get(), module._active) == (setting, {})


def fork_twice():
    """Return what a child process sees if another thread computes at the fork, and if the forking thread computes."""
    before = find_blas().get()
    with other_thread_computes(1):
        seen = _in_child(lambda: (find_blas().get() - before, with_threads(before + 2, find_blas().get) - before))
    inside = with_threads(before + 1, lambda: _in_child(lambda: (find_blas().get() - before, len(module._active))))
    return [seen, inside, find_blas().get() - before]


def _in_child(function):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, repr(function()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 100).decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork():
    """A child process has the process's own setting, and waits for none of the threads that it does not have."""
    assert in_new_process(fork_twice, OPENBLAS_NUM_THREADS="2") == ["(0, 2)", "(1, 1)", 0]


def fork_while_another_thread_trains():
    """Return whether child processes and the thread that trains have the right bits, and how many of them never ended."""
    trainer, ended, is_enough, digests = evolve(TRAINER, threads=2), [], Event(), []
    expected = fl.digest(nth(1, fl.epochs(trainer, DATA)))

    def train_on():
        while not is_enough.is_set():
            digests.append(fl.digest(nth(1, fl.epochs(trainer, DATA))))

    thread = Thread(target=train_on, daemon=True)
    thread.start()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(fl.digest(nth(1, fl.epochs(trainer, DATA))) == expected)
        for _ in range(2000):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                ended.append(os.waitstatus_to_exitcode(status))
                break
            sleep(0.01)
        else:
            os.kill(child, 9)
    is_enough.set()
    thread.join(20)
    return [ended, thread.is_alive(), set(digests) == {expected}]


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_another_thread_computes_with_several_blas_threads():
    """Neither waits forever for the work of BLAS threads that the fork has ended."""
    assert in_new_process(fork_while_another_thread_trains, OPENBLAS_NUM_THREADS="2") == [[1] * 5, False, True]


def fork_in_two_computations():
    """Return what two child processes see that were forked within computations of two Python threads at the same time."""
    both = threading.Barrier(2, timeout=30)

    def fork_inside():
        both.wait()
        return _in_child(find_blas().get)

    with ThreadPoolExecutor(2) as pool:
        return [*pool.map(lambda _: with_threads(2, fork_inside), range(2))]


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_two_forks_do_not_wait_for_each_other():
    """A thread that is about to fork does not compute."""
    assert in_new_process(fork_in_two_computations) == ["2", "2"]


@pytest.mark.parametrize("bad", [0, -1, 1025, 1.0, True, "2"])
def test_invalid_numbers(bad):
    """The trainer refuses them."""
    with pytest.raises((TypeError, ValueError), match="threads must be an integer of at least 1 and below 1025"):
        evolve(TRAINER, threads=bad)


def test_a_whole_epoch_uses_the_trainers_number():
    """The functions of the epoch's end do, too, such as that of a schedule."""
    seen = []

    def rate(t):
        seen.append(find_blas().get())
        return 0.1

    trainer = evolve(TRAINER, threads=find_blas().get() + 1, scheduler=fl.schedulers.LambdaLR(0.1, rate))
    epoch, states, state = fl.make_epoch(trainer, DATA, DATA), fl.steps(trainer, DATA, DATA), fl.init_state(trainer)
    seen.clear()
    assert fl.same_bits(epoch(state), nth(2, states))
    assert len(seen) == 2
    assert set(seen) == {trainer.threads}


def verify_often(path, times):
    """Return what a run says when it is verified in Python threads, while others ask for its states and train."""
    trainers = {threads: evolve(TRAINER, threads=threads) for threads in (1, 2, 4)}
    expected, runs, is_enough, wrong = {}, {}, Event(), []
    for threads, trainer in trainers.items():
        stream = take(6, fl.epochs(trainer, DATA, DATA))
        states = fl.record(f"{path}/{threads}.run", trainer, DATA, DATA, stream, snapshot_every=2)
        expected[threads] = [fl.digest(state) for state in states]
        runs[threads] = fl.open_run(f"{path}/{threads}.run")

    def train_on():
        while not is_enough.is_set():
            for threads, trainer in trainers.items():
                wrong.extend({fl.digest(nth(3, fl.epochs(trainer, DATA, DATA)))} - {expected[threads][3]})

    def ask_on():
        while not is_enough.is_set():
            for threads, run in runs.items():
                wrong.extend({fl.digest(run.state(5))} - {expected[threads][5]})

    others = [Thread(target=target, daemon=True) for target in (train_on, ask_on)]
    for other in others:
        other.start()
    with ThreadPoolExecutor(4) as pool:
        said = {str(run.verify(map=pool.map)) for _ in range(times) for run in runs.values()}
    is_enough.set()
    for other in others:
        other.join(60)
    return [len({digests[-1] for digests in expected.values()}) > 1, sorted(said), wrong]


@pytest.mark.thorough
def test_verification_in_python_threads_beside_others(tmp_path):
    """It is right every time, for runs with several numbers of BLAS threads, and so are those that train meanwhile."""
    assert in_new_process(verify_often, str(tmp_path), 5, OPENBLAS_NUM_THREADS="2") == [True, ["verified, 6 of 6"], []]


def test_the_run_file_has_the_number_that_was_used(tmp_path):
    """It does not have the setting of the process."""
    with threadpool_limits(2):
        for threads, used in ((None, "2"), (1, "1"), (3, "3")):
            path, trainer = tmp_path / f"{used}.run", evolve(TRAINER, threads=threads)
            list(fl.record(path, trainer, DATA)(take(2, fl.epochs(trainer, DATA))))
            run = fl.open_run(path)
            assert run.environment["BLAS threads"] == used
            assert run.verify().ok


def test_metrics_of_all_examples_use_the_trainers_number():
    """Custom metrics may multiply matrices."""
    seen = []

    def spy(targets, predictions):
        seen.append(find_blas().get())
        return 0.0

    trainer = evolve(TRAINER, threads=find_blas().get() + 1, metrics=(fl.metrics.Whole(spy, mode="max"),))
    nth(1, fl.epochs(trainer, DATA, DATA))
    fl.evaluate(trainer, fl.init_state(trainer), DATA)
    assert set(seen[1:]) == {trainer.threads}  # the first call tries the metric on made-up outputs
