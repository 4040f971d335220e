"""A stream of `epochs` knows its trainer, data and engine, and `record` takes them from it."""

import gc
import warnings
import weakref

import pytest
from toolz import first, peek, pipe, take
from toolz.curried import take as taking

import fnloop as fl
from tests.replay.support import CustomState, custom_step, fingerprint, tiny

TRAINER, TRAIN, VALIDATION = tiny()
OTHER = fl.Dataset(TRAIN.x + 1, TRAIN.y)


def stream(**options):
    return fl.epochs(TRAINER, TRAIN, VALIDATION, **options)


def test_the_stream_of_epochs_knows_what_it_was_made_from():
    """In one line too; it is still a lazy iterator."""
    states = stream()
    assert (states.trainer, states.train, states.validation, states.engine) == (TRAINER, TRAIN, VALIDATION, "numpy")
    text = repr(states)
    assert text.startswith("EpochStream(trainer=Trainer(")
    assert "\n" not in text
    assert "engine='numpy'" in text
    assert iter(states) is states
    assert [state.epoch for state in take(3, states)] == [0, 1, 2]
    head, again = peek(states)
    assert (head.epoch, first(again).epoch) == (3, 3)


def test_the_stream_of_epochs_ends_when_it_is_closed_or_forgotten():
    """Like a generator."""
    states = stream()
    next(states)
    states.close()
    assert list(states) == []
    states.close()
    forgotten = weakref.ref(stream())
    gc.collect()
    assert forgotten() is None


def test_record_directly_after_epochs_needs_only_the_path(tmp_path):
    """The file is that of a call that says everything."""
    given = TRAINER, TRAIN, VALIDATION
    short = pipe(stream(), fl.record(tmp_path / "a.run"), taking(6), list)
    full = pipe(stream(), taking(6), fl.record(tmp_path / "b.run", *given), list)
    assert [*map(fingerprint, short)] == [*map(fingerprint, full)]
    a, b = (fl.open_run(tmp_path / name) for name in ("a.run", "b.run"))
    for name in ("trainer", "train", "validation", "engine", "monitor"):
        assert fl.same_bits(getattr(a, name), getattr(b, name))
    assert a.verify().ok
    assert [row.digest for row in a.rows] == [row.digest for row in b.rows]
    assert [fingerprint(a.state(state.epoch)) for state in short] == [*map(fingerprint, short)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trainer": tiny(batch_size=4)[0], "train": TRAIN}, "trainer must be that of the stream, it differs in batch_size; "),
        ({"trainer": TRAINER, "train": OTHER}, "train must be that of the stream, it differs in x; "),
        ({"train": OTHER}, "train must be that of the stream, it differs in x; "),
        ({"validation": OTHER}, "validation must be that of the stream, it differs in x; "),
        ({"engine": "jax"}, "engine must be that of the stream, 'numpy', got 'jax'; "),
        ({"monitor": "val_los"}, "val_los"),
    ],
)
def test_what_is_said_twice_must_be_the_same(tmp_path, monkeypatch, given, message):
    """A trainer, data or engine that is not the stream's is refused by name, before anything is computed or written."""
    monkeypatch.setattr("fnloop.runs.source.get_engine", lambda name: None)  # JAX may be missing
    with pytest.raises(ValueError, match=message):
        fl.record(tmp_path / "a.run", **given)(stream())
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_twice_may_be_an_equal_copy(tmp_path):
    """Equality is that of the bits; validation that is not given is the stream's."""
    equal, same_train = tiny()[0], fl.Dataset(TRAIN.x.copy(), TRAIN.y.copy())
    pipe(stream(), fl.record(tmp_path / "a.run", equal, same_train, engine="numpy"), taking(3), list)
    run = fl.open_run(tmp_path / "a.run")
    assert fl.same_bits(run.validation, VALIDATION)
    assert run.verify().ok


def test_a_trainer_and_the_trainer_resolved_on_the_data_are_the_same(tmp_path):
    """`fit` resolves the trainer, and its `record` may be given the original."""
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy(class_weights="balanced"))
    for name, recorder in {
        "a": fl.record(tmp_path / "a.run", trainer, TRAIN, VALIDATION),
        "b": fl.record(tmp_path / "b.run"),
    }.items():
        result = fl.fit(trainer, TRAIN, VALIDATION, epochs=2, record=recorder, progress=False)
        assert fl.same_bits(fl.open_run(tmp_path / f"{name}.run").last, result.last)


def test_a_stream_that_is_not_of_epochs_is_that_of_a_custom_step(tmp_path):
    """It needs nothing but the path either."""
    states = [CustomState(0, 0.0)]
    while len(states) < 4:
        states.append(custom_step(states[-1]))
    assert list(fl.record(tmp_path / "a.run")(states)) == states
    assert fl.open_run(tmp_path / "a.run", step=custom_step, records=[CustomState]).verify().ok


def test_a_warning_of_the_stream_points_to_the_reader(tmp_path):
    """Not to a line inside the package, also through `record`."""
    wild = fl.Trainer(model=fl.mlp([3, 4, 1]), loss="mse", optimizer="sgd", scheduler=1e30, non_finite="stop")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        states = pipe(fl.epochs(wild, TRAIN), fl.record(tmp_path / "a.run"))
        for _ in states:
            pass
    assert [warning.filename for warning in found] == [__file__]


def test_the_snapshots_of_a_run_are_limited_in_bytes(tmp_path):
    """By `record` and by `resume`; every state can still be recovered."""
    options = {"snapshot_every": 1, "max_bytes": 5000}
    states = pipe(stream(), fl.record(tmp_path / "a.run", **options), taking(61), list)
    pipe(stream(), fl.record(tmp_path / "b.run", snapshot_every=1, max_bytes=None), taking(61), list)
    few, all_of_them = (fl.open_run(tmp_path / name) for name in ("a.run", "b.run"))
    assert len(few.snapshots) < 20
    assert len(all_of_them.snapshots) == 61
    few.resume(100, progress=False, **options)
    assert len(few.snapshots) < 20
    few.resume(110, progress=False, snapshot_every=1, max_bytes=None)
    assert few.snapshots[-11:] == list(range(100, 111))
    assert [fingerprint(few.state(state.epoch)) for state in states] == [*map(fingerprint, states)]
