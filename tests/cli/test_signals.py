"""Signals, existing files and full disks: results are kept, and existing files are not lost."""

import json
import os
import re
import signal
import stat
import subprocess
import time
import warnings
from functools import partial
from pkgutil import resolve_name
from types import SimpleNamespace

import pytest

import fnloop as fl
from fnloop.cli.signals import deferring_signals, interruptible
from tests.cli.support import run_here

FILES = {"best.npz", "training.png", "metrics.json", "training.run"}


@pytest.fixture(autouse=True)
def _pictures(monkeypatch):
    """Replace the pictures with ones that take no time to draw."""
    figure = SimpleNamespace(savefig=lambda file, **how: file.write(b"a picture"))
    for name in ("training", "comparison"):
        monkeypatch.setattr(f"fnloop.plots.{name}", lambda *data: figure)


@pytest.fixture
def run_command(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run_here


def train(run_command, *words):
    return run_command("train", "iris", "--epochs", 3, "--out", "o", *words)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_later_ones_do_not(first):
    """Only a second Ctrl-C interrupts again; the handlers are restored."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with interruptible() as arrived:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(first)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert arrived == [first, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_an_ignored_signal_is_still_ignored():
    """`nohup` ignores SIGHUP."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as arrived:
            signal.raise_signal(signal.SIGHUP)
        assert arrived == []
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_deferred_signals_arrive_after_the_block(number):
    """A signal that arrives in the block is raised once after it."""
    done = []

    def work():
        with deferring_signals():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("all")

    with interruptible() as arrived, pytest.raises(KeyboardInterrupt):
        work()
    assert (done, arrived) == (["all"], [number])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "where",
    [
        "fnloop.cli.train.save_model",
        "fnloop.cli.train.score_table",
        "fnloop.cli.train.write_figure",
        "fnloop.runs.writer.Writer._wait",
    ],
)
def test_a_signal_while_the_results_are_written(run_command, tmp_path, monkeypatch, where, number):
    """Whenever it arrives, all results are written, and the exit status is that of the signal."""
    original = resolve_name(where)

    def signalled(*words, **more):
        monkeypatch.setattr(where, original)
        signal.raise_signal(number)
        return original(*words, **more)

    monkeypatch.setattr(where, signalled)
    assert train(run_command).status == 128 + number
    for _ in range(1000):  # the thread that writes the run file, which a process that ends waits for
        if not (tmp_path / "o" / "training.run-lock").exists():
            break
        time.sleep(0.01)
    assert {path.name for path in (tmp_path / "o").iterdir()} >= FILES
    assert fl.load("o/best.npz").epoch >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("part", "epoch"), [("fit", 2), ("compare", 0), ("compare", 2)])
def test_a_signal_in_each_part_of_the_demo(run_command, tmp_path, monkeypatch, number, part, epoch):
    """The results so far are written; a comparison once all its runs have finished an epoch."""
    parts = {"fit": fl.fit, "compare": fl.compare}

    def run_part(name, *words, **more):
        if name == part == "fit":
            more["until"] = lambda state: state.epoch == epoch and signal.raise_signal(number)
        elif name == part:
            monkeypatch.setattr("fnloop.populations.compare.show_members", lambda total: show)
        return parts[name](*words, **{**more, "epochs": 3, "progress": name == part == "compare"})

    def show(states):
        if all(state.epoch == epoch for state in states.values()):
            signal.raise_signal(number)

    for name in parts:
        monkeypatch.setattr(f"fnloop.cli.demo.{name}", partial(run_part, name))
    done = run_command("demo", "--out", "d")
    assert done.status == 128 + number
    files = {"best.npz", "training.png", "lab.run"}
    if (part, epoch) == ("compare", 2):
        assert "interrupted after epoch 2 of 3: " in done.out
        files.add("schedulers.png")
    else:
        assert "Interrupted. Wrote d/best.npz and d/training.png." in done.out
    assert ("fnloop resume d/lab.run --epochs 100" in done.out) == (part == "fit")
    assert {path.name for path in (tmp_path / "d").iterdir()} == files


def test_results_are_replaced_only_with_overwrite(run_command, tmp_path):
    """One existing file prevents the training; `--overwrite` replaces all results and records to another run file."""
    folder = tmp_path / "o"
    for name in sorted(FILES - {"training.run"}):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("precious")
        done = train(run_command)
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
        assert f"o/{name}" in done.err
        assert "--overwrite" in done.err
        assert [path.name for path in folder.iterdir()] == [name]
        assert (folder / name).read_text() == "precious"
        (folder / name).unlink()
    assert train(run_command).status == 0
    assert train(run_command).status == 1
    (folder / "best.npz").chmod(0o600)
    (folder / "training.png").rename(tmp_path / "linked.png")
    (folder / "training.png").symlink_to("../linked.png")
    before, recorded = fl.load("o/best.npz"), (folder / "training.run").read_bytes()
    assert train(run_command, "--seed", 7, "--overwrite").status == 0
    assert not fl.same_bits(fl.load("o/best.npz"), before)
    assert stat.S_IMODE((folder / "best.npz").stat().st_mode) == 0o600
    assert (folder / "training.png").is_symlink()
    assert (folder / "training.run").read_bytes() == recorded
    assert {path.name for path in folder.iterdir()} == {*FILES, "training-2.run"}


