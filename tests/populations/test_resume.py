"""Recorded runs that are continued together have the bits of runs that were never interrupted."""

import pytest

import fnloop as fl
from fnloop.populations.resume import resume_together
from fnloop.runs.lock import lock
from fnloop.runs.reader import Reader
from fnloop.runs.replay import Replay

DATA = fl.datasets.iris()
STOPPING = fl.EarlyStopping(patience=2, min_delta=1e-3)
BASE = fl.Trainer(model=fl.mlp([4, 3, 3]), loss="cross_entropy", batch_size=16, early_stopping=STOPPING)
TRAINERS = [*fl.grid(BASE, seed=range(2), lr=[0.01, 0.3]), BASE.replace(model=fl.mlp([4, 3]))]  # two kinds


@pytest.fixture
def paths(tmp_path):
    """The run files of an interrupted sweep; one run is ahead, and one is of other data."""
    fl.sweep(TRAINERS, DATA.train, DATA.validation, epochs=3, record=tmp_path, progress=False)
    fl.open_run(tmp_path / "0001.run").resume(5, progress=False)
    fl.fit(TRAINERS[0], DATA.test, DATA.validation, epochs=2, record=tmp_path / "0005.run", progress=False)
    return sorted(tmp_path.glob("*.run"))


def resume(paths, epochs, show=lambda states: None):
    resume_together([Replay(Reader(path)) for path in paths], epochs, show)


def check(paths, epochs):
    """Compare each run with one that was never interrupted."""
    for trainer, path in zip([*TRAINERS, TRAINERS[0]], paths, strict=True):
        run = fl.open_run(path)
        train = DATA.test if path.name == "0005.run" else DATA.train
        whole = fl.fit(trainer, train, DATA.validation, epochs=epochs, progress=False)
        assert fl.same_bits(run.last, whole.last)
        assert fl.same_bits(run.best(), whole.best)
        assert run.verify().ok


def test_each_run_continues_to_the_bits_of_its_own(paths):
    """Those of one kind and the same data train together, as the states that are shown say; a stopped run is unchanged."""
    shown = []
    resume(paths, 12, lambda states: shown.append(len(states)))
    assert shown[0] == 4
    check(paths, 12)
    assert {fl.open_run(path).stop_reason for path in paths} == {None, "no improvement"}
    before = [path.read_bytes() for path in paths]
    resume(paths, 12)
    assert [path.read_bytes() for path in paths] == before


def test_ctrl_c_leaves_all_epochs_in_the_files(paths):
    """And they can be resumed."""

    def interrupt(states):
        if max(state.epoch for state in states.values()) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume(paths, 12, interrupt)
    assert [fl.open_run(path).rows[-1].epoch for path in paths] == [5, 7, 5, 5, 3, 2]
    resume(paths, 8)
    check(paths, 8)


def test_a_file_that_is_recorded_to_is_refused(paths):
    """Nothing is appended to the others of its kind, and none stays locked."""
    release = lock(paths[2])
    with pytest.raises(fl.RunError, match=r"0002.run.* is being written by"):
        resume(paths, 12)
    assert [fl.open_run(path).rows[-1].epoch for path in paths[:4]] == [3, 5, 3, 3]
    release()
    resume(paths, 6)
    check(paths, 6)
