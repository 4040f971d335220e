"""The commands over run files, typed as a person types them: what they say, what they make, and how they fail."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from toolz import iterate

import fnloop as fl
from fnloop.cli.app import main
from fnloop.cli.demo import first_trainer
from fnloop.core.records import evolve, frozen
from fnloop.runs import probes

BROKEN = 4  # whole epochs of the run that goes on


@pytest.fixture(scope="module")
def data():
    return fl.datasets.lab()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    """`lab.run`, which stopped itself, `short.run`, which did not, and what is no run."""
    path = tmp_path_factory.mktemp("runs")
    how = {"preprocessing": data.preprocessing}
    for name, trainer, epochs in (
        ("lab", first_trainer(), 100),
        ("short", evolve(first_trainer(), early_stopping=None), BROKEN),
    ):
        into = fl.record(path / f"{name}.run", trainer, data.train, data.validation, **how)
        fl.fit(trainer, data.train, data.validation, epochs=epochs, record=into, progress=False)
    (path / "named.npz").write_bytes((path / "lab.run").read_bytes())
    (path / "text.run").write_text("no run", encoding="utf-8")
    (path / "full").mkdir()
    for name in ("metrics.json", "schedulers.png", "table.csv"):
        (path / "full" / name).write_text("what was here before", encoding="utf-8")
    (path / "table.csv").symlink_to("full/table.csv")
    (path / "link.csv").hardlink_to(path / "full" / "table.csv")
    return path


@pytest.fixture
def type_in(folder, monkeypatch, capsys):
    """Type a command in the folder of the runs."""
    monkeypatch.chdir(folder)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["fnloop", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(out=out, err=err, status=ended.value.code)

    return typed


@pytest.fixture
def says(type_in):
    """What a command that succeeds says."""

    def said(*words):
        done = type_in(*words)
        assert done.status == 0, done.err
        return done.out

    return said


def start(*words, cwd, **more):
    command = [sys.executable, "-m", "fnloop", *map(str, words)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_log_tells_the_run_and_a_row_an_epoch(says, folder):
    """The header has what was trained and how it ended, the table each state; `--last` cuts it."""
    run, said = fl.open_run(folder / "lab.run"), says("log", "lab.run")
    for part in (
        "493 parameters",
        "BinaryCrossEntropy()",
        "ReduceLROnPlateau(0.01, mode='min', patience=5",
        "640 examples",
        "no improvement",
    ):
        assert part in said
    header, table = said.split("\n\n")
    assert "NumPy" in header
    lines = table.splitlines()
    assert lines[0].split() == ["epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", "state"]
    assert [int(line.split()[0]) for line in lines[1:]] == [row.epoch for row in run.rows]
    assert [line.split()[8] for line in lines[1:]] == [row.digest[:8] for row in run.rows]
    assert [line.split()[0] for line in lines if line.endswith("best")] == [str(run.best().epoch)]
    assert says("log", "lab.run", "--last", 2).splitlines()[-2:] == lines[-2:]


def test_log_of_a_run_that_is_being_written(says, folder, data):
    """It shows what is committed by then, and what comes later when it is asked again."""
    trainer = evolve(first_trainer(), early_stopping=None)
    states = fl.epochs(trainer, data.train, data.validation)
    states = fl.record(folder / "live.run", trainer, data.train, data.validation, states)
    next(states)
    assert "it can go on" in says("log", "live.run")
    next(states)
    states.close()
    assert says("log", "live.run").splitlines()[-1].split()[0] == "1"


@frozen
class Falling:
    """A state of a step of one's own, of which nothing is known but that it is a record."""

    height: float
    speed: float


def fall(state):
    return Falling(state.height - state.speed, state.speed + 1.0)


def test_log_of_a_run_of_a_step_of_ones_own(says, type_in, folder):
    """There is no trainer and there are no metrics; what needs the step says so in one line."""
    list(fl.record(folder / "fall.run", None, None, None, islice(iterate(fall, Falling(9.0, 0.0)), 6)))
    said = says("log", "fall.run")
    assert "a step of one's own" in said
    assert said.splitlines()[-1].split()[:2] == ["5", "5"]
    for words in (["show", "fall.run", 3], ["verify", "fall.run"], ["probe", "fall.run", "weight_norm"]):
        done = type_in(*words)
        assert done.status == 1
        assert done.err.count("\n") == 1 or done.out.count("\n") == 1


