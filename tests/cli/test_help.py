"""Help, completion in the shell, and unexpected errors."""

import os
import shlex
import subprocess
import sys

import pytest
import typer

from fnloop.cli.app import app
from fnloop.cli.commands import COMMANDS
from fnloop.cli.errors import exit_status

COMMAND = typer.main.get_command(app)
NAMES = [command.__name__ for command in COMMANDS]


def parse(words):
    """Parse a command line without running the command."""
    context = COMMAND.make_context("fnloop", list(words), resilient_parsing=False)
    name, command, rest = COMMAND.resolve_command(context, [*context._protected_args, *context.args])
    return command.make_context(name, rest)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_shows_a_valid_example(name):
    """The example is one line of the help, and the command parses it."""
    lines = COMMAND.commands[name].epilog.splitlines()
    assert lines[:2] == ["\b", "Example:"]
    words = shlex.split(lines[2])
    assert words[:2] == ["fnloop", name]
    parse(words[1:])


def test_every_command_is_in_the_list():
    """The app has no command that `COMMANDS` lacks."""
    assert set(COMMAND.commands) == set(NAMES)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("fnloop tr", {"train"}),
        ("fnloop train br", {"breast_cancer"}),
        ("fnloop train i", {"iris", "inner/", "input.csv"}),
        ("fnloop train iris --scheduler p", {"plateau"}),
        ("fnloop train iris --validation", {"--validation-fraction"}),
        ("fnloop probe lab.run gr", {"gradient_norm"}),
        ("fnloop log inp", set()),  # the shell completes a path itself
        ("fnloop train iris --out inp", set()),
    ],
)
def test_a_shell_completes(tmp_path, typed, completed):
    """It completes commands, options, datasets and choices."""
    (tmp_path / "inner").mkdir()
    for name in ("input.csv", "image.png"):
        (tmp_path / name).touch()
    variables = {"_FNLOOP_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    program = "import sys; sys.argv = ['fnloop']; from fnloop.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, set(done.stdout.split())) == (0, "", completed)


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError("by zero"), AssertionError()])
def test_an_unexpected_error_is_one_line(error, capsys, monkeypatch):
    """The line says how to get the traceback."""

    def fail(**options):
        raise error

    monkeypatch.delenv("FNLOOP_TRACEBACK", raising=False)
    assert exit_status(fail, []) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert type(error).__name__ in message
    assert "FNLOOP_TRACEBACK=1" in message
    monkeypatch.setenv("FNLOOP_TRACEBACK", "1")
    with pytest.raises(type(error)):
        exit_status(fail, [])
