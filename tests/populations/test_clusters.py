"""Members that train in other processes: the same bits, progress as they come, and errors that name members and workers."""

import os
import pickle
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import ThreadPool

import pytest
from joblib import Parallel

import fnloop as fl
from fnloop.runs import parallel
from fnloop.runs.package import Package

DATA = fl.datasets.iris()
TRAINER = fl.Trainer(model=fl.mlp([4, 8, 3]), loss="cross_entropy", batch_size=32)
TRAINERS = [
    *fl.grid(TRAINER, seed=range(3), lr=[0.01, 0.1]),
    *fl.grid(TRAINER.replace(model=fl.mlp([4, 3])), seed=range(2)),
]


def sweep(trainers=TRAINERS, **options):
    return fl.sweep(trainers, DATA.train, DATA.validation, **{"epochs": 3, "progress": False, **options})


def results(found):
    """All that does not depend on the clock."""
    return [fl.digest((fit.last, fit.best, fit.trainer, fit.stop_reason)) for fit in found]


def same_package(fake):
    return fake


@pytest.fixture
def pool():
    with ThreadPool(1) as made:
        yield made


@pytest.mark.parametrize("name", ["map", "imap"])
def test_maps_of_one_argument_give_the_same_results(pool, name, tmp_path):
    """So does joblib; each member has its run file."""
    assert results(sweep(map=getattr(pool, name), record=tmp_path)) == results(sweep())
    assert results(sweep(map=Parallel(1))) == results(sweep())
    assert len(list(tmp_path.iterdir())) == len(TRAINERS)
    run = fl.open_run(tmp_path / "0001.run")
    assert run.verify(map=pool.map).ok
    assert run.verify(map=Parallel(1)).ok
    assert run.probe(lambda state: state.epoch, map=pool.map) == [0, 1, 2, 3]


def test_progress_counts_the_members_that_are_ready(pool, capsys):
    """One line for each group."""
    sweep(map=pool.map, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["6 of 8 members", "8 of 8 members"]
    assert "best val_loss" in lines[0]


def test_a_failure_names_the_members(pool):
    """It has the cause and the process."""
    bad = [TRAINER.replace(scheduler=1e30, optimizer="sgd", non_finite="raise", seed=seed) for seed in (5, 6)]
    with pytest.raises(fl.RunError, match=r"map: the group of members 8, 9 failed in process \d+ on .*: NonFiniteError: "):
        sweep([*TRAINERS, *bad], map=pool.map)


def test_workers_with_another_version_are_named(pool, monkeypatch):
    """By the digest of the source; also by `verify`."""
    other = Package("0.0.9", "ab" * 32)
    monkeypatch.setattr(parallel, "this_package", lambda: other)
    message = (
        r"map: process \d+ on .* has fnloop .* \([0-9a-f]{12}\), but the work was sent by fnloop 0\.0\.9 \(abababababab\)"
    )
    with pytest.raises(fl.RunError, match=message):
        sweep(map=pool.map)


def test_a_map_that_drops_results_is_refused():
    """The message has their number."""
    with pytest.raises(ValueError, match="map must give a result for each of 2 tasks, got 0"):
        sweep(map=lambda function, tasks: [])
    with pytest.raises(TypeError, match="map must be an executor, a pool, a client of Dask or a function such as map, got 3"):
        sweep(map=3)


def test_a_part_that_no_process_can_be_sent_is_named():
    """As by the map of processes, which pickle each task. An error of the map itself is that of the map."""

    def map_of_processes(function, tasks):
        return (function(pickle.loads(pickle.dumps(task))) for task in tasks)

    def broken_map(function, tasks):
        raise TypeError("no workers")

    local = TRAINER.replace(metrics=(fl.metrics.Mean(lambda outputs, targets: targets, mode="min"),))
    with pytest.raises(TypeError, match=r"^map must be one of this process, as trainers\[8\].metrics\[0\].function cannot be"):
        sweep([*TRAINERS, local], map=map_of_processes)
    with pytest.raises(TypeError, match=r"^no workers$"):
        sweep(map=broken_map)


@pytest.mark.thorough
def test_processes_of_a_pool_and_of_an_executor(tmp_path):
    """Without any shared memory."""
    context = get_context("spawn")
    with context.Pool(2) as pool, ProcessPoolExecutor(2, context) as executor:
        for map in (pool.map, executor.map, pool, executor):
            assert results(sweep(map=map)) == results(sweep())


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processes, each of which computes one task at a time."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as made:
        yield made


@pytest.fixture
def client(cluster):
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster) as made:
        yield made


