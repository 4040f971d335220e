"""The commands over run files: what is said of a run, and what is made from it."""

from fnloop.run_cli.ask import bisect, diff, log, probe, show, verify
from fnloop.run_cli.make import export, fork, prune, resume

COMMANDS = log, show, diff, bisect, verify, probe, resume, fork, export, prune
