"""The command `fnloop`: its commands, which `commands.py` lists, and its entry point."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from fnloop.cli.commands import COMMANDS
from fnloop.cli.errors import exit_status, warnings_as_lines
from fnloop.cli.signals import interruptible


def example(command: str) -> str:
    """Return the end of a command's help: an example on its own line, which Typer does not wrap.

    Args:
        command: The command line of the example.
    """
    return f"\b\nExample:\n  {command}"


app = typer.Typer(
    help="Train models as a fold over frozen states.",
    epilog=example("fnloop train iris --out run"),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command, usage in COMMANDS.items():
    app.command(epilog=example(usage))(command)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    """Train models as a fold over frozen states."""
    if version:
        typer.echo(f"fnloop {metadata.version('fnloop')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command; an error is one line on standard error.

    The exit status is 1 for an error and 2 for wrong usage. Ctrl-C, SIGTERM and SIGHUP end a training run after its best state
    is written, and give 130, 143 and 129.
    """
    with interruptible() as signals, warnings_as_lines():
        status = exit_status(app, signals)
    sys.exit(status)
