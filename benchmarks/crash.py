"""Kill a run many times while it is recorded, resumed or pruned, and check its file after each kill.

    python benchmarks/crash.py --kills 1000

Half of the kills come at a random time in the whole run, and half within a random phase of writing, so that every phase is
hit. After each kill the file must open and contain every committed epoch, without any wrong state. A run that is resumed until
it ends must have the final state of a run without kills.
"""

import argparse
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads when the process forks

import numpy as np
from toolz import take

import fnloop as fl
from fnloop.runs import recorder, sink, writer

EPOCHS = 25
IN_A_ROW = 12  # kills of a run before it may end
PATIENCE = 120.0  # seconds, more than anything takes
PHASES = (
    "before the file",
    "creating the file",
    "opening to write",
    "between commits",
    "in a transaction",
    "writing a snapshot",
    "committing",
    "the last writes",
    "closing",
    "closed",
    "reading to resume",
    "pruning",
)


def problem() -> tuple[fl.Trainer, fl.Dataset]:
    """Return a trainer whose state has several parts and whose epochs take less than a millisecond, and its data."""
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    trainer = fl.Trainer(
        model=fl.mlp([3, 4, 1], activation="tanh"),
        loss=fl.losses.BinaryCrossEntropy(),
        optimizer=fl.optimizers.Adam(),
        scheduler=fl.schedulers.ReduceLROnPlateau(0.01, metric="val_loss", factor=0.5, patience=5),
        early_stopping=fl.EarlyStopping("val_loss", patience=1000),
        batch_size=8,
        seed=1,
    )
    return trainer, fl.Dataset(x, (x.sum(1) > 0).astype(np.int64))


class Board:
    """A few bytes that two processes share: the phase of the worker, and how many states it has committed."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(16))
        with open(path, "r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 16)

    @property
    def phase(self) -> str:
        return PHASES[self.bytes[0]]

    @phase.setter
    def phase(self, phase: str) -> None:
        self.bytes[0] = PHASES.index(phase)

    @property
    def committed(self) -> int:
        return int.from_bytes(self.bytes[8:12], "little")

    @committed.setter
    def committed(self, states: int) -> None:
        self.bytes[8:12] = states.to_bytes(4, "little")

    @contextmanager
    def during(self, phase: str, after: str | None = None) -> Iterator[None]:
        before, self.phase = self.phase, phase
        yield
        self.phase = after or before

    def watched(self, place: Any, name: str, phase: str, after: str | None = None) -> Callable[..., Any]:
        """Replace a function by one that shows the phase while it runs; return the original."""
        function = getattr(place, name)

        def told(*arguments: Any, **named: Any) -> Any:
            with self.during(phase, after):
                return function(*arguments, **named)

        setattr(place, name, told)
        return function  # type: ignore[no-any-return]

    def watch(self) -> None:
        """Make the package show its phases on the board."""
        self.watched(sink, "create", "creating the file")
        self.watched(sink, "open_to_write", "opening to write", "between commits")
        self.watched(recorder, "add_snapshot", "writing a snapshot")
        self.watched(recorder.Recorder, "finish", "the last writes")
        self.watched(sink, "close_writer", "closing", "closed")
        transaction, write = sink.transaction, recorder.Recorder._write

        @contextmanager
        def in_transaction(connection: Any) -> Iterator[None]:
            with self.during("in a transaction"), transaction(Connection(connection, self)):
                yield

        def written(own: Any, is_last: bool) -> None:
            write(own, is_last)
            self.committed = max(self.committed, own.count)

        sink.transaction, recorder.Recorder._write = in_transaction, written  # type: ignore[method-assign, assignment]
        writer.PAUSE = 0.001


class Connection:
    """A connection that shows on the board when it commits."""

    def __init__(self, connection: Any, board: Board) -> None:
        self._connection, self._board = connection, board

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement != "COMMIT":
            return self._connection.execute(statement, *values)
        with self._board.during("committing"):
            return self._connection.execute(statement)


def work(path: Path, board: Board, what: str, every: int | None) -> None:
    """Record the run, resume it if its file exists, or prune it. This is the process that is killed."""
    board.watch()
    if what == "prune":
        board.phase = "pruning"
        fl.open_run(path).prune(1)
    elif path.exists():
        board.phase = "reading to resume"
        fl.open_run(path).resume(epochs=EPOCHS, progress=False, snapshot_every=every)
    else:
        board.phase = "before the file"
        trainer, data = problem()
        states = take(EPOCHS + 1, fl.epochs(trainer, data, data))
        fl.last(fl.record(path, trainer, data, data, states, snapshot_every=every))


class Victim:
    """A process that works until it is done or killed."""

    def __init__(self, path: Path, board: Path, what: str, every: int | None, fresh: bool) -> None:
        self.board, self._code = Board(board), None
        self.board.bytes[0] = 0
        if fresh:
            command = [sys.executable, __file__, "--work", str(path), str(board), what, str(every or 0)]
            self._id = subprocess.Popen(command, stdin=subprocess.DEVNULL).pid
            return
        self._id = os.fork()
        if not self._id:
            code = 1
            try:
                work(path, self.board, what, every)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def done(self) -> bool:
        """Whether it ended by itself.

        Raises:
            AssertionError: If it failed.
        """
        if self._code is None:
            found, status = os.waitpid(self._id, os.WNOHANG)
            if found:
                self._code = os.waitstatus_to_exitcode(status)
        if self._code not in (None, 0, -signal.SIGKILL):
            raise AssertionError(f"a process that was not killed failed, in {self.board.phase}")
        return self._code is not None

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait until a condition holds or the process has ended."""
        last = perf_counter() + PATIENCE
        while not self.done() and not until():
            if perf_counter() > last:
                self.kill()
                raise AssertionError(f"no progress in {self.board.phase}")

    def kill(self) -> bool:
        """Kill it if it is still running. Return whether it was killed."""
        if not self.done():
            os.kill(self._id, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._id, 0)[1])
        return self._code == -signal.SIGKILL


