"""Difficult tables: each is taken or refused in the same way by every function and by the command."""

import datetime
import gzip
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

import fnloop as fl
from tests.cli.support import run_here

N = 60
DRAW = np.random.default_rng(0)
X = DRAW.standard_normal(N)
AB = ["a", "b"] * (N // 2)


def table(y=None, **columns):
    return pd.DataFrame({"x": X, **columns, "y": AB if y is None else y})


CASES = {  # a table, and the messages of `fit` and of `split_table`; None if it is taken
    "no rows left": (table([None] * (N - 3) + ["a", "b", "a"]), None, "at least 5 rows with a target, got 3"),
    "one class": (table(["a"] * N), *["target 'y' must have at least 2 classes, got only 'a'"] * 2),
    "one value": (table([2.5] * N), *["target 'y' must have different values, but all are 2.5"] * 2),
    "no target": (table([None] * N), *["target 'y' must have values, but all 60 cells are missing"] * 2),
    "1,000 classes": (pd.DataFrame({"x": np.arange(4000.0) % 7, "y": [f"c{i % 1000}" for i in range(4000)]}), None, None),
    "two rows": (pd.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"]}), None, "at least 5 rows, got 2"),
    "long integers": (table(k=np.arange(N) + 2**60), None, None),
    "long classes": (table(np.arange(N) % 2 + 2**60), None, None),
    "long target": (
        table(np.arange(N) + 2**60),
        *[r"different integers beyond 2\^53 \((task='regression'|--task regression) rounds"] * 2,
    ),
    "mixed types": (table(k=[1, "two", 3.5, None] * 15), None, None),
    "mixed target": (table([1, "two", 3.5, "007"] * 15), None, None),
    "booleans": (table([True, False, None] * 20, k=[True, False] * 30), None, None),
    "missing column": (table(k=[None] * N), None, None),
    "only missing": (pd.DataFrame({"a": [None] * N, "y": AB}), *["got none: a: left out .constant., 60 missing"] * 2),
    "infinite": (table(k=[np.inf, -np.inf, -0.0, 1.0] * 15), None, None),
    "tiny": (table(k=[1e-320, 0.0, 2e-320] * 19 + [5.0, 1e150, -1e150]), None, None),
    "all infinite": (table(k=[np.inf, -np.inf] * 30), None, None),
    "long names": (table(**{"a\nb": X, "🎉": X, "z" * 5000: X}), None, None),
    "zones": (table(k=pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin")), None, None),
    "a target of dates": (table(pd.date_range("2024-01-01", periods=N)), *["60 different dates in 60 rows"] * 2),
    "lists late": (table(k=["u"] * 40 + [[1]] * 20), None, None),
    "no column": (pd.DataFrame({"y": AB}), *["columns other than the target 'y', got none"] * 2),
}
WIDE = pd.DataFrame(DRAW.standard_normal((40, 5000)), columns=[f"c{i}" for i in range(5000)]).assign(y=["a", "b"] * 20)


def taken(frame, target="y"):
    """The features of a frame that is taken, which are finite and have all rows."""
    preprocessing = fl.Preprocessing.fit(frame, target)
    features = preprocessing.features(frame)
    assert np.isfinite(features).all()
    assert len(features) == len(frame)
    data = preprocessing.dataset(frame)
    assert set(preprocessing.decode(data.y[:5]).tolist()) <= set(preprocessing.classes) or not preprocessing.classes
    return features


@pytest.mark.parametrize("name", CASES)
def test_every_function_takes_or_refuses_it(name):
    """By the rules of `docs/tables.md`; a message names the column or the number of rows."""
    frame, of_fit, of_split = CASES[name]
    if of_fit is None:
        taken(frame)
    else:
        with pytest.raises(ValueError, match=of_fit):
            fl.Preprocessing.fit(frame, "y")
    if of_split is None:
        parts = fl.split_table(frame, "y")
        assert len(parts.train) + len(parts.validation) + len(parts.test) == frame["y"].notna().sum()
    else:
        with pytest.raises(ValueError, match=of_split):
            fl.split_table(frame, "y")


def command(folder, path, *options):
    """Train and predict; the output of the training, the predictions, and the one line of an error."""
    done = run_here("train", path, "--no-record", "--epochs", 1, "--out", folder / "o", *options)
    if done.status:
        assert (done.status, done.err.count("\n")) == (1, 1), done.err
        assert "bug" not in done.err
        return "", "", done.err
    predicted = run_here("predict", folder / "o" / "best.npz", path)
    assert predicted.status == 0, predicted.err
    return done.out, predicted.out, ""


SLOW = [pytest.param(name, marks=pytest.mark.thorough) for name in CASES if name == "1,000 classes"]


@pytest.mark.parametrize("name", [*SLOW, *(name for name in CASES if name not in ("lists late", "1,000 classes"))])
def test_the_command_takes_or_refuses_it(tmp_path, name):
    """In one line; a row is predicted for each row of the file."""
    frame, _, of_split = CASES[name]
    frame.to_csv(tmp_path / "t.csv", index=False)
    _, predicted, error = command(tmp_path, tmp_path / "t.csv", "--target", "y")
    if of_split is None:
        assert predicted.count("\n") == len(frame) + 1
    else:
        with pytest.raises(ValueError, match=of_split):
            raise ValueError(error)


@pytest.mark.thorough
def test_five_thousand_columns():
    """Are features."""
    assert taken(WIDE).shape == (40, 5000)
    assert fl.Dataset(WIDE.drop(columns="y"), WIDE["y"]).x.shape == (40, 5000)


@pytest.mark.thorough
def test_the_command_takes_many_columns_and_many_texts(tmp_path):
    """5,000 columns, and a column of a million different texts."""
    WIDE.to_csv(tmp_path / "t.csv", index=False)
    out, predicted, _ = command(tmp_path, tmp_path / "t.csv")
    assert "5,000 number" in out
    assert predicted.count("\n") == 41
    (tmp_path / "m.csv").write_text("t,x,y\n" + "".join(f"word {i} of it,{i % 7},{i % 2}\n" for i in range(10**6)))
    out, predicted, _ = command(tmp_path, tmp_path / "m.csv", "--overwrite", "--batch-size", "4096")
    assert "t: text, 1,000,000 different texts" in out
    assert predicted.count("\n") == 10**6 + 1


def test_columns_of_one_name_are_refused_in_a_frame_and_numbered_in_a_file(tmp_path):
    """A frame with two columns of a name is ambiguous; a file is what somebody else made."""
    frame = pd.DataFrame(np.c_[X, X, X], columns=["a", "a", "y"])
    for call, name in (
        (lambda: fl.Preprocessing.fit(frame, "y"), "frame"),
        (lambda: fl.split_table(frame, "y"), "table"),
        (lambda: fl.Dataset(frame, X), "x"),
    ):
        with pytest.raises(ValueError, match=f"{name} must have unique column names.*'a'"):
            call()
    frame.to_csv(tmp_path / "t.csv", index=False)
    out, predicted, _ = command(tmp_path, tmp_path / "t.csv")
    assert "columns of the same name are numbered: a" in out
    assert predicted.count("\n") == N + 1


def test_names_of_several_levels_are_refused_and_row_labels_ignored():
    """Rows are matched by position."""
    levels = pd.DataFrame(np.c_[X, X], columns=pd.MultiIndex.from_tuples([("a", "b"), ("y", "c")]))
    for call in (fl.Preprocessing.fit, fl.split_table):
        with pytest.raises(ValueError, match="one level, got 2; join them first"):
            call(levels, "y")
    assert fl.Dataset(levels, X).columns == ()
    plain = taken(table())
    for index in (pd.MultiIndex.from_arrays([range(N), range(N)]), [0] * N, list("ab") * 30):
        frame = table().set_axis(index, axis=0)
        assert taken(frame).tobytes() == plain.tobytes()
        assert fl.split_table(frame, "y").train.x.tobytes() == fl.split_table(table(), "y").train.x.tobytes()
        assert fl.Dataset(frame[["x"]], frame["y"]).y.tolist() == AB


@pytest.mark.parametrize(
    ("y", "message"),
    [([None] * N, "no missing values"), ([1, "two"] * 30, "all numbers or all text"), ([np.inf] * N, "must be finite")],
)
def test_a_dataset_refuses_what_a_table_would_fill(y, message):
    """It has no schema: missing and mixed values are errors."""
    with pytest.raises((ValueError, TypeError), match=message):
        fl.Dataset(X[:, None], y)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.array([1, None, 3] * 20, dtype="Int64"), "number"),
        (pd.array([1.5, None, 3] * 20, dtype="Float64"), "number"),
        (pd.array([True, None, False] * 20, dtype="boolean"), "category"),
        (pd.array(["u", None, "v"] * 20, dtype="string"), "category"),
        (pd.Categorical([1, 2, None] * 20, categories=[3, 2, 1]), "category"),
        (pd.Categorical(["u"] * N, categories=["u", "v"]), "constant"),
        (pd.cut(X, 4), "category"),
        (pd.period_range("2020-01", periods=N, freq="M"), "date"),
        (pd.to_timedelta(np.arange(N) ** 2, unit="s"), "number"),
        ([datetime.date(2020, 1, i % 28 + 1) for i in range(N)], "date"),
        ([Decimal("1.5"), Decimal("2.5"), None] * 20, "number"),
        (pd.arrays.SparseArray([0.0, 1.0] * 30), "number"),
        ([True, 1, 0, False] * 15, "category"),
        ([{"a": 1}, {}] * 30, "category"),
        ([b"u", b"v"] * 30, "category"),
        (np.arange(N, dtype=np.uint64) + np.uint64(2**63), "id"),
    ],
)
def test_the_dtypes_of_pandas(values, kind):
    """Each has a kind; a categorical is a category whatever its values are."""
    frame = table(k=pd.Series(values))
    taken(frame)
    assert fl.Preprocessing.fit(frame, "y").schema.column("k").kind == kind


def test_a_categorical_target_keeps_its_values():
    """Those that occur; integers stay integers."""
    frame = table(pd.Categorical([5, 3, 4] * 20, categories=[9, 5, 4, 3]))
    assert fl.Preprocessing.fit(frame, "y").classes == (3, 4, 5)
    taken(frame)


def test_true_and_1_are_other_classes():
    """Python's dictionaries have them as one."""
    assert fl.split_table(table([True, 1, 0, False] * 15), "y").preprocessing.classes == ("0", "1", "False", "True")


def test_the_dtypes_of_polars():
    """As in pandas; a list is a category."""
    frame = pl.DataFrame(
        {
            "number": [1.0, None, 2.0] * 20,
            "category": pl.Series(["u", "v"] * 30, dtype=pl.Categorical),
            "date": [datetime.date(2020, 1, 1), None, datetime.date(2021, 1, 1)] * 20,
            "duration": [datetime.timedelta(i * i) for i in range(N)],
            "flag": [True, None, False] * 20,
            "lists": [[1], [2]] * 30,
            "y": AB,
        }
    )
    taken(frame)
    kinds = [column.kind for column in fl.Preprocessing.fit(frame, "y").schema.columns]
    assert kinds == ["number", "category", "date", "number", "category", "category"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": [1, 2], "y": [1]}, "have columns of one length"),
        ({"x": 1, "y": 2}, "have columns of one length"),
        (np.zeros((3, 2)), "a frame in memory, got <ndarray"),
        (pl.DataFrame({"x": [1], "y": [1]}).lazy(), r"read it with collect\(\)"),
        (pd.DataFrame({"x": X + 1j, "y": AB}), "real numbers, got complex128 in column 'x'"),
        (pd.DataFrame(), "at least one row"),
    ],
)
def test_what_is_no_table_is_refused(value, message):
    """By the name of the argument."""
    with pytest.raises((ValueError, TypeError), match=f"frame must .*{message}"):
        fl.Preprocessing.fit(value, "y")
    with pytest.raises((ValueError, TypeError), match=f"table must .*{message}"):
        fl.split_table(value, "y")


