"""The option `--engine` of the commands that train many models."""

import csv

import pytest

import fnloop as fl
from tests.cli.support import run_here

ENGINES = "numpy", "jax"
SMALL = "iris", "--epochs", 2, "--hidden", "4", "--batch-size", 64


def values_of(path, columns):
    with path.open() as file:
        return [float(row[column]) for row in csv.DictReader(file) for column in columns]


def run(command, *words, engine, out):
    done = run_here(command, *SMALL, *words, "--engine", engine, "--out", out, "--quiet")
    assert done.status == 0, done.err
    return out


def test_the_run_files_of_members_are_of_the_engine(tmp_path):
    """`fnloop verify` and `fnloop resume` compute with it."""
    out = run("train", "--members", 2, engine="jax", out=tmp_path)
    files = [out / "training.runs" / f"000{i}.run" for i in range(2)]
    assert [fl.open_run(path).engine for path in files] == ["jax", "jax"]
    assert len(fl.load(out / "best.npz")) == 2
    assert run_here("verify", files[1]).status == 0
    assert run_here("resume", files[1], "--epochs", 3).status == 0
    assert fl.open_run(files[1]).verify()


@pytest.mark.parametrize(
    ("command", "words", "table", "columns"),
    [
        ("compare", ["--schedulers", "constant,step", "--seeds", 2], "comparison.csv", ["val_loss", "test_loss"]),
        pytest.param(
            *("tune", ["--trials", 2, "--pruner", "none"], "trials.csv", ["lr", "val_loss"]), marks=pytest.mark.thorough
        ),
    ],
)
def test_the_results_are_those_of_numpy_to_rounding(command, words, table, columns, tmp_path):
    if command == "tune":
        pytest.importorskip("optuna")
    values = [values_of(run(command, *words, engine=engine, out=tmp_path / engine) / table, columns) for engine in ENGINES]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_a_wrong_engine_is_one_line(tmp_path):
    for command in ("compare", "tune", "train"):
        done = run_here(command, "iris", "--engine", "torch", "--out", tmp_path / "o")
        assert done.status == 1
        assert "--engine must be 'numpy', 'jax'" in done.err
        assert done.err.count("\n") == 1
        assert not (tmp_path / "o").exists()
