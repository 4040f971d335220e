"""The kind of a column is guessed once, with a note where the guess may be wrong, and is never guessed from other rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.data.inference import infer_schema
from fnloop.data.schema import Schema

N = 400
DRAW = np.random.default_rng(0)


def column(values, target=None, **options):
    """The column of a schema whose table has these values and a target."""
    frame = pd.DataFrame({"a": pd.Series(values), "y": DRAW.standard_normal(len(values)) if target is None else target})
    return infer_schema(frame, "y", **options).column("a")


def texts(*odd):
    return [*(f"{value:.3f}" for value in DRAW.standard_normal(N)), *odd]


@pytest.mark.parametrize("odd", ["NA", "?", "1,234", "$5", "5%", "abc", "-", "(3)", "inf", "1e200"])
def test_one_odd_cell_among_numbers_leaves_them_numbers(odd):
    """The cell is noted if it is neither a number nor a usual mark for a missing one; with its row."""
    found = column([*texts(), odd if odd not in ("NA", "?") else None])
    assert found.kind == "number"
    assert found.missing == (odd in ("NA", "?", "abc", "-", "inf", "1e200"))
    if odd not in ("NA", "?"):
        assert odd in "".join(found.notes)
    if odd == "abc":
        assert "row 400" in found.notes[0]
        assert "kinds={'a': 'category'} overrules" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("id", [str(i * 7 % 1009) for i in range(N)], "id"),
        ("user_id", np.arange(N) * 3, "id"),
        ("row", np.arange(N), "row number"),
        ("height", np.arange(N) * 3, "number"),
        ("year", np.arange(N), "number"),
        ("code", [f"A{i}" for i in range(N)], "id"),
        ("big", np.arange(N) + 2**60, "id"),
        ("few", np.arange(N) % 3 + 2**60, "category"),
        ("zip", [f"{i % 50:05}" for i in range(N)], "category"),
        ("colour", ["red", "blue"] * (N // 2), "category"),
        ("ok", [True, False] * (N // 2), "category"),
        ("city", [f"c{i % 200} x" for i in range(N)], "text"),
        ("review", [f"this is text {i}" for i in range(N)], "text"),
        ("same", ["x"] * N, "constant"),
        ("none", [None] * N, "constant"),
        ("five", [5] * N, "constant"),
        ("day", [f"2024-01-{i % 28 + 1:02}" for i in range(N)], "date"),
        ("when", pd.date_range("2024-01-01", periods=N), "date"),
        ("mixed", [1, "two"] * (N // 2), "category"),
        ("lists", [[1], [2]] * (N // 2), "category"),
        ("comma", ["1,5", "2,25"] * (N // 2), "number"),
        ("kind", pd.Categorical(["a", "b"] * (N // 2)), "category"),
        ("nullable", pd.array([1, None] * (N // 2), dtype="Int64"), "constant"),
    ],
)
def test_kinds(name, values, kind):
    """Of ordinary columns; every guess can be overruled."""
    frame = pd.DataFrame({name: pd.Series(values), "other": DRAW.standard_normal(N), "y": DRAW.standard_normal(N)})
    found = infer_schema(frame, "y").column(name)
    assert found.kind == kind
    if kind in ("id", "row number", "text"):
        assert name in " ".join(found.notes)
    for stated in ("category", "text", "dropped"):
        assert infer_schema(frame, "y", kinds={name: stated}).column(name).kind == stated


@pytest.mark.parametrize(
    ("values", "classes", "said"),
    [
        (["b", "a"] * 50, ("a", "b"), ""),
        ([True, False] * 50, (False, True), ""),
        ([1, 0] * 50, (0, 1), ""),
        ([3, 1, 2] * 50, (1, 2, 3), "task='regression' overrules"),
        (["10", "9"] * 50, ("9", "10"), ""),
        (np.arange(100), (), "task='classification' overrules"),
        (np.linspace(0, 1, 100), (), ""),
        ([f"{i}.5" for i in range(100)], (), ""),
        ([*map(str, range(100)), "x"], (), "'x' in row 100"),
        (["a"] * 50 + ["b"] * 50 + ["c"], ("a", "b", "c"), "training part alone: c"),
        ([f"c{i % 1000}" for i in range(20_000)], None, ""),
        (["1", "2"] * 20 + ["1.0"] * 5, ("1", "1.0", "2"), "'1' and '1.0' are one number, and different classes"),
        (["1", "2"] * 20 + ["$2"] * 5, ("$2", "1", "2"), "'2' and '$2' are one number, and different classes"),
        ([str(2**60 + i % 2) for i in range(40)], (str(2**60), str(2**60 + 1)), ""),
        ([*np.arange(40.0), np.inf], (), "'inf' in row 40 is no number"),
        (["low", "inf"] * 20, ("inf", "low"), ""),
    ],
)
def test_targets(values, classes, said):
    """Are classes or a quantity by a rule that is said, with the argument that overrules it; labels are as written."""
    schema = infer_schema(pd.DataFrame({"x": DRAW.standard_normal(len(values)), "y": pd.Series(values)}), "y")
    assert len(schema.classes) == 1000 if classes is None else schema.classes == classes
    assert list(map(type, schema.classes)) == list(map(type, classes or schema.classes))
    assert said in " ".join(schema.target.notes)
    assert ("are one number" in said) == ("are one number" in " ".join(schema.target.notes))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a"] * 20, "at least 2 classes, got only 'a'"),
        ([None] * 20, "all 20 cells are missing"),
        ([f"text {i}" for i in range(20)], "20 different texts in 20 rows"),
        (["0", "1"] * 9 + ["-inf", "0"], r"finite numbers, got '-inf' in row 18; missing=\['-inf'\] leaves its rows out"),
        (
            [0.0, 1.0] * 9 + [np.inf, 0.0],
            r"finite numbers, got 'inf' in row 18; missing=\['inf'\] leaves its rows out, kinds=",
        ),
        (["0", "1"] * 9 + ["1e999", "0"], "finite numbers, got '1e999' in row 18"),
    ],
)
def test_impossible_targets_are_refused(values, message):
    """By what is wrong with them."""
    with pytest.raises(ValueError, match=message):
        infer_schema(pd.DataFrame({"x": np.arange(20.0) ** 2, "y": values}), "y")


def test_the_default_target_is_the_last_column_that_can_be_one():
    """It is said if that is not the last column."""
    frame = pd.DataFrame({"x": DRAW.standard_normal(40), "y": [1, 2] * 20, "name": [f"n{i}" for i in range(40)]})
    schema = infer_schema(frame)
    assert schema.target.name == "y"
    assert "'name', is an id" in schema.notes[0]


@pytest.mark.parametrize("kinds", [{"nothing": "number"}, {"x": "colour"}])
def test_a_wrong_statement_is_refused(kinds):
    """Names and kinds that do not exist."""
    with pytest.raises(ValueError, match=r"nothing|colour"):
        infer_schema(pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}), "y", kinds=kinds)


TABLE = pd.DataFrame(
    {
        "number": DRAW.standard_normal(60),
        "amount": [f"${i % 17},000" for i in range(60)],
        "colour": [["red", "blue", "green"][i % 3] for i in range(60)],
        "zip": [f"{i % 7:03}" for i in range(60)],
        "text": [f"some words {i}" for i in range(60)],
        "day": [f"2024-{i % 12 + 1:02}-11" for i in range(60)],
        "y": [["cat", "dog"][i % 2] for i in range(60)],
    }
)
PREPROCESSING = fl.Preprocessing.fit(TABLE, "y")
CELLS = st.sampled_from([None, "", "5", "007", "$3,000", "2024-05-05", "red", "mauve", "text of words", "1e9", "?", "1,5"])


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(TABLE.columns[:-1], CELLS)), min_size=1, max_size=6))
def test_what_a_row_means_does_not_hang_on_other_rows(rows):
    """Its features are the same alone, with any others, with columns in another order, next to more columns."""
    together = PREPROCESSING.features(pd.DataFrame(rows))
    for row, features in zip(rows, together, strict=True):
        alone = pd.DataFrame([row])[list(reversed(row))].assign(more=1)
        assert PREPROCESSING.features(alone).tobytes() == features.tobytes()


def test_a_wide_table_is_summed_up():
    """5,000 columns: the schema prints those with notes, and their kinds in one line."""
    frame = pd.DataFrame(DRAW.standard_normal((20, 5000)), columns=[f"c{i}" for i in range(5000)]).assign(y=[0, 1] * 10)
    schema = infer_schema(frame, "y")
    assert len(schema.features) == 5000
    assert len(str(schema)) < 1000
    assert "5,000 number" in str(schema)


@pytest.mark.thorough
def test_a_million_different_texts():
    """Are encoded in a fixed number of columns."""
    frame = pd.DataFrame({"t": [f"word {i}" for i in range(10**6)], "x": np.arange(10**6) % 7, "y": np.arange(10**6) % 2})
    assert fl.Preprocessing.fit(frame, "y").features(frame.head(3)).shape == (3, 65)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "unique column names, got 'a' twice"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])), "one level, got 2"),
        (pd.DataFrame({"a": []}), "at least one row"),
        (5, "a frame in memory, got 5"),
    ],
)
def test_impossible_frames_are_refused(frame, message):
    """With the argument's name."""
    with pytest.raises((ValueError, TypeError), match=f"frame must .*{message}"):
        fl.Preprocessing.fit(frame, "y")


