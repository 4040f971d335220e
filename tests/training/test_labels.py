"""Labels and named columns: a state keeps them, is measured by them and predicts them."""

from itertools import islice

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.data.names import Names

COLUMNS = ["a", "b", "c"]
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=COLUMNS)
THREE = np.where(FRAME.a > 0.4, "cat", np.where(FRAME.b > 0, "dog", "owl"))
CODES = np.searchsorted(["cat", "dog", "owl"], THREE)
TRAIN, REST = fl.Dataset(FRAME[:40], THREE[:40]), fl.Dataset(FRAME[40:], THREE[40:])


def trainer(outputs=3, **changes):
    loss = fl.losses.SoftmaxCrossEntropy() if outputs > 1 else fl.losses.BinaryCrossEntropy()
    return fl.Trainer(**{"model": fl.mlp([3, outputs]), "loss": loss, "scheduler": fl.schedulers.ConstantLR(0.05), **changes})


def trained(data, epochs=4, outputs=3):
    return fl.last(islice(fl.epochs(trainer(outputs), data), epochs))


STATE = trained(TRAIN)

kinds = st.sampled_from([st.text("abcdefgh", min_size=1), st.integers(-99, 99), st.sampled_from([0.5, 1.5, -2.0, 7.0])])


@settings(max_examples=25, deadline=None)
@given(labels=kinds.flatmap(lambda kind: st.lists(kind, min_size=3, max_size=3, unique=True)), seed=st.integers(0, 99))
def test_labels_are_codes_with_names(labels, seed):
    """A run on labels has the bits of a run on their codes, and predicts the labels of those codes."""
    codes = np.random.default_rng(seed).permutation(np.arange(12) % 3)
    x = np.random.default_rng(seed + 1).normal(size=(12, 3))
    by_label = trained(fl.Dataset(x, np.array(labels)[codes], classes=labels), 2)
    by_code = trained(fl.Dataset(x, codes), 2)
    assert by_label.names == Names((), tuple(labels))
    assert fl.same_bits(evolve(by_label, names=Names()), by_code)
    predicted = fl.predict(trainer(), by_label, x)
    assert predicted.tolist() == [labels[code] for code in fl.predict(trainer(), by_code, x)]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.where(THREE == "cat", "yes", "no"), ("no", "yes")),
        (THREE == "cat", (False, True)),
        (np.where(THREE == "cat", 1, -1), (-1, 1)),
        (np.where(THREE == "cat", 5.0, 2.0), (2.0, 5.0)),
        ((THREE == "cat").astype(int), ()),
        ((THREE == "cat").astype(np.float32), ()),
    ],
)
def test_two_classes(y, classes):
    """Text, booleans and numbers other than 0 and 1 keep their type in predictions; the second one is positive."""
    state = trained(fl.Dataset(FRAME, y), 30, outputs=1)
    predicted = fl.predict(trainer(1), state, FRAME)
    assert state.names.classes == classes
    assert predicted.dtype.kind == y.dtype.kind if classes else predicted.dtype.kind == "i"
    assert (predicted == y).mean() == fl.evaluate(trainer(1), state, fl.Dataset(FRAME, y))["accuracy"] > 0.8
    p = fl.predict_proba(trainer(1), state, FRAME)
    assert ((p[:, 1] > 0.5) == (predicted == (classes or (0, 1))[1])).all()


def test_declared_classes_define_the_order():
    """They also mark numbers as labels that could be codes."""
    reversed_classes = trained(fl.Dataset(FRAME, CODES, classes=[2, 1, 0]), 20)
    assert (fl.predict(trainer(), reversed_classes, FRAME) == CODES).mean() > 0.8
    assert (fl.predict_proba(trainer(), reversed_classes, FRAME).argmax(1) == 2 - CODES).mean() > 0.8


def test_separate_datasets_have_the_same_encoding():
    """A validation set without one of the classes, or with its columns in another order."""
    some = THREE != "dog"
    lacking = fl.Dataset(FRAME[some], THREE[some])
    declared = fl.Dataset(FRAME[some], THREE[some], classes=["cat", "dog", "owl"])
    assert fl.evaluate(trainer(), STATE, lacking) == fl.evaluate(trainer(), STATE, declared)
    reordered = fl.Dataset(pl.from_pandas(FRAME[some])[["c", "a", "b"]], THREE[some].tolist())
    assert fl.evaluate(trainer(), STATE, reordered) == fl.evaluate(trainer(), STATE, lacking)
    runs = [fl.last(islice(fl.epochs(trainer(), TRAIN, data), 3)) for data in (lacking, reordered)]
    assert fl.same_bits(*runs)


