"""Controls: without one part of a check, the fault that this part detects is not detected."""

import hashlib
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from toolz import take

import fnloop as fl
from fnloop.core.fields import field_names
from fnloop.core.records import evolve
from fnloop.data import batching
from fnloop.nn.model import Params
from fnloop.runs import store
from fnloop.runs.reader import Reader
from fnloop.runs.replay import Replay
from fnloop.training import trainer as trainer_module
from fnloop.training.state import TrainState
from tests.replay.support import everything, fingerprint, in_new_process, problem, record_tiny, tiny


def nudged(array):
    """Return the array with one bit of one element changed."""
    changed = array.copy()
    changed.flat[-1] = np.nextafter(changed.flat[-1], np.inf, dtype=array.dtype)
    return changed


FAULTS = {
    "params": lambda s: Params(nudged(s.params.vector), s.params.model),
    "buffers": lambda s: (*s.buffers[:-1], nudged(s.buffers[-1])),
    "optimizer": lambda s: evolve(s.optimizer, slots=(*s.optimizer.slots[:-1], nudged(s.optimizer.slots[-1]))),
    "scheduler": lambda s: evolve(s.scheduler, lr=float(np.nextafter(s.scheduler.lr, 1))),
    "early_stopping": lambda s: evolve(s.early_stopping, wait=s.early_stopping.wait + 1),
    "epoch": lambda s: s.epoch + 1,
    "step": lambda s: s.step + 1,
    "updates": lambda s: s.updates + 1,
    "progress": lambda s: evolve(s.progress, lr=float(np.nextafter(s.progress.lr, 1))),
    "metrics": lambda s: {**s.metrics, "val_loss": float(np.nextafter(s.metrics["val_loss"], 9))},
    "loss": lambda s: s.loss + " ",
    "stopped": lambda s: fl.Stopped("finished", s.epoch, s.step, "a fault"),
    "names": lambda s: evolve(s.names, classes=("a", "fault")),
}


def test_there_is_a_fault_for_each_field():
    """No field of the state is forgotten."""
    assert tuple(FAULTS) == field_names(TrainState)


@pytest.fixture
def recorded(tmp_path):
    """Record a run with everything that a state can hold."""
    trainer, (train, validation) = everything(), problem()
    stream = take(6, fl.epochs(trainer, train, validation))
    fl.last(fl.record(tmp_path / "a.run", trainer, train, validation, stream, snapshot_every=100))
    return tmp_path / "a.run"


@pytest.mark.parametrize("field", FAULTS)
def test_one_bit_of_one_field_is_detected_unless_the_field_is_skipped(recorded, monkeypatch, field):
    """If replay changes one bit of one field in one epoch, `verify` and `state` name the epoch and the field."""
    make_epoch = fl.make_epoch

    def make_faulty(*arguments, **named):
        epoch = make_epoch(*arguments, **named)

        def faulty(state):
            trained = epoch(state)
            return evolve(trained, **{field: FAULTS[field](trained)}) if trained.epoch == 5 else trained

        return faulty

    assert fl.open_run(recorded).verify().ok
    expected = fingerprint(fl.open_run(recorded).state(5))
    monkeypatch.setattr("fnloop.runs.replay.make_epoch", make_faulty)
    monkeypatch.setattr(Reader, "snapshots", lambda self: [0])
    found = fl.open_run(recorded).verify()
    assert found.differing == ((5, (field,)),)
    assert f"the first that differs is epoch 5, in {field}; the environment is the same" in str(found)
    with pytest.raises(fl.ReplayError, match=f"the state of epoch 5 is not the recorded one: it differs in {field}; "):
        fl.open_run(recorded).state(5)

    differing = Reader.differing
    monkeypatch.setattr(Reader, "differing", lambda *arguments: tuple(name for name in differing(*arguments) if name != field))
    assert fl.open_run(recorded).verify().ok  # the control: a check without this field finds nothing
    assert fingerprint(fl.open_run(recorded).state(5)) != expected


def test_the_order_of_examples_is_compared_in_order(recorded, monkeypatch):
    """Another order of the examples is detected; the sorted ids are the same, and would not detect it."""
    train = problem()[0]
    ids = fl.Dataset(np.arange(len(train), dtype=np.float32).reshape(-1, 1), train.y)
    orders = []
    permutation = batching.permutation
    for order in (permutation, lambda *address: permutation(*address)[::-1].copy()):
        monkeypatch.setattr(batching, "permutation", order)
        orders.append([int(x) for batch in fl.batches(ids, 8, seed=11, epoch=3) for x in batch.x[:, 0]])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(train)))  # the control
    epoch, fields = fl.open_run(recorded).verify().differing[0]
    assert epoch == 1
    assert "params" in fields

    monkeypatch.setattr(batching, "permutation", permutation)
    assert [int(x) for batch in fl.batches(ids, 8, seed=11, epoch=3) for x in batch.x[:, 0]] == orders[0]
    assert in_new_process(order_of_ids) == orders[0]