def test_log_of_a_trainer_that_holds_functions(says, type_in, folder, data):
    """No file holds those: the log tells what it can, the rest says what is missing."""

    def error(outputs, targets):
        return (outputs[:, 0] - targets) ** 2

    trainer = fl.Trainer(model=fl.mlp([10, 1]), loss=fl.losses.BinaryCrossEntropy(), metrics=(error,))
    fl.fit(trainer, data.train, epochs=1, record=folder / "own.run", progress=False)
    assert "error" in says("log", "own.run")
    done = type_in("show", "own.run")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "holds functions" in done.err


@pytest.mark.parametrize("words", [(4,), ("4",), ("best",), ("last",), (), (2, "--step", 50), ("2:50",), ("--step", 50)])
def test_show_has_all_of_a_state(says, folder, words):
    """Of any place: the digest is that of the state, each layer has a line."""
    run = fl.open_run(folder / "lab.run")
    state = {"best": run.best, "last": lambda: run.last, "4": lambda: run.state(4)}.get(
        str(words[0]) if words else "last", lambda: run.state(2, 50)
    )()
    said = says("show", "lab.run", *words)
    assert fl.digest(state) in said
    assert f"epoch {state.epoch}, step {state.step}" in said
    for name in ("params.layers[3].weights", "optimizer.count", "scheduler.wait", "early_stopping.best_epoch"):
        assert name in said
    assert f"norm {np.linalg.norm(state.params.layers[0].weights.astype(float)):.4g}" in said


