"""The demonstration: one run with all that belongs to it, then four learning-rate schedules side by side."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from fnloop import plots
from fnloop.cli.results import check_written, keep_room, places, write, write_model, wrote
from fnloop.cli.signals import undisturbed
from fnloop.cli.train import free_run, next_commands, recorder, run_commands
from fnloop.data.datasets import lab
from fnloop.data.table_split import TableSplit
from fnloop.fitting import Fit, fit
from fnloop.losses import BinaryCrossEntropy
from fnloop.nn import mlp
from fnloop.runs.checkpoint import save
from fnloop.runs.files import write_figure
from fnloop.schedulers import ReduceLROnPlateau, Scheduler, get_scheduler
from fnloop.streams.progress import format_metrics
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.evaluation import evaluate
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer

Say = Callable[[str], Any]
RUN = "lab.run"
WRITTEN = CHECKPOINT, PICTURE, COMPARISON = "best.npz", "training.png", "schedulers.png"

EPOCHS = 100  # of the first part, at most
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"step_size": 20, "gamma": 0.5},
    "exponential": {"gamma": 0.95},
    "cosine": {"T_max": 50},
}


def first_trainer() -> Trainer:
    """The trainer of the first run."""
    return Trainer(
        model=mlp([10, 16, 12, 8, 1], activation="relu"),
        loss=BinaryCrossEntropy(),
        scheduler=ReduceLROnPlateau(0.01, metric="val_loss", factor=0.5, patience=5, min_lr=1e-6),
        early_stopping=EarlyStopping("val_loss", patience=15, min_delta=1e-4),
        batch_size=32,
        seed=42,
    )


def second_trainer(scheduler: Scheduler) -> Trainer:
    """The trainer of the comparison, with one of its schedules."""
    return Trainer(model=mlp([10, 12, 8, 1]), loss=BinaryCrossEntropy(), scheduler=scheduler, batch_size=32, seed=42)


def demo(out: Path, overwrite: bool, say: Say, recorded: bool) -> bool:
    """Run both parts and write their files; whether a signal ended it."""
    data = lab()
    trainer, (run, where) = first_trainer(), free_run(out / RUN) if recorded else (None, "Nothing is recorded.")
    say(f"1. Training with early stopping: 10-16-12-8-1, {len(data.train)} examples. {where}\n")
    into = recorder(run, trainer, data, monitor="val_accuracy")
    with keep_room(out, trainer, EPOCHS):
        result = fit(trainer, data.train, data.validation, epochs=EPOCHS, monitor="val_accuracy", record=into)
    with undisturbed():
        model, picture, comparison = places(out, WRITTEN, overwrite)
        failed = write_model(model, partial(save, result.best, trainer=result.trainer, preprocessing=data.preprocessing))
        failed |= write({picture: partial(write_figure, plots.training(result))})
    say("\n" + result.summary())
    say(f"\ntest  {format_metrics(evaluate(result.trainer, result.best, data.test))}")
    compared = None if result.stop_reason == StopReason.INTERRUPTED.value else _compare(data, say)
    if compared is not None:
        figure, text = compared
        failed |= write({comparison: partial(write_figure, figure)})
        say(f"\n{text}\n\n{wrote([model, picture, comparison], failed)}")
    else:
        say(f"\nInterrupted. {wrote([model, picture], failed)}")
    check_written(failed)
    if compared is None:
        say(next_commands(run_commands(run, EPOCHS)))
        return True
    say("Next: look at the pictures")
    commands = [f"fnloop predict {quote(str(model))} lab", *run_commands(run), "fnloop train breast_cancer"]
    say("\n".join(f"      {command}" for command in commands))
    return False


def _compare(data: TableSplit, say: Say) -> tuple[Any, str] | None:
    """The comparison as a picture and as text; None if a signal ended it."""
    say("\n2. Four learning-rate schedules: 10-12-8-1, 50 epochs each\n")
    fits: dict[str, Fit] = {}
    for name, parameters in SCHEDULES.items():
        say(name)
        trainer = second_trainer(get_scheduler(name, 0.01, **parameters))
        fits[name] = fit(trainer, data.train, data.validation, epochs=50, progress=10)
        if fits[name].stop_reason == StopReason.INTERRUPTED.value:
            return None
    tests = {name: fit.evaluate(data.test) for name, fit in fits.items()}
    return plots.schedulers(fits, tests), table(fits, tests)


def table(fits: Mapping[str, Fit], tests: Mapping[str, Mapping[str, float]]) -> str:
    """The comparison as text, the best by validation first, and beside it what the test reports."""
    rows = plots.comparison(fits, tests)
    columns = "validation", "test accuracy", "test loss", "final lr"
    lines = [" ".join([f"{'scheduler':12}", f"{'best ' + rows[0]['monitor']:>13}", *(f"{name:>13}" for name in columns[1:])])]
    lines += [" ".join([f"{row['scheduler']:12}", *(f"{row[name]:13.4g}" for name in columns)]) for row in rows]
    best, highest = plots.best_performer(rows), plots.highest(rows, "accuracy")
    told = f"Best: {best}, by {rows[0]['monitor']}. Highest test accuracy, a report and no choice: {highest}"
    return "\n".join([*lines, told])
