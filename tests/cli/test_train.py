"""`fnloop demo`, `train` and `predict` in a new process: their files, their output and their errors."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

import fnloop as fl
from tests.cli.support import run_here, start


def run(*arguments, check=True):
    process = start(*arguments)
    out, err = process.communicate(timeout=100)
    assert not check or process.returncode == 0, err
    assert "Traceback" not in err
    return SimpleNamespace(out=out, err=err, status=process.returncode)


def succeeds(*arguments):
    """Check that the command exits with status 0; return what it prints."""
    done = run_here(*arguments)
    assert done.status == 0, done.err
    return done.out


def fails(*arguments, status=1):
    """Check that the command prints one line on standard error and exits with the status; return the line."""
    done = run_here(*arguments)
    assert (done.status, done.err.count("\n")) == (status, 1), done.err
    return done.err


def write_csv(path, rows=90, classes=("cat", "dog", "eel"), seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, len(classes), rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["width", "height", "colour", "animal"])
        for label in labels:
            x = draw.normal([label * 2.0, -label], 0.3)
            writer.writerow([f"{x[0]:.4f}", f"{x[1]:.4f}", draw.choice(["red", "blue"]), classes[label]])
    return labels


def test_demo_writes_its_files(tmp_path):
    """It prints both parts as plain lines without a terminal, and writes pictures, a checkpoint that loads, and a run file."""
    done = run("demo", "--out", tmp_path / "d")
    assert {p.name for p in (tmp_path / "d").iterdir()} == {"best.npz", "lab.run", "training.png", "schedulers.png"}
    assert "no improvement" in done.out
    for name in ("constant", "step", "exponential", "cosine", "Best:", "Next:"):
        assert name in done.out
    assert "epoch   1/100" in done.err
    assert "64 members train" in done.err
    assert "val_loss over 16 seeds" in done.out
    state = fl.load(tmp_path / "d" / "best.npz")
    assert fl.load_checkpoint(tmp_path / "d" / "best.npz").trainer.loss == fl.losses.BinaryCrossEntropy()
    assert state.metrics["val_accuracy"] > 0.95


def test_train_on_text_labels_and_predict_from_the_checkpoint(tmp_path):
    """Labels and categories are encoded for training; predictions are the labels."""
    labels = write_csv(tmp_path / "animals.csv")
    output = succeeds("train", tmp_path / "animals.csv", "--epochs", 30, "--out", tmp_path / "run")
    assert "Classification" in output
    assert "cat, dog, eel" in output
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"best.npz", "training.png", "metrics.json", "training.run"}
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["test"]["accuracy"] > 0.9
    rows = list(csv.DictReader(io.StringIO(succeeds("predict", tmp_path / "run" / "best.npz", tmp_path / "animals.csv"))))
    right = np.mean([row["prediction"] == ("cat", "dog", "eel")[label] for row, label in zip(rows, labels, strict=True)])
    assert right > 0.9
    assert sum(float(rows[0][f"p({name})"]) for name in ("cat", "dog", "eel")) == pytest.approx(1, abs=1e-5)


def test_train_detects_regression_and_predicts_in_the_units_of_the_target(tmp_path):
    """The data is an `.npz` file with a quantity as y."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((300, 3))
    y = 500 + 100 * x[:, 0] + draw.standard_normal(300)
    np.savez(tmp_path / "q.npz", x=x, y=y)
    output = succeeds("train", tmp_path / "q.npz", "--out", tmp_path / "run", "--epochs", 60)
    assert "Regression" in output
    succeeds("predict", tmp_path / "run" / "best.npz", tmp_path / "q.npz", "--out", tmp_path / "p.csv")
    predicted = np.loadtxt(tmp_path / "p.csv", skiprows=1)
    assert np.abs(predicted - y).mean() < 20


def test_quiet_prints_nothing(tmp_path):
    """Standard output and standard error are empty."""
    done = run("train", "iris", "--quiet", "--epochs", 2, "--out", tmp_path)
    assert (done.out, done.err) == ("", "")


