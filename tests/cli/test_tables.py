"""`fnloop train` and `fnloop predict` on tables as people have them."""

import csv
import io
import json
import shlex
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.cli.errors import as_options
from tests.cli.support import run_here

HEADER = ["id", "name", "length", "colour", "when", "price", "kind"]


def a_table(rows=80):
    """A table with row numbers, free text, thousands separators, currencies, dates and missing cells."""
    draw = np.random.default_rng(0)
    for i in range(rows):
        size = draw.integers(500, 5000)
        yield [
            i + 1,
            f"some words {i}",
            f"{size:,}" if i % 5 else "",
            draw.choice(["red", "blue"]),
            f"2024-{i % 12 + 1:02}-05",
            f"${i % 9}" if i % 7 else "?",
            "cat" if size < 2000 else "007",
        ]


def write(path, rows, header=HEADER, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header, *rows] if header else rows)
    return path


def succeeds(*words):
    done = run_here(*words)
    assert done.status == 0, done.err
    return done


def fails(*words):
    done = run_here(*words)
    assert (done.status, done.err.count("\n")) == (1, 1), done.err
    return done.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training, with the table and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    write(folder / "t.csv", a_table())
    out = succeeds("train", folder / "t.csv", "--epochs", 8, "--out", folder / "o").out
    return folder, out


def predicted(folder, path, *options):
    done = succeeds("predict", folder / "o" / "best.npz", path, *options)
    return list(csv.DictReader(io.StringIO(done.out))), done.err


def test_the_schema_is_printed(trained):
    """One line a column, with what was guessed and the option that overrules it."""
    _, out = trained
    assert "  id: left out (row number); --column id=number overrules\n" in out
    assert "  name: text, 80 different texts; nearly every row has another text; --drop name leaves it out\n" in out
    assert "  length: number, 16 missing; " in out
    assert "  colour: category, 2 values\n" in out
    assert "  when: date; --time when tests on the latest rows\n" in out
    assert "  price: number, 12 missing; '$1' is read as 1\n" in out
    assert "Classification: target 'kind' is 2 classes: 007, cat." in out


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" '\"\\$=")), st.sampled_from(["number", "dropped"])
)
def test_notes_name_options_that_a_shell_reads(name, kind):
    """Whatever the name of the column is. In Python the same note has the argument."""
    words = ["--drop", name] if kind == "dropped" else ["--column", f"{name}={kind}"]
    assert shlex.split(as_options(f"kinds={{{name!r}: {kind!r}}}; overrules")) == [*words[:-1], f"{words[-1]};", "overrules"]
    assert shlex.split(as_options(f"group={name!r} keeps its rows")) == ["--group", name, "keeps", "its", "rows"]


def test_predictions_keep_every_row_and_its_order(trained):
    """Whatever the order of the columns, and with columns that the training did not have; labels are as written."""
    folder, _ = trained
    rows, err = predicted(folder, folder / "t.csv")
    assert len(rows) == 80
    assert {row["prediction"] for row in rows} <= {"007", "cat"}
    assert err == ""
    other = [["extra", *reversed(row[:-1])] for row in a_table()]
    write(folder / "other.csv", other, ["more", *reversed(HEADER[:-1])], delimiter=";")
    assert predicted(folder, folder / "other.csv")[0] == rows
    for i in (0, 41):
        write(folder / "one.csv", [list(a_table())[i]])
        assert predicted(folder, folder / "one.csv")[0] == [rows[i]]


def test_missing_cells_and_blank_targets_are_predicted(trained):
    """In any column, all at once."""
    folder, _ = trained
    write(folder / "holes.csv", [["", "", "", "", "", "", ""], [1, "", "x", "", "", "", "mouse"]])
    rows, err = predicted(folder, folder / "holes.csv")
    assert len(rows) == 2
    assert err == "fnloop: note: column 'length': 1 cell has a value not seen in training, such as 'x' in line 3\n"