FILES = [
    (".csv", b"", "got no line"),
    (".csv", b"\n \n", "got no line"),
    (".csv", b"a,b,y\n", "got no row"),
    (".csv", bytes(range(256)) * 20, "zero bytes"),
    (".csv", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 256)), "control characters, such as '\\x1a'"),
    (".csv", gzip.compress(b"a,y\n1,2\n"), "name it .gz"),
    (".csv", b'a,y\n1,2\n3,"4\n', "a quote that is opened near line 3 is not closed"),
    (".xlsx", b"PK\x03\x04\0\0", "save the table as CSV"),
    (".csv.gz", b"a,y\n1,2\n", "t.csv.gz: Not a gzipped file"),
    (".csv.bz2", b"a,y\n1,2\n", "t.csv.bz2: Invalid data stream"),
    (".csv.xz", b"a,y\n1,2\n", "t.csv.xz: "),
    (".csv.zip", b"a,y\n1,2\n", "t.csv.zip: File is not a zip file"),
    (".csv.gz", gzip.compress(DRAW.bytes(9000))[:-5000], "t.csv.gz: "),
    (".npz", b"a,y\n1,2\n", "it must be an .npz file of NumPy"),
    (".json", b"{", "it is not JSON: "),
    (".json", b"[" * 100_000, "not JSON that Python reads"),
    (".jsonl", b'{"a": 1}\n{"a":\n', "line 2 is not JSON: Expecting value at character 7"),
    (".jsonl", b'{"a": "\xff"}\n', "line 1 must be UTF-8, got byte 0xff"),
    (".jsonl", b'{"a": "\\ud800"}\n', "line 1 has half a character"),
    (".jsonl", b"", "got no row"),
]


