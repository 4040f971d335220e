"""A run that is killed at any instant: its file opens, no committed epoch is lost, and the resumed run has the same bits."""

import subprocess
import sys

import pytest

from tests.replay.support import ROOT, environ


@pytest.mark.thorough
def test_fifty_kills():
    """During recording, resuming and pruning, in forked and new processes; the file is correct after each."""
    command = [sys.executable, "benchmarks/crash.py", "--kills", "50", "--fresh", "4"]
    done = subprocess.run(command, cwd=ROOT, env=environ(), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert "50 kills in" in done.stdout
