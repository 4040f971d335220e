"""`fnloop compare`: schedules over seeds on a table; what it prints is what the library computes."""

import csv
import os
import signal

import pytest

import fnloop as fl
from fnloop.cli.train_options import TrainOptions, make_trainer, read_splits
from tests.cli.support import run_here

WORDS = "compare", "iris", "--schedulers", "constant,cosine", "--seeds", "3", "--epochs", "4", "--hidden", "8"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A comparison, and the folder that it was started in."""
    before, folder = os.getcwd(), tmp_path_factory.mktemp("compare")
    os.chdir(folder)
    try:
        return run_here(*WORDS, "--out", "o"), folder
    finally:
        os.chdir(before)


def test_the_runs_are_those_of_the_library(done):
    """Their values, their summary and their ranking."""
    result, folder = done
    options = {name: TrainOptions(scheduler=name, epochs=4, hidden="8") for name in ("constant", "cosine")}
    splits = read_splits("iris", options["cosine"])
    trainers = {name: make_trainer(splits, one) for name, one in options.items()}
    expected = fl.compare(trainers, splits.train, splits.validation, seeds=3, epochs=4, progress=False)
    with open(folder / "o" / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert result.status == 0
    assert expected.summary() in result.out
    assert "4/4: 6 members train" in result.err
    assert "Wrote o/comparison.png and o/comparison.csv." in result.out
    assert [(row["scheduler"], row["seed"]) for row in rows] == [(name, str(k)) for name in expected.ranked for k in range(3)]
    for row in rows:
        fit = expected.fits[row["scheduler"]][int(row["seed"])]
        assert float(row["val_loss"]) == fit.best.metrics["val_loss"]
        assert float(row["test_loss"]) == fit.evaluate(splits.test)["loss"]


def test_quiet_and_overwrite(done, monkeypatch):
    """Nothing is printed; existing files are replaced only on request."""
    _, folder = done
    monkeypatch.chdir(folder)
    refused = run_here(*WORDS, "--out", "o")
    replaced = run_here(*WORDS, "--out", "o", "--overwrite", "--quiet", "--metric", "val_accuracy")
    assert refused.status == 1
    assert "--overwrite" in refused.err
    assert (replaced.status, replaced.out, replaced.err) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_compares_the_runs_as_far_as_all_have_trained(tmp_path, monkeypatch, number):
    """The same epochs of each, which the first line says; before the first epoch there is nothing."""
    monkeypatch.chdir(tmp_path)
    for epoch in (0, 2):

        def show(states, epoch=epoch):
            if max(state.epoch for state in states.values()) == epoch:
                signal.raise_signal(number)

        monkeypatch.setattr("fnloop.populations.compare.show_members", lambda total, show=show: show)
        done = run_here(*WORDS, "--out", "o")
        assert done.status == 128 + number
        assert (tmp_path / "o").exists() == bool(epoch)
    assert "\ninterrupted after epoch 2 of 4: values are the best up to there, and the order may change\n" in done.out
    with open("o/comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["ended"] for row in rows} == {"interrupted"}
    assert {int(row["best_epoch"]) for row in rows} <= {1, 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--schedulers", "constant"), "--schedulers must be two or more names"),
        (("--schedulers", "constant,constant"), "--schedulers must all differ"),
        (("--schedulers", "constant,cosin"), "did you mean 'cosine'?"),
        (("--seeds", "0"), "--seeds must be"),
        (("--lr", "-1"), "--lr must be"),
        (("--epochs", "0"), "--epochs must be"),
        (("--metric", "val_f3"), "--metric 'val_f3' is not produced"),
        (("--group", "nest"), "--group"),
        (("--lr", "1e300", "--epochs", "1"), "there is nothing to"),
    ],
)
@pytest.mark.filterwarnings("ignore::fnloop.NonFiniteWarning")
def test_errors_are_one_line(tmp_path, monkeypatch, words, message):
    """They name the option; no file is written."""
    monkeypatch.chdir(tmp_path)
    done = run_here(*WORDS, *words, "--quiet")
    last = done.err.splitlines()[-1]
    assert done.status == 1
    assert message in last
    assert [line for line in done.err.splitlines() if "warning" not in line] == [last]
    assert list(tmp_path.iterdir()) == []