@pytest.mark.parametrize(("suffix", "content", "message"), FILES, ids=range(len(FILES)))
def test_files_that_are_no_tables_are_one_line(tmp_path, suffix, content, message):
    """With the path and what is wrong."""
    (tmp_path / f"t{suffix}").write_bytes(content)
    assert message in command(tmp_path, tmp_path / f"t{suffix}")[2]
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "nothing"], "--target must be one of the columns x, g, y, got 'nothing'"),
        (["--group", "y"], "--group must be another column than the target, got 'y'"),
        (["--group", "same"], "--group must be one of the columns"),
        (["--group", "g"], "--group 'g' must have at least 3 different values, one for each part, got 2"),
        (["--time", "x"], None),
        (["--split", "g"], "--split 'g' must be train, validation or test in each row, got 'p' in line 2"),
        (["--drop", "y"], "--column or --drop must have a category or a number for the target 'y', got 'dropped'"),
        (["--drop", "x", "--drop", "g"], "got none: x: left out (dropped); g: left out (dropped)"),
        (["--column", "y=text"], "--column or --drop must have a category or a number for the target 'y', got 'text'"),
        (["--column", "x=date"], "--column 'x' must have dates, got "),
        (["--column", "g=number"], "--column 'g' must have numbers, got 'p' in line 2"),
        (["--task", "regression"], "--target 'y' must be numbers for regression, got 'a' in line 2"),
        (["--test-fraction", "0.99"], "--test-fraction and --validation-fraction must leave a row for training"),
    ],
)
def test_options_that_do_not_fit_are_one_line(tmp_path, options, message):
    """With the option."""
    table(g=["p"] * 20 + ["q"] * 40)[["x", "g", "y"]].to_csv(tmp_path / "t.csv", index=False)
    target = [] if "--target" in options else ["--target", "y"]
    error = command(tmp_path, tmp_path / "t.csv", *target, *options)[2]
    assert (message or "") in error
    assert bool(error) == bool(message)


