"""The parts of a table: every row with a target is in one of them, by class, group, time or as stated."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.data.splits import split

DRAW = np.random.default_rng(0)


def table(n, **columns):
    """A table whose feature `row` tells which row it is."""
    return pd.DataFrame({"row": np.arange(n) * 1.5, **columns})


def rows_of(parts):
    """The rows of each part, from their feature."""
    (encoder,) = [encoder for encoder in parts.preprocessing.encoders if encoder.column == "row"]
    return [np.rint((part.x[:, 0] * encoder.scale + encoder.center) / 1.5).astype(int) for part in parts_of(parts)]


def parts_of(parts):
    return parts.train, parts.validation, parts.test


@given(st.lists(st.sampled_from("aaaabbbc"), min_size=40, max_size=80), st.integers(0, 99), st.sampled_from([0.1, 0.2, 0.4]))
def test_every_row_is_in_one_part_by_class(labels, seed, test):
    """Each class has its share of every part; a class of fewer than 5 rows is in the training part alone."""
    if len(set(labels)) < 2 or max(map(labels.count, set(labels))) < 5:
        return
    parts = fl.split_table(table(len(labels), y=labels), "y", test=test, seed=seed, scaling="standard")
    rows = rows_of(parts)
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(labels)))
    assert [part.tolist() for part in parts.rows] == [part.tolist() for part in rows]
    for label in set(labels):
        counts = [sum(labels[row] == label for row in part) for part in rows]
        if labels.count(label) < 5:
            assert counts == [labels.count(label), 0, 0]
        else:
            assert abs(counts[2] - test * labels.count(label)) < 2


def test_a_split_is_that_of_a_dataset():
    """Where no class is rare."""
    y = DRAW.integers(0, 3, 100)
    parts = fl.split_table(table(100, y=y), "y", seed=5, scaling="standard")
    wanted = split(fl.Dataset(np.arange(100.0)[:, None], y), seed=5)
    assert [part.tolist() for part in rows_of(parts)] == [part.x[:, 0].astype(int).tolist() for part in wanted]


@given(st.integers(3, 12), st.integers(0, 50))
def test_groups_stay_together(groups, seed):
    """And are no feature."""
    speaker = [f"s{i % groups}" for i in range(60)]
    parts = fl.split_table(
        table(60, speaker=speaker, y=np.arange(60) % 2), "y", group="speaker", seed=seed, scaling="standard"
    )
    found = [{speaker[row] for row in rows} for rows in rows_of(parts)]
    assert sum(map(len, found)) == groups == len(set.union(*found))
    assert parts.preprocessing.schema.column("speaker").kind == "group"


@pytest.mark.parametrize("kind", ["dates", "texts", "numbers"])
def test_the_latest_rows_are_the_test_part(kind):
    """And the earliest the training part."""
    order = DRAW.permutation(50)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(order, unit="D")
    values = {"dates": when, "texts": when.strftime("%d/%m/%Y"), "numbers": order}[kind]
    parts = fl.split_table(table(50, when=values, y=DRAW.standard_normal(50)), "y", time="when", scaling="standard")
    times = [sorted(order[rows]) for rows in rows_of(parts)]
    assert [time for part in times for time in part] == list(range(50))
    assert len(times[2]) == 10


def test_parts_can_be_stated():
    """Under the usual names; a part that is not stated is taken from the training part."""
    stated = ["train", "Test", "valid", "TRAIN", "dev"] * 10
    frame = table(50, part=stated, y=DRAW.standard_normal(50))
    rows = rows_of(fl.split_table(frame, "y", split="part", scaling="standard"))
    assert [sorted({stated[row] for row in part}) for part in rows] == [["TRAIN", "train"], ["dev", "valid"], ["Test"]]
    two = ["train", "test"] * 25
    rows = rows_of(fl.split_table(frame.assign(part=two), "y", split="part", scaling="standard"))
    assert [len(part) for part in rows] == [20, 5, 25]


def test_rows_without_a_target_are_left_out():
    """And said. The others are known by their places in the table, whatever its row labels are."""
    frame = table(40, y=[1.5, 2.0, None, 4.0] * 10).set_index(np.arange(40)[::-1])
    parts = fl.split_table(frame, "y", scaling="standard")
    assert sum(map(len, parts_of(parts))) == 30
    assert [part.tolist() for part in parts.rows] == [part.tolist() for part in rows_of(parts)]
    assert parts.notes == ("10 rows without a target left out",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "nothing"}, "group must be one of the columns"),
        ({"group": "part", "time": "part"}, "group and time exclude one another"),
        ({"group": "part"}, "at least 3 different values"),
        ({"split": "row"}, "must be train, validation or test in each row, got '0' in row 0"),
        ({"time": "holes"}, "time 'holes' must have a value in each row, got none in row 1"),
        ({"group": "holes"}, "group 'holes' must have a value in each row, got none in row 1"),
        ({"time": "part"}, "must have dates, got 'train'"),
        ({"time": "same"}, "time 'same' must have different values, but all are '3'"),
        ({"group": "y"}, "group must be another column than the target, got 'y'"),
        ({"kinds": {"y": "dropped"}}, "kinds must have a category or a number for the target 'y', got 'dropped'"),
        ({"kinds": {"part": "number"}}, "column 'part' must have numbers, got 'train' in row 0"),
    ],
)
def test_an_impossible_split_is_refused(options, message):
    """With the column and the row."""
    frame = table(20, part=["train", "test"] * 10, holes=["2024-01-01", None] * 10, same=3, y=np.arange(20) % 2)
    with pytest.raises(ValueError, match=message):
        fl.split_table(frame, "y", **options)
