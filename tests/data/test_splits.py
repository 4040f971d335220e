"""Splits: every row in one part, classes stratified to within a row, groups never divided, the same for the same arguments."""

from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fnloop as fl
from fnloop.data.splits import _controlled_rounding

FRACTIONS = st.sampled_from([0, 0.01, 0.1, 0.2, 1 / 3, 0.5, 0.7, 0.99])
SEEDS = st.integers(0, 2**64 - 1)
labels = st.lists(st.integers(0, 5), min_size=3, max_size=80)


def data_of(y):
    """A dataset whose only feature and weight is the number of the row."""
    rows = np.arange(len(y), dtype=float)
    return fl.Dataset(rows[:, None], np.asarray(y), rows)


def parts_of(split):
    return {name: getattr(split, name) for name in ("train", "validation", "test")}


def rows_of(split):
    """The row numbers of each part; none for a missing part."""
    return {name: [] if part is None else part.x[:, 0].astype(int).tolist() for name, part in parts_of(split).items()}


def split_of(y, test, validation, **more):
    """The row numbers of a split, or None if a part would be empty, which raises."""
    try:
        split = fl.split(data_of(y), test=test, validation=validation, **more)
    except ValueError as error:
        assert "must leave a row for training" in str(error) or "groups must be" in str(error)  # noqa: PT017
        return None
    rows = rows_of(split)
    assert sorted(chain.from_iterable(rows.values())) == list(range(len(y)))
    assert all(chosen == sorted(chosen) for chosen in rows.values())
    for name, part in parts_of(split).items():
        assert part is None or (part.y.tolist() == [y[i] for i in rows[name]] and part.weights.tolist() == rows[name])
        assert (part is None) == ({"test": test, "validation": validation}.get(name) == 0)
    return rows


@given(labels, FRACTIONS, FRACTIONS, st.booleans(), SEEDS)
def test_parts_are_a_partition_of_the_requested_sizes(y, test, validation, stratify, seed):
    """To half a row, but at least one row; the same for the same arguments."""
    rows = split_of(y, test, validation, stratify=stratify, seed=seed)
    if rows is not None:
        tested, validated = len(rows["test"]), len(rows["validation"])
        assert abs(tested - len(y) * test) <= 0.5 or tested == 1
        assert abs(validated - (len(y) - tested) * validation) <= 0.5 or validated == 1
        assert rows == split_of(y, test, validation, stratify=stratify, seed=seed)


@given(labels, FRACTIONS, FRACTIONS, SEEDS)
def test_class_shares_are_within_a_row(y, test, validation, seed):
    """For every class and every part."""
    rows = split_of(y, test, validation, seed=seed)
    for chosen in (rows or {}).values():
        for label in set(y):
            share = Fraction(y.count(label) * len(chosen), len(y))
            assert abs(sum(y[i] == label for i in chosen) - share) < 1


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 60), st.integers(0, 60), SEEDS)
def test_controlled_rounding(rows, first, second, seed):
    """Row and column sums stay, and each entry becomes one of its two nearest multiples."""
    unit = first + second + 7
    table = np.multiply.outer(rows, [first, second, 7])
    table = np.append(table, [[-sum(table[:, p].tolist()) % unit for p in range(3)]], axis=0)  # columns sum to multiples
    rounded = _controlled_rounding(table, unit, iter(np.random.default_rng(seed).integers(0, 2**63, 100).tolist()))
    assert (rounded.sum(0) * unit == table.sum(0)).all()
    assert (rounded.sum(1) * unit == table.sum(1)).all()
    assert (abs(rounded * unit - table) < unit).all()


@settings(max_examples=50)
@given(labels, st.data(), FRACTIONS, FRACTIONS, st.booleans(), SEEDS)
def test_groups_are_never_divided(y, draw, test, validation, stratify, seed):
    """No requested part is empty; a size exceeds the requested one by less than the largest group."""
    groups = draw.draw(st.lists(st.sampled_from("abcdefgh"), min_size=len(y), max_size=len(y)))
    rows = split_of(y, test, validation, stratify=stratify, groups=groups, seed=seed)
    if rows is None:
        return
    groups_of_parts = [{groups[i] for i in chosen} for chosen in rows.values()]
    assert sum(map(len, groups_of_parts)) == len(set(groups))
    if not stratify:
        requested = split_of(y, test, validation, stratify=False, seed=seed)
        largest = max(map(groups.count, groups))
        assert all(len(rows[name]) - len(requested[name]) < largest for name in rows)