def test_what_the_default_target_is_due_to_is_said(tmp_path):
    """Also where nothing is left to learn from."""
    table(["a"] * N).to_csv(tmp_path / "t.csv", index=False)
    assert "the target is 'x', as the last column, 'y', is constant" in command(tmp_path, tmp_path / "t.csv")[2]


def test_some_control_characters_are_text(tmp_path):
    """Old systems leave them, as at the end of a cell."""
    (tmp_path / "t.csv").write_text(
        "x,c,y\n" + "".join(f"{i * 3},red{chr(7) * (i % 20 == 0)},{'ab'[i % 2]}\n" for i in range(N))
    )
    assert "c: category, 2 values" in command(tmp_path, tmp_path / "t.csv")[0]


def test_json_lines_have_any_types(tmp_path):
    """Lists and objects are categories, nulls are missing, and booleans are classes."""
    rows = [{"x": i / 7, "l": [i % 3], "d": {"k": i % 2} if i % 5 else None, "y": bool(i % 2)} for i in range(N)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out, predicted, _ = command(tmp_path, tmp_path / "t.jsonl")
    assert "  l: category, 3 values\n  d: category, 2 values, 12 missing\n" in out
    assert {line.split(",")[0] for line in predicted.splitlines()[1:]} <= {"True", "False"}


def test_a_late_text_that_is_no_date_makes_a_column_text():
    """However many dates are before it."""
    dates = [str(day)[:10] for day in pd.date_range("1990-01-01", periods=2500)]
    frame = pd.DataFrame(
        {"k": [*dates, *(f"word {i % 400}" for i in range(1500))], "x": np.arange(4000) % 7, "y": ["a", "b"] * 2000}
    )
    assert fl.Preprocessing.fit(frame, "y").schema.column("k").kind == "text"
