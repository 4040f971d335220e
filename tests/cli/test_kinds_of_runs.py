"""Every command on run files of every kind: it succeeds, or prints one line that says what is missing."""

import math
import re
import struct
from collections.abc import Mapping
from itertools import islice

import pytest
from toolz import iterate

import fnloop as fl
from fnloop.core.records import frozen
from fnloop.runs import manifest
from tests.cli.support import run_here
from tests.replay.support import record_tiny, tiny

NEGATIVE_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0000))[0]


@frozen
class Measured:
    """A custom state with metrics."""

    epoch: int
    step: int
    metrics: Mapping[str, float]


def error(outputs, targets):
    return (outputs[:, 0] - targets) ** 2


def measured(metrics):
    return [Measured(i, 3 * i, metrics(i) if i else {}) for i in range(4)]


ODD = {'a "b"': 1.0, "it's, x": -1.0, "$.x[0]": NEGATIVE_NAN, "": 5.0, "é\n|": math.inf, "epoch": 2.0, "seconds": 9.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run file of each kind."""
    path = tmp_path_factory.mktemp("kinds")
    record_tiny(path / "plain.run", 3)
    run = fl.open_run(path / "plain.run")
    fork = run.fork(1, path / "fork.run", scheduler=0.02).resume(3, progress=False)
    fork.fork(2, path / "again.run", batch_size=4).resume(3, progress=False)
    record_tiny(path / "start.run", 0)
    record_tiny(path / "first.run", 0)
    record_tiny(path / "functions.run", 3, metrics=(error,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "MAX_DATA_BYTES", 10)
        record_tiny(path / "large.run", 3)
    trainer, train, _ = tiny(scheduler=0.1)
    fl.last(fl.record(path / "unvalidated.run", trainer, train, None, islice(fl.epochs(trainer, train), 4)))
    for name, states in (
        ("numbers", islice(iterate(lambda state: {"n": state["n"] + 1}, {"n": 0}), 4)),
        ("odd", measured(lambda i: ODD)),
        ("wide", measured(lambda i: {f"m{j}": j / (i + 1) for j in range(5000)})),
        ("nan", measured(lambda i: {"loss": NEGATIVE_NAN})),
    ):
        fl.last(fl.record(path / f"{name}.run", None, None, None, states))
    return path


COMMANDS = (
    "log RUN --last 2",
    "show RUN",
    "show RUN best",
    "show RUN 1",
    "diff RUN 1 last",
    "bisect RUN epoch>1",
    "bisect RUN loss<0.1",
    "verify RUN",
    "probe RUN weight_norm",
    "probe RUN metrics --data lab",
    "resume RUN --epochs 4",
    "fork RUN best new.run",
    "fork RUN 1 new.run --epochs 3",
    "export RUN a.npz --overwrite",
    "export RUN best a.npz --overwrite",
    "export RUN a.npz --best loss --overwrite",
    "prune RUN --keep 1",
)
ALL = ("plain", "fork", "again", "start", "functions", "large", "unvalidated", "numbers", "odd", "wide", "nan")
WHOLE = ("plain", "fork", "unvalidated")  # kinds for which nearly all commands succeed


@pytest.mark.parametrize("name", ALL)
def test_every_command_succeeds_or_says_what_is_missing(folder, monkeypatch, name):
    """One line for an error, which is not called a bug; lines of output that fit a screen."""
    monkeypatch.chdir(folder)
    (folder / "copy.run").write_bytes((folder / f"{name}.run").read_bytes())
    failed = set()
    for command in COMMANDS:
        done = run_here(*command.replace("RUN", "copy.run").split(" "))
        assert done.status in (0, 1), command
        if done.status:
            failed.add(command)
            assert (done.out, done.err.count("\n")) == ("", 1), command
            assert "bug in fnloop" not in done.err, (command, done.err)
            assert len(done.err) < 600, (command, done.err)
        assert max(map(len, done.out.splitlines()), default=0) < 400, command
        (folder / "new.run").unlink(missing_ok=True)
    assert "log RUN --last 2" not in failed
    if name in WHOLE:
        assert failed <= {"bisect RUN loss<0.1", "probe RUN metrics --data lab", "diff RUN 1 last", "bisect RUN epoch>1"}


@pytest.mark.parametrize(
    ("name", "command", "message"),
    [
        (
            "nan",
            "export RUN best a.npz --overwrite",
            "there is no best state without a metric: this run monitors none, its metrics are loss",
        ),
        ("numbers", "show RUN best", "there is no best state without a metric: this run monitors none, it has no metrics"),
        ("numbers", "bisect RUN epoch>1", "predicate names epoch, which the states of this run lack"),
        ("odd", "show RUN", "open_run is for Python: a command has only what is in the file"),
        ("functions", "show RUN", "open_run is for Python: a command has only what is in the file"),
        ("large", "verify RUN", "open_run is for Python: a command has only what is in the file"),
        ("first", "show RUN best", "there is no best state: no epoch of the run has a 'val_loss' that is not NaN"),
    ],
)
def test_what_is_missing(folder, monkeypatch, name, command, message):
    """The message says it in the terms of the command."""
    monkeypatch.chdir(folder)
    done = run_here(*command.replace("RUN", f"{name}.run").split(" "))
    assert done.status == 1
    assert message in done.err


def test_the_table_of_a_run_with_many_or_odd_metrics(folder, monkeypatch):
    """It has some of the metrics, and the header has their number; a name that is not one word is shown as code."""
    monkeypatch.chdir(folder)
    header, table = run_here("log", "wide.run").out.split("\n\n")
    assert "metrics        5000, of which the table has 20\n" in header
    assert table.splitlines()[0].split() == ["epoch", "step", *(f"m{i}" for i in range(20)), "seconds", "state"]
    table = run_here("log", "odd.run").out.split("\n\n")[1].splitlines()
    assert len(table) == 5
    names = ["'a \"b\"'", '"it\'s, x"', "$.x[0]", "''", "'é\\n|'", "epoch", "seconds"]
    assert re.split(" {2,}", table[0]) == ["epoch", "step", *names, "seconds", "state"]
    assert table[-1].split()[4] == "nan"
