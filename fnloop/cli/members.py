"""The option `--members` of `fnloop train`: models of several seeds, which train in one fold and predict by their mean."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from fnloop.cli.run_file import new_run_file, recorder
from fnloop.cli.train_options import TrainOptions
from fnloop.data.table_split import TableSplit
from fnloop.fitting import Fit, fit
from fnloop.populations.candidates import grid
from fnloop.populations.memory import check_memory
from fnloop.populations.recorded import Files
from fnloop.populations.results import Sweep
from fnloop.populations.sweep import sweep
from fnloop.runs.files import free_path
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer

RUN, RUNS = "training.run", "training.runs"


def train_members(
    splits: TableSplit, trainer: Trainer, options: TrainOptions, *, record: Path | None, progress: bool
) -> Sweep:
    """Return the results of the members; of one member that of `fit`.

    Args:
        splits: The data.
        trainer: The trainer of the first member; the others have the next seeds.
        options: The options.
        record: The run file, of several members the folder of their run files, or None.
        progress: Whether to show progress.
    """
    train, validation, epochs = splits.train, splits.validation, options.epochs
    if options.members == 1:
        recording = recorder(record, splits)
        result = fit(trainer, train, validation, epochs=epochs, engine=options.engine, record=recording, progress=progress)
        return Sweep((trainer,), (result,))
    check_memory([trainer], options.members)
    return sweep(
        grid(trainer, seed=range(trainer.seed, trainer.seed + options.members)),
        train,
        validation,
        epochs=epochs,
        engine=options.engine,
        record=record,
        preprocessing=splits.preprocessing,
        progress=progress,
    )


def new_record(out: Path, members: int) -> tuple[Path, str]:
    """Return the path of the run file, of several members of their folder, at which there is nothing, and the line to print.

    Args:
        out: The output folder.
        members: The number of members.
    """
    if members == 1:
        return new_run_file(out / RUN)
    folder = free_path(out / RUNS)
    return folder, f"Recording every epoch of {members} members in {folder}."


def run_of(record: Path | None, members: int, index: int) -> Path | None:
    """Return the run file of a member.

    Args:
        record: What `new_record` returned, or None.
        members: The number of members.
        index: The number of the member.
    """
    return record if record is None or members == 1 else Files(record).path(index)


def is_interrupted(fits: Iterable[Fit]) -> bool:
    """Return whether a signal ended the training.

    Args:
        fits: The results of the members.
    """
    return any(result.stop_reason == StopReason.INTERRUPTED.value for result in fits)


def summary_of(fits: Sequence[Fit]) -> str:
    """Return a summary in a few lines; of one member that of its result.

    Args:
        fits: The results of the members.
    """
    if len(fits) == 1:
        return fits[0].summary()
    monitor, epochs = fits[0].monitor, [result.best.epoch for result in fits]
    values = [result.best.metrics[monitor] for result in fits]
    seconds = sum(sum(result.metrics.get("seconds", ())) for result in fits)
    rows = {
        "members": f"{len(fits)}, seeds {fits[0].trainer.seed} to {fits[-1].trainer.seed}",
        "epochs": " to ".join(map(str, sorted({min(result.last.epoch for result in fits), max(r.last.epoch for r in fits)}))),
        "total time": f"{seconds:.2f} s",
        "ended": ", ".join(dict.fromkeys(result.stop_reason for result in fits)),
        f"best {monitor}": f"{min(values):.4f} to {max(values):.4f}, mean {fmean(values):.4f}",
        "best epochs": f"{min(epochs)} to {max(epochs)}",
    }
    return "\n".join(f"{name:20} {value}" for name, value in rows.items())
