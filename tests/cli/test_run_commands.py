"""The commands over run files: their output, their files and their errors."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from toolz import iterate

import fnloop as fl
from fnloop.cli.demo import first_trainer
from fnloop.core.records import evolve, frozen
from fnloop.runs import writer
from fnloop.runs.probe_functions import GradientNorm
from tests.cli.support import run_here, start
from tests.replay.support import tiny

SHORT = 4  # epochs of the run that can be resumed


@pytest.fixture(scope="module")
def data():
    return fl.datasets.lab()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    """`lab.run`, which stopped early, `short.run`, which can be resumed, and other files."""
    path = tmp_path_factory.mktemp("runs")
    options = {"preprocessing": data.preprocessing}
    for name, trainer, epochs in (
        ("lab", first_trainer(), 100),
        ("short", evolve(first_trainer(), early_stopping=None), SHORT),
    ):
        recorder = fl.record(path / f"{name}.run", trainer, data.train, data.validation, **options)
        fl.fit(trainer, data.train, data.validation, epochs=epochs, record=recorder, progress=False)
    (path / "named.npz").write_bytes((path / "lab.run").read_bytes())
    (path / "text.run").write_text("no run", encoding="utf-8")
    (path / "full").mkdir()
    for name in ("metrics.json", "schedulers.png", "table.csv"):
        (path / "full" / name).write_text("existing content", encoding="utf-8")
    (path / "table.csv").symlink_to("full/table.csv")
    (path / "link.csv").hardlink_to(path / "full" / "table.csv")
    return path


@pytest.fixture
def run_command(folder, monkeypatch):
    """Run a command in the folder of the runs."""
    monkeypatch.chdir(folder)
    return run_here


@pytest.fixture
def output_of(run_command):
    """Run a command that succeeds, and return its output."""

    def output(*words):
        done = run_command(*words)
        assert done.status == 0, done.err
        return done.out

    return output


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_log_shows_the_run_and_each_epoch(output_of, folder):
    """The header has the trainer and the ending, the table a row for each state; `--last` cuts the table."""
    run, output = fl.open_run(folder / "lab.run"), output_of("log", "lab.run")
    for part in (
        "493 parameters",
        "BinaryCrossEntropy()",
        "ReduceLROnPlateau(0.01, mode='min', patience=5",
        "640 training examples",
        "no improvement",
    ):
        assert part in output
    header, table = output.split("\n\n")
    assert "NumPy" in header
    lines = table.splitlines()
    assert lines[0].split() == ["epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", "state"]
    assert [int(line.split()[0]) for line in lines[1:]] == [row.epoch for row in run.rows]
    assert [line.split()[8] for line in lines[1:]] == [row.digest[:8] for row in run.rows]
    assert [line.split()[0] for line in lines if line.endswith("best")] == [str(run.best().epoch)]
    assert output_of("log", "lab.run", "--last", 2).splitlines()[-2:] == lines[-2:]


def test_log_of_a_run_that_is_being_recorded(output_of, folder, data, monkeypatch):
    """It shows what is committed so far and who records it, and more when it is called again; then that it ended."""
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    trainer = evolve(first_trainer(), early_stopping=None)
    states = fl.record(folder / "live.run")(fl.epochs(trainer, data.train, data.validation))
    next(states)
    wait_until((folder / "live.run").exists)
    assert re.search("^ended +not yet, .* is recording it; last written ", output_of("log", "live.run"), re.M)
    next(states)
    states.close()
    output = output_of("log", "live.run")
    assert output.splitlines()[-1].split()[0] == "1"
    assert re.search(r"^ended +after epoch 1, step 20, on 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d; it can be resumed$", output, re.M)
    assert fl.open_run(folder / "live.run").ended is not None


def wait_until(holds):
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise TimeoutError(f"waited 30 s for {holds}")


def record_and_die(path):
    """Record a few epochs, and end the process when the file has them."""
    writer.PAUSE = 0.01
    trainer, train, validation = tiny()
    states = fl.record(path)(fl.epochs(trainer, train, validation))
    for _ in range(4):
        next(states)
    wait_until(Path(path).exists)
    wait_until(lambda: len(fl.open_run(path).rows) == 4)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_log_of_a_run_whose_process_was_killed(output_of, folder):
    """It says that the run was interrupted; once resumed, that it ended."""
    path = folder / "killed.run"
    command = [sys.executable, "-c", f"from {__name__} import record_and_die; record_and_die({str(path)!r})"]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    output = output_of("log", "killed.run")
    assert re.search("^ended +interrupted after epoch 3, it can be resumed; last written ", output, re.M)
    assert fl.open_run(path).ended is None
    fl.open_run(path).resume(5, progress=False)
    assert re.search("^ended +after epoch 5, step 15, on ", output_of("log", "killed.run"), re.M)


@frozen
class Falling:
    """A state of a custom step: any record."""

    height: float
    speed: float


def fall(state):
    return Falling(state.height - state.speed, state.speed + 1.0)


def test_log_of_a_run_of_a_custom_step(output_of, run_command, folder):
    """There is no trainer and there are no metrics; a command that needs the step fails with one line."""
    list(fl.record(folder / "fall.run", None, None, None, islice(iterate(fall, Falling(9.0, 0.0)), 6)))
    output = output_of("log", "fall.run")
    assert "custom step" in output
    assert output.splitlines()[-1].split()[:2] == ["5", "5"]
    for words in (["show", "fall.run", 3], ["verify", "fall.run"], ["probe", "fall.run", "weight_norm"]):
        done = run_command(*words)
        assert (done.status, done.err.count("\n")) == (1, 1)


def test_log_of_a_trainer_with_functions(output_of, run_command, folder, data):
    """A file cannot hold functions: `log` shows the rest, and `show` names what is missing."""

    def error(outputs, targets):
        return (outputs[:, 0] - targets) ** 2

    trainer = fl.Trainer(model=fl.mlp([10, 1]), loss=fl.losses.BinaryCrossEntropy(), metrics=(error,))
    fl.fit(trainer, data.train, epochs=1, record=folder / "functions.run", progress=False)
    assert "error" in output_of("log", "functions.run")
    done = run_command("show", "functions.run")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "holds functions" in done.err


@pytest.mark.parametrize("words", [(4,), ("4",), ("best",), ("last",), (), (2, "--step", 50), ("2:50",), ("--step", 50)])
def test_show_prints_all_of_a_state(output_of, folder, words):
    """However the state is named, the output has its digest and a line for each array."""
    run = fl.open_run(folder / "lab.run")
    state = {"best": run.best, "last": lambda: run.last, "4": lambda: run.state(4)}.get(
        str(words[0]) if words else "last", lambda: run.state(2, 50)
    )()
    output = output_of("show", "lab.run", *words)
    assert fl.digest(state) in output
    assert f"epoch {state.epoch}, step {state.step}" in output
    for name in ("params.layers[3].weights", "optimizer.slots.mu[3].weights", "scheduler.wait", "early_stopping.best_epoch"):
        assert name in output
    assert f"norm {np.linalg.norm(state.params.layers[0].weights.astype(float)):.4g}" in output


def test_verify_prints_the_result_and_sets_the_exit_status(output_of, folder):
    """If a state differs, the exit status is 1, and the epoch and the field are named."""
    assert output_of("verify", "lab.run") == "verified, 20 of 20\n"
    other = fl.open_run(folder / "short.run")
    assert other.verify().ok
    broken = subprocess.run(
        [sys.executable, "-c", BREAK, "verify", "short.run"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert broken.returncode == 1, broken.stderr
    assert broken.stdout.startswith("not verified, 1 of 5: the first that differs is epoch 1, in params")


BREAK = """
import sys
from fnloop.cli.app import main
from fnloop.optimizers import Adam
kernel = Adam.kernel
Adam.kernel = lambda self, g, s, p, c: kernel(self, g * 1.001, s, p, c)
sys.argv[0] = "fnloop"
from fnloop.runs.reader import Reader
Reader.snapshots = lambda self: [0]
main()
"""


def test_diff_names_both_states_and_the_differences(output_of):
    """The states are of one run, within an epoch, or of two runs; equal states have the same bits."""
    assert "the same bits in all" in output_of("diff", "lab.run", 4, 4)
    output = output_of("diff", "lab.run", 4, "2:50")
    assert output.startswith("- lab.run: epoch 4, step 80\n+ lab.run: epoch 2, step 50: step 10 of epoch 3\n")
    assert "optimizer.count" in output
    output = output_of("diff", "lab.run", 3, 3, "--other", "short.run")
    assert "params.layers" not in output
    assert "early_stopping" in output


def test_bisect_finds_the_epoch_and_the_step(output_of, folder):
    """The commands that it suggests are valid."""
    run = fl.open_run(folder / "lab.run")
    held = [row.epoch for row in run.rows[1:] if row.epoch > 5 and row.metrics["val_loss"] > 0.11]
    since = next(epoch for epoch in held if set(range(epoch, 20)) <= {*held})
    output = output_of("bisect", "lab.run", "val_loss > 0.11 and epoch > 5")
    assert f"starts to hold in epoch {since}, step {20 * since}\n" in output
    assert f"It also held earlier, and then stopped holding: first after epoch {held[0]}" in output
    output = output_of("bisect", "lab.run", "step > 77")
    assert "epoch 3, step 78: step 18 of epoch 4" in output
    commands = re.findall(r"fnloop (.*)", output)
    assert [command.split()[0] for command in commands] == ["show", "diff", "fork"]
    for command in commands:
        output_of(*command.split())


def test_resume_continues_with_the_same_bits(output_of, run_command, folder, data):
    """The states are those of a run that was never interrupted; a finished run is unchanged."""
    (folder / "again.run").write_bytes((folder / "short.run").read_bytes())
    done = run_command("resume", "again.run", "--epochs", 6)
    assert (done.status, done.out) == (0, "again.run: epochs 5 to 6\nNext: fnloop log again.run\n")
    assert [line.split()[1] for line in done.err.splitlines()] == ["5/6", "6/6"]
    trainer = evolve(first_trainer(), early_stopping=None)
    whole = fl.fit(trainer, data.train, data.validation, epochs=6, progress=False)
    assert fl.same_bits(fl.open_run(folder / "again.run").last, whole.last)
    assert "has 6 epochs already" in output_of("resume", "again.run", "--epochs", 6)
    assert output_of("resume", "again.run", "--epochs", 7).startswith("again.run: epoch 7\n")
    assert "finished: no improvement" in output_of("resume", "lab.run")


@pytest.mark.parametrize("lr", [3.0, 1e30])
def test_the_commands_for_a_run_that_diverged_within_an_epoch(output_of, folder, lr):
    """They name the last state, measure the steps since the last epoch, and suggest what can help; in the first epoch, too."""
    name, again = f"diverged-{lr}.run", f"again-{lr}.run"
    trainer, train, _ = tiny(
        model=fl.mlp([3, 1]), loss="mse", optimizer=fl.optimizers.SGD(), scheduler=fl.schedulers.ConstantLR(lr), metrics=()
    )
    data = (fl.Dataset(train.x, train.y.astype(np.float32)),) * 2
    fl.last(fl.record(folder / name, trainer, *data, islice(fl.epochs(trainer, *data), 40)))
    run = fl.open_run(folder / name)
    (epoch, step), start = run.rows[-1][1:3], run.rows[-2].step
    assert (run.rows[-2].epoch, start < step) == (epoch, True)

    output = output_of("bisect", name, f"step >= {step}")
    assert f"starts to hold in epoch {epoch}, step {step}: step {step - start} of epoch {epoch + 1}\n" in output
    show, diff, fork = re.findall(r"fnloop (.*)", output)
    assert fl.digest(run.last) in output_of(*show.split())
    assert f"- {name}: epoch {epoch}, step {step - 1}" in output_of(*diff.split())
    assert f"starts from epoch {epoch} of {name}" in output_of(*fork.split())

    before, after = (state.params.vector.astype(float) for state in (run.state(step=start), run.last))
    moved = rows_of(output_of("probe", name, "update_norm"))[-1]
    assert float(moved["update_norm"]) == np.linalg.norm(after - before) / np.linalg.norm(before)

    assert f"Next: fnloop fork {name} {epoch} NEWRUN --clip 1.0\n" in output_of("resume", name)
    output = output_of("fork", name, epoch, again, "--seed", trainer.seed, "--epochs", epoch + 5)
    assert f"{again}: no epoch was finished; stopped: non-finite\n" in output


def test_fork_starts_a_new_run(output_of, folder):
    """The options change the trainer, `--epochs` trains the fork, and the commands that are suggested are valid."""
    output = output_of("fork", "lab.run", 4, "a.run", "--lr", 0.003, "--clip", 1, "--epochs", 8)
    assert "0.01" in output
    assert "0.003" in output
    fork, run = fl.open_run(folder / "a.run"), fl.open_run(folder / "lab.run")
    assert fork.trainer.scheduler == evolve(run.trainer.scheduler, initial_lr=0.003)
    assert fork.trainer.optimizer == fl.optimizers.chain(fl.optimizers.clip_by_global_norm(1.0), fl.optimizers.Adam())
    assert [row.epoch for row in fork.rows] == [4, 5, 6, 7, 8]
    assert fl.same_bits(fork.state(4).params, run.state(4).params)
    assert re.search("^fork of +lab.run at epoch 4; changed: scheduler, optimizer$", output_of("log", "a.run"), re.M)
    output = output_of("fork", "lab.run", "last", "b.run", "--no-early-stopping", "--weight-decay", 0.1, "--scheduler", "step")
    output_of(*re.search(r"fnloop (resume .*)", output)[1].split(), "--epochs", 21)
    assert fl.open_run(folder / "b.run").trainer.scheduler == fl.schedulers.StepLR(0.01, 33)
    output_of("fork", "b.run", "best", "c.run", "--weight-decay", 0.2)
    assert [part.weight_decay for part in fl.open_run(folder / "c.run").trainer.optimizer.parts[1:]] == [0.2]
    output_of("fork", "lab.run", "best", "d.run", "--seed", 7, "--batch-size", 8, "--patience", 40)
    trainer = fl.open_run(folder / "d.run").trainer
    assert (trainer.seed, trainer.batch_size, trainer.early_stopping.patience) == (7, 8, 40)


def test_probe_computes_what_was_not_logged(output_of, folder, data):
    """The CSV has the values that the library computes."""
    run = fl.open_run(folder / "lab.run")
    rows = rows_of(output_of("probe", "lab.run", "weight_norm"))
    assert [int(row["epoch"]) for row in rows] == [row.epoch for row in run.rows]
    vector = run.state(3).params.vector.astype(float)
    assert float(rows[3]["weight_norm"]) == np.linalg.norm(vector)
    assert float(rows[3]["layer_0"]) == np.linalg.norm(vector[: 10 * 16 + 16])
    moved = rows_of(output_of("probe", "lab.run", "update_norm", "--epochs", "0:3"))
    before = run.state(2).params.vector.astype(float)
    assert float(moved[3]["update_norm"]) == np.linalg.norm(vector - before) / np.linalg.norm(before)
    assert moved[0]["update_norm"] == "nan"
    output_of("probe", "lab.run", "gradient_norm", "--epochs", "3", "--out", "g.csv")
    (row,) = rows_of((folder / "g.csv").read_text())
    assert float(row["gradient_norm"]) == GradientNorm(run.trainer, run.train)(run.state(3))["gradient_norm"]
    np.savez(folder / "test.npz", x=RAW.x, y=RAW.y)
    (row,) = rows_of(output_of("probe", "lab.run", "metrics", "--data", "test.npz", "--epochs", "4:4"))
    table = {**{f"x{i}": column for i, column in enumerate(RAW.x.T)}, "target": RAW.y.astype(float)}
    wanted = fl.evaluate(run.trainer, run.state(4), data.preprocessing.dataset(table))
    assert {name: float(row[name]) for name in wanted} == wanted


RAW = fl.Dataset(np.random.default_rng(0).standard_normal((20, 10)), np.arange(20) % 2)


def test_the_gradient_norm_is_that_of_the_mean_loss():
    """It equals central differences, for more rows than one pass, with example weights, in evaluation mode."""
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
    found = GradientNorm(trainer, data)(state)
    assert found["gradient_norm"] == pytest.approx(np.linalg.norm(slopes), rel=1e-5)
    assert found["layer_0"] == pytest.approx(np.linalg.norm(slopes[:16]), rel=1e-5)


@pytest.mark.thorough
def test_the_number_of_processes_changes_no_output(output_of, folder):
    """The output of each probe and of `verify` is the same."""
    for words in (["weight_norm"], ["gradient_norm"], ["update_norm"], ["metrics", "--data", "lab"]):
        alone = output_of("probe", "lab.run", *words)
        assert output_of("probe", "lab.run", *words, "--processes", 2) == alone
    assert output_of("verify", "lab.run", "--processes", 2) == "verified, 20 of 20\n"


def test_export_writes_a_checkpoint_for_predict(output_of, folder):
    """The checkpoint has any state, the trainer and the preprocessing of the run."""
    run = fl.open_run(folder / "lab.run")
    for words, state in (
        (["o.npz"], run.last),
        ([4, "o.npz"], run.state(4)),
        (["2:50", "o.npz"], run.state(2, 50)),
        (["o.npz", "--step", 50], run.state(2, 50)),
        (["o.npz", "--best", "val_accuracy"], run.best("val_accuracy")),
    ):
        output = output_of("export", "lab.run", *words, "--overwrite")
        assert f"Wrote o.npz: epoch {state.epoch}, step {state.step}" in output
        assert fl.same_bits(fl.load(folder / "o.npz"), state)
    assert output_of("predict", "o.npz", "lab").count("\n") == 1001
    assert fl.load_checkpoint(folder / "o.npz").trainer == run.trainer


def test_copy_makes_one_whole_file(output_of, run_command, folder):
    """It says how many epochs it has, and replaces nothing."""
    assert re.fullmatch(r"Wrote whole.run: 19 epochs, .* kB\n", output_of("copy", "lab.run", "whole.run"))
    assert output_of("verify", "whole.run") == "verified, 20 of 20\n"
    done = run_command("copy", "lab.run", "whole.run")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "NEWRUN must be a new file" in done.err


def test_prune_prints_what_it_removed(output_of, folder):
    """Every state can still be recovered."""
    (folder / "p.run").write_bytes((folder / "lab.run").read_bytes())
    before = len(fl.open_run(folder / "p.run").snapshots)
    removed, total = re.match(
        r"Removed (\d+) of (\d+) snapshots: .* kB -> .* kB", output_of("prune", "p.run", "--keep", 1)
    ).groups()
    assert int(total) == before
    assert len(fl.open_run(folder / "p.run").snapshots) == before - int(removed)
    assert output_of("verify", "p.run") == "verified, 20 of 20\n"


@pytest.mark.parametrize(
    ("command", "message"),
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
        ("fork lab.run 4 q.run --scheduler magic", "--scheduler must be one of 'constant', 'step'"),
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
        (
            "train lab --out full",
            "--out has full/metrics.json already; choose another folder",
        ),
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
def test_invalid_input_is_one_line(run_command, folder, command, message):
    """The line has the invalid argument, the exit status is 1, and no file is written."""
    before = set(folder.iterdir())
    done = run_command(*command.split(" "))
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert message in done.err
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("command", ["prune lab.run", "export lab.run", "diff lab.run 3", "log", "show lab.run 1 --nothing"])
def test_wrong_usage_is_status_2(run_command, command):
    """A missing argument or an unknown option is one line, too."""
    done = run_command(*command.split())
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")


def test_a_run_that_another_process_records_is_read_only(run_command, folder, data, monkeypatch):
    """`resume` and `prune` refuse it; `show` reads it."""
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    states = fl.record(folder / "taken.run")(fl.epochs(first_trainer(), data.train, data.validation))
    next(states)
    wait_until((folder / "taken.run").exists)
    for words in (["resume", "taken.run"], ["prune", "taken.run", "--keep", 1]):
        done = run_command(*words)
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert "being written by another" in done.err
    assert run_command("show", "taken.run").status == 0
    states.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_resume_is_one_line_and_loses_nothing(folder, number):
    """Every epoch whose progress was printed is in the file."""
    (folder / "long.run").write_bytes((folder / "short.run").read_bytes())
    process = start("resume", "long.run", "--epochs", 1_000_000, cwd=folder)
    for _ in range(30):
        shown = process.stderr.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    *lines, last = err.splitlines()
    shown = [line for line in [shown, *lines] if line.startswith("epoch")][-1]
    epoch = int(re.search(r"all epochs up to (\d+) are in long.run, fnloop resume long.run --epochs 1000000 ", last)[1])
    assert epoch >= int(shown.split()[1].partition("/")[0])
    run = fl.open_run(folder / "long.run")
    assert run.rows[-1].epoch == epoch
    assert run.verify().ok
    assert [path.name for path in folder.iterdir() if path.name.startswith("long")] == ["long.run"]


def test_train_records(output_of, tmp_path):
    """The run file verifies, exports predict from it, it is never replaced, and `--no-record` leaves it out."""
    output = output_of("train", "iris", "--epochs", 3, "--out", tmp_path)
    run, name = fl.open_run(tmp_path / "training.run"), str(tmp_path / "training.run")
    assert [row.epoch for row in run.rows] == [0, 1, 2, 3]
    assert f"fnloop log {name}\n" in output
    assert f"fnloop verify {name}\n" in output
    assert output_of("verify", name) == "verified, 4 of 4\n"
    output_of("export", name, tmp_path / "e.npz", "--best", "val_loss")
    assert output_of("predict", tmp_path / "e.npz", "iris") == output_of("predict", tmp_path / "best.npz", "iris")
    before = (tmp_path / "training.run").read_bytes()
    output = output_of("train", "iris", "--epochs", 1, "--out", tmp_path, "--overwrite")
    assert f"{tmp_path / 'training-2.run'} ({name} exists already)" in output
    assert (tmp_path / "training.run").read_bytes() == before
    assert "run" not in output_of("train", "iris", "--epochs", 1, "--out", tmp_path / "none", "--no-record").replace(
        str(tmp_path), ""
    )
    assert not list((tmp_path / "none").glob("*.run"))


LIMITED = """
import resource, runpy, sys
from fnloop.runs import writer
writer.PAUSE = 0.02
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("fnloop", run_name="__main__", alter_sys=True)
"""


@pytest.mark.thorough
def test_a_run_that_cannot_be_recorded_is_one_line(tmp_path):
    """On a full disk the command prints a warning and trains on; results that cannot be written either are an error."""
    for limit, status, kinds in ((1000, 1, ["warning", "error"]), (200_000, 0, ["warning"])):
        out = tmp_path / str(limit)
        words = ("train", "iris", "--quiet", "--hidden", 4, "--lr", 0.001, "--weight-decay", 0, "--epochs", 400, "--out", out)
        command = [sys.executable, "-c", LIMITED, str(limit), *map(str, words)]
        environ = {**os.environ, "MPLCONFIGDIR": str(tmp_path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, **pipes)
        printed, err = process.communicate(timeout=100)
        assert (process.returncode, printed) == (status, ""), err
        lines = [line for line in err.splitlines() if line.startswith("fnloop: ")]  # Matplotlib complains of its cache, too
        assert [line.split(": ")[1] for line in lines] == kinds
        assert lines[0].startswith("fnloop: warning: recording to ")
        assert "training.run" in lines[0]
        assert "disk" in lines[0] or "File too large" in lines[0]
    assert {path.name for path in out.iterdir()} >= {"best.npz", "training.png", "metrics.json"}
    if (out / "training.run").exists():  # it has the states of the transactions before the one that failed
        assert fl.load(out / "best.npz").epoch > fl.open_run(out / "training.run").rows[-1].epoch