def order_of_ids():
    train = problem()[0]
    ids = fl.Dataset(np.arange(len(train), dtype=np.float32).reshape(-1, 1), train.y)
    return [int(x) for batch in fl.batches(ids, 8, seed=11, epoch=3) for x in batch.x[:, 0]]


ALTERED = {
    "seconds": "UPDATE states SET seconds = 1000.0 WHERE position = 2",
    "metrics": "UPDATE states SET metrics = replace(metrics, '0.', '7.') WHERE position = 2",
    "digest": "UPDATE states SET digest = (SELECT digest FROM states WHERE position = 1) WHERE position = 2",
}


@pytest.mark.parametrize("column", ALTERED)
def test_only_the_chain_detects_an_altered_row(tmp_path, monkeypatch, column):
    """The chain detects it when the row is read; without the check, the altered row is returned."""
    record_tiny(tmp_path / "a.run", 4)
    before = fl.open_run(tmp_path / "a.run").rows[2]
    with closing(sqlite3.connect(tmp_path / "a.run", isolation_level=None)) as connection:
        connection.execute(ALTERED[column])
    with pytest.raises(fl.RunError, match="rows 0 to 4 of the states do not match the chain"):
        fl.open_run(tmp_path / "a.run")
    with closing(sqlite3.connect(tmp_path / "a.run")) as connection:
        (digest,) = connection.execute("SELECT digest FROM blocks").fetchone()
    monkeypatch.setattr(store, "rows_digest", lambda lines: digest)
    run = fl.open_run(tmp_path / "a.run")  # the control
    assert getattr(run.rows[2], column) != getattr(before, column)
    assert run.verify().ok == (column == "seconds")  # the seconds are checked by the chain alone


LARGE = {"model": fl.mlp([501, 333, 77, 3]), "loss": fl.losses.SoftmaxCrossEntropy(), "batch_size": 128}


def record_large(path, one_thread):
    """Record a run whose matrix products are large enough for several threads; return the number of threads."""
    trainer_module.MAX_PARAMETERS_OF_ONE_THREAD = one_thread
    draw = np.random.default_rng(0)
    data = fl.Dataset(draw.standard_normal((700, 501)).astype(np.float32), draw.integers(0, 3, 700))
    trainer = tiny(**LARGE)[0]
    fl.last(fl.record(path, trainer, data, data, take(4, fl.epochs(trainer, data, data)), snapshot_every=100))
    return fl.open_run(path).environment["BLAS threads"]


def verify_large(path, threads):
    """Verify and resume the run, with the recorded number of threads or another; return the results."""
    if threads is not None:
        Replay.threads_at = lambda self, position: threads
    found = fl.open_run(path).verify()
    try:
        fl.open_run(path).resume(epochs=4, progress=False)
        message = None
    except fl.ReplayError as error:
        message = str(error)
    return found.ok, str(found), found.differing[:1], message


@pytest.mark.parametrize(("one_thread", "was", "other"), [(0, "2", "1"), (10**9, "1", "2")])
def test_the_recorded_number_of_threads_is_set(tmp_path, one_thread, was, other):
    """It is set whatever the process uses. With another number, the epoch, the fields and the numbers are named."""
    path = str(tmp_path / "a.run")
    assert in_new_process(record_large, path, one_thread, OPENBLAS_NUM_THREADS=other) == was
    content = (tmp_path / "a.run").read_bytes()
    ok, text, differing, message = in_new_process(verify_large, path, int(other), OPENBLAS_NUM_THREADS=was)  # the control
    assert not ok
    assert differing[0][0] == 1
    assert "params" in differing[0][1]
    assert "the first that differs is epoch 1, in params" in text
    assert f"the number of BLAS threads was {was}, is {other}" in text
    assert "cannot be resumed with the same bits: the state of epoch" in message
    assert "is not the recorded one: it differs in params" in message
    assert f"the number of BLAS threads was {was}, is {other}" in message
    assert hashlib.sha256((tmp_path / "a.run").read_bytes()).digest() == hashlib.sha256(content).digest()
    ok, text, _, message = in_new_process(verify_large, path, None, OPENBLAS_NUM_THREADS=other)
    assert (ok, text, message) == (True, "verified, 4 of 4", None)


def test_the_fingerprint_of_the_tests_detects_each_fault():
    """The fingerprint of a state, which the tests compare, is another for each fault."""
    state = fl.last(take(3, fl.epochs(everything(), *problem())))
    digests = [fingerprint(evolve(state, **{field: fault(state)})) for field, fault in FAULTS.items()]
    assert len({fingerprint(state), *digests}) == 1 + len(FAULTS)