def test_verify_says_so_and_exits_by_it(says, type_in, folder):
    """A state that is not had again is exit status 1, and the epoch and the field are named."""
    assert says("verify", "lab.run") == "verified, 20 of 20\n"
    other = fl.open_run(folder / "short.run")
    assert other.verify().ok
    broken = subprocess.run(
        [sys.executable, "-c", BREAK, "verify", "short.run"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert broken.returncode == 1, broken.stderr
    assert broken.stdout.startswith("not verified, 1 of 5: the first that differs is epoch 1, in params")


BREAK = """
import sys
from fnloop.cli import app as cli
from fnloop.optimizers import Adam
kernel = Adam.kernel
Adam.kernel = lambda self, g, s, p, c: kernel(self, g * 1.001, s, p, c)
sys.argv[0] = "fnloop"
from fnloop.runs.reader import Reader
Reader.snapshots = lambda self: [0]
cli.main()
"""


def test_diff_names_both_places_and_what_differs(says):
    """Within a run, at a step, and between two runs; the same state has the same bits."""
    assert "the same bits in all" in says("diff", "lab.run", 4, 4)
    said = says("diff", "lab.run", 4, "2:50")
    assert said.startswith("- lab.run: epoch 4, step 80\n+ lab.run: epoch 2, step 50: step 10 of epoch 3\n")
    assert "optimizer.count" in said
    said = says("diff", "lab.run", 3, 3, "--other", "short.run")
    assert "params.layers" not in said
    assert "early_stopping" in said


def test_bisect_finds_the_epoch_and_the_step(says, type_in, folder):
    """And the commands that it names next can be typed."""
    run = fl.open_run(folder / "lab.run")
    held = [row.epoch for row in run.rows[1:] if row.epoch > 5 and row.metrics["val_loss"] > 0.11]
    since = next(epoch for epoch in held if set(range(epoch, 20)) <= {*held})
    said = says("bisect", "lab.run", "val_loss > 0.11 and epoch > 5")
    assert f"begins to hold in epoch {since}, step {20 * since}\n" in said
    assert f"It held before, too, and then no longer: first behind epoch {held[0]}" in said
    said = says("bisect", "lab.run", "step > 77")
    assert "epoch 3, step 78: step 18 of epoch 4" in said
    commands = re.findall(r"fnloop (.*)", said)
    assert [command.split()[0] for command in commands] == ["show", "diff", "fork"]
    for command in commands:
        says(*command.split())


def test_resume_goes_on_to_the_bit(says, type_in, folder, data):
    """The file is then that of a run that was never interrupted; a finished run says so."""
    (folder / "again.run").write_bytes((folder / "short.run").read_bytes())
    done = type_in("resume", "again.run", "--epochs", 6)
    assert (done.status, done.out) == (0, "again.run: epochs 5 to 6\nNext: fnloop log again.run\n")
    assert [line.split()[1] for line in done.err.splitlines()] == ["5/6", "6/6"]
    trainer = evolve(first_trainer(), early_stopping=None)
    whole = fl.fit(trainer, data.train, data.validation, epochs=6, progress=False)
    assert fl.same_bits(fl.open_run(folder / "again.run").last, whole.last)
    assert "has 6 epochs already" in says("resume", "again.run", "--epochs", 6)
    assert "finished: no improvement" in says("resume", "lab.run")


def test_fork_makes_another_run(says, type_in, folder):
    """With what was changed, trained or not; the commands it names can be typed."""
    said = says("fork", "lab.run", 4, "a.run", "--lr", 0.003, "--clip", 1, "--epochs", 8)
    assert "0.01" in said
    assert "0.003" in said
    fork, run = fl.open_run(folder / "a.run"), fl.open_run(folder / "lab.run")
    assert fork.trainer.scheduler == evolve(run.trainer.scheduler, initial_lr=0.003)
    assert fork.trainer.optimizer == fl.optimizers.chain(fl.optimizers.clip_by_global_norm(1.0), fl.optimizers.Adam())
    assert [row.epoch for row in fork.rows] == [4, 5, 6, 7, 8]
    assert fl.same_bits(fork.state(4).params, run.state(4).params)
    assert "fork of    lab.run at epoch 4, with another scheduler, optimizer" in says("log", "a.run")
    said = says("fork", "lab.run", "last", "b.run", "--no-early-stopping", "--weight-decay", 0.1, "--scheduler", "step")
    says(*re.search(r"fnloop (resume .*)", said)[1].split(), "--epochs", 21)
    assert fl.open_run(folder / "b.run").trainer.scheduler == fl.schedulers.StepLR(0.01, 33)
    says("fork", "b.run", "best", "c.run", "--weight-decay", 0.2)
    assert [part.weight_decay for part in fl.open_run(folder / "c.run").trainer.optimizer.parts[1:]] == [0.2]
    says("fork", "lab.run", "best", "d.run", "--seed", 7, "--batch-size", 8, "--patience", 40)
    trainer = fl.open_run(folder / "d.run").trainer
    assert (trainer.seed, trainer.batch_size, trainer.early_stopping.patience) == (7, 8, 40)


def test_probe_has_what_nobody_logged(says, folder, data):
    """As CSV; each is what the functions of the library give."""
    run = fl.open_run(folder / "lab.run")
    rows = rows_of(says("probe", "lab.run", "weight_norm"))
    assert [int(row["epoch"]) for row in rows] == [row.epoch for row in run.rows]
    vector = run.state(3).params.vector.astype(float)
    assert float(rows[3]["weight_norm"]) == np.linalg.norm(vector)
    assert float(rows[3]["layer_0"]) == np.linalg.norm(vector[: 10 * 16 + 16])
    moved = rows_of(says("probe", "lab.run", "update_norm", "--epochs", "0:3"))
    before = run.state(2).params.vector.astype(float)
    assert float(moved[3]["update_norm"]) == np.linalg.norm(vector - before) / np.linalg.norm(before)
    assert moved[0]["update_norm"] == "nan"
    says("probe", "lab.run", "gradient_norm", "--epochs", "3", "--out", "g.csv")
    (row,) = rows_of((folder / "g.csv").read_text())
    assert float(row["gradient_norm"]) == probes.GradientNorm(run.trainer, run.train)(run.state(3))["gradient_norm"]
    np.savez(folder / "test.npz", x=RAW.x, y=RAW.y)
    (row,) = rows_of(says("probe", "lab.run", "metrics", "--data", "test.npz", "--epochs", "4:4"))
    table = {**{f"x{i}": column for i, column in enumerate(RAW.x.T)}, "target": RAW.y.astype(float)}
    wanted = fl.evaluate(run.trainer, run.state(4), data.preprocessing.dataset(table))
    assert {name: float(row[name]) for name in wanted} == wanted


RAW = fl.Dataset(np.random.default_rng(0).standard_normal((20, 10)), np.arange(20) % 2)


def test_a_gradient_norm_is_that_of_the_mean_loss():
    """By central differences, over more rows than one pass takes, with weights, and with what only training does left out."""
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((1500, 3)), draw.integers(0, 2, 1500)
    data = fl.Dataset(x, y, draw.uniform(0, 2, 1500))
    layers = [fl.nn.Dense(3, 4), fl.nn.BatchNorm(4), fl.nn.Dropout(0.5), fl.nn.Dense(4, 1)]
    trainer = fl.Trainer(model=fl.nn.Sequential(3, layers), loss=fl.losses.BinaryCrossEntropy(), dtype="float64", metrics=())
    state = fl.last(islice(fl.epochs(trainer, data), 3))
    vector, slopes = state.params.vector, []
    for i in range(len(vector)):
        losses = []
        for h in (1e-6, -1e-6):
            moved = vector.copy()
            moved[i] += h
            losses.append(fl.evaluate(trainer, evolve(state, params=evolve(state.params, vector=moved)), data)["loss"])
        slopes.append((losses[0] - losses[1]) / 2e-6)
    found = probes.GradientNorm(trainer, data)(state)
    assert found["gradient_norm"] == pytest.approx(np.linalg.norm(slopes), rel=1e-5)
    assert found["layer_0"] == pytest.approx(np.linalg.norm(slopes[:16]), rel=1e-5)


def test_processes_give_what_one_gives(says, folder):
    """Each probe and the verification, to the bit."""
    for what in (["weight_norm"], ["gradient_norm"], ["update_norm"], ["metrics", "--data", "lab"]):
        process = start("probe", "lab.run", *what, "--processes", 2, cwd=folder)
        out, err = process.communicate(timeout=100)
        assert out == says("probe", "lab.run", *what), err
    process = start("verify", "lab.run", "--processes", 2, cwd=folder)
    assert process.communicate(timeout=100) == ("verified, 20 of 20\n", "")


def test_export_is_a_checkpoint_to_predict_from(says, folder):
    """Of any state, with the trainer and the preprocessing of the run."""
    run = fl.open_run(folder / "lab.run")
    for words, state in (
        (["o.npz"], run.last),
        ([4, "o.npz"], run.state(4)),
        (["2:50", "o.npz"], run.state(2, 50)),
        (["o.npz", "--step", 50], run.state(2, 50)),
        (["o.npz", "--best", "val_accuracy"], run.best("val_accuracy")),
    ):
        said = says("export", "lab.run", *words, "--overwrite")
        assert f"Wrote o.npz: epoch {state.epoch}, step {state.step}" in said
        assert fl.same_bits(fl.load(folder / "o.npz"), state)
    assert says("predict", "o.npz", "lab").count("\n") == 1001
    assert fl.load_checkpoint(folder / "o.npz").trainer == run.trainer


def test_prune_says_what_it_took(says, folder):
    """And every state can be had afterwards."""
    (folder / "p.run").write_bytes((folder / "lab.run").read_bytes())
    there = len(fl.open_run(folder / "p.run").snapshots)
    taken, of = re.match(
        r"Took away (\d+) of (\d+) whole states: .* kB -> .* kB", says("prune", "p.run", "--keep", 1)
    ).groups()
    assert int(of) == there
    assert len(fl.open_run(folder / "p.run").snapshots) == there - int(taken)
    assert says("verify", "p.run") == "verified, 20 of 20\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("log nothing.run", "no such file: 'nothing.run'"),
        ("log .", "a run must be a regular file, which '.' is not"),
        ("log text.run", "'text.run' is not a run of fnloop"),
        ("log lab.run --last 0", "--last"),
        ("show lab.run 77", "0 to 19, got 77"),
        ("show lab.run x", "best or last, got 'x'"),
        ("show lab.run 4:999", "80 to 100, got 999"),
        ("show lab.run 4:x", "got '4:x'"),
        ("show lab.run 4:", "got '4:'"),
        ("show lab.run 99999999999999999999", "got '9999"),
        ("show lab.run ٣", "got '٣'"),
        ("show lab.run --step 999", "0 to 380, got 999"),
        ("show lab.run --step -1", "got -1"),
        ("show lab.run 4:85 --step 3", "--step"),
        ("diff lab.run 1 1:2:3", "got '1:2:3'"),
        ("diff lab.run 1 2 --other no.run", "no.run"),
        ("bisect lab.run nothing>0.3", "'nothing'"),
        ("bisect lab.run val_loss>", "got 'val_loss>'"),
        ("bisect lab.run __import__('os')", "comparison"),
        ("bisect lab.run val_loss>99", "does not hold for the last state"),
        ("bisect lab.run epoch>=0", "holds for the first state already"),
        ("verify lab.run --processes 0", "--processes"),
        ("probe lab.run magic", "weight_norm, gradient_norm"),
        ("probe lab.run metrics", "--data"),
        ("probe lab.run weight_norm --data lab", "--data"),
        ("probe lab.run metrics --data iris", "missing"),
        ("probe lab.run metrics --data no.csv", "no.csv"),
        ("probe lab.run weight_norm --epochs 9:3", "0:19"),
        ("probe lab.run weight_norm --epochs x", "got 'x'"),
        ("probe lab.run weight_norm --epochs 3:99", "0:19"),
        ("probe lab.run weight_norm --out no/x.csv", "no/x.csv"),
        ("probe lab.run weight_norm --out ./lab.run", "--out must be another file than RUN"),
        ("export named.npz 3 named.npz", "OUT must be another file than RUN"),
        ("resume lab.run --epochs 0", "--epochs"),
        ("fork lab.run 99 q.run", "got 99"),
        ("fork lab.run 4:85 q.run", "got '4:85'"),
        ("fork lab.run 4 short.run", "'short.run'"),
        ("fork lab.run 4 no/q.run", "no/q.run"),
        ("fork lab.run 4 q.run --lr -1", "--lr must be a real number in (0, inf), got -1.0"),
        ("fork lab.run 4 q.run --scheduler magic", "--scheduler must be one of constant, step"),
        ("fork lab.run 4 q.run --batch-size 0", "--batch-size must be"),
        ("fork lab.run 4 q.run --patience 0", "--patience must be"),
        ("fork lab.run 4 q.run --seed -1", "--seed must be"),
        ("fork lab.run 4 q.run --weight-decay -1", "--weight-decay must be"),
        ("fork lab.run 4 q.run --epochs 0", "--epochs must be"),
        ("show lab.run --step 99999", "--step must be"),
        ("fork lab.run 4 q.run --clip 0", "--clip must be"),
        ("fork lab.run 4 q.run --epochs 3", "--epochs"),
        ("fork lab.run 19 q.run --patience 3", "would have stopped the run in epoch 7"),
        ("fork lab.run 4 q.run --patience 3 --no-early-stopping", "--patience"),
        ("export lab.run 12", "OUT.npz"),
        ("export lab.run 1 2 x.npz", "OUT.npz"),
        ("export lab.run x.npz --best nothing", "--best must be one of the run's"),
        ("export lab.run 3 x.npz --best loss", "--best"),
        ("export lab.run no/o.npz", "no/o.npz"),
        ("export lab.run named.npz", "--overwrite, got 'named.npz'"),
        ("train lab --out full", "--out has full/metrics.json already; name another folder, or replace them with --overwrite"),
        ("train lab --out text.run", "--out must be a folder, got the file 'text.run'"),
        ("train full/metrics.json --overwrite --out full", "--out must be another file than DATA"),
        ("demo --out full", "full/schedulers.png"),
        ("predict named.npz table.csv --out ./table.csv", "--out must be another file than DATA"),
        ("predict named.npz table.csv --out link.csv", "--out must be another file than DATA"),
        ("predict named.npz table.csv --out ./named.npz", "--out must be another file than CHECKPOINT"),
        ("probe lab.run metrics --data table.csv --out table.csv", "--out must be another file than --data"),
        ("prune lab.run --keep 0", "--keep"),
    ],
)
def test_bad_input_is_one_clear_line(type_in, folder, command, said):
    """With what was typed, exit status 1, and nothing is made."""
    before = set(folder.iterdir())
    done = type_in(*command.split(" "))
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert said in done.err
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("command", ["prune lab.run", "export lab.run", "diff lab.run 3", "log", "show lab.run 1 --nothing"])
def test_wrong_usage_is_status_2(type_in, command):
    """One line too."""
    done = type_in(*command.split())
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")


