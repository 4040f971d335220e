"""How commands end: with what was asked for, or with all that can be kept, and never with what was there before lost."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

import fnloop as fl
from fnloop.cli import app as cli
from fnloop.cli import train as job
from fnloop.cli.signals import interruptible, undisturbed
from fnloop.runs.writer import Writer

FILES = {"best.npz", "training.png", "metrics.json", "training.run"}


@pytest.fixture(autouse=True)
def _pictures(monkeypatch):
    """Pictures that take no time to draw."""
    figure = SimpleNamespace(savefig=lambda file, **how: file.write(b"a picture"))
    for name in ("training", "schedulers"):
        monkeypatch.setattr(f"fnloop.plots.{name}", lambda *data: figure)


@pytest.fixture
def type_in(tmp_path, monkeypatch, capsys):
    """Type a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["fnloop", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return SimpleNamespace(out=out, err=err, status=ended.value.code)

    return typed


def train(type_in, *words):
    return type_in("train", "iris", "--epochs", 3, "--out", "o", *words)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_later_ones_let_it_finish(first):
    """Only a second Ctrl-C interrupts that, too; the handlers are put back."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with interruptible() as came:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(first)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert came == [first, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_what_is_ignored_stays_ignored():
    """Such as SIGHUP under `nohup`."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as came:
            signal.raise_signal(signal.SIGHUP)
        assert came == []
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_undisturbed_finishes_first(number):
    """The signal comes at the end; without one nothing does."""
    done = []

    def work():
        with undisturbed():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("all")

    with interruptible() as came, pytest.raises(KeyboardInterrupt):
        work()
    assert (done, came) == (["all"], [number])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("where", [(job, "save"), (job, "evaluate"), (job, "write_figure"), (Writer, "_wait")])
def test_a_signal_while_the_results_are_written(type_in, tmp_path, monkeypatch, where, number):
    """All of them are, whenever it comes, and the exit status is the signal's."""
    original = getattr(*where)

    def signalled(*words, **more):
        monkeypatch.setattr(*where, original)
        signal.raise_signal(number)
        return original(*words, **more)

    monkeypatch.setattr(*where, signalled)
    assert train(type_in).status == 128 + number
    assert {path.name for path in (tmp_path / "o").iterdir()} >= FILES  # and a lock while the run file is still written
    assert fl.load("o/best.npz").epoch >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_each_part_of_the_demo(type_in, tmp_path, monkeypatch, number):
    """What was made by then is there; what was not is not."""
    fit, asked = fl.fit, []

    for part, written in ((0, {"best.npz", "training.png", "lab.run"}), (2, {"best.npz", "training.png", "lab-2.run"})):
        asked.clear()

        def signalled(*words, part=part, **more):
            asked.append(1)
            now = len(asked) == part + 1
            until = (lambda state: state.epoch == 2 and signal.raise_signal(number)) if now else None
            return fit(*words, **{**more, "until": until, "epochs": 3, "progress": False})

        monkeypatch.setattr("fnloop.cli.demo.fit", signalled)
        done = type_in("demo", "--out", "d", "--overwrite")
        assert done.status == 128 + number
        assert "Interrupted. Wrote d/best.npz and d/training.png." in done.out
        assert written <= {path.name for path in (tmp_path / "d").iterdir()}
        assert not (tmp_path / "d" / "schedulers.png").exists()


def test_results_are_never_written_over_without_being_told(type_in, tmp_path):
    """Each file alone keeps a run from being trained; with `--overwrite` all are new, and the run file is another."""
    folder = tmp_path / "o"
    for name in sorted(FILES - {"training.run"}):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("precious")
        done = train(type_in)
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
        assert f"o/{name}" in done.err
        assert "--overwrite" in done.err
        assert [path.name for path in folder.iterdir()] == [name]
        assert (folder / name).read_text() == "precious"
        (folder / name).unlink()
    assert train(type_in).status == 0
    assert train(type_in).status == 1
    (folder / "best.npz").chmod(0o600)
    (folder / "training.png").rename(tmp_path / "kept.png")
    (folder / "training.png").symlink_to("../kept.png")
    before, recorded = fl.load("o/best.npz"), (folder / "training.run").read_bytes()
    assert train(type_in, "--seed", 7, "--overwrite").status == 0
    assert not fl.same_bits(fl.load("o/best.npz"), before)
    assert stat.S_IMODE((folder / "best.npz").stat().st_mode) == 0o600
    assert (folder / "training.png").is_symlink()
    assert (folder / "training.run").read_bytes() == recorded
    assert {path.name for path in folder.iterdir()} == {*FILES, "training-2.run"}


def test_results_that_appear_during_the_run_are_kept(type_in, tmp_path, monkeypatch):
    """Two runs that write to one folder: the later one writes beside the other's files."""
    fit = job.fit

    def other_first(*words, **more):
        (tmp_path / "o" / "best.npz").write_text("of another run")
        return fit(*words, **more)

    monkeypatch.setattr(job, "fit", other_first)
    done = train(type_in)
    assert (done.status, (tmp_path / "o" / "best.npz").read_text()) == (0, "of another run")
    assert "Wrote o/best-2.npz, o/training.png and o/metrics.json." in done.out
    assert fl.load("o/best-2.npz").epoch >= 1


def test_the_demo_can_be_repeated(type_in, tmp_path, monkeypatch):
    """Without `--out` each one has a folder of its own; in a folder that is named it must be told to write over."""
    fit = fl.fit
    monkeypatch.setattr("fnloop.cli.demo.fit", lambda *words, **more: fit(*words, **{**more, "epochs": 1, "progress": False}))
    for folder in ("fnloop-demo", "fnloop-demo-2", "fnloop-demo-3"):
        done = type_in("demo")
        assert done.status == 0
        assert f"Wrote {folder}/best.npz, {folder}/training.png and {folder}/schedulers.png." in done.out
    assert type_in("demo", "--out", "fnloop-demo").status == 1
    assert type_in("demo", "--overwrite").status == 0
    assert {path.name for path in tmp_path.iterdir()} == {"fnloop-demo", "fnloop-demo-2", "fnloop-demo-3"}
    assert (tmp_path / "fnloop-demo" / "lab-2.run").exists()


def test_predictions_leave_what_is_not_theirs(type_in, tmp_path):
    """A file is replaced with its mode, a link followed, a FIFO and a device written through, `-` is standard output."""
    assert train(type_in, "--no-record").status == 0
    wanted = type_in("predict", "o/best.npz", "iris").out
    (tmp_path / "p.csv").write_text("of yesterday")
    (tmp_path / "p.csv").chmod(0o600)
    (tmp_path / "link.csv").symlink_to("p.csv")
    for name in ("p.csv", "link.csv", "new.csv"):
        done = type_in("predict", "o/best.npz", "iris", "--out", name)
        assert (done.status, done.out, (tmp_path / name).read_text()) == (0, "", wanted)
    assert stat.S_IMODE((tmp_path / "p.csv").stat().st_mode) == 0o600
    assert (tmp_path / "link.csv").is_symlink()
    assert type_in("predict", "o/best.npz", "iris", "--out", "-").out == wanted
    assert not (tmp_path / "-").exists()
    if os.getuid() == 0:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        assert type_in("predict", "o/best.npz", "iris", "--out", "null").status == 0
        assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


@pytest.mark.parametrize("name", ["best.npz", "training.png", "metrics.json"])
def test_a_file_that_cannot_be_written_keeps_no_other_from_it(type_in, tmp_path, monkeypatch, name):
    """One line says which and why; the model is then in the folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / name).symlink_to("nowhere/file")
    done = train(type_in, "--overwrite", "--quiet")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"o/{name} could not be written" in done.err
    assert {path.name for path in (tmp_path / "o").iterdir()} == FILES
    assert all((tmp_path / "o" / other).exists() for other in FILES - {name})
    if name == "best.npz":
        (model,) = (tmp_path / "temporary").glob("*/best.npz")
        assert str(model) in done.err
        assert fl.load(model).epoch >= 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a file system")
def test_a_disk_that_fills_up_costs_the_recording_and_not_the_model(type_in, tmp_path, monkeypatch):
    """Room for the results is kept while the run is recorded; the run file is right as far as it goes."""
    monkeypatch.setattr("fnloop.runs.writer.PAUSE", 0.01)
    (tmp_path / "o").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", tmp_path / "o"], check=False)
    if not os.path.ismount(tmp_path / "o"):
        pytest.skip("no file system can be mounted")
    try:
        words = ("--hidden", 4, "--patience", 300, "--epochs", 300, "--quiet")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            done = train(type_in, *words)
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