def test_a_table_without_rows_is_not_predicted(trained):
    """The message names the file."""
    folder, _ = trained
    path = write(folder / "no_rows.csv", [])
    assert f"{path}: it must have a header and at least one row" in fails("predict", folder / "o" / "best.npz", path)


def test_unseen_values_are_noted_once_or_refused(trained):
    """With the column, the number of cells, and the line of the first."""
    folder, _ = trained
    rows = [[*row[:3], "mauve" if i % 2 else "red", *row[4:]] for i, row in enumerate(a_table())]
    write(folder / "new.csv", rows)
    predictions, err = predicted(folder, folder / "new.csv")
    assert len(predictions) == 80
    assert err == ("fnloop: note: column 'colour': 40 cells have values not seen in training, such as 'mauve' in line 3\n")
    message = fails("predict", folder / "o" / "best.npz", folder / "new.csv", "--strict", "--out", folder / "p.csv")
    assert "column 'colour' has a value that was not seen in training: 'mauve' in line 3" in message
    assert not (folder / "p.csv").exists()


def test_a_stream_is_predicted_in_chunks(trained):
    """The result is that of the whole table, with one header; each chunk is written before the next is read."""
    folder, _ = trained
    rows, _ = predicted(folder, folder / "t.csv")
    with (
        mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / "t.csv").read_bytes()))),
        mock.patch("fnloop.cli.predict.CHUNK_NUMBERS", 1),
    ):
        streamed, _ = predicted(folder, "-")
    assert streamed == rows
    large = write(folder / "large.csv", list(a_table()) * 4)
    with mock.patch("fnloop.cli.predict.CHUNK_NUMBERS", 1):
        assert predicted(folder, large)[0] == rows * 4


def test_an_error_in_a_stream_tells_how_many_rows_are_predicted(trained):
    """A stream is written while it is read, so that what is wrong at its end is found after its first rows were written."""
    folder, _ = trained
    lines = (folder / "t.csv").read_bytes().splitlines()
    data = b"\n".join([lines[0], *lines[1:] * 300, lines[1].replace(b"words", b"w\xf6rds")])
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(data))):
        done = run_here("predict", folder / "o" / "best.npz", "-")
    assert done.status == 1
    written = len(done.out.splitlines()) - 1
    assert 0 < written < 24_000
    assert done.err.endswith(f"got byte 0xf6; state another --encoding; the predictions end after {written} rows\n")
    write(folder / "t2.csv", [], [])
    (folder / "t2.csv").write_bytes(data)
    assert len(predicted(folder, folder / "t2.csv")[0]) == 24_001


def test_missing_columns_are_named(trained):
    """All of them, in one line."""
    folder, _ = trained
    write(folder / "less.csv", [["red", 1]], ["colour", "more"])
    message = fails("predict", folder / "o" / "best.npz", folder / "less.csv")
    assert message.endswith("missing: name, length, when, price; got colour, more\n")


def test_a_table_without_a_header(tmp_path):
    """Is trained and predicted with all its rows; the target may be left out."""
    rows = [[i % 7, "ab"[i % 2], i % 3 / 2] for i in range(60)]
    out = succeeds("train", write(tmp_path / "t.csv", rows, None), "--epochs", 1, "--out", tmp_path / "o").out
    assert "is taken for data, not for names; --header overrules" in out
    assert "Regression: target 'x2'" in out
    assert len(predicted(tmp_path, tmp_path / "t.csv")[0]) == 60
    write(tmp_path / "u.csv", [row[:2] for row in rows], None)
    assert predicted(tmp_path, tmp_path / "u.csv") == predicted(tmp_path, tmp_path / "t.csv")


