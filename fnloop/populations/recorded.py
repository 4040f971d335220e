"""The run files of a sweep: where they are, of which members, and the thread that writes them."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.failures import RecordedStream
from fnloop.runs.recording import Options, Timer, record_stream
from fnloop.runs.source import Source
from fnloop.runs.writer import WritingThread
from fnloop.training.epoch_stream import EpochStream


class Files(NamedTuple):
    """The run files of a sweep.

    Args:
        folder: Their folder.
        best: The number of best members that are recorded; None for all.
    """

    folder: Path
    best: int | None = None

    def path(self, index: int, run: int | None = None) -> Path:
        """Return the path of the run file of a member; `run` is one of several runs of it."""
        return self.folder / f"{index:0>4}{'' if run is None else f'-{run}'}.run"

    def paths(self, index: int, runs: int) -> list[Path]:
        """Return the paths of the run files of a member that has one or several runs."""
        return [self.path(index, run) for run in range(runs)] if runs > 1 else [self.path(index)]


def make_files(record: str | os.PathLike[str] | None, members: int) -> Files | None:
    """Return the run files that an argument `record` asks for, and make their folder.

    Args:
        record: The folder, or `FOLDER/best:N`, or None.
        members: The number of members.

    Raises:
        RunError: If the folder cannot be made, or has a run file of one of the members.
        TypeError: If `record` is not a path.
        ValueError: If it cannot be the path of a folder, or N is not a number above 0.
    """
    files = find_files(record)
    if files is not None:
        claim(files.folder, map(files.path, range(members)))
    return files


def find_files(record: Any) -> Files | None:
    """Return the run files that an argument `record` asks for, from its text alone.

    Args:
        record: The folder, or `FOLDER/best:N`, or None.

    Raises:
        TypeError: If `record` is not a path.
        ValueError: If it cannot be the path of a folder, or N is not a number above 0.
    """
    if record is None:
        return None
    text = os.fspath(record) if isinstance(record, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(f"record must be the path of a folder, or None, got {short(record)}")
    if not text.strip() or "\0" in text:
        raise ValueError(f"record must be the path of a folder, or None, got {short(text)}")
    path = Path(text)
    if not path.name.startswith("best:"):
        return Files(path)
    if not re.fullmatch(r"best:0*[1-9][0-9]*", path.name):
        raise ValueError(f"record must end in best:N with N of at least 1, such as best:10, got {short(text)}")
    return Files(path.parent, int(path.name.removeprefix("best:")))


def claim(folder: Path, paths: Iterable[Path]) -> None:
    """Make a folder for run files, which must not have them yet.

    Args:
        folder: The folder.
        paths: The paths of the run files.

    Raises:
        RunError: If the folder cannot be made, or has one of the files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in its place" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise RunError(
            f"record must be a folder, or a path where one can be made, got {short(str(folder))}: {reason}"
        ) from None
    for path in paths:
        for taken in (path, path.with_name(f"{path.name}-wal")):  # the log of a killed run
            if os.path.lexists(taken):
                raise RunError(
                    f"record must be a folder without run files of the same names, but {short(str(folder))} has {taken.name}; "
                    "give another folder, or continue its runs by: fnloop resume FOLDER"
                )


class Recorder(Protocol):
    """Records the stream of a member."""

    def __call__(self, states: EpochStream, *, timer: Timer) -> RecordedStream:
        """Return the stream, whose states are recorded as they pass; `timer` gives the seconds of each."""


class Recording:
    """Run files that one thread writes, until `close`.

    Args:
        options: How they are recorded.
    """

    def __init__(self, options: Options) -> None:
        self._options, self._thread = options, WritingThread(is_shared=True)

    def recorder(self, path: Path) -> Recorder:
        """Return the function that records a stream in the run file of a path."""

        def record(states: EpochStream, *, timer: Timer) -> RecordedStream:
            source = Source(states.trainer, states.train, states.validation, states.engine)
            return record_stream(states, path, source, self._options, thread=self._thread, timer=timer)

        return record

    def close(self) -> None:
        """End the thread when all files are written."""
        self._thread.close()
