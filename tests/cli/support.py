"""Support for the tests of the command: it runs in this process or in a new one."""

import contextlib
import io
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

import pytest

from fnloop.cli.app import main


def run_here(*words):
    """Run the command in this process, which saves starting Python; return its output, its errors and its exit status."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["fnloop", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return SimpleNamespace(out=out.getvalue(), err=err.getvalue(), status=ended.value.code)


def start(*words, **options):
    """Start the command in a new process, with pipes for its output and its errors unless `options` has other streams."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "fnloop", *map(str, words)]
    return subprocess.Popen(command, **{**streams, "text": True, **options})
