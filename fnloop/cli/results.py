"""Write what a run came to: each file that can be written, and the model even where the disk is full."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fnloop.runs.files import free_path
from fnloop.training.trainer import Trainer

Put = Callable[[Path], Any]
PICTURE, EPOCH = 3 << 16, 1 << 8  # bytes of a picture, and of the metrics of an epoch, generously


def keep_room(folder: Path, trainer: Trainer, epochs: int) -> BinaryIO:
    """Keep room on the disk for a run's results, which its run file then cannot fill; until the file is closed.

    The file has no name, so nothing is left of it however the process ends. Where no room can be kept, none is.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    arrays = 5  # as long as the parameters: those, the best ones, and what the optimizer keeps
    with suppress(OSError, OverflowError, AttributeError):
        size = arrays * trainer.model.size * np.dtype(trainer.dtype).itemsize + PICTURE + EPOCH * epochs
        os.posix_fallocate(file.fileno(), 0, size)
    return file


def places(folder: Path, names: Sequence[str], overwrite: bool) -> list[Path]:
    """Where files are written: where another run has written meanwhile, beside its files."""
    return [folder / name if overwrite else free_path(folder / name) for name in names]


def write(files: Mapping[Path, Put]) -> dict[Path, str]:
    """Write each file, also when another cannot be written; of those that could not be, the reason."""
    failed = {}
    for path, put in files.items():
        try:
            put(path)
        except (OSError, MemoryError) as error:
            failed[path] = f"{path} could not be written: {getattr(error, 'strerror', None) or error}"
    return failed


def write_model(path: Path, put: Put) -> dict[Path, str]:
    """Write a model, if need be to the folder for temporary files: it may be the work of days."""
    failed = write({path: put})
    if failed:
        with suppress(OSError, MemoryError):
            elsewhere = Path(tempfile.mkdtemp(prefix="fnloop-")) / path.name
            put(elsewhere)
            failed[path] += f"; it is in {elsewhere} instead"
    return failed


def wrote(files: Sequence[Path], failed: Mapping[Path, str]) -> str:
    """What was written, in a sentence."""
    names = [str(path) for path in files if path not in failed]
    return f"Wrote {' and '.join([', '.join(names[:-1]), *names[-1:]] if names[1:] else names) or 'nothing'}."


def check_written(failed: Mapping[Path, str]) -> None:
    """Refuse to end as if all were written.

    Raises:
        OSError: If something was not; the message has each file and the reason.
    """
    if failed:
        raise OSError("; ".join(failed.values()))
