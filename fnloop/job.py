"""The job behind the command: a person's own table in, a checkpoint, a picture and the metrics out."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fnloop import plots
from fnloop.datasets import Splits, split
from fnloop.early_stopping import EarlyStopping, StopReason
from fnloop.engines import get_engine
from fnloop.fit import Fit, fit
from fnloop.loop import evaluate, predict_proba
from fnloop.loop import predict as predict_with
from fnloop.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import mlp
from fnloop.optimizers import AdamW
from fnloop.progress import values
from fnloop.record import record
from fnloop.runs.checkpoint import load_checkpoint, save
from fnloop.runs.files import replacing, write_picture
from fnloop.schedulers import Scheduler, get_scheduler
from fnloop.tables import find_table
from fnloop.trainer import Trainer
from fnloop.typing import PositiveInt

Say = Callable[[str], Any]
WRITTEN = CHECKPOINT, PICTURE, METRICS = "best.npz", "training.png", "metrics.json"


@record
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


def prepare(data: str, options: Options) -> tuple[Splits, Trainer]:
    """Read and split the data, and make the trainer that suits it; all that can be refused is refused here."""
    if options.task not in {"auto", "classification", "regression"}:
        raise ValueError(f"--task must be auto, classification or regression, got {options.task!r}")
    get_engine(options.engine)
    table, target = find_table(data, options.target)
    if target is None:
        raise ValueError(f"{data}: it must hold an array 'y' to train on")
    splits = split(
        table,
        target,
        task=None if options.task == "auto" else options.task,  # type: ignore[arg-type]
        test=options.test_fraction,
        validation=options.validation_fraction,
        seed=options.seed,
    )
    return splits, make_trainer(splits, options)


def make_trainer(splits: Splits, options: Options) -> Trainer:
    """The trainer for these data and options."""
    classes = len(splits.preprocessing.classes)
    loss = MeanSquaredError() if not classes else BinaryCrossEntropy() if classes == 2 else SoftmaxCrossEntropy()
    outputs = classes if classes > 2 else 1
    return Trainer(
        model=mlp([splits.train.x.shape[1], *_widths(options.hidden), outputs]),
        loss=loss,
        optimizer=AdamW(weight_decay=options.weight_decay),
        scheduler=_scheduler(options),
        early_stopping=EarlyStopping("val_loss", patience=options.patience),
        batch_size=options.batch_size,
        seed=options.seed,
    )


def _widths(hidden: str) -> list[int]:
    try:
        return [int(width) for width in hidden.split(",") if width.strip()]
    except ValueError:
        raise ValueError(f"--hidden must be whole numbers between commas, such as 64,64, got {hidden!r}") from None


def _scheduler(options: Options) -> Scheduler:
    """The schedule of that name, spread over the epochs."""
    spread: dict[str, dict[str, Any]] = {
        "step": {"step_size": max(1, options.epochs // 3)},
        "cosine": {"T_max": max(1, options.epochs)},
        "plateau": {"patience": max(1, options.patience // 2), "min_lr": min(1e-6, options.lr) if options.lr > 0 else 0.0},
    }
    return get_scheduler(options.scheduler, options.lr, **spread.get(options.scheduler.lower(), {}))


def train(prepared: tuple[Splits, Trainer], options: Options, out: Path, say: Say, quiet: bool) -> bool:
    """Train, test, and write what came of it; whether Ctrl-C ended it."""
    splits, trainer = prepared
    say(describe(splits))
    result = fit(trainer, splits.train, splits.validation, epochs=options.epochs, engine=options.engine, progress=not quiet)
    tested = evaluate(trainer, result.best, splits.test, engine=options.engine)
    write(result, splits, tested, out)  # before anything more is said: the output may be closed
    say("\n" + result.summary())
    say(f"\ntest  {values(tested)}")
    say(f"\nWrote {out / CHECKPOINT}, {out / PICTURE} and {out / METRICS}.")
    say(f"Next: fnloop predict {out / CHECKPOINT} DATA")
    return result.stop_reason == StopReason.INTERRUPTED.value


def describe(splits: Splits) -> str:
    """What the data were taken for, in two lines."""
    how = splits.preprocessing
    kind = f"{len(how.classes)} classes: {_few(how.classes)}" if how.classes else "a quantity"
    counts = f"{len(splits.train)} rows to train, {len(splits.validation)} to validate, {len(splits.test)} to test"
    return f"{splits.task.capitalize()}: target {how.target!r} is {kind}.\n{counts}; {splits.train.x.shape[1]} features."


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def write(result: Fit, splits: Splits, tested: dict[str, float], out: Path) -> None:
    """Write the checkpoint, the picture and the metrics."""
    save(result.best, out / CHECKPOINT, trainer=result.trainer, preprocessing=splits.preprocessing)
    write_picture(plots.training(result.history), out / PICTURE)
    report = {
        "task": splits.task,
        "best_epoch": result.best.epoch,
        "stop_reason": result.stop_reason,
        "test": tested,
        "history": dict(result.history),
    }
    with replacing(out / METRICS) as file:
        file.write((json.dumps(report, indent=1) + "\n").encode())


def predict(checkpoint: Path, data: str) -> str:
    """The predictions of a checkpoint for each row of the data, as CSV; for classes with the probability of each."""
    loaded = load_checkpoint(checkpoint)
    trainer, how = loaded.trainer, loaded.preprocessing
    if trainer is None or how is None:
        raise ValueError(f"{str(checkpoint)!r} must be a checkpoint of `fnloop train`; it has no trainer or no preprocessing")
    x = how.features(find_table(data, how.target)[0])
    header, columns = ["prediction"], [how.decode(predict_with(trainer, loaded.state, x)).tolist()]
    if how.classes:
        header += [f"p({name})" for name in how.classes]
        columns += [[f"{p:.6f}" for p in column] for column in predict_proba(trainer, loaded.state, x).T]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()
