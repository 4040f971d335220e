"""The run files of a sweep: where they are, and of which members."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from fnloop.core.formatting import short
from fnloop.runs.start import check_unused


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


def make_files(record: str | os.PathLike[str] | None, members: int) -> Files | None:
    """Return the run files that an argument `record` asks for, and make their folder.

    Args:
        record: The folder, or `FOLDER/best:N`, or None.
        members: The number of members.

    Raises:
        RunError: If the folder has a run file of one of the members.
        TypeError: If `record` is not a path.
        ValueError: If N is not a number above 0.
    """
    if record is None:
        return None
    if not isinstance(record, str | os.PathLike):
        raise TypeError(f"record must be the path of a folder, or None, got {short(record)}")
    path = Path(record)
    files = Files(path)
    if path.name.startswith("best:"):
        if not re.fullmatch(r"best:0*[1-9][0-9]*", path.name):
            raise ValueError(f"record must end in best:N with N of at least 1, such as best:10, got {short(str(record))}")
        files = Files(path.parent, int(path.name.removeprefix("best:")))
    files.folder.mkdir(parents=True, exist_ok=True)
    for index in range(members):
        check_unused(files.path(index))
    return files
