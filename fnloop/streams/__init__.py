"""Functions of a stream of states: selection, progress and time."""
