"""The command: `fnloop demo`, `fnloop train DATA`, `fnloop predict CHECKPOINT DATA`, and those over run files."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import ENOENT
from importlib import metadata
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

import typer

from fnloop.cli import demo as demo_room
from fnloop.cli import train as job
from fnloop.cli.arguments import check_other, put
from fnloop.cli.commands import COMMANDS
from fnloop.cli.options import example, naming_options, one_of, paths, tables
from fnloop.cli.signals import interruptible
from fnloop.core.formatting import listed, short
from fnloop.data.tables import DATASET_NAMES
from fnloop.schedulers import SCHEDULERS

app = typer.Typer(
    help="Train models as a fold over frozen states.",
    epilog=example("fnloop train iris --out run"),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_D = job.Options()  # the defaults, said once
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the files of an earlier run; a run file is never replaced.")
]
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


@app.command(epilog=example("fnloop demo --out here"))
def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for what is written; by default fnloop-demo, or fnloop-demo-2 and so on where a demo wrote before.",
            autocompletion=paths,
        ),
    ] = None,
    overwrite: Overwrite = False,
    no_record: NoRecord = False,
) -> None:
    """Train a classifier with early stopping, then compare four learning-rate schedules."""
    default = Path("fnloop-demo")
    folder = out or (default if overwrite else _first_without(default, demo_room.WRITTEN))
    check_folder(folder, demo_room.WRITTEN, overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    _exit(demo_room.demo(folder, overwrite, typer.echo, not no_record))


@app.command(epilog=example("fnloop train table.csv --target species --hidden 64,64 --epochs 200 --out run"))
@naming_options(initial_lr="--lr", name="--scheduler", test="--test-fraction", validation="--validation-fraction")
def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help=f"A CSV file with a header, an .npz file with x and y, or a dataset: {', '.join(DATASET_NAMES)}.",
            autocompletion=tables,
        ),
    ],
    target: Annotated[str | None, typer.Option(help="Column to predict; by default the last.")] = _D.target,
    task: Annotated[str, typer.Option(help=f"{', '.join(job.TASKS)}.", autocompletion=one_of(job.TASKS))] = _D.task,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = _D.hidden,
    lr: Annotated[float, typer.Option(help="Initial learning rate.")] = _D.lr,
    scheduler: Annotated[
        str, typer.Option(help=f"Learning-rate schedule: {', '.join(SCHEDULERS)}.", autocompletion=one_of(SCHEDULERS))
    ] = _D.scheduler,
    epochs: Annotated[int, typer.Option(help="Epochs at the most.")] = _D.epochs,
    batch_size: Annotated[int, typer.Option(help="Examples in a batch.")] = _D.batch_size,
    patience: Annotated[int, typer.Option(help="Epochs without improvement of val_loss before the run stops.")] = _D.patience,
    weight_decay: Annotated[float, typer.Option(help="Decoupled weight decay.")] = _D.weight_decay,
    test_fraction: Annotated[float, typer.Option(help="Share of the rows kept for the test.")] = _D.test_fraction,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the other rows kept for validation.")
    ] = _D.validation_fraction,
    seed: Annotated[int, typer.Option(help="Of the split, the initial weights and the order of examples.")] = _D.seed,
    engine: Annotated[
        str,
        typer.Option(
            help="numpy, or jax (compiled; jax:gpu and so on name the device).", autocompletion=one_of(("numpy", "jax"))
        ),
    ] = _D.engine,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for what is written; made if it is not there.", autocompletion=paths)
    ] = Path("fnloop-out"),
    overwrite: Overwrite = False,
    no_record: NoRecord = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Train a model on your own data; write its checkpoint, a picture and the metrics."""
    check_folder(out, job.WRITTEN, overwrite, data)
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
    out.mkdir(parents=True, exist_ok=True)
    _exit(job.train(prepared, options, out, overwrite, say, quiet, not no_record))