def test_the_same_seed_gives_the_same_checkpoint(tmp_path):
    """The bytes of a checkpoint are a function of data and options; another seed gives other bytes."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        succeeds("train", "iris", "--quiet", "--epochs", 3, "--seed", seed, "--out", tmp_path / name)
    a, b, c = ((tmp_path / name / "best.npz").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("--target", "nothing", "'nothing'"),
        ("--hidden", "64,x", "'64,x'"),
        ("--hidden", "0", "0"),
        ("--lr", "-1", "-1.0"),
        ("--lr", "nan", "nan"),
        ("--scheduler", "magic", "'magic'"),
        ("--epochs", "0", "0"),
        ("--batch-size", "0", "0"),
        ("--patience", "0", "0"),
        ("--weight-decay", "-1", "-1.0"),
        ("--seed", "-1", "-1"),
        ("--task", "magic", "'magic'"),
        ("--engine", "magic", "'magic'"),
        ("--test-fraction", "1.5", "1.5"),
        ("--validation-fraction", "0", "0.0"),
        ("--test-fraction", "0.99", "0.99 and 0.2 of 150 rows"),
    ],
)
def test_an_invalid_option_is_one_line(tmp_path, option, value, shown):
    """It begins with the option and ends with the value, and nothing is written."""
    message = fails("train", "iris", option, value, "--quiet", "--out", tmp_path / "out")
    assert message.startswith(f"fnloop: error: {option} ")
    assert message.rstrip().endswith(f"got {shown}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a header and at least one row"),
        ("a,b\n", "a header and at least one row"),
        ("a,b\n1,2\n3,4\n", "at least 5 rows, got 2"),
        ("a,b\n" + "1,2\n" * 3 + "3,4,5\n", "line 5 must have 2 cells"),
        ("a,b\n" + "1,x\n2,x\n" * 4, "at least 2 classes"),
        ("a\n" + "1\n2\n" * 4, "other than the target"),
        ("a,b\n" + "1,\n2,\n" * 4, "cells are missing"),
        ("a,b\n" + "".join(f"{i},{'abcdefghijkl'[i]}{i}\n" for i in range(12)), "12 different texts"),
        ("a,b\n" + "".join(f"{i},5\n" for i in range(12)), "only '5'"),
        ('a,b\n"1,2\n3,4\n', "quote"),
    ],
)
def test_an_invalid_table_is_one_line(tmp_path, content, message):
    """The line names what is wrong, with its line or column; the target is the last column."""
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    target = ["--target", "b"] if ",b" in content else []
    assert message in fails("train", tmp_path / "t.csv", *target, "--quiet", "--out", tmp_path / "out")


def test_invalid_files_and_wrong_usage_are_one_line(tmp_path):
    """Unknown datasets, files of another kind, missing columns, a file as the output folder, unknown options and commands."""
    assert "no such file: 'nowhere.csv'; " in fails("train", "nowhere.csv")
    assert "did you mean 'iris'?; data are a CSV, TSV, Parquet," in fails("train", "irsi")
    assert "no such file: 'nowhere.npz'" in fails("predict", "nowhere.npz", "iris")
    (tmp_path / "x.npz").write_bytes(b"no")
    assert "x.npz" in fails("predict", tmp_path / "x.npz", "iris")
    assert "x.npz" in fails("train", tmp_path / "x.npz")
    succeeds("train", "iris", "--quiet", "--epochs", 1, "--out", tmp_path / "run")
    assert "missing" in fails("predict", tmp_path / "run" / "best.npz", "wine")
    assert "x.npz" in fails("train", "iris", "--quiet", "--out", tmp_path / "x.npz")
    assert "--nothing" in fails("train", "iris", "--nothing", status=2)
    assert "nothing" in fails("nothing", status=2)
    assert "Usage" in succeeds()


def test_a_run_that_diverges_has_a_clear_error(tmp_path):
    """If the first epoch is not finite there is no best state, and only the run file is written, which the message names."""
    done = run("train", "diabetes", "--lr", "1e30", "--quiet", "--out", tmp_path, check=False)
    warning, message = done.err.splitlines()
    assert done.status == 1
    assert warning.startswith("fnloop: warning: training stopped: non-finite (the loss, at learning rate 1e+30), in epoch 1, ")
    assert message.startswith("fnloop: error: there is no best state")
    assert f"fnloop log {tmp_path / 'training.run'}" in message
    assert [path.name for path in tmp_path.iterdir()] == ["training.run"]
    assert "stopped: non-finite" in run("log", tmp_path / "training.run").out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_training_after_the_best_state_is_written(tmp_path, number, status):
    """The exit status is that of the signal; a second SIGTERM or SIGHUP changes nothing."""
    process = start("train", "digits", "--epochs", 100_000, "--patience", 100_000, "--out", tmp_path)
    for _ in range(5):
        process.stderr.readline()
    process.send_signal(number)
    if number != signal.SIGINT:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert err.endswith(f"interrupted{'' if number == signal.SIGINT else f' by {number.name}'}\n")
    assert "interrupted" in out
    assert f"fnloop resume {tmp_path / 'training.run'}" in out
    assert fl.load(tmp_path / "best.npz").epoch >= 1
    assert fl.open_run(tmp_path / "training.run").rows[-1].epoch >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_first_epoch_is_one_line(tmp_path, number):
    """There is no result to write yet, and no message but that of the signal."""
    process = start("train", "digits", "--hidden", "2000,2000,2000", "--out", tmp_path)
    process.stdout.readline()  # printed after the data is read, before training
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == f"fnloop: error: interrupted{'' if number == signal.SIGINT else ' by SIGTERM'}\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"training.run"}


def test_results_are_written_before_they_are_printed(tmp_path):
    """A closed output loses no file."""
    process = start("train", "iris", "--epochs", 2, "--out", tmp_path, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"best.npz", "training.png", "metrics.json", "training.run"}


def test_an_invalid_output_path_is_one_line(tmp_path):
    """It is found before anything is trained; too little memory is one line, too."""
    (tmp_path / "training.png").mkdir()
    assert "training.png" in fails("train", "iris", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["training.png"]
    assert "llocate" in fails("train", "iris", "--hidden", 10**15, "--out", tmp_path / "b")
    assert "error: --out must be a file in a folder" in fails("predict", "a.npz", "iris", "--out", tmp_path / "no" / "a.csv")


def test_a_rare_category_can_be_in_any_split(tmp_path):
    """A category with one row can be in the training, the validation or the test set."""
    rows = "".join(f"{i % 7},{'Oslo' if i == 0 else 'Rome'},{i % 3}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("a,city,y\n" + rows)
    for seed in range(3):
        succeeds("train", tmp_path / "t.csv", "--epochs", 1, "--quiet", "--seed", seed, "--out", tmp_path / "o", "--overwrite")


def test_codes_in_a_target_are_text(tmp_path):
    """Leading zeros and long integers are kept in a target; in a feature they are numbers."""
    codes = ["00501", "501", "9007199254740993", "9007199254740992"]
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i:03},{codes[i % 4]}\n" for i in range(80)))
    succeeds("train", tmp_path / "t.csv", "--epochs", 1, "--quiet", "--out", tmp_path / "o")
    assert set(fl.load_checkpoint(tmp_path / "o" / "best.npz").preprocessing.classes) == set(codes)
    (tmp_path / "new.csv").write_text("a\n81\n007\n")
    assert succeeds("predict", tmp_path / "o" / "best.npz", tmp_path / "new.csv").count("\n") == 3
    np.savez(tmp_path / "t.npz", x=np.eye(80)[:, :1], y=np.array([2**63, 2**63 + 1] * 40, np.uint64))
    succeeds("train", tmp_path / "t.npz", "--epochs", 1, "--quiet", "--out", tmp_path / "p")
    assert fl.load_checkpoint(tmp_path / "p" / "best.npz").preprocessing.classes == (str(2**63), str(2**63 + 1))


def test_a_terminal_gets_a_progress_bar(tmp_path):
    """On a pseudo-terminal a bar is drawn instead of plain lines."""
    ours, theirs = pty.openpty()
    terminal = {"stdout": subprocess.DEVNULL, "stderr": theirs, "env": {**os.environ, "TERM": "xterm", "COLUMNS": "120"}}
    process = start("train", "iris", "--epochs", 12, "--out", tmp_path, **terminal)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert "━".encode() in seen
    assert b"12/12" in seen
    assert b"epoch   1" not in seen