def test_a_run_that_another_writes_is_left_alone(type_in, folder, data):
    """To resume and to prune it is refused; to read it is not."""
    trainer = first_trainer()
    states = fl.epochs(trainer, data.train, data.validation)
    states = fl.record(folder / "taken.run", trainer, data.train, data.validation, states)
    next(states)
    for words in (["resume", "taken.run"], ["prune", "taken.run", "--keep", 1]):
        done = type_in(*words)
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert "being written by another" in done.err
    assert type_in("show", "taken.run").status == 0
    states.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_resume_is_one_line_and_loses_nothing(says, folder, number):
    """Whatever was shown is in the file."""
    (folder / "long.run").write_bytes((folder / "short.run").read_bytes())
    process = start("resume", "long.run", "--epochs", 1_000_000, cwd=folder)
    for _ in range(30):
        shown = process.stderr.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    *lines, last = err.splitlines()
    shown = [line for line in [shown, *lines] if line.startswith("epoch")][-1]
    epoch = int(re.search(r"all up to epoch (\d+) is in long.run, fnloop resume long.run --epochs 1000000 goes on", last)[1])
    assert epoch >= int(shown.split()[1].partition("/")[0])
    run = fl.open_run(folder / "long.run")
    assert run.rows[-1].epoch == epoch
    assert run.verify().ok
    assert [path.name for path in folder.iterdir() if path.name.startswith("long")] == ["long.run"]