@pytest.mark.parametrize("values", [np.arange(40) + 1, [f"n{i}" for i in range(40)], np.arange(40) + 2**60])
def test_an_id_is_used_where_no_other_column_is(values):
    """With a note; a stated kind stays."""
    frame = pd.DataFrame({"id": values, "y": DRAW.standard_normal(40)})
    found = infer_schema(frame, "y").column("id")
    assert found.is_feature
    assert "used as there is no other column" in found.notes[0]
    with pytest.raises(ValueError, match="id: left out"):
        infer_schema(frame, "y", kinds={"id": "dropped"})


def test_mixed_types_are_noted():
    """With an example of the fewer."""
    found = column([*map(str, range(40)), *["low", "high"] * 30])
    assert found.kind == "category"
    assert found.notes == ("40 cells are numbers, others text ('low'); kinds={'a': 'number'} overrules",)


def test_a_schema_is_data():
    """It prints one line a column, that of the target with its classes."""
    assert isinstance(PREPROCESSING.schema, Schema)
    lines = str(PREPROCESSING.schema).splitlines()
    assert (len(lines), lines[-1]) == (7, "  target y: 2 classes (cat, dog)")
    quantity = infer_schema(pd.DataFrame({"x": DRAW.standard_normal(40), "y": [*range(39), None]}), "y")
    assert str(quantity).splitlines()[-1] == (
        "  target y: a quantity, 1 missing; 39 integers are a quantity; task='classification' overrules"
    )