class Proof:
    """Kills, and a check of the file after each.

    Args:
        fresh: The number of kills of newly started interpreters; the others are of forked processes.
    """

    def __init__(self, folder: Path, seed: int, fresh: int) -> None:
        self.folder, self.draw, self.fresh = folder, random.Random(seed), fresh
        trainer, data = problem()
        self.reference = list(take(EPOCHS + 1, fl.epochs(trainer, data, data)))
        self.digests = [fl.digest(state) for state in self.reference]
        self.hits: dict[str, Counter[str]] = {"recording": Counter(), "resuming": Counter(), "pruning": Counter()}
        self.kills = self.runs = self.whole = 0
        self.seconds = 0.1

    def one_run(self, most: int) -> None:
        """Kill and resume a run until it ends or has had `most` kills, then check all of it."""
        path, board = self.folder / f"{self.runs}.run", self.folder / f"{self.runs}.board"
        every, killed = self.draw.choice([None, 3]), 0
        started = perf_counter()
        while True:
            spare = killed >= min(most, IN_A_ROW)
            fresh = self.fresh > 0 and not spare
            self.fresh -= fresh
            kind = "resuming" if path.exists() else "recording"
            victim = Victim(path, board, "train", every, fresh)
            if not self._struck(victim, kind, spare, fresh):
                break
            killed += 1
            self._look(path, victim.board)
        if not killed:
            self.seconds = perf_counter() - started
        self._must_be_whole(path)
        if killed and self.draw.random() < 0.3 and killed < most:
            victim = Victim(path, board, "prune", every, False)
            self._struck(victim, "pruning", False, False)
            self._must_be_whole(path)
        self.runs += 1
        for left in self.folder.iterdir():
            left.unlink()

    def _struck(self, victim: Victim, kind: str, spare: bool, fresh: bool) -> bool:
        """Kill it at a random time, or let it end. Return whether it was killed."""
        wait = self.draw.uniform(0, self.seconds * 1.1) + (0.15 if fresh else 0)
        if spare:
            victim.wait(lambda: False)
        elif kind != "pruning" and self.draw.random() < 0.5:
            phase = self.draw.choice(PHASES[1:-1])
            victim.wait(lambda: victim.board.phase == phase)
            sleep(self.draw.choice([0, self.draw.uniform(0, 0.0004)]))
        else:
            wait = wait / 8 if kind == "pruning" else wait
            instant = perf_counter() + wait
            victim.wait(lambda: perf_counter() >= instant)
        if not victim.kill():
            return False
        self.kills += 1
        self.hits[kind][victim.board.phase] += 1
        return True

    def _look(self, path: Path, board: Board) -> None:
        """Check a file after a kill: it exists if anything was committed, opens, and has the right states."""
        if not path.exists():
            assert not board.committed, "a file with committed states is gone"
            return
        run = fl.open_run(path)
        found = [row.digest for row in run.rows]
        assert len(found) >= max(1, board.committed), f"{board.committed} states were committed, {len(found)} were found"
        assert found == self.digests[: len(found)], "the file has states that the run does not have"
        epoch = self.draw.randrange(len(found))
        assert fl.same_bits(run.state(epoch), self.reference[epoch]), f"the state of epoch {epoch} differs"
        board.committed = len(found)  # what was read must stay

    def _must_be_whole(self, path: Path) -> None:
        run = fl.open_run(path)
        assert [row.digest for row in run.rows] == self.digests, "the resumed run has other states"
        assert run.verify().ok, "not every state can be recovered"
        assert fl.same_bits(run.last, self.reference[-1])
        self.whole += 1

    def report(self) -> str:
        """Return a table of the kills in each phase, and the result."""
        lines = [f"{'phase':24}" + "".join(f"{kind:>12}" for kind in self.hits)]
        lines += [f"{p:24}" + "".join(f"{counts[p] or '':>12}" for counts in self.hits.values()) for p in PHASES]
        missed = [phase for phase in PHASES if not any(counts[phase] for counts in self.hits.values())]
        lines.append(
            f"{self.kills} kills in {self.runs} runs: every file opened, no committed epoch was lost, all runs ended right"
        )
        return "\n".join([*lines, f"not hit: {', '.join(missed)}" if missed else "every phase was hit"])


def prove(kills: int, seed: int = 0, fresh: int = 5) -> Proof:
    """Kill runs until the number of kills is reached.

    Raises:
        AssertionError: If a file is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        proof = Proof(Path(folder), seed, fresh)
        proof.one_run(0)  # measures the time of a run
        while proof.kills < kills:
            proof.one_run(kills - proof.kills)
        return proof


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        path, board, what, every = sys.argv[2:]
        return work(Path(path), Board(Path(board)), what, int(every) or None)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", type=int, default=20, help="how many of the kills are of new interpreters")
    options = parser.parse_args()
    started = perf_counter()
    print(prove(options.kills, options.seed, options.fresh).report())
    print(f"{perf_counter() - started:.0f} seconds")
    return None


if __name__ == "__main__":
    main()
