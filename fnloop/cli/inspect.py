"""Commands that read a run file: `log`, `show`, `diff`, `bisect`, `verify`, `probe`."""

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from fnloop.cli.arguments import parse_epochs, parse_state
from fnloop.cli.completion import complete_choice, complete_data, complete_path
from fnloop.cli.errors import naming_options
from fnloop.cli.format_run import format_header, format_rows
from fnloop.cli.format_state import format_kept, format_place, format_position, format_state
from fnloop.cli.format_values import format_metrics
from fnloop.cli.options import STATE, OutFile, Processes, RunFile, Step
from fnloop.cli.output import write_output
from fnloop.cli.processes import process_map
from fnloop.cli.run_file import next_commands
from fnloop.core.checks import integer
from fnloop.core.formatting import short
from fnloop.data.reading import read_table
from fnloop.runs.files import free_path
from fnloop.runs.probe_functions import Evaluation, GradientNorm, UpdateNorm, weight_norm
from fnloop.runs.reader import Reader
from fnloop.runs.run import Run, open_run
from fnloop.training.state import TrainState

QUANTITIES = "weight_norm", "gradient_norm", "update_norm", "metrics"


def log(
    run: RunFile,
    last: Annotated[int | None, typer.Option(help="Number of rows, from the end. Default: all.")] = None,
) -> None:
    """Show what a run trained, and its metrics epoch by epoch."""
    if last is not None:
        integer(1)("--last", last)
    reader = Reader(run)
    typer.echo(format_header(reader) + "\n")
    for line in format_rows(reader, last):
        typer.echo(line)


@naming_options(epoch="EPOCH")
def show(
    run: RunFile,
    epoch: Annotated[str | None, typer.Argument(metavar="EPOCH", help=f"A state: {STATE}. Default: last.")] = None,
    step: Step = None,
) -> None:
    """Show a state: parameters, optimizer, schedule, metrics."""
    opened = open_run(run)
    if step is not None:
        integer(0)("--step", step)
    state = parse_state(opened, epoch or ("last" if step is None else ""), step)
    typer.echo(f"{opened.path}: {format_place(opened.rows, state)}".rstrip(": "))
    if kept := format_kept(state):
        typer.echo(kept)
    typer.echo(format_state(state))


def diff(
    run: RunFile,
    a: Annotated[str, typer.Argument(metavar="A", help=f"A state: {STATE}.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other state.")],
    other: Annotated[Path | None, typer.Option(help="The run file of B. Default: RUN.", autocompletion=complete_path)] = None,
) -> None:
    """Compare two states field by field and layer by layer."""
    first = open_run(run)
    second = first if other is None else open_run(other)
    states = parse_state(first, a), parse_state(second, b)
    lines = [
        f"{sign} {opened.path}: {format_place(opened.rows, state)}".rstrip(": ")
        for sign, opened, state in zip("-+", (first, second), states, strict=True)
    ]
    typer.echo("\n".join([*lines, "", str(first.diff(*states))]))


def bisect(
    run: RunFile,
    predicate: Annotated[
        str,
        typer.Argument(
            metavar="PREDICATE", help='An expression over metrics, epoch, step and lr, such as "val_loss > 0.3 and epoch > 5".'
        ),
    ],
) -> None:
    """Find the step at which a predicate starts to hold.

    This is a binary search, which evaluates the predicate about log2 n times for n steps. The predicate must hold for the last
    state, and not for the first.
    """
    opened = open_run(run)
    state = opened.bisect(predicate)
    typer.echo(f"{predicate} starts to hold in {format_position(opened.rows, state) or 'this state'}")
    typer.echo(format_metrics(state.metrics) if getattr(state, "metrics", None) else format_state(state))
    if not isinstance(state, TrainState):
        return
    earlier = _earlier_epochs(opened, predicate, state.step)
    if earlier:
        typer.echo(f"It also held earlier, and then stopped holding: first after epoch {earlier[0]}.")
    typer.echo(f"\n{next_commands(_bisect_commands(run, state))}")


def _earlier_epochs(run: Run, predicate: str, step: int) -> list[int]:
    """Return the epochs before a step after which the predicate holds by the recorded metrics.

    The learning rate of a row is that of its epoch, and a state has that of the next step, so none is found with `lr`.
    """
    holds = run.predicate(predicate)
    rows = [row for row in run.rows if row.metrics and row.step < step]
    return [] if "lr" in predicate else [row.epoch for row in rows if holds(row)]


