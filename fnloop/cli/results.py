"""Result files of a training run: each is written even if another fails, the model even on a full disk."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.checkpoint import save
from fnloop.runs.files import free_path
from fnloop.training.ensemble import Ensemble
from fnloop.training.trainer import Trainer

Write = Callable[[Path], object]
PICTURE_BYTES, EPOCH_BYTES = 3 << 16, 1 << 8  # generous sizes of a picture, and of the metrics of an epoch


def reserve_space(folder: Path, trainer: Trainer, epochs: int, members: int = 1) -> BinaryIO:
    """Reserve disk space for the results of a run, so that its run file cannot use it up; closing the file frees the space.

    The file has no name, so that nothing is left however the process ends. Where space cannot be reserved, none is.

    Args:
        folder: The output folder.
        trainer: The trainer, whose model gives the size of the checkpoint.
        epochs: The maximum number of epochs.
        members: The number of models. Default: `1`.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    arrays = 5  # of the size of the parameters: the last and the best ones, and the optimizer's
    with suppress(OSError, OverflowError, AttributeError):
        size = arrays * trainer.model.size * np.dtype(trainer.dtype).itemsize + EPOCH_BYTES * epochs
        os.posix_fallocate(file.fileno(), 0, size * members + PICTURE_BYTES)
    return file


def output_paths(folder: Path, names: Sequence[str], overwrite: bool) -> list[Path]:
    """Return the paths of result files; a file that another run has written in the meantime is not replaced.

    Args:
        folder: The output folder.
        names: The names of the files.
        overwrite: Whether existing files are replaced.
    """
    return [folder / name if overwrite else free_path(folder / name) for name in names]


def save_model(model: Ensemble, preprocessing: Preprocessing | None, path: Path) -> None:
    """Write a model as a checkpoint: one member as a state with its trainer, several as an ensemble.

    Args:
        model: The model.
        preprocessing: The preprocessing of the table, if there is one.
        path: The path.
    """
    if len(model) > 1:
        save(model, path, preprocessing=preprocessing)
    else:
        save(model.states[0], path, trainer=model.trainers[0], preprocessing=preprocessing)


def write_files(files: Mapping[Path, Write]) -> dict[Path, str]:
    """Write each file, even if another cannot be written.

    Args:
        files: The function that writes each file.

    Returns:
        The error message of each file that could not be written.
    """
    failures = {}
    for path, write in files.items():
        try:
            write(path)
        except (OSError, MemoryError) as error:
            failures[path] = f"{path} could not be written: {getattr(error, 'strerror', None) or error}"
    return failures


def write_model(path: Path, write: Write) -> dict[Path, str]:
    """Write a model, if necessary to the folder for temporary files; return the error messages as `write_files` does.

    Args:
        path: The path of the model.
        write: The function that writes it to a path.
    """
    failures = write_files({path: write})
    if failures:
        with suppress(OSError, MemoryError):
            substitute = Path(tempfile.mkdtemp(prefix="fnloop-")) / path.name
            write(substitute)
            failures[path] += f"; it is in {substitute} instead"
    return failures


def written_line(files: Sequence[Path], failures: Mapping[Path, str]) -> str:
    """Return the sentence that lists the files that were written.

    Args:
        files: The result files.
        failures: The files that could not be written, with their error messages.
    """
    names = [str(path) for path in files if path not in failures]
    return f"Wrote {' and '.join([', '.join(names[:-1]), *names[-1:]] if names[1:] else names) or 'nothing'}."


def raise_failures(failures: Mapping[Path, str]) -> None:
    """Raise an error if some files could not be written.

    Args:
        failures: The files that could not be written, with their error messages.

    Raises:
        OSError: If there are failures. The message has the path and the reason of each.
    """
    if failures:
        raise OSError("; ".join(failures.values()))
