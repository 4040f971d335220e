"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from fnloop.cli.completion import complete_path

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="A run file.", autocompletion=complete_path)]
RunFiles = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run file, or a folder of them, as of fnloop train --members.", autocompletion=complete_path
    ),
]
Processes = Annotated[int, typer.Option(help="Number of processes; the result does not depend on it.")]
OutFile = Annotated[
    Path | None, typer.Option("--out", help="CSV file to write. Default: -, standard output.", autocompletion=complete_path)
]
Step = Annotated[int | None, typer.Option(help="Total number of steps, for a state within an epoch.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier run; run files are kept.")]
NoRecord = Annotated[bool, typer.Option("--no-record", help="Do not write a run file.")]
STATE = "an epoch such as 12, an epoch and a step such as 12:350, best or last"
