"""The version of the package, which also names it in run files."""

__version__ = "0.1.0"
