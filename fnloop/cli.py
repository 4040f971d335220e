"""The command: `fnloop demo`, `fnloop train DATA`, `fnloop predict CHECKPOINT DATA`, and those over run files."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from fnloop import demo as demo_room
from fnloop import job
from fnloop.run_cli import COMMANDS
from fnloop.run_cli.places import put
from fnloop.schedulers import BY_NAME
from fnloop.short import short

app = typer.Typer(
    help="Train models as a fold over frozen states.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_D = job.Options()  # the defaults, said once
Out = Annotated[Path, typer.Option("--out", help="Folder for what is written; made if it is not there.")]
NoRecord = Annotated[bool, typer.Option("--no-record", help="Keep no run file of the states.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    """Train models as a fold over frozen states."""
    if version:
        typer.echo(f"fnloop {metadata.version('fnloop')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(out: Out = Path("fnloop-demo"), no_record: NoRecord = False) -> None:
    """Train a classifier with early stopping, then compare four learning-rate schedules."""
    _exit(demo_room.demo(_folder(out, demo_room.WRITTEN), typer.echo, not no_record))


@app.command()
def train(
    data: Annotated[str, typer.Argument(help="A CSV file with a header, an .npz file with x and y, or a dataset's name.")],
    target: Annotated[str | None, typer.Option(help="Column to predict; by default the last.")] = _D.target,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = _D.task,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = _D.hidden,
    lr: Annotated[float, typer.Option(help="Initial learning rate.")] = _D.lr,
    scheduler: Annotated[str, typer.Option(help=f"Learning-rate schedule: {', '.join(BY_NAME)}.")] = _D.scheduler,
    epochs: Annotated[int, typer.Option(help="Epochs at the most.")] = _D.epochs,
    batch_size: Annotated[int, typer.Option(help="Examples in a batch.")] = _D.batch_size,
    patience: Annotated[int, typer.Option(help="Epochs without improvement of val_loss before the run stops.")] = _D.patience,
    weight_decay: Annotated[float, typer.Option(help="Decoupled weight decay.")] = _D.weight_decay,
    test_fraction: Annotated[float, typer.Option(help="Share of the rows kept for the test.")] = _D.test_fraction,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the other rows kept for validation.")
    ] = _D.validation_fraction,
    seed: Annotated[int, typer.Option(help="Of the split, the initial weights and the order of examples.")] = _D.seed,
    engine: Annotated[str, typer.Option(help="numpy, or jax (compiled; jax:gpu and so on name the device).")] = _D.engine,
    out: Out = Path("fnloop-out"),
    no_record: NoRecord = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Train a model on your own data; write its checkpoint, a picture and the metrics."""
    options = job.Options(
        target=target,
        task=task,
        hidden=hidden,
        lr=lr,
        scheduler=scheduler,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        weight_decay=weight_decay,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        seed=seed,
        engine=engine,
    )
    prepared = job.prepare(data, options)
    say = (lambda text: None) if quiet else typer.echo
    _exit(job.train(prepared, options, _folder(out, job.WRITTEN), say, quiet, not no_record))


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint that `fnloop train` wrote.")],
    data: Annotated[str, typer.Argument(help="A CSV file with a header, an .npz file with x, or a dataset's name.")],
    out: Annotated[Path | None, typer.Option("--out", help="CSV file to write; - is standard output, the default.")] = None,
) -> None:
    """Predict for each row of DATA, as CSV; labels and scaling come from the checkpoint."""
    put(lambda: job.predict(checkpoint, data), out, CHECKPOINT=checkpoint, DATA=data)


for command in COMMANDS:
    app.command()(command)


def _folder(path: Path, names: Sequence[str]) -> Path:
    """The folder, made if need be, and known to take files of these names before anything is trained."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"--out must be a folder, got the file {short(str(path))}")
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise PermissionError(f"--out must be a folder that can be written, got {short(str(path))}")
    for name in names:
        if (path / name).is_dir():
            raise IsADirectoryError(
                f"--out must be a folder where {name} can be written, but {short(str(path / name))} is a folder"
            )
    return path


def _exit(interrupted: bool) -> None:
    if interrupted:
        raise typer.Exit(130)


def main() -> None:
    """Run the command; an error is one line on standard error and exit status 1 (2 for wrong usage, 130 for Ctrl-C)."""
    sys.exit(_status(app))


def _status(command: Callable[..., Any]) -> int:
    try:
        result = command(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt) as error:
        return _fail(str(error) or "interrupted", 130)
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, MemoryError) as error:
        return _fail(str(error), 1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer raises for wrong usage is no public class in every version
            raise
        return _fail(f"{error.format_message()} Try 'fnloop --help'.", 2)
    return _fail("interrupted", 130) if result == 130 else int(result or 0)


def _fail(message: str, status: int) -> int:
    typer.echo(f"fnloop: error: {' '.join(message.split())}", err=True)
    return status