@pytest.mark.parametrize(
    "data",
    [FRAME[["b", "c", "a"]], pl.from_pandas(FRAME).with_columns(d=1), FRAME.assign(d="x", e=None), FRAME.to_numpy(), REST.x],
)
def test_columns_are_found_by_name(data):
    """In any order and among others of any type; the columns of an array are taken in their order."""
    wanted = trained(fl.Dataset(FRAME.to_numpy()[:40], CODES[:40]))
    assert fl.predict(trainer(), STATE, data).tolist() == [
        ("cat", "dog", "owl")[code] for code in fl.predict(trainer(), wanted, FRAME.to_numpy()[-len(data) :])
    ]


def test_the_names_are_part_of_the_state(tmp_path):
    """In files, on both engines, in fits and in steps."""
    pytest.importorskip("jax")
    fitted = fl.fit(trainer(), TRAIN, REST, epochs=3, progress=False, record=tmp_path / "a.run")
    run = fl.open_run(tmp_path / "a.run")
    assert fl.same_bits(run.train, TRAIN)
    assert run.verify().ok
    fl.save(run.last, tmp_path / "a.npz")
    compiled = fl.last(islice(fl.epochs(trainer(), TRAIN, engine="jax"), 3))
    stepped = fl.last(islice(fl.steps(trainer(), TRAIN), 3))
    for state in (fitted.last, run.last, fl.load(tmp_path / "a.npz"), compiled, stepped):
        assert state.names == Names(tuple(COLUMNS), ("cat", "dog", "owl"))
    assert set(fitted.predict(FRAME)) <= {"cat", "dog", "owl"}


def test_steps_on_batches_of_labels():
    """From a state with classes: the steps are those of the epoch."""
    state, step = fl.init_state(trainer(), TRAIN), fl.make_step(trainer())
    for batch in fl.batches(TRAIN, 32, seed=0, epoch=0):
        state = step(state, batch)
    epoch = fl.last(islice(fl.epochs(trainer(), TRAIN), 2))
    assert fl.same_bits((state.params, state.names), (epoch.params, epoch.names))


def test_every_function_of_a_dataset_accepts_labels():
    """The range test, balanced weights and the confusion matrix."""
    by_code = fl.Dataset(FRAME[:40], CODES[:40])
    unnamed = fl.init_state(trainer())
    assert fl.same_bits(fl.lr_range_test(trainer(), unnamed, TRAIN), fl.lr_range_test(trainer(), unnamed, by_code))
    balanced = trainer(loss=fl.losses.SoftmaxCrossEntropy(class_weights="balanced"))
    assert fl.same_bits(balanced.resolve(TRAIN), balanced.resolve(by_code))
    counts = fl.confusion_matrix(trainer(), STATE, REST)
    assert counts.sum(1).tolist() == [(REST.y == label).sum() for label in ("cat", "dog", "owl")]


MSE = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.MeanSquaredError())
REFUSED = [
    (
        lambda: fl.evaluate(trainer(), STATE, fl.Dataset(FRAME[:2], ["cat", "cow"])),
        ValueError,
        ["data", "'cow' at [1]"],
    ),
    (lambda: fl.evaluate(trainer(), STATE, fl.Dataset(FRAME[:2], [0, 1])), ValueError, ["data", "0 at [0]", "'owl'"]),
    (lambda: fl.epochs(trainer(), TRAIN, fl.Dataset(FRAME[:1], ["cow"])), ValueError, ["validation", "'cow' at [0]"]),
    (lambda: fl.predict(trainer(), STATE, FRAME[["a", "c"]]), ValueError, ["x", "missing: 'b'"]),
    (lambda: fl.predict(trainer(), STATE, FRAME.assign(b="x")), TypeError, ["x: column 'b'", "'x' at [0]"]),
    (lambda: fl.epochs(trainer(), fl.Dataset(FRAME, THREE == "cat")), ValueError, ["train", "2 classes", "3 outputs"]),
    (lambda: fl.epochs(trainer(1), TRAIN), ValueError, ["train", "3 classes", "1 output"]),
    (lambda: fl.epochs(MSE, TRAIN), TypeError, ["train", "numbers", "MeanSquaredError", "'owl' at [0]"]),
    (
        lambda: fl.epochs(trainer(), fl.Dataset(FRAME, np.char.add(THREE, "s")), start=STATE),
        ValueError,
        ["start", "'cats'"],
    ),
    (lambda: fl.epochs(trainer(), fl.Dataset(FRAME, CODES), start=STATE), ValueError, ["start", "classes", "'cat'", "none"]),
    (
        lambda: fl.epochs(trainer(), fl.Dataset(FRAME[["b", "a", "c"]], THREE), start=STATE),
        ValueError,
        ["'b', 'a'"],
    ),
    (
        lambda: fl.make_step(trainer())(fl.init_state(trainer()), fl.Batch(TRAIN.x, TRAIN.y)),
        TypeError,
        ["batch", "numbers", "'owl' at [0]", "init_state(trainer, train)"],
    ),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED, ids=[" ".join(words) for *_, words in REFUSED])
def test_unknown_labels_and_columns_raise(call, kind, words):
    """The error names the label or column and its position."""
    with pytest.raises(kind) as error:
        call()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert len(str(error.value)) < 300
