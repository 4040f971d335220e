"""Errors and warnings of the command: one line on standard error, and an exit status."""

import os
import re
import signal
import sys
import warnings
from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import ENOENT
from functools import wraps
from inspect import Parameter, signature
from shlex import quote
from typing import Any, TypeVar

import typer

from fnloop.core.errors import RunError
from fnloop.core.formatting import short

Command = TypeVar("Command", bound=Callable[..., None])


def naming_options(**others: str) -> Callable[[Command], Command]:
    """Decorate a command: an error that begins with the name of a parameter begins with its option instead.

    Args:
        others: Options for the names that the library's errors begin with, such as `initial_lr="--lr"`.
    """

    def decorate(command: Command) -> Command:
        optional = [p.name for p in signature(command).parameters.values() if p.default is not Parameter.empty]
        options = {**{name: f"--{name.replace('_', '-')}" for name in optional}, **others}

        @wraps(command)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                command(*args, **kwargs)
            except (ValueError, TypeError, FileNotFoundError) as error:
                message = str(error)
                renamed = as_options(with_options(message, options))
                if renamed == message:
                    raise
                raise (FileNotFoundError if isinstance(error, OSError) else ValueError)(renamed) from error

        return run  # type: ignore[return-value]

    return decorate


def with_options(message: str, options: dict[str, str]) -> str:
    """Replace parameter names at the start of a message with the options that set them.

    Args:
        message: A message that begins with a parameter's name, with or without an index, or with `a and b`.
        options: The option of each parameter.

    Examples:
        >>> with_options("initial_lr must be above 0, got -1", {"initial_lr": "--lr"})
        '--lr must be above 0, got -1'
    """
    start = re.match(r"\w+(\[\d+\])?( and \w+)?(?= )", message)
    if start is None or start[0].split()[0].partition("[")[0] not in options:
        return message
    words = [options.get(word.partition("[")[0], word) for word in start[0].split()]
    return " ".join(words) + message[start.end() :]


_TEXT = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""  # as repr() writes it
_ARGUMENT = re.compile(rf"\bkinds=\{{{_TEXT}: {_TEXT}\}}|\b(group|time|task)={_TEXT}|\bmissing=\[{_TEXT}\]|\bsplit=(?= )")


def as_options(text: str) -> str:
    """Replace the arguments that a note of a table names, as they are written in Python, with the options of the command.

    Args:
        text: The note.

    Examples:
        >>> as_options("kinds={'zip code': 'category'} overrules; group='nest' keeps its rows in one part")
        '--column "zip code"=category overrules; --group nest keeps its rows in one part'
    """
    return _ARGUMENT.sub(_as_option, text)


def _as_option(match: re.Match[str]) -> str:
    column, kind, name, value, missing = (literal_eval(part) if part and part[0] in "'\"" else part for part in match.groups())
    if kind == "dropped":
        return f"--drop {_shell_word(column)}"
    if kind:
        return f"--column {_shell_word(column)}={kind}"
    if missing:
        return f"--missing {_shell_word(missing)}"
    return f"--{name} {_shell_word(value)}" if name else "--split"


def _shell_word(text: str) -> str:
    if re.fullmatch(r"[\w.:/@%+-]+", text):
        return text
    if not text.isprintable():
        return repr(text)
    return quote(text) if re.search(r'[$`"!\\]', text) else f'"{text}"'


def exit_status(command: Callable[..., Any], signals: Sequence[int]) -> int:
    """Run a command and return its exit status; an error is printed as one line.

    Args:
        command: The Typer app.
        signals: The signals that have arrived, a list that grows while the command runs.

    Returns:
        0 for success, 1 for an error, 2 for wrong usage, and 128 plus its number for a signal.
    """
    try:
        status = int(command(standalone_mode=False) or 0)
        if signals:
            raise KeyboardInterrupt
    except (typer.Abort, KeyboardInterrupt) as error:
        name = "" if signals[:1] in ([], [signal.SIGINT]) else f" by {signal.Signals(signals[0]).name}"
        return _fail(str(error) or f"interrupted{name}", 128 + [*signals, signal.SIGINT][0])
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signals[0] if signals else 1
    except (ValueError, TypeError, OSError, MemoryError, Warning) as error:
        return _fail(_message(error), 128 + signals[0] if signals else 1)
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's class for wrong usage is not public in every version
            context = getattr(error, "ctx", None)
            return _fail(f"{error.format_message()} Try '{context.command_path if context else 'fnloop'} --help'.", 2)
        if os.environ.get("FNLOOP_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error}; this is a bug in fnloop, FNLOOP_TRACEBACK=1 shows the traceback", 1)
    return status


def _message(error: Exception) -> str:
    """Return the message of an error; for one of the operating system the reason and the file, as other commands do."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        reason = "no such file" if error.errno == ENOENT else f"{error.strerror[:1].lower()}{error.strerror[1:]}"
        return f"{reason}: {short(str(error.filename))}"
    message = str(error)
    if isinstance(error, RunError) and re.search(r"open_run\(path, |records=\[", message):
        message += "; open_run is for Python: a command has only what is in the file"
    return message


def _fail(message: str, status: int) -> int:
    with suppress(OSError):  # the terminal may be closed
        typer.echo(f"fnloop: error: {' '.join(message.split())}", err=True)
    return status


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning as one line on standard error."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        with suppress(OSError):
            typer.echo(f"fnloop: warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
