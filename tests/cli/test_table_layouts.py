"""`fnloop predict` reads a table as that of the training was read; options say where the new file is written otherwise."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from tests.cli.support import run_here

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "size": DRAW.standard_normal(60).round(3),
        "code": [f"{i % 7:03}" for i in range(60)],
        "day": [f"2024-{i % 12 + 1:02}-05" for i in range(60)],
        "kind": DRAW.choice(["cat", "007"], 60),
    }
)
NEW = TABLE.drop(columns="kind")
COMMAS = TABLE.assign(size=TABLE["size"].astype(str).str.replace(".", ","))


def text(frame, **options):
    return frame.to_csv(index=False, **options)


def predict(folder, model, data, *options):
    """The rows of the predictions of a model, and what was noted."""
    (folder / "new.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    done = run_here("predict", folder / model / "best.npz", folder / "new.csv", *options)
    assert done.status == 0, done.err
    return list(csv.reader(io.StringIO(done.out))), done.err


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of one table, which was written in three ways."""
    folder = tmp_path_factory.mktemp("models")
    tables = {"usual": text(TABLE), "headless": text(TABLE, header=False), "commas": text(COMMAS, sep=";")}
    for name, data in tables.items():
        (folder / f"{name}.csv").write_text(data)
        done = run_here("train", folder / f"{name}.csv", "--epochs", 3, "--no-record", "--out", folder / name)
        assert done.status == 0, done.err
    return folder


@pytest.mark.parametrize(
    ("model", "data", "options"),
    [
        ("usual", text(TABLE, sep=";"), []),
        ("usual", text(TABLE, sep="~"), ["--delimiter", "~"]),
        ("usual", text(COMMAS, sep=";"), ["--decimal", ","]),
        ("usual", text(COMMAS, sep="\t"), ["--decimal", ","]),
        ("usual", text(TABLE, header=False), ["--no-header"]),
        ("usual", text(NEW, header=False), ["--no-header"]),
        ("usual", text(TABLE).encode("utf-16"), []),
        ("usual", text(TABLE).encode("utf-16-le"), ["--encoding", "utf-16-le"]),
        ("headless", text(NEW, header=False), []),
        ("headless", text(TABLE, header=False, sep=";"), []),
        ("headless", text(TABLE), ["--header"]),
        ("commas", text(COMMAS, sep="\t"), []),
        ("commas", text(TABLE), []),  # a comma between the cells is no decimal mark
        ("commas", text(TABLE, sep=";"), ["--decimal", "."]),
    ],
)
def test_predictions_do_not_hang_on_how_the_table_is_written(models, model, data, options):
    """They are those of the table of the training, with nothing to note."""
    wanted, _ = predict(models, model, (models / f"{model}.csv").read_bytes())
    found, noted = predict(models, model, data, *options)
    assert found == wanted
    assert len(found) == 61
    assert noted == ""


def test_what_a_number_means_does_not_hang_on_other_rows(models):
    """With decimal commas in the training, 1,234 is 1.234 also where no other number of the file tells so."""
    rows = {data: predict(models, "commas", f"size;code;day\n{data};001;2024-01-05\n")[0][1] for data in ("1,234", "1,2340")}
    assert rows["1,234"] == rows["1,2340"]


@pytest.mark.parametrize(("model", "frame", "mark"), [("usual", COMMAS, "commas"), ("commas", TABLE, "points")])
def test_another_decimal_mark_is_noted(models, model, frame, mark):
    """With the option that overrules, and the cells that are missing without it."""
    _, noted = predict(models, model, text(frame, sep=";"))
    assert noted.startswith(f"fnloop: note: numbers seem to have decimal {mark}")
    assert "--decimal" in noted
    assert "column 'size': " in noted


def test_more_texts_may_be_missing(models):
    """In addition to those of the training."""
    data = text(TABLE.assign(size=[-99, "lost", *TABLE["size"][2:]]))
    found, noted = predict(models, "usual", data, "--missing", "-99", "--missing", "lost")
    assert noted == ""
    assert found == predict(models, "usual", text(TABLE.assign(size=[None, None, *TABLE["size"][2:]])))[0]


def test_what_was_stated_for_the_training_holds(tmp_path):
    """Delimiter, encoding and missing cells; an option overrules it."""
    frame = TABLE.assign(größe=TABLE["size"], size=["lost" if i % 5 == 0 else i for i in range(60)])
    data = text(frame[["größe", "size", "kind"]], sep="~")
    (tmp_path / "t.csv").write_bytes(data.encode("cp850"))
    stated = ["--delimiter", "~", "--encoding", "cp850", "--missing", "lost"]
    done = run_here("train", tmp_path / "t.csv", *stated, "--epochs", 3, "--no-record", "--out", tmp_path / "o")
    assert done.status == 0, done.err
    found, noted = predict(tmp_path, "o", data.encode("cp850"))
    assert noted == ""
    assert predict(tmp_path, "o", data.encode(), "--encoding", "utf-8") == (found, "")


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (text(TABLE[["size", "code"]], header=False), ["--no-header"], "3 columns size, code, day in this order"),
        (text(TABLE, header=False), [], "such as size, code, day, kind, got "),
        (text(TABLE, header=False), [], "; if the file has no header, state --no-header"),
        (text(TABLE[["size", "day"]]), [], "missing: code; got size, day"),
        (text(TABLE).encode("utf-16-le"), [], "--encoding utf-16-le"),
        (b"size,code,day\n" + b"1,001,2024-01-05\n" * 20_000 + b"1,\xe9,2024-01-05\n", ["--encoding", "utf-8"], "byte 0xe9"),
        (
            b"size,code,day\n" + b"1,001,2024-01-05\n" * 40_000 + b"1,2,3,4\n",
            [],
            "got 4; the predictions end after 40000 rows",
        ),
        (text(TABLE), ["--decimal", "x"], "--decimal must be '.' or ','"),
        (text(TABLE), ["--decimal", ",", "--delimiter", ","], "--decimal must be another character"),
    ],
)
def test_what_cannot_be_read_is_one_line(models, data, options, message):
    """With the option or the columns."""
    (models / "bad.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    done = run_here("predict", models / "usual" / "best.npz", models / "bad.csv", *options)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert message in done.err


def test_another_decimal_mark_holds_in_a_column_with_texts(models):
    """Where the numbers are not read as such, because one cell is no number."""
    odd = TABLE.assign(size=["lost", *TABLE["size"][1:]])
    wanted, _ = predict(models, "commas", text(TABLE.assign(size=[None, *TABLE["size"][1:]]), sep=";"), "--decimal", ".")
    found, noted = predict(models, "commas", text(odd, sep=";"), "--decimal", ".")
    assert found == wanted
    assert "1 cell has a value not seen in training, such as 'lost' in line 2" in noted
