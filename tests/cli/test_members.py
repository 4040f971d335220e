"""`fnloop train --members`: models of several seeds train together and predict by their mean."""

import csv
import io
import json
import re
import shlex
from unittest import mock

import numpy as np
import pytest

import fnloop as fl
from fnloop.cli import members as command
from fnloop.populations import memory
from tests.cli.support import run_here


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def train(*words):
    done = run_here("train", *words)
    assert done.status == 0, done.err
    return done.out


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of three members, and what the command printed."""
    out = tmp_path_factory.mktemp("members") / "o"
    return out, train("iris", "--members", 3, "--epochs", 4, "--seed", 5, "--out", out)


def test_members_are_the_runs_of_consecutive_seeds(trained):
    """To the bit, with the best epoch of each; the report is of their mean, with the scores of each next to it."""
    out, printed = trained
    model = fl.load(out / "best.npz")
    assert [trainer.seed for trainer, _ in model] == [5, 6, 7]
    table = fl.load_checkpoint(out / "best.npz").preprocessing
    assert table.classes == ("setosa", "versicolor", "virginica")
    report = json.loads((out / "metrics.json").read_text())
    assert [member["seed"] for member in report["members"]] == [5, 6, 7]
    assert [member["best_epoch"] for member in report["members"]] == [state.epoch for state in model.states]
    assert all(len(member["history"]["val_loss"]) == 4 for member in report["members"])
    assert "best_epoch" not in report
    assert "one member" in printed
    assert "seeds 5 to 7" in printed
    for i, state in enumerate(model.states):
        run = fl.open_run(out / "training.runs" / f"{i:0>4}.run")
        assert fl.same_bits(run.best(), state)
        assert run.preprocessing == table


def test_one_member_is_a_training_as_ever(tmp_path):
    """The checkpoint holds a state; the report has its epoch and its history; that of a member is the same run."""
    printed = train("iris", "--epochs", 4, "--seed", 6, "--members", 1, "--out", tmp_path / "o")
    assert isinstance(fl.load(tmp_path / "o" / "best.npz"), fl.TrainState)
    report = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert {"best_epoch", "stop_reason", "history"} <= report.keys()
    assert "members" not in report
    assert "one member" not in printed


def test_predictions_are_the_mean_and_the_spread_is_a_column(trained):
    """The order of rows is kept; without --spread the columns are those of one model."""
    out, _ = trained
    plain = rows_of(run_here("predict", out / "best.npz", "iris").out)
    rows = rows_of(run_here("predict", out / "best.npz", "iris", "--spread").out)
    assert list(plain[0]) == ["prediction", "p(setosa)", "p(versicolor)", "p(virginica)"]
    assert list(rows[0]) == [*plain[0], "spread"]
    assert [{k: v for k, v in row.items() if k != "spread"} for row in rows] == plain
    assert all(0 <= float(row["spread"]) <= 0.5 for row in rows)
    assert any(float(row["spread"]) > 0 for row in rows)


def test_the_spread_of_a_quantity_is_in_its_units(tmp_path):
    """It is the standard deviation of the members' predictions; --refit trains each member again."""
    lines = [f"{i % 13},{1000 + 40 * (i % 13) + i % 3}" for i in range(120)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    options = ["--members", 2, "--epochs", 3, "--no-record", "--hidden", "4"]
    for refit in ([], ["--refit"]):
        out = tmp_path / f"o{len(refit)}"
        printed = train(tmp_path / "t.csv", *options, *refit, "--out", out)
        assert not (out / "training.runs").exists()
        rows = rows_of(run_here("predict", out / "best.npz", tmp_path / "t.csv", "--spread").out)
        loaded = fl.load_checkpoint(out / "best.npz")
        x = loaded.preprocessing.features({"x": [i % 13 for i in range(120)]})
        values = [loaded.preprocessing.decode(fl.predict(t, s, x)) for t, s in loaded.state]
        np.testing.assert_allclose([float(row["prediction"]) for row in rows], np.mean(values, 0), rtol=1e-6)
        np.testing.assert_allclose([float(row["spread"]) for row in rows], np.std(values, 0), rtol=1e-3)
    assert "Trained again" in printed
    first, again = (fl.load(tmp_path / name / "best.npz").states for name in ("o0", "o1"))
    assert [state.epoch for state in again] == [state.epoch for state in first]
    assert all("val_loss" not in state.metrics for state in again)


def interrupted_training(out, *words):
    """The output of a training that Ctrl-C ends after two epochs."""

    def stop_after(trainers, *arguments, **options):
        count = 0

        def show(states):
            nonlocal count
            count += 1
            if count == 3:
                raise KeyboardInterrupt

        with mock.patch("fnloop.populations.sweep.show_members", return_value=show):
            return fl.sweep(trainers, *arguments, **options)

    with mock.patch.object(command, "sweep", stop_after):
        return run_here("train", "iris", "--members", 2, "--epochs", 6, "--out", out, *words)


def test_a_signal_ends_all_members(tmp_path):
    """The results so far are written, of every member."""
    done = interrupted_training(tmp_path / "o")
    assert done.status == 130
    report = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert [member["stop_reason"] for member in report["members"]] == ["interrupted"] * 2
    assert [len(member["history"]["loss"]) for member in report["members"]] == [2, 2]
    assert len(fl.load(tmp_path / "o" / "best.npz")) == 2


def test_an_interrupted_ensemble_is_resumed_as_a_whole(tmp_path):
    """The commands that are printed give the checkpoint of a training that was not interrupted."""
    train("iris", "--members", 2, "--epochs", 6, "--no-record", "--out", tmp_path / "whole")
    printed = interrupted_training(tmp_path / "my o").out
    for name in ("resume", "export"):
        words = shlex.split(re.search(rf"fnloop ({name} .*)", printed)[1])
        done = run_here(*words)
        assert done.status == 0, done.err
        printed = done.out
    assert "best.npz: 2 members, best epochs " in printed
    assert (tmp_path / "my o" / "best.npz").read_bytes() == (tmp_path / "whole" / "best.npz").read_bytes()
    done = run_here("resume", tmp_path / "my o" / "training.runs", "--epochs", 6)
    assert "nothing to resume in 2 runs with 6 epochs" in done.out


def test_resumed_trials_of_a_search_are_no_ensemble(tmp_path):
    """The best model, which another command wrote, is not to be replaced by the mean of all trials."""
    data, trainer = fl.datasets.iris(), fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy")
    fl.sweep(fl.grid(trainer, lr=[0.01, 0.1]), data.train, epochs=1, record=tmp_path, progress=False)
    done = run_here("resume", tmp_path, "--epochs", 2)
    assert (done.status, "fnloop export" in done.out, "fnloop log" in done.out) == (0, False, True)


def test_runs_without_a_file_are_counted(tmp_path):
    """A process that was killed early leaves only their locks."""
    trainers = fl.grid(fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy"), seed=range(2))
    fl.sweep(trainers, fl.datasets.iris().train, epochs=1, record=tmp_path / "runs", progress=False)
    for name in ("0001", "0002", "0003"):
        (tmp_path / "runs" / f"{name}.run-lock").touch()
    line = "2 runs were not yet written when the process ended: 0002.run, 0003.run\n"
    assert line in run_here("resume", tmp_path / "runs", "--epochs", 2).out
    assert line in run_here("export", tmp_path / "runs", 2, tmp_path / "m.npz").out


def test_a_folder_without_run_files_is_one_line(tmp_path):
    """It names the folder in it that has some; an error about one of the runs names its file."""
    interrupted_training(tmp_path, "--quiet")
    for words, message in (
        (("resume", tmp_path), "did you mean "),
        (("export", tmp_path / "training.runs", 7, tmp_path / "x.npz"), "0000.run: epoch must be one that the run reached"),
        (("resume", tmp_path / "training.runs", "--epochs", 0), "--epochs must be"),
        (("export", tmp_path / "training.runs", "best", tmp_path / "best.npz"), "OUT must be a new file"),
    ):
        done = run_here(*words)
        assert (done.status, done.err.count("\n")) == (1, 1), done.err
        assert message in done.err


def test_wrong_numbers_of_members_are_one_line(tmp_path):
    """And a spread of one model."""
    done = run_here("train", "iris", "--members", 0, "--out", tmp_path / "o")
    assert done.status == 1
    assert "--members must be" in done.err
    assert done.err.count("\n") == 1
    run_here("train", "iris", "--epochs", 1, "--no-record", "--out", tmp_path / "one")
    done = run_here("predict", tmp_path / "one" / "best.npz", "iris", "--spread")
    assert done.status == 1
    assert "--spread needs the checkpoint of an ensemble" in done.err
    assert done.out == ""


def test_more_members_than_memory_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    done = run_here("train", "iris", "--members", 2 * 10**9, "--out", tmp_path / "o")
    assert done.status == 1
    assert "2,000,000,000 keep about" in done.err
    assert done.err.count("\n") == 1