def test_groups_with_classes():
    """Patients with several rows each: their rows stay together, and diagnoses are stratified."""
    draw = np.random.default_rng(0)
    patients = draw.integers(0, 200, 2000)
    diagnosis = (patients % 5 == 0).astype(int)
    split = fl.split(data_of(diagnosis), groups=patients)
    for part, share in zip(parts_of(split).values(), (0.64, 0.16, 0.2), strict=True):
        assert abs(len(part) / 2000 - share) < 0.01
        assert abs(part.y.mean() - diagnosis.mean()) < 0.01


def test_every_row_is_equally_likely():
    """Over many seeds, every row is equally often in the test part, also in classes of one, two and three rows."""
    y = [0] + [1] * 2 + [2] * 3 + [3] * 14
    counts = np.zeros(20)
    for seed in range(600):
        counts[rows_of(fl.split(data_of(y), seed=seed))["test"]] += 1
    assert abs(counts / 600 - 0.2).max() < 0.08  # five standard deviations


def test_without_a_seed_the_order_is_kept():
    """For time series."""
    rows = rows_of(fl.split(data_of([1.5] * 10), stratify=False, seed=None))
    assert rows == {"train": list(range(6)), "validation": [6, 7], "test": [8, 9]}


@pytest.mark.parametrize("y", [np.arange(50.0), np.arange(100.0).reshape(50, 2), np.tile(np.eye(5), (10, 1))])
def test_targets_of_any_kind(y):
    """Distinct values are split at random; equal rows of targets are a class, too."""
    split = fl.split(fl.Dataset(np.arange(50.0)[:, None], y))
    assert [len(part) for part in parts_of(split).values()] == [32, 8, 10]
    if y.ndim == 2 and y.shape[1] == 5:
        assert split.test.y.sum(0).tolist() == [2] * 5


def test_parts_know_all_classes_and_columns():
    """Even if no row of a part has a label."""
    y = ["rare", *["a", "b"] * 10]
    data = fl.Dataset(np.zeros((21, 2)), y, columns=("one", "two"))
    for part in parts_of(fl.split(data)).values():
        assert (part.classes, part.columns) == (("a", "b", "rare"), ("one", "two"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"test": 1.0}, ValueError, r"test must be a real number in \[0, 1\), got 1.0"),
        ({"validation": -0.1}, ValueError, r"validation must be a real number in \[0, 1\), got -0.1"),
        ({"test": 0.99, "validation": 0.99}, ValueError, "must leave a row for training, got 0.99 and 0.99 of 10 rows"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"seed": None}, ValueError, r"seed must be an integer for a split by class \(stratify=True\)"),
        ({"stratify": 1}, TypeError, "stratify must be True or False, got 1"),
        ({"groups": [1, 2]}, ValueError, r"groups must be one label for each of the 10 rows, got shape \(2,\)"),
        ({"groups": [1] * 10}, ValueError, "groups must be 3 or more, one for each part, got 1"),
        ({"groups": [np.nan] * 10}, ValueError, "groups must have no missing labels, got one in row 0"),
        ({"groups": [None] * 10}, TypeError, "groups must be numbers or strings"),
        ({"groups": iter([1] * 10)}, TypeError, "groups must be a sequence of labels, such as a list, got <list_iterator"),
        ({"groups": {1, 2}}, TypeError, "groups must be a sequence of labels"),
        ({"groups": {"a": 1}}, TypeError, "groups must be a sequence of labels"),
    ],
)
def test_invalid_arguments(arguments, error, message):
    """The message has the argument, its value and what is allowed."""
    with pytest.raises(error, match=message):
        fl.split(data_of([0, 1] * 5), **arguments)
    with pytest.raises(TypeError, match=r"data must be a fl\.Dataset"):
        fl.split(np.zeros((10, 1)))


def test_a_split_unpacks_in_the_order_of_use():
    """Training, validation, test; a part whose fraction is 0 is None."""
    data = fl.Dataset(np.arange(10.0).reshape(10, 1), np.arange(10) % 2)
    parts = fl.split(data, validation=0)
    train, validation, test = parts
    assert (train, validation, test) == (parts.train, None, parts.test)