def test_guesses_can_be_overruled(tmp_path):
    """By options, which the checkpoint keeps."""
    path = write(tmp_path / "t.csv", [[i % 5, i % 4, -99 if i % 9 == 0 else i % 6, i / 7] for i in range(60)], list("abcy"))
    options = ["--column", "a=category", "--drop", "b", "--missing", "-99", "--epochs", 1]
    out = succeeds("train", path, *options, "--out", tmp_path / "o").out
    assert "  a: category, 5 values\n  b: left out (dropped)\n  c: number, 7 missing\n" in out
    schema = fl.load_checkpoint(tmp_path / "o" / "best.npz").preprocessing.schema
    assert [column.kind for column in schema.columns] == ["category", "dropped", "number"]
    assert schema.format.missing == ("-99",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--column", "a"], "--column must be NAME=KIND, such as zip=category, got 'a'"),
        (["--column", "a=colour"], "--column must be one of 'number', 'category', 'text', 'date', got 'colour'"),
        (["--decimal", "x"], "--decimal must be '.' or ',', got 'x'"),
        (["--delimiter", "ab"], "--delimiter must be one character"),
        (["--encoding", "x"], "--encoding must be the name of a text encoding, such as utf-8, got 'x'"),
        (["--hidden", "x"], "--hidden must be integers between commas"),
    ],
)
def test_options_are_checked_before_the_table_is_read(options, message):
    """The table does not exist."""
    assert message in fails("train", "nowhere.csv", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--column", "nothing=number"], "--column or --drop must name one of the columns id, name, length"),
        (["--drop", "nothing"], "--column or --drop must name one of the columns id, name, length"),
        (["--group", "nothing"], "--group must be one of the columns"),
        (["--time", "colour"], "--time 'colour' must have dates, got "),
        (["--split", "colour"], "--split 'colour' must be train, validation or test in each row, got "),
        (["--group", "id", "--time", "when"], "--group and --time exclude one another"),
    ],
)
def test_options_that_do_not_fit_the_table_are_one_line(trained, tmp_path, options, message):
    """With the option or the column."""
    folder, _ = trained
    assert message in fails("train", folder / "t.csv", *options, "--out", tmp_path / "o")


def test_a_run_is_probed_on_a_table(trained):
    """The run file keeps the schema, too."""
    folder, _ = trained
    out = succeeds("probe", folder / "o" / "training.run", "metrics", "--data", folder / "t.csv").out
    assert len(out.splitlines()) == 10
    assert json.loads((folder / "o" / "metrics.json").read_text())["task"] == "classification"


def test_what_a_cell_means_does_not_hang_on_the_file(tmp_path):
    """007, 7, 7.0 and true are other categories than one another, alone as next to X1."""
    codes = ["007", "7", "7.0", "true", "True", "X1"]
    path = write(tmp_path / "t.csv", [[codes[i % 6], i // 6 % 5, i % 6] for i in range(120)], ["code", "n", "y"])
    succeeds("train", path, "--task", "regression", "--epochs", 30, "--out", tmp_path / "o")
    write(tmp_path / "all.csv", [[code, 2] for code in codes], ["code", "n"])
    together, _ = predicted(tmp_path, tmp_path / "all.csv")
    assert len({row["prediction"] for row in together}) == 6
    for code, row in zip(codes, together, strict=True):
        write(tmp_path / "one.csv", [[code, 2]] * 3, ["code", "n"])
        alone, err = predicted(tmp_path, tmp_path / "one.csv")
        assert err == ""
        assert float(alone[1]["prediction"]) == pytest.approx(float(row["prediction"]), rel=1e-4)


def test_unseen_values_are_counted_over_all_chunks(trained):
    """And noted at the end, with the line of the first."""
    folder, _ = trained
    rows = [[*row[:3], "mauve" if i >= 150 else "red", *row[4:]] for i, row in enumerate(list(a_table()) * 5)]
    path = write(folder / "long.csv", rows)
    with mock.patch("fnloop.cli.predict.CHUNK_NUMBERS", 1):
        assert predicted(folder, path)[1].endswith("250 cells have values not seen in training, such as 'mauve' in line 152\n")