def test_results_that_appear_during_training_are_kept(run_command, tmp_path, monkeypatch):
    """If two runs write to one folder, the later one chooses other file names."""
    fit = fl.fit

    def other_first(*words, **more):
        (tmp_path / "o" / "best.npz").write_text("of another run")
        return fit(*words, **more)

    monkeypatch.setattr("fnloop.cli.members.fit", other_first)
    done = train(run_command)
    assert (done.status, (tmp_path / "o" / "best.npz").read_text()) == (0, "of another run")
    assert "Wrote o/best-2.npz, o/training.png and o/metrics.json." in done.out
    assert fl.load("o/best-2.npz").epoch >= 1


def test_the_demo_can_be_repeated(run_command, tmp_path, monkeypatch):
    """Without `--out` each demo gets a new folder; an existing folder needs `--overwrite`."""
    for name, run_part in {"fit": fl.fit, "compare": fl.compare}.items():
        monkeypatch.setattr(
            f"fnloop.cli.demo.{name}", lambda *words, run=run_part, **more: run(*words, **{**more, "epochs": 1})
        )
    for folder in ("fnloop-demo", "fnloop-demo-2", "fnloop-demo-3"):
        done = run_command("demo")
        assert done.status == 0
        assert f"Wrote {folder}/best.npz, {folder}/training.png and {folder}/schedulers.png." in done.out
    assert run_command("demo", "--out", "fnloop-demo").status == 1
    assert run_command("demo", "--overwrite").status == 0
    assert {path.name for path in tmp_path.iterdir()} == {"fnloop-demo", "fnloop-demo-2", "fnloop-demo-3"}
    assert (tmp_path / "fnloop-demo" / "lab-2.run").exists()


def test_predictions_respect_the_output_file(run_command, tmp_path):
    """A replaced file keeps its mode, links are followed, devices are written to, and `-` is standard output."""
    assert train(run_command, "--no-record").status == 0
    wanted = run_command("predict", "o/best.npz", "iris").out
    (tmp_path / "p.csv").write_text("of yesterday")
    (tmp_path / "p.csv").chmod(0o600)
    (tmp_path / "link.csv").symlink_to("p.csv")
    for name in ("p.csv", "link.csv", "new.csv"):
        done = run_command("predict", "o/best.npz", "iris", "--out", name)
        assert (done.status, done.out, (tmp_path / name).read_text()) == (0, "", wanted)
    assert stat.S_IMODE((tmp_path / "p.csv").stat().st_mode) == 0o600
    assert (tmp_path / "link.csv").is_symlink()
    assert run_command("predict", "o/best.npz", "iris", "--out", "-").out == wanted
    assert not (tmp_path / "-").exists()
    if os.getuid() == 0:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        assert run_command("predict", "o/best.npz", "iris", "--out", "null").status == 0
        assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


@pytest.mark.parametrize("name", ["best.npz", "training.png", "metrics.json"])
def test_a_file_that_cannot_be_written_does_not_prevent_others(run_command, tmp_path, monkeypatch, name):
    """One line has the file and the reason; the model is in the folder for temporary files instead."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / name).symlink_to("nowhere/file")
    done = train(run_command, "--overwrite", "--quiet")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"o/{name} could not be written" in done.err
    assert {path.name for path in (tmp_path / "o").iterdir()} == FILES
    assert all((tmp_path / "o" / other).exists() for other in FILES - {name})
    if name == "best.npz":
        (model,) = (tmp_path / "temporary").glob("*/best.npz")
        assert str(model) in done.err
        assert fl.load(model).epoch >= 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a file system")
def test_a_full_disk_ends_the_recording_and_not_the_training(run_command, tmp_path, monkeypatch):
    """Space is reserved for the results; the run file is valid up to the last state that was written."""
    monkeypatch.setattr("fnloop.runs.writer.PAUSE", 0.01)
    (tmp_path / "o").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", tmp_path / "o"], check=False)
    if not os.path.ismount(tmp_path / "o"):
        pytest.skip("no file system can be mounted")
    try:
        words = ("--hidden", 4, "--patience", 300, "--epochs", 300, "--quiet")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            done = train(run_command, *words)
        assert (done.status, done.out, done.err.count("\n")) == (0, "", 1), done.err
        held = re.match(
            "fnloop: warning: recording to .* disk is full; it holds [0-9]+ states?, up to epoch ([0-9]+)", done.err
        )
        report = json.loads((tmp_path / "o" / "metrics.json").read_text())
        assert len(report["history"]["loss"]) == 300
        assert fl.load("o/best.npz").epoch == report["best_epoch"]
        run = fl.open_run("o/training.run")
        assert 1 <= run.rows[-1].epoch == int(held[1]) < 300
        assert run.verify().ok
        assert {path.name for path in (tmp_path / "o").iterdir()} >= FILES
    finally:
        subprocess.run(["umount", tmp_path / "o"], check=True)