@app.command(epilog=example("fnloop predict run/best.npz new_rows.csv --out predictions.csv"))
@naming_options(path="--out")
def predict(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint that `fnloop train` wrote.", autocompletion=paths)
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A CSV file with a header, an .npz file with x, or a dataset's name.", autocompletion=tables
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV file to write; - is standard output, the default.", autocompletion=paths)
    ] = None,
) -> None:
    """Predict for each row of DATA, as CSV; labels and scaling come from the checkpoint."""
    put(lambda: job.predict(checkpoint, data), out, CHECKPOINT=checkpoint, DATA=data)


for command, shown in COMMANDS.items():
    app.command(epilog=example(shown))(command)


def check_folder(path: Path, names: Sequence[str], overwrite: bool, data: str | None = None) -> None:
    """Refuse a folder that cannot take files of these names, before anything is read or trained."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"--out must be a folder, got the file {short(str(path))}")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"--out must be a folder that can be written, got {short(str(path))}")
    for file in (path / name for name in names):
        if file.is_dir():
            raise IsADirectoryError(
                f"--out must be a folder where {file.name} can be written, but {short(str(file))} is a folder"
            )
        if data is not None:
            check_other("--out", file, DATA=data)
    there = [str(path / name) for name in names if os.path.lexists(path / name)]
    if there and not overwrite:
        raise FileExistsError(f"--out has {listed(there)} already; name another folder, or replace them with --overwrite")


def _first_without(path: Path, names: Sequence[str]) -> Path:
    """The folder, or the first of `folder-2`, `folder-3`, ..., that has no file of these names."""
    folders = chain([path], (path.with_name(f"{path.name}-{i}") for i in count(2)))
    return next(folder for folder in folders if not any(os.path.lexists(folder / name) for name in names))


def _exit(interrupted: bool) -> None:
    if interrupted:
        raise typer.Abort


def main() -> None:
    """Run the command; an error is one line on standard error and exit status 1, or 2 for wrong usage.

    Ctrl-C, SIGTERM and SIGHUP end a run with its best state written, and give 130, 143 and 129.
    """
    with interruptible() as came, _warning():
        status = _status(app, came)
    sys.exit(status)


def _status(command: Callable[..., Any], came: Sequence[int]) -> int:
    """The exit status of a command; `came` has the signals that came by then."""
    try:
        status = int(command(standalone_mode=False) or 0)
        if came:
            raise KeyboardInterrupt
    except (typer.Abort, KeyboardInterrupt) as error:
        name = "" if came[:1] in ([], [signal.SIGINT]) else f" by {signal.Signals(came[0]).name}"
        return _fail(str(error) or f"interrupted{name}", 128 + [*came, signal.SIGINT][0])
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + came[0] if came else 1
    except (ValueError, TypeError, OSError, MemoryError, Warning) as error:
        return _fail(_said(error), 128 + came[0] if came else 1)
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer raises for wrong usage is no public class in every version
            context = getattr(error, "ctx", None)
            return _fail(f"{error.format_message()} Try '{context.command_path if context else 'fnloop'} --help'.", 2)
        if os.environ.get("FNLOOP_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error}; this is a fault of fnloop, FNLOOP_TRACEBACK=1 shows where", 1)
    return status


def _said(error: Exception) -> str:
    """What an error says; one of the operating system says it as others do: what is wrong, with which file."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        what = "no such file" if error.errno == ENOENT else f"{error.strerror[:1].lower()}{error.strerror[1:]}"
        return f"{what}: {short(str(error.filename))}"
    return str(error)


def _fail(message: str, status: int) -> int:
    with suppress(OSError):  # the terminal may be closed
        typer.echo(f"fnloop: error: {' '.join(message.split())}", err=True)
    return status


@contextmanager
def _warning() -> Iterator[None]:
    """A warning is one line on standard error."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        with suppress(OSError):
            typer.echo(f"fnloop: warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
