"""Start a run: claim the path of its file, and return the writer, which creates it."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fnloop.core.encoding import Encoder
from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.blocks import BlockHasher
from fnloop.runs.environment import observe
from fnloop.runs.lock import lock
from fnloop.runs.manifest import Manifest
from fnloop.runs.packing import Packed, pack_data
from fnloop.runs.recorder import Recorder, Start
from fnloop.runs.rows import counters, make_row
from fnloop.runs.sink import Sink
from fnloop.runs.writer import Writer, WritingThread
from fnloop.training.state import TrainState

MAX_SNAPSHOT_BYTES = 1 << 30  # default size of the snapshots of a run, above which the oldest are thinned


def start_run(
    path: Path,
    manifest: Manifest,
    packed: Sequence[Packed],
    state: Any,
    thread: WritingThread,
    *,
    threads: int | None = None,
    snapshot_every: int | None = None,
    max_bytes: int | None = MAX_SNAPSHOT_BYTES,
    overwrite: bool = False,
    hold: bool = False,
) -> Writer:
    """Start to record a new run, and return the writer, which has the first state; the file appears when it is written.

    Args:
        path: Path of the run file.
        manifest: The manifest of the run.
        packed: The values that the manifest names.
        state: The first state.
        thread: The thread that writes the file.
        threads: The number of BLAS threads of the run. Default: that of the process.
        snapshot_every: As in `Recorder`.
        max_bytes: As in `Recorder`.
        overwrite: Whether to replace a run file at the path.
        hold: As in `Writer`.

    Raises:
        RunError: If the path is taken and may not be replaced.
        OSError: If no file can be created in the folder.
        TypeError: If the state cannot be restored from a file.
        ValueError: If it has a negative counter.
    """
    release = lock(path, thread.locks)
    try:
        if not (overwrite and os.path.lexists(path)):
            check_unused(path)
        if not isinstance(state, TrainState):
            make_row(0, state, 0.0, 0, Encoder())
            pack_data(state)
        sink = Sink(path, (manifest, packed), overwrite, thread.template)
        recorder = Recorder(
            sink,
            Start(-1, counters(state, 0)[0], BlockHasher(sink.root)),
            partial(observe, manifest.engine, threads),
            monitor=manifest.monitor,
            snapshot_every=snapshot_every,
            max_bytes=max_bytes,
        )
        writer = Writer(sink, recorder, release, thread, hold)
    except BaseException:
        release()
        raise
    writer.put(state, 0.0)
    return writer


def check_unused(path: Path, alternative: str = "") -> None:
    """Check that there is no file at a path, and no log that a killed run left.

    Args:
        path: Path of a new run file.
        alternative: Text for the error message: how to replace the file.

    Raises:
        RunError: If there is one.
    """
    if os.path.lexists(path):
        raise RunError(
            f"path must be a new file, {short(str(path))} exists; fl.open_run(path).resume() continues it{alternative}"
        )
    log = f"{path}-wal"
    if os.path.lexists(log):
        raise RunError(
            f"path must be a new file, but {short(log)} has the last epochs of a killed run, recorded in {short(str(path))}: "
            "restore that file or delete this one"
        )
