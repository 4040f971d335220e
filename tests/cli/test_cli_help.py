"""The help of the command, what a shell completes, and errors that nobody foresaw."""

import os
import shlex
import subprocess
import sys

import pytest
import typer

from fnloop.cli.app import _status, app
from fnloop.cli.commands import COMMANDS

COMMAND = typer.main.get_command(app)
NAMES = "demo", "train", "predict", *(command.__name__ for command in COMMANDS)


def parse(words):
    """The command line read as the command reads it, and nothing done."""
    context = COMMAND.make_context("fnloop", list(words), resilient_parsing=False)
    name, command, rest = COMMAND.resolve_command(context, [*context._protected_args, *context.args])
    return command.make_context(name, rest)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_shows_an_example_that_it_understands(name):
    """On a line of its own, to be copied."""
    lines = COMMAND.commands[name].epilog.splitlines()
    assert lines[:2] == ["\b", "Example:"]
    words = shlex.split(lines[2])
    assert words[:2] == ["fnloop", name]
    parse(words[1:])


def test_the_list_of_commands_is_whole():
    """None without an example."""
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
        ("fnloop log inp", set()),  # a path: nothing here, so that the shell completes it
        ("fnloop train iris --out inp", set()),
    ],
)
def test_a_shell_completes(tmp_path, typed, completed):
    """Commands, options, names of datasets and choices; paths are the shell's own."""
    (tmp_path / "inner").mkdir()
    for name in ("input.csv", "image.png"):
        (tmp_path / name).touch()
    asked = {"_FNLOOP_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    program = "import sys; sys.argv = ['fnloop']; from fnloop.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr, set(done.stdout.split())) == (0, "", completed)


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError("by zero"), AssertionError()])
def test_a_fault_of_our_own_is_one_line(error, capsys, monkeypatch):
    """With what can be done to see more of it."""

    def fail(**options):
        raise error

    monkeypatch.delenv("FNLOOP_TRACEBACK", raising=False)
    assert _status(fail, []) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert type(error).__name__ in said
    assert "FNLOOP_TRACEBACK=1" in said
    monkeypatch.setenv("FNLOOP_TRACEBACK", "1")
    with pytest.raises(type(error)):
        _status(fail, [])
