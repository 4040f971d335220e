"""The job behind the command: a person's own table in, a checkpoint, a picture and the metrics out."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from fnloop import plots
from fnloop.cli.results import check_written, keep_room, places, write, write_model, wrote
from fnloop.cli.signals import undisturbed
from fnloop.core.checks import PositiveInt, choice, integer
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.table_split import TableSplit, split_table
from fnloop.data.tables import load_table
from fnloop.engines import get_engine
from fnloop.fitting import Fit, fit
from fnloop.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import mlp
from fnloop.optimizers import AdamW
from fnloop.runs.checkpoint import load_checkpoint, save
from fnloop.runs.files import free_path, replacing, write_figure
from fnloop.runs.recording import record as record_to
from fnloop.schedulers import Scheduler, get_scheduler
from fnloop.streams.progress import format_metrics
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.evaluation import evaluate, predict_proba
from fnloop.training.evaluation import predict as predict_with
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer

TASKS = "auto", "classification", "regression"
Say = Callable[[str], Any]
RUN = "training.run"
WRITTEN = CHECKPOINT, PICTURE, METRICS = "best.npz", "training.png", "metrics.json"


@frozen
class Options:
    """What a person may say of a training job; each part checks its own."""

    target: str | None = None
    task: str = "auto"
    hidden: str = "64,64"
    lr: float = 0.003
    scheduler: str = "plateau"
    epochs: PositiveInt = 100
    batch_size: int = 16
    patience: int = 30
    weight_decay: float = 1.0
    test_fraction: float = 0.2
    validation_fraction: float = 0.2
    seed: int = 42
    engine: str = "numpy"


def prepare(data: str, options: Options) -> tuple[TableSplit, Trainer]:
    """Read and split the data, and make the trainer that suits it; all that can be refused is refused here."""
    choice(*TASKS)("task", options.task)
    get_engine(options.engine)
    table, target = load_table(data, options.target)
    if target is None:
        raise ValueError(f"{data}: it must hold an array 'y' to train on")
    splits = split_table(
        table,
        target,
        task=None if options.task == "auto" else options.task,  # type: ignore[arg-type]
        test=options.test_fraction,
        validation=options.validation_fraction,
        seed=options.seed,
    )
    return splits, make_trainer(splits, options)


def make_trainer(splits: TableSplit, options: Options) -> Trainer:
    """The trainer for these data and options."""
    classes = len(splits.preprocessing.classes)
    loss = MeanSquaredError() if not classes else BinaryCrossEntropy() if classes == 2 else SoftmaxCrossEntropy()
    outputs = classes if classes > 2 else 1
    return Trainer(
        model=mlp([splits.train.x.shape[1], *_widths(options.hidden), outputs]),
        loss=loss,
        optimizer=AdamW(weight_decay=options.weight_decay),
        scheduler=make_scheduler(options.scheduler, options.lr, options.epochs, options.patience),
        early_stopping=EarlyStopping("val_loss", patience=options.patience),
        batch_size=options.batch_size,
        seed=options.seed,
    )


def _widths(hidden: str) -> list[int]:
    try:
        widths = [int(width) for width in hidden.split(",") if width.strip()]
    except ValueError:
        raise ValueError(f"--hidden must be whole numbers between commas, such as 64,64, got {short(hidden)}") from None
    return [integer(1)("hidden", width) for width in widths]


def make_scheduler(name: str, lr: float, epochs: int, patience: int) -> Scheduler:
    """The schedule of that name, spread over the epochs; on a plateau it acts in half the patience of early stopping."""
    spread: dict[str, dict[str, Any]] = {
        "step": {"step_size": max(1, epochs // 3)},
        "cosine": {"T_max": max(1, epochs)},
        "plateau": {"patience": max(1, patience // 2), "min_lr": min(1e-6, lr) if lr > 0 else 0.0},
    }
    return get_scheduler(name, lr, **spread.get(name.lower(), {}))


def train(
    prepared: tuple[TableSplit, Trainer], options: Options, out: Path, overwrite: bool, say: Say, quiet: bool, recorded: bool
) -> bool:
    """Train, test, and write what came of it; whether a signal ended it."""
    splits, trainer = prepared
    run, where = free_run(out / RUN) if recorded else (None, "")
    say("\n".join([describe(splits), *filter(None, [where])]))
    with keep_room(out, trainer, options.epochs):
        result = fit(
            trainer,
            splits.train,
            splits.validation,
            epochs=options.epochs,
            engine=options.engine,
            record=recorder(run, trainer, splits, engine=options.engine),
            progress=not quiet,
        )
    best = _best(result, run)
    with undisturbed():  # all is written before anything more is said: the output may be closed
        files = model, picture, report = places(out, WRITTEN, overwrite)
        failed = write_model(model, partial(save, best, trainer=result.trainer, preprocessing=splits.preprocessing))
        tested = evaluate(trainer, best, splits.test, engine=options.engine)
        drawn = partial(write_figure, plots.training(result))
        failed |= write({report: partial(write_report, result, splits.task, tested), picture: drawn})
    interrupted = result.stop_reason == StopReason.INTERRUPTED.value
    say("\n" + result.summary())
    say(f"\ntest  {format_metrics(tested)}")
    say(f"\n{wrote(files, failed)}")
    check_written(failed)
    then = run_commands(run, options.epochs if interrupted else None)
    say(next_commands([f"fnloop predict {quote(str(model))} DATA", *then]))
    return interrupted


def free_run(path: Path) -> tuple[Path, str]:
    """Where a run is recorded, and the word on it: a run that is there is never written over."""
    run = free_path(path)
    return run, f"Recording every epoch in {run}{f' ({path} is there already)' if run != path else ''}."


def recorder(
    run: Path | None, trainer: Trainer, splits: TableSplit, *, engine: str = "numpy", monitor: str | None = None
) -> Callable[[Iterable[TrainState]], Iterable[TrainState]] | None:
    """What `fit` is to record with, so that the file can be predicted from; None where nothing is recorded."""
    if run is None:
        return None
    data, how = (splits.train, splits.validation), splits.preprocessing
    return record_to(run, trainer, *data, engine=engine, monitor=monitor, preprocessing=how)  # type: ignore[no-any-return]


def run_commands(run: Path | None, epochs: int | None = None) -> list[str]:
    """What can be done with a run file now; of one that was interrupted, to go on to so many epochs, too."""
    if run is None:
        return []
    name = quote(str(run))
    return [
        *([] if epochs is None else [f"fnloop resume {name} --epochs {epochs}"]),
        f"fnloop log {name}",
        f"fnloop verify {name}",
    ]


def next_commands(commands: Sequence[str]) -> str:
    """What a person may want to type next, a line each."""
    return "\n".join(f"{'Next: ' if i == 0 else '      '}{command}" for i, command in enumerate(commands))


def _best(result: Fit, run: Path | None) -> TrainState:
    try:
        return result.best
    except NoBestError as error:
        hint = "" if run is None else f"; fnloop log {quote(str(run))} tells how it went"
        raise NoBestError(f"{error}{hint}") from None


def describe(splits: TableSplit) -> str:
    """What the data were taken for, in two lines."""
    how = splits.preprocessing
    kind = f"{len(how.classes)} classes: {_few(how.classes)}" if how.classes else "a quantity"
    counts = f"{len(splits.train)} rows to train, {len(splits.validation)} to validate, {len(splits.test)} to test"
    return f"{splits.task.capitalize()}: target {how.target!r} is {kind}.\n{counts}; {splits.train.x.shape[1]} features."


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def write_report(result: Fit, task: str, tested: Mapping[str, float], path: Path) -> None:
    """Write the metrics as JSON, in which a number that is not finite is null."""
    report = {
        "task": task,
        "best_epoch": result.best.epoch,
        "stop_reason": result.stop_reason,
        "test": {name: _finite(value) for name, value in tested.items()},
        "history": {name: [_finite(value) for value in values] for name, values in result.history.items()},
    }
    with replacing(path) as file:
        file.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def predict(checkpoint: Path, data: str) -> str:
    """The predictions of a checkpoint for each row of the data, as CSV; for classes with the probability of each."""
    loaded = load_checkpoint(checkpoint)
    trainer, how = loaded.trainer, loaded.preprocessing
    if trainer is None or how is None:
        raise ValueError(
            f"{short(str(checkpoint))} must be a checkpoint of `fnloop train`; it has no trainer or no preprocessing"
        )
    x = how.features(load_table(data, how.target)[0])
    header, columns = ["prediction"], [how.decode(predict_with(trainer, loaded.state, x)).tolist()]
    if how.classes:
        header += [f"p({name})" for name in how.classes]
        columns += [[f"{p:.6f}" for p in column] for column in predict_proba(trainer, loaded.state, x).T]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()