def test_train_and_demo_record(says, tmp_path, data):
    """A file that verifies, that predictions can be made from, that is never written over, and that can be left out."""
    said = says("train", "iris", "--epochs", 3, "--out", tmp_path)
    run, name = fl.open_run(tmp_path / "training.run"), str(tmp_path / "training.run")
    assert [row.epoch for row in run.rows] == [0, 1, 2, 3]
    assert f"fnloop log {name}\n" in said
    assert f"fnloop verify {name}\n" in said
    assert says("verify", name) == "verified, 4 of 4\n"
    says("export", name, tmp_path / "e.npz", "--best", "val_loss")
    assert says("predict", tmp_path / "e.npz", "iris") == says("predict", tmp_path / "best.npz", "iris")
    before = (tmp_path / "training.run").read_bytes()
    said = says("train", "iris", "--epochs", 1, "--out", tmp_path, "--overwrite")
    assert f"{tmp_path / 'training-2.run'} ({name} is there already)" in said
    assert (tmp_path / "training.run").read_bytes() == before
    assert "run" not in says("train", "iris", "--epochs", 1, "--out", tmp_path / "none", "--no-record").replace(
        str(tmp_path), ""
    )
    assert not list((tmp_path / "none").glob("*.run"))


LIMITED = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("fnloop", run_name="__main__", alter_sys=True)
"""


def test_a_run_that_cannot_be_recorded_is_one_clear_line(tmp_path):
    """As when the disk is full: at the beginning it is refused; on the way it is a warning, and the results are written."""
    for limit, status, said in ((1000, 1, "fnloop: error: "), (140_000, 0, "fnloop: warning: recording to ")):
        out = tmp_path / str(limit)
        words = ("train", "iris", "--quiet", "--hidden", 4, "--patience", 300, "--epochs", 300, "--out", out)
        command = [sys.executable, "-c", LIMITED, str(limit), *map(str, words)]
        environ = {**os.environ, "MPLCONFIGDIR": str(tmp_path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, **pipes)
        printed, err = process.communicate(timeout=100)
        assert (process.returncode, printed, err.count("\n")) == (status, "", 1), err
        assert err.startswith(said)
        assert "training.run" in err
        assert "disk" in err
    assert fl.load(out / "best.npz").epoch > fl.open_run(out / "training.run").rows[-1].epoch
    assert {path.name for path in out.iterdir()} >= {"best.npz", "training.png", "metrics.json", "training.run"}
