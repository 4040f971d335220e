"""Checks of output paths before anything is computed, and CSV output to a file or to standard output."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

import typer

from fnloop.core.formatting import listed, short
from fnloop.runs.files import replacing


def check_folder(path: Path, names: Sequence[str], overwrite: bool, data: str | None = None) -> None:
    """Refuse an output folder in which files of these names cannot be written.

    Args:
        path: The folder of `--out`; it need not exist.
        names: The names of the files.
        overwrite: Whether files of these names may be replaced.
        data: The input of the command, which is never replaced.

    Raises:
        OSError: If the path is not a folder, cannot be written, or holds one of the files and `overwrite` is false.
        ValueError: If one of the files is the input.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"--out must be a folder, got the file {short(str(path))}")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"--out must be a writable folder, got {short(str(path))}")
    files = [path / name for name in names]
    for file in files:
        if file.is_dir():
            raise IsADirectoryError(
                f"--out must be a folder where {file.name} can be written, but {short(str(file))} is a folder"
            )
        if data is not None:
            check_not_input("--out", file, DATA=data)
    existing = [str(file) for file in files if os.path.lexists(file)]
    if existing and not overwrite:
        raise FileExistsError(
            f"--out has {listed(existing)} already; choose another folder, or replace the files with --overwrite"
        )


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Create the folder of `--out`, with those above it; if an error leaves it empty, what was created is removed.

    Args:
        path: The folder; it may exist.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty
            for folder in created:
                folder.rmdir()
        raise


def free_folder(path: Path, names: Sequence[str]) -> Path:
    """Return the first of `folder`, `folder-2`, `folder-3`, ... that has no file of these names.

    Args:
        path: The folder.
        names: The names of the files.
    """
    folders = chain([path], (path.with_name(f"{path.name}-{i}") for i in count(2)))
    return next(folder for folder in folders if not any(os.path.lexists(folder / name) for name in names))


def check_not_input(option: str, target: Path, **inputs: str | Path) -> None:
    """Refuse to write to an input file, under whatever name.

    Args:
        option: The option or argument of the output file, for the message.
        target: The output file.
        inputs: The input files, by the names of their arguments; a dataset's name is not a file and is ignored.

    Raises:
        ValueError: If the output file is one of the input files.
    """
    for name, source in inputs.items():
        for path in (source, f"{source}-wal"):  # the latest rows of a run file may be in its write-ahead log
            if target.is_file() and os.path.isfile(path) and target.samefile(path):
                raise ValueError(f"{option} must be another file than {name}, got {short(str(target))}")


def write_output(text: Callable[[], str], out: Path | None, **inputs: str | Path) -> None:
    """Write the text that a command computes to the file of its `--out`, or to standard output for None and `-`.

    Args:
        text: The function that computes the text; it is called once the file is known to be writable.
        out: The file.
        inputs: The input files, by the names of their arguments; `--out` must be none of them.
    """
    if out is None or str(out) == "-":
        typer.echo(text(), nl=False)
        return
    check_not_input("--out", out, **inputs)
    with replacing(out) as file:
        file.write(text().encode())


def write_chunks(chunks: Callable[[], Iterator[str]], out: Path | None, **inputs: str | Path) -> None:
    """Write the chunks of text that a command computes to the file of its `--out`, or to standard output, each at once.

    Args:
        chunks: The function that yields the text; it is called once the file is known to be writable.
        out: The file; None and `-` are standard output.
        inputs: The input files, by the names of their arguments; `--out` must be none of them.
    """
    if out is None or str(out) == "-":
        for chunk in chunks():
            typer.echo(chunk, nl=False)
        return
    check_not_input("--out", out, **inputs)
    with replacing(out) as file:
        for chunk in chunks():
            file.write(chunk.encode())
