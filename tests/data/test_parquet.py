"""Parquet and the frames of pyarrow, where it is installed; one line where it is not."""

import datetime
import sys
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import fnloop as fl
from tests.cli.support import run_here

N = 60
FRAME = pd.DataFrame(
    {
        "size": [None, *np.random.default_rng(0).standard_normal(N - 1)],
        "count": pd.array([1, None, 3] * 20, dtype="Int64"),
        "code": ["007", "7", None] * 20,
        "colour": pd.Categorical(["red", "blue"] * 30),
        "when": pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin"),
        "took": pd.to_timedelta(np.arange(N) ** 2, unit="s"),
        "ok": [True, False, None] * 20,
        "lists": [[1], [2, 3]] * 30,
        "kind": ["cat", "007"] * 30,
    }
)


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".parquet.gz"])
def test_the_command_reads_parquet(tmp_path, suffix):
    """With its types; the predictions are those of the frame."""
    pytest.importorskip("pyarrow")
    path = tmp_path / f"t{suffix}"
    if suffix.endswith(".gz"):
        import gzip
        import io

        file = io.BytesIO()
        FRAME.to_parquet(file)
        path.write_bytes(gzip.compress(file.getvalue()))
    else:
        FRAME.to_parquet(path)
    done = run_here("train", path, "--epochs", 2, "--no-record", "--out", tmp_path / "o")
    assert done.status == 0, done.err
    assert "  size: number, 1 missing\n  count: number, 20 missing\n  code: category, 2 values, 20 missing" in done.out
    predicted = run_here("predict", tmp_path / "o" / "best.npz", path)
    assert predicted.status == 0, predicted.err
    loaded = fl.load_checkpoint(tmp_path / "o" / "best.npz")
    wanted = fl.predict(loaded.trainer, loaded.state, loaded.preprocessing.features(FRAME))
    assert [line.split(",")[0] for line in predicted.out.splitlines()[1:]] == loaded.preprocessing.decode(wanted).tolist()


def test_a_frame_of_pyarrow_is_that_of_pandas():
    """Each column has the same kind and the same features; strings of Arrow are text."""
    pyarrow = pytest.importorskip("pyarrow")
    frame = FRAME.drop(columns="lists")
    wanted = fl.Preprocessing.fit(frame, "kind")
    for other in (pyarrow.Table.from_pandas(frame), frame.convert_dtypes(dtype_backend="pyarrow")):
        found = fl.Preprocessing.fit(other, "kind")
        assert [column.kind for column in found.schema.columns] == [column.kind for column in wanted.schema.columns]
        assert found.classes == wanted.classes
        np.testing.assert_allclose(found.features(other), wanted.features(frame))
        np.testing.assert_allclose(wanted.features(other), wanted.features(frame))


def test_dates_of_arrow_are_dates():
    """Days, with and without missing ones."""
    pyarrow = pytest.importorskip("pyarrow")
    days = [datetime.date(2024, i % 12 + 1, 3) for i in range(N)]
    table = pyarrow.table({"day": days, "gaps": [None, *days[1:]], "x": range(N), "y": ["a", "b"] * 30})
    kinds = [column.kind for column in fl.Preprocessing.fit(table, "y").schema.columns]
    assert kinds == ["date", "date", "number"]


def test_a_damaged_file_is_one_line(tmp_path):
    """With the path."""
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    done = run_here("train", tmp_path / "t.parquet", "--out", tmp_path / "o")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "t.parquet: " in done.err
    (tmp_path / "t.csv").write_bytes(b"PAR1 and no more")
    assert "name it .parquet" in run_here("train", tmp_path / "t.csv", "--out", tmp_path / "o").err


def test_without_pyarrow_the_extra_is_named(tmp_path):
    """In one line, before anything is written."""
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with mock.patch.dict(sys.modules, {"pyarrow": None}):
        done = run_here("train", tmp_path / "t.parquet", "--out", tmp_path / "o")
    assert done.status == 1
    assert done.err.endswith("t.parquet: Parquet needs pyarrow: python -m pip install 'fnloop[parquet]'\n")
    assert not (tmp_path / "o").exists()
