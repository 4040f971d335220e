"""Each run of a cross-validation has the bits of `fit` on its rows; each row is predicted by a run that has not seen it."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fnloop as fl
from fnloop.data.folds import assign_folds
from fnloop.data.splits import take_rows

DATA = fl.datasets.iris().validation  # 24 rows
LABELS = fl.Dataset(
    DATA.x, np.array(["a", "b", "c"])[DATA.y.astype(int)], np.linspace(0.5, 2, len(DATA)), columns=tuple("wxyz")
)
TRAINER = fl.Trainer(model=fl.mlp([4, 5, 3]), loss="cross_entropy", scheduler=0.05, batch_size=4, metrics=["accuracy"])
LAYERS = fl.nn.Dense(4, 5), fl.nn.BatchNorm(5), fl.nn.Dropout(0.3), fl.nn.Dense(5, 3)
NORMAL = TRAINER.replace(model=fl.nn.Sequential(4, LAYERS))
MIXED = {
    "plain": TRAINER,
    "seed": TRAINER.replace(seed=7),
    "slow": TRAINER.replace(scheduler=fl.schedulers.ReduceLROnPlateau(0.01, patience=1)),
    "stops": TRAINER.replace(early_stopping=fl.EarlyStopping(patience=1, min_delta=0.1)),
    "other": NORMAL,
    "balanced": TRAINER.replace(loss=fl.losses.SoftmaxCrossEntropy(class_weights="balanced")),
    "whole": TRAINER.replace(metrics=["accuracy", "roc_auc"]),
}


def validate(trainers, data=DATA, **options):
    return fl.cross_validate(trainers, data, **{"folds": 3, "epochs": 3, "progress": False, **options})


def assert_as_alone(result, trainers, epochs=3):
    everything = np.arange(len(result.data))
    for name, trainer in trainers.items():
        for rows, fit in zip(result.rows, result.fits[name], strict=True):
            parts = take_rows(result.data, np.setdiff1d(everything, rows)), take_rows(result.data, rows)
            alone = fl.fit(trainer, *parts, epochs=epochs, monitor=result.metric, progress=False)
            assert fl.same_bits(fit.last, alone.last)
            assert fl.same_bits(fit.best_state, alone.best_state)
            assert (fit.stop_reason, fit.monitor) == (alone.stop_reason, alone.monitor)


@pytest.mark.parametrize("data", [DATA, LABELS], ids=["codes", "labels, weights and columns"])
def test_each_run_is_that_of_fit(data):
    """On its rows, to the bit: for trainers of one kind and of several, with folds of two sizes."""
    result = validate(MIXED, data, folds=5, metric="val_accuracy")
    assert {len(rows) for rows in result.rows} == {4, 5}
    assert_as_alone(result, MIXED)


def test_a_quantity():
    """Targets that are numbers, (N, 2), with regression metrics."""
    data = fl.Dataset(DATA.x, DATA.x[:, :2] * 2)
    trainer = fl.Trainer(model=fl.mlp([4, 3, 2]), loss="mse", batch_size=4, metrics=["r2"])
    result = validate(trainer, data, folds=4)
    assert_as_alone(result, {"trainer": trainer})
    assert result.predict().shape == (24, 2)


def test_rows_are_predicted_by_runs_that_have_not_seen_them():
    """In the order of the data."""
    result = validate(TRAINER, LABELS)
    predicted, probabilities = result.predict(), result.predict_proba()
    for rows, fit in zip(result.rows, result.fits["trainer"], strict=True):
        np.testing.assert_array_equal(predicted[rows], fit.predict(LABELS.x[rows]))
        np.testing.assert_array_equal(probabilities[rows], fit.predict_proba(LABELS.x[rows]))
    assert set(predicted) <= {"a", "b", "c"}


def test_a_class_that_a_fold_lacks_keeps_its_code():
    """Labels that are integers, of which one class is in a single group."""
    y = np.where(np.arange(24) < 6, 30, np.where(np.arange(24) % 2, 10, 20))
    data = fl.Dataset(DATA.x, y)
    result = validate(TRAINER, data, groups=np.arange(24) // 6, folds=4)
    assert all(fit.last.names.classes == (10, 20, 30) for fit in result.fits["trainer"])
    assert set(result.predict()) <= {10, 20, 30}


def test_values_table_and_failures():
    """A trainer that diverges is counted, and ranks last."""
    wild = TRAINER.replace(optimizer=fl.optimizers.SGD(), scheduler=1e300)
    with warnings.catch_warnings(action="ignore"):
        result = validate({"wild": wild, "sound": TRAINER}, metric="val_accuracy")
    table, values = result.table(), np.array(result.values["sound"])
    assert result.ranked == ("sound", "wild")
    assert table.loc["sound", "val_accuracy"] == pytest.approx(values.mean())
    assert table.loc["sound", "std"] == pytest.approx(values.std(ddof=1))
    assert list(table["failed"]) == [0, 3]
    assert "3 of 3 runs without a best state" in result.summary()
    with pytest.raises(fl.NoBestError):
        result.predict("wild")


def test_names_of_a_grid():
    """Trainers of a sequence are named by the fields that vary."""
    result = validate(fl.grid(TRAINER, seed=[0, 1]), epochs=1)
    assert set(result.fits) == {"seed=0", "seed=1"}


def test_names_of_different_models_are_short():
    """Their layers, cut; equal names are numbered."""
    models = [fl.mlp([4, *widths, 3]) for widths in ([], [5], [5, 5, 5, 5], [5, 5, 5, 5, 5])]
    names = list(validate([TRAINER.replace(model=model) for model in models], epochs=1).fits)
    assert names[0] == "layers=Dense(4, 3)"
    assert all(len(name) < 90 for name in names)


@given(
    st.integers(2, 40).flatmap(lambda n: st.tuples(st.lists(st.integers(0, 4), min_size=n, max_size=n), st.integers(2, n))),
    st.integers(0, 2**64 - 1),
    st.booleans(),
)
@settings(max_examples=30)
def test_folds_are_even(labels_and_folds, seed, stratify):
    """Each row is in one fold; sizes, and with `stratify` the rows of a class, differ by at most one."""
    labels, folds = labels_and_folds
    fold_of_row = assign_folds(fl.Dataset(np.zeros((len(labels), 1)), labels), folds, stratify=stratify, seed=seed)
    sizes = np.bincount(fold_of_row, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    counts = np.unique(labels, return_counts=True)
    for label in [label for label, count in zip(*counts, strict=True) if stratify and count > 1]:
        of_class = np.bincount(fold_of_row[np.array(labels) == label], minlength=folds)
        assert of_class.max() - of_class.min() <= 1


@given(st.integers(4, 30), st.integers(2, 4), st.integers(0, 100))
@settings(max_examples=20)
def test_groups_stay_together(n, folds, seed):
    """No group is in two folds, and no fold is empty."""
    groups = np.arange(n) % max(folds, n // 3)
    fold_of_row = assign_folds(fl.Dataset(np.zeros((n, 1)), np.arange(n) % 2), folds, groups=groups, seed=seed)
    assert all(len(set(fold_of_row[groups == group])) == 1 for group in groups)
    assert len(set(fold_of_row)) == folds


def test_folds_depend_on_their_seed():
    """And on nothing else."""
    assert np.array_equal(assign_folds(DATA, 3), assign_folds(DATA, 3))
    assert not np.array_equal(assign_folds(DATA, 3), assign_folds(DATA, 3, seed=1))


@pytest.mark.parametrize(
    ("trainers", "options", "message"),
    [
        (3, {}, "trainers must be a trainer, or several"),
        ([TRAINER, 3], {}, r"trainers\[1\] must be a fl.Trainer, got 3"),
        ([], {}, "trainers must have at least one trainer"),
        ({"a": TRAINER, "b": TRAINER}, {}, "trainers must all differ, but 'b' equals 'a'"),
        ({2: TRAINER}, {}, "names of trainers must be text of one line, got 2"),
        (TRAINER.replace(model=fl.mlp([5, 3])), {}, r"^data: x must be of shape \(N, 5\)"),
        ({"a": TRAINER, "b": TRAINER.replace(model=fl.mlp([5, 3]))}, {}, r"^trainers\['b'\]: data: x must be of shape"),
        (TRAINER, {"folds": 1}, "folds must be"),
        (TRAINER, {"folds": 25}, "folds must be at most the number of rows, 24, got 25"),
        (TRAINER, {"epochs": 0}, "epochs must be"),
        (TRAINER, {"seed": -1}, "seed must be"),
        (TRAINER, {"stratify": "yes"}, "stratify must be"),
        (TRAINER, {"groups": [1, 2]}, "groups must be one label for each of the 24 rows"),
        (TRAINER, {"groups": np.zeros(24)}, "groups must be 3 or more"),
        (TRAINER, {"metric": "val_f2"}, "val_f2"),
        (TRAINER, {"metric": ["val_loss"]}, r"metric must be .*\['val_loss'\]"),
        ([TRAINER, MIXED["balanced"]], {}, "metric must be stated, because the trainers have different losses"),
        (TRAINER, {"data": DATA.x}, "data must be a fl.Dataset"),
    ],
)
def test_bad_input(trainers, options, message):
    """An error at the call names the argument and its value."""
    with pytest.raises((ValueError, TypeError), match=message):
        validate(trainers, **options)


def test_a_name_that_there_is_not():
    """The error lists the names."""
    with pytest.raises(ValueError, match="name must be one of the trainers, trainer, got"):
        validate(TRAINER, epochs=1).predict("trainr")
    with pytest.raises(ValueError, match=r"name must be one of the trainers, trainer, got \['trainer'\]"):
        validate(TRAINER, epochs=1).predict(["trainer"])