def _bisect_commands(run: Path, state: TrainState) -> list[str]:
    """Return the commands that show the state that was found, compare it with the one before, and fork before it."""
    name, fork = quote(str(run)), quote(str(free_path(run.with_name(f"{run.stem}-fork.run"))))
    if state.progress.batches:  # within an epoch
        found, previous, fork_epoch = f"{state.epoch}:{state.step}", f"{state.epoch}:{state.step - 1}", state.epoch
    else:
        found, previous, fork_epoch = f"{state.epoch}", f"{state.epoch - 1}", state.epoch - 1
    return [
        f"fnloop show {name} {found}",
        f"fnloop diff {name} {previous} {found}",
        f"fnloop fork {name} {fork_epoch} {fork} --clip 1.0",
    ]


def verify(run: RunFile, processes: Processes = 1) -> None:
    """Compute the whole run again and compare every state.

    The exit status is 1 if a state does not have the recorded bits.
    """
    with process_map(processes) as map_in:
        verification = open_run(run).verify(map=map_in)
    typer.echo(verification)
    if not verification.ok:
        raise typer.Exit(1)


@naming_options(path="--out")
def probe(
    run: RunFile,
    quantity: Annotated[
        str,
        typer.Argument(
            metavar="QUANTITY",
            help=f"One of {', '.join(QUANTITIES)}; metrics needs --data.",
            autocompletion=complete_choice(QUANTITIES),
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="Data for metrics: a CSV or .npz file, or the name of a dataset.", autocompletion=complete_data),
    ] = None,
    epochs: Annotated[str | None, typer.Option(metavar="A:B", help="Epochs A to B. Default: all.")] = None,
    processes: Processes = 1,
    out: OutFile = None,
) -> None:
    """Compute for every epoch what was not logged, and write CSV.

    A run that stopped within an epoch has a row for its last finite state, too. The column `stopped` has the reason why the
    run stopped, in the row of the state that it stopped with.
    """
    opened = open_run(run)

    def compute() -> str:
        function, wanted = _probe_function(opened, quantity, data), parse_epochs(opened, epochs)
        with process_map(processes) as map_in:
            return _probe_csv(opened, wanted, opened.probe(function, wanted, map=map_in))

    write_output(compute, out, RUN=run, **({} if data is None else {"--data": data}))


def _probe_function(run: Run, quantity: str, data: str | None) -> Callable[[Any], dict[str, float]]:
    if quantity not in QUANTITIES:
        raise ValueError(f"QUANTITY must be one of {', '.join(QUANTITIES)}, got {short(quantity)}")
    if data is None and quantity == "metrics":
        raise ValueError("--data must be given for metrics, got none")
    if data is not None and quantity != "metrics":
        raise ValueError(f"--data must be given for metrics only, got {short(data)} for {quantity}")
    if run.trainer is None:
        raise ValueError(f"{short(str(run.path))} was recorded from a custom step, and has no trainer to probe with")
    if quantity == "weight_norm":
        return weight_norm
    if quantity == "gradient_norm":
        return GradientNorm(run.trainer, run.train)
    if quantity == "update_norm":
        return UpdateNorm(run)
    if run.preprocessing is None:
        raise ValueError(f"{short(str(run.path))} has no preprocessing, which --data needs")
    schema = run.preprocessing.schema
    in_order = schema.format.header is False
    table = read_table(str(data), schema.format, partial(schema.text_columns, in_order=in_order))
    frame = table.frame.set_axis(schema.known_names(table.frame.columns, in_order=in_order), axis=1)
    return Evaluation(run.trainer, run.preprocessing.dataset(frame), run.engine)


def _probe_csv(run: Run, epochs: Sequence[int] | None, results: Sequence[dict[str, float]]) -> str:
    first_rows = {row.epoch: row for row in reversed(run.rows)}
    rows = run.rows[: len(results)] if epochs is None else [first_rows[epoch] for epoch in epochs]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["epoch", "step", *(results[0] if results else ()), "stopped"])
    for row, result in zip(rows, results, strict=True):
        writer.writerow([row.epoch, row.step, *result.values(), row.stopped])
    return file.getvalue()