dask = [pytest.mark.thorough, pytest.mark.filterwarnings("default")]
MANY = [TRAINER.replace(model=fl.mlp([4, width, 3])) for width in range(2, 26)]  # each is a group


def check_disturbed_sweep(client, disturb):
    """The results of a sweep that is disturbed while it computes are those of one that is not."""
    disturbed = []

    def disturb_it():
        while not any(client.processing().values()):
            time.sleep(0.01)
        disturb()
        disturbed.append(True)

    thread = threading.Thread(target=disturb_it)
    thread.start()
    found = sweep(MANY, epochs=60, map=client)
    thread.join()
    assert disturbed
    assert results(found) == results(sweep(MANY, epochs=60))


class TestDask:
    pytestmark = dask

    @pytest.mark.parametrize("choose", [lambda client: client, lambda client: client.map])
    def test_a_client_gives_the_same_results(self, client, choose, tmp_path, capsys):
        """Also the run files, and what is computed from them."""
        here, there = sweep(), sweep(map=choose(client), record=tmp_path, progress=True)
        assert results(here) == results(there)
        assert "8 of 8 members" in capsys.readouterr().err
        for index, fit in enumerate(here):
            run = fl.open_run(tmp_path / f"{index:0>4}.run")
            assert fl.same_bits(run.last, fit.last)
        assert run.verify(map=choose(client)).ok
        assert run.probe(fl.digest, map=choose(client)) == run.probe(fl.digest)

    def test_the_data_is_sent_once(self, client, monkeypatch):
        """Tasks have trainers only."""
        sent = []
        submit = client.submit
        monkeypatch.setattr(client, "submit", lambda *args, **options: sent.append(args[-1]) or submit(*args, **options))
        sweep(MANY[:4], map=client)
        assert len(sent) == 5
        assert len(pickle.dumps(sent[0])) > DATA.train.x.nbytes
        assert all(len(pickle.dumps(task)) < DATA.train.x.nbytes * 2 for task in sent[1:])

    def test_a_worker_is_killed_and_another_joins(self, client, cluster):
        """The tasks of the lost one are computed by others, to the same bits."""
        killed = []

        def disturb():
            cluster.scale(3)
            killed.append(client.run(os.getpid).popitem()[1])
            os.kill(killed[0], signal.SIGKILL)

        check_disturbed_sweep(client, disturb)
        client.wait_for_workers(3, timeout=60)
        assert killed[0] not in client.run(os.getpid).values()

    def test_all_workers_are_killed(self, client, cluster):
        """As when the time of a job ends: new ones get the data again."""

        def disturb():
            for process in client.run(os.getpid).values():
                os.kill(process, signal.SIGKILL)

        check_disturbed_sweep(client, disturb)

    def test_a_failure_names_the_members(self, client):
        """And the next sweep is not disturbed by it."""
        bad = TRAINER.replace(scheduler=1e30, optimizer="sgd", non_finite="raise")
        with pytest.raises(fl.RunError, match=r"map: the group of member 24 failed in process .*NonFiniteError"):
            sweep([*MANY, bad], map=client)
        assert results(sweep(map=client)) == results(sweep())

    def test_workers_with_another_version_are_named(self, client, monkeypatch):
        monkeypatch.setattr(parallel, "this_package", partial(same_package, Package("0.0.9", "ab" * 32)))
        with pytest.raises(fl.RunError, match=r"has fnloop .* but the work was sent by fnloop 0\.0\.9"):
            sweep(map=client)
