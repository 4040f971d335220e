"""`fnloop tune`: its files, its output, its errors, and a search that is resumed."""

import re
import shlex

import pandas as pd
import pytest

import fnloop as fl
from tests.cli.support import run_here

pytest.importorskip("optuna")

ARGUMENTS = "iris", "--epochs", 2, "--trials", 3, "--hidden", 4


def tune(*words):
    done = run_here("tune", *words)
    assert done.status == 0, done.err
    return done


def test_it_writes_the_best_model_and_all_trials(tmp_path):
    """The checkpoint is the best trial's, with the preprocessing; a storage resumes the search."""
    storage, out = tmp_path / "trials.log", tmp_path / "out"
    done = tune(*ARGUMENTS, "--storage", storage, "--out", out, "--record")
    assert "Searching lr, weight_decay in 3 trials of 2 epochs." in done.out
    assert "trial 3/3" in done.err
    table = pd.read_csv(out / "trials.csv")
    assert list(table.columns) == ["trial", "lr", "weight_decay", "val_loss", "best_epoch", "epochs", "ended"]
    assert {path.name for path in (out / "trials.runs").iterdir()} == {f"000{i}.run" for i in range(3)}
    checkpoint = fl.load_checkpoint(out / "best.npz")
    assert checkpoint.state.metrics["val_loss"] == table["val_loss"][0]
    assert checkpoint.trainer.scheduler.initial_lr == table["lr"][0]
    more = tune(*ARGUMENTS, "--trials", 4, "--storage", storage, "--out", tmp_path / "more", "--quiet")
    assert (more.out, more.err) == ("", "")
    again = pd.read_csv(tmp_path / "more" / "trials.csv")
    assert set(table["lr"]) < set(again["lr"])
    assert len(again) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--trials", 0), "--trials must be "),
        (("--pruner", "best"), "--pruner must be one of 'none', 'halving'"),
        (("--storage", "/no/such/folder/x.log"), "--storage must be "),
        (("--lr", 0.1, "--weight-decay", 1), "which leaves nothing to search"),
        (("--epochs", 0), "--epochs must be "),
        (("--target", "speed"), "speed"),
    ],
)
def test_errors_are_one_line(tmp_path, words, message):
    """And nothing is written."""
    done = run_here("tune", *ARGUMENTS, *words, "--out", tmp_path / "out")
    assert (done.status, done.err.count("\n")) == (1, 1), done.err
    assert message in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["one line\n", '{"a": 1}\n', "a,b\n1,2\n"])
def test_a_storage_that_is_no_journal_keeps_its_bytes(tmp_path, text):
    """Optuna would take a last line that it cannot read for one half written, and append to the file."""
    path = tmp_path / "mine.txt"
    path.write_text(text)
    done = run_here("tune", *ARGUMENTS, "--storage", path, "--out", tmp_path / "out")
    assert (done.status, done.err.count("\n")) == (1, 1), done.err
    assert "--storage must be a new file, or the journal of a search" in done.err
    assert path.read_text() == text
    assert not (tmp_path / "out").exists()


def test_a_database_that_cannot_be_opened_is_one_line(tmp_path):
    """It is no bug of fnloop, and a password of the URL is not shown."""
    done = run_here("tune", *ARGUMENTS, "--storage", "foo://me:secret@host/x", "--out", tmp_path / "out")
    assert (done.status, done.err.count("\n")) == (1, 1), done.err
    assert "--storage must be a database that can be opened" in done.err
    assert "bug" not in done.err
    assert "secret" not in done.err


def test_a_second_search_keeps_the_run_files_of_the_first(tmp_path):
    """As `fnloop train --overwrite` does."""
    tune(*ARGUMENTS, "--out", tmp_path, "--record", "--quiet")
    before = (tmp_path / "trials.runs" / "0000.run").read_bytes()
    tune(*ARGUMENTS, "--out", tmp_path, "--record", "--quiet", "--overwrite")
    assert (tmp_path / "trials.runs" / "0000.run").read_bytes() == before
    assert (tmp_path / "trials-2.runs" / "0000.run").exists()


def test_the_trials_are_written_before_the_results(tmp_path, monkeypatch):
    """A signal while the results are written must not lose the table of trials."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fnloop.cli.tune.write_results", interrupted)
    done = run_here("tune", *ARGUMENTS, "--out", tmp_path, "--quiet")
    assert done.status == 130
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 3


def test_equal_trials_are_shown_once(tmp_path):
    """As of a search for the width alone."""
    done = tune(
        "iris", "--epochs", 1, "--trials", 8, "--lr", 0.01, "--weight-decay", 0.1, "--out", tmp_path, "--pruner", "none"
    )
    shown = done.out.partition("best_epoch  epochs\n")[2].partition("\n\n")[0].splitlines()
    assert len(shown) == len({line.split()[1] for line in shown}) <= 3
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 8


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C is pressed after the first batch."""

    def show(study):
        raise KeyboardInterrupt

    monkeypatch.setattr("fnloop.populations.search.show_trials", lambda *_: show)


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_search_says_how_it_is_resumed(tmp_path, monkeypatch):
    """The command that is printed trains the missing trials, and replaces the results."""
    words = "--storage", tmp_path / "my trials.log", "--out", tmp_path / "out"
    done = run_here("tune", *ARGUMENTS, "--trials", 40, *words)
    assert done.status == 130
    assert len(pd.read_csv(tmp_path / "out" / "trials.csv")) == 16
    monkeypatch.undo()
    resumed = run_here(*shlex.split(re.search(r"Next: fnloop (.*)", done.out)[1]))
    assert resumed.status == 0, resumed.err
    assert len(pd.read_csv(tmp_path / "out" / "trials.csv")) == 40


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_search_without_a_storage_says_that_it_is_lost(tmp_path):
    done = run_here("tune", *ARGUMENTS, "--out", tmp_path / "out")
    assert done.status == 130
    assert "The search cannot be resumed: its trials are kept only with --storage FILE.\n" in done.out
    assert "Next: fnloop predict" in done.out


@pytest.mark.parametrize("words", [("--storage", "foo://host/x"), ("--lr", 1e300)])
@pytest.mark.filterwarnings("ignore::fnloop.NonFiniteWarning")
def test_an_error_leaves_no_empty_folder(tmp_path, words):
    """Of the storage, or if no trial has a best state; a folder that existed stays."""
    done = run_here("tune", *ARGUMENTS, *words, "--out", tmp_path / "a" / "b", "--quiet")
    assert done.status == 1
    assert list(tmp_path.iterdir()) == []
    run_here("tune", *ARGUMENTS, *words, "--out", tmp_path, "--quiet")
    assert tmp_path.exists()
