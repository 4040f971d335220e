"""Commands that ask a run file: `log`, `show`, `diff`, `bisect`, `verify`, `probe`."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from fnloop.cli import format as text
from fnloop.cli.arguments import epochs_between, mapping, put, state_at
from fnloop.cli.options import naming_options, one_of, paths, tables
from fnloop.cli.values import values
from fnloop.core.checks import integer
from fnloop.core.formatting import short
from fnloop.data.tables import DATASET_NAMES, load_table
from fnloop.runs.files import free_path
from fnloop.runs.probes import Evaluation, GradientNorm, UpdateNorm, weight_norm
from fnloop.runs.reader import Reader
from fnloop.runs.run import Run, open_run
from fnloop.training.state import TrainState

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="A run file.", autocompletion=paths)]
Processes = Annotated[int, typer.Option(help="Processes to share the work; the result is the same.")]
PLACE = "epochs finished, such as 12; epoch and step, such as 12:350; best or last"
PROBES = "weight_norm", "gradient_norm", "update_norm", "metrics"


def log(
    run: RunFile,
    last: Annotated[int | None, typer.Option(help="Only so many of the last rows.")] = None,
) -> None:
    """Tell what a run was and how it went, epoch by epoch."""
    if last is not None:
        integer(1)("--last", last)
    reader = Reader(run, dict.fromkeys(("trainer", "step", "train", "validation")), ())
    typer.echo(text.header(reader) + "\n")
    for line in text.table(reader, last):
        typer.echo(line)


@naming_options(epoch="EPOCH")
def show(
    run: RunFile,
    epoch: Annotated[str | None, typer.Argument(metavar="[EPOCH]", help=f"By default the last; {PLACE}.")] = None,
    step: Annotated[int | None, typer.Option(help="Steps taken in all, for a state within an epoch.")] = None,
) -> None:
    """Show a state: parameters, optimizer, schedule, metrics."""
    opened = open_run(run)
    if step is not None:
        integer(0)("--step", step)
    state = state_at(opened, epoch or ("last" if step is None else ""), step)
    typer.echo(f"{opened.path}: {text.step_in(opened.rows, state)}".rstrip(": "))
    typer.echo(text.describe(state))


def diff(
    run: RunFile,
    a: Annotated[str, typer.Argument(metavar="A", help=f"A state: {PLACE}.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other state.")],
    other: Annotated[Path | None, typer.Option(help="Run file that B is of; by default RUN.", autocompletion=paths)] = None,
) -> None:
    """Compare two states field by field and layer by layer."""
    first = open_run(run)
    second = first if other is None else open_run(other)
    states = state_at(first, a), state_at(second, b)
    lines = [
        f"{sign} {of.path}: {text.step_in(of.rows, state)}".rstrip(": ")
        for sign, of, state in zip("-+", (first, second), states, strict=True)
    ]
    typer.echo("\n".join([*lines, "", str(first.diff(*states))]))


def bisect(
    run: RunFile,
    predicate: Annotated[
        str, typer.Argument(help='Over metrics, epoch, step and lr, such as "val_loss > 0.3 and epoch > 5".')
    ],
) -> None:
    """Find the step at which a predicate begins to hold.

    By halving: of n steps it is asked about log2 n. It must hold for the last state, and not for the first.
    """
    opened = open_run(run)
    state = opened.bisect(predicate)
    typer.echo(f"{predicate} begins to hold in {text.step_in(opened.rows, state) or 'this state'}")
    typer.echo(values(state.metrics) if getattr(state, "metrics", None) else text.describe(state))
    if not isinstance(state, TrainState):
        return
    within = state.progress.batches and state.stop_reason is None
    here, before = (
        (f"{state.epoch}:{state.step}", f"{state.epoch}:{state.step - 1}")
        if within
        else (f"{state.epoch}", f"{state.epoch - 1}")
    )
    earlier = _earlier(opened, predicate, state.step)
    if earlier:
        typer.echo(f"It held before, too, and then no longer: first behind epoch {earlier[0]}.")
    name, new = quote(str(run)), quote(str(free_path(run.with_name(f"{run.stem}-fork.run"))))
    typer.echo(
        f"\nNext: fnloop show {name} {here}\n"
        f"      fnloop diff {name} {before} {here}\n"
        f"      fnloop fork {name} {state.epoch if within else before} {new} --clip 1.0"
    )


def _earlier(run: Run, predicate: str, step: int) -> list[int]:
    """The epochs before a step behind which it held, as their rows tell; those have not the rate of the step that follows."""
    holds = run.predicate(predicate)
    rows = [row for row in run.rows if row.metrics and row.step < step]
    return [] if "lr" in predicate else [row.epoch for row in rows if holds(row)]


def verify(run: RunFile, processes: Processes = 1) -> None:
    """Run all of it again and compare each state.

    Exit status 1 if one differs.
    """
    with mapping(processes) as map_in:
        found = open_run(run).verify(map=map_in)
    typer.echo(found)
    if not found.ok:
        raise typer.Exit(1)


@naming_options(path="--out")
def probe(
    run: RunFile,
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help=f"One of {', '.join(PROBES)} (of --data).", autocompletion=one_of(PROBES))
    ],
    data: Annotated[
        str | None, typer.Option(help="For metrics: a CSV or .npz file, or a dataset's name.", autocompletion=tables)
    ] = None,
    epochs: Annotated[str | None, typer.Option(metavar="A:B", help="From epoch A to B; by default all.")] = None,
    processes: Processes = 1,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; - is standard output, the default.", autocompletion=paths)
    ] = None,
) -> None:
    """Compute for each epoch what nobody logged, as CSV."""
    opened = open_run(run)

    def table() -> str:
        function, wanted = _function(opened, what, data), epochs_between(opened, epochs)
        with mapping(processes) as map_in:
            return _csv(opened, wanted, opened.probe(function, wanted, map=map_in))

    put(table, out, RUN=run, **({} if data is None else {"--data": data}))


def _function(run: Run, what: str, data: str | None) -> Callable[[Any], dict[str, float]]:
    if what not in PROBES:
        raise ValueError(f"WHAT must be one of {', '.join(PROBES)}, got {short(what)}")
    if data is None and what == "metrics":
        raise ValueError("--data must be given for metrics, got none")
    if data is not None and what != "metrics":
        raise ValueError(f"--data must be given for metrics alone, got {short(data)} for {what}")
    if run.trainer is None:
        raise ValueError(f"{short(str(run.path))} is the run of a step of one's own, which has no trainer to probe by")
    if what == "weight_norm":
        return weight_norm
    if what == "gradient_norm":
        return GradientNorm(run.trainer, run.train)
    if what == "update_norm":
        return UpdateNorm(run)
    if run.preprocessing is None:
        raise ValueError(f"{short(str(run.path))} has no preprocessing, so that --data cannot be brought to its form")
    table, _ = load_table(str(data), None if data in DATASET_NAMES else run.preprocessing.target)
    return Evaluation(run.trainer, run.preprocessing.dataset(table), run.engine)


def _csv(run: Run, epochs: Sequence[int] | None, found: Sequence[dict[str, float]]) -> str:
    rows = {row.epoch: row for row in reversed(run.rows)}  # the first of each epoch
    asked = run.rows[: len(found)] if epochs is None else [rows[epoch] for epoch in epochs]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["epoch", "step", *(found[0] if found else ())])
    writer.writerows([row.epoch, row.step, *item.values()] for row, item in zip(asked, found, strict=True))
    return file.getvalue()
