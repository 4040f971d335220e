"""Malicious and foreign files give an error of fnloop, and cost no memory, no time and run no code."""

import json
import os
import pickle
import resource
import signal
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import fnloop as fl
from benchmarks.flips import small_run
from fnloop.runs.blocks import BlockHasher
from fnloop.runs.rows import root_hash
from fnloop.runs.store import APPLICATION_ID
from tests.replay.harmful import HARMFUL, NOT_A_RUN, WITHOUT_CHAIN
from tests.replay.support import in_new_process

ALLOWANCE = 8 << 20  # bytes of memory in addition to twice the size of the file
SECONDS = 30


def fix_chain(path):
    """Make the chain valid again, as the author of a malicious file would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        hasher = BlockHasher(root_hash(dict(connection.execute("SELECT name, value FROM run").fetchall())))
        rows = connection.execute("SELECT * FROM states ORDER BY position").fetchall()
        for row in rows:
            hasher.add(row)
        connection.execute("DELETE FROM blocks")
        connection.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?)", hasher.changed())
        connection.execute("UPDATE head SET position = ?, chain = ?", [len(rows) - 1, hasher.chain])


def read_everything(path):
    """Read everything of a run file; return the errors, and the memory that this took in bytes."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends a process that hangs
    signal.alarm(SECONDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    errors = []
    try:
        run = fl.open_run(path)
        questions = [
            lambda: repr(run),
            lambda: (run.rows, run.history, run.stop_reason, run.parent, run.engine, dict(run.environment)),
            lambda: run.snapshots,
            lambda: run.trainer,
            lambda: (run.train, run.validation, run.preprocessing),
            *(lambda epoch=row.epoch: run.state(epoch) for row in run.rows),
            lambda: run.state(run.rows[1].epoch, run.rows[1].step + 1),
            lambda: run.last,
            lambda: run.best(),
            lambda: run.verify(),
            lambda: run.probe(fl.digest),
            lambda: run.bisect("epoch > 1"),
        ]
    except (fl.FnloopError, FileNotFoundError) as error:
        errors.append([type(error).__name__, str(error)])
        questions = []
    for question in questions:
        try:
            question()
        except fl.FnloopError as error:
            errors.append([type(error).__name__, str(error)])
    signal.alarm(0)
    return errors, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def read_all(folder):
    """Read each file in its own process, after a valid one, which imports everything."""
    read_everything(Path(folder) / "valid.run")
    answers = {}
    for path in sorted(Path(folder).glob("*.run")):
        receiver, sender = os.pipe()
        child = os.fork()
        if not child:
            try:
                answer = json.dumps(read_everything(path)).encode()
            except BaseException as error:
                answer = json.dumps([[["not fnloop's", f"{type(error).__name__}: {error}"]], 0]).encode()
            os.write(sender, answer[:60_000])
            os._exit(0)
        os.close(sender)
        with os.fdopen(receiver, "rb") as pipe:
            text = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers[path.stem] = [*(json.loads(text) if text else [[["not fnloop's", f"it died of {-status}"]], 0]), size_of(path)]
    return answers


def size_of(path):
    return path.stat().st_size if path.is_file() else 0


def add_endless_pages(path):
    """Make pages that each refer to the next page some hundred times: endless rows in a few kilobytes."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run'").fetchone()
    content = bytearray(path.read_bytes())
    page = struct.unpack(">H", content[16:18])[0]
    leaf, levels, cells = bytes(content[(root - 1) * page : root * page]), 12, 300
    first = len(content) // page + 1
    for level in range(levels):
        below = first + level + 1
        cell = struct.pack(">IB", below, 1)
        start = page - len(cell) * cells
        head = struct.pack(">BHHHBI", 5, 0, cells, start, 0, below)
        pointers = b"".join(struct.pack(">H", start + len(cell) * i) for i in range(cells))
        content += (head + pointers).ljust(start, b"\0") + cell * cells
    content += leaf
    content[(root - 1) * page : root * page] = content[(first - 1) * page : first * page]
    content[28:32] = struct.pack(">I", len(content) // page)
    path.write_bytes(content)


def write_foreign_files(folder):
    """Write files that are not run files, and return their names."""
    (folder / "empty.run").write_bytes(b"")
    (folder / "a text.run").write_text("x" * 10_000)
    (folder / "noise.run").write_bytes(os.urandom(10_000))
    (folder / "a pickle.run").write_bytes(pickle.dumps(Planted()))
    (folder / "a folder.run").mkdir()
    os.mkfifo(folder / "a pipe.run")
    (folder / "endless.run").symlink_to("/dev/zero")
    (folder / "nothing.run").symlink_to(folder / "nowhere")
    np.savez(folder / "an archive.run.npz", x=np.zeros(3))
    (folder / "an archive.run.npz").rename(folder / "an archive.run")
    with closing(sqlite3.connect(folder / "another's.run", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
    with closing(sqlite3.connect(folder / "sealed.run", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("CREATE TABLE t (x)")
    return {path.stem for path in folder.glob("*.run")}


PLANTED = str(Path(tempfile.gettempdir()) / "fnloop-was-executed")


class Planted:
    def __reduce__(self):
        return os.mkdir, (PLANTED,)


def failures(answers, messages):
    """Return by file what is wrong with its answers: an error of another kind, too much memory, another message."""
    (errors, usual, _), wrong = answers.pop("valid"), {}
    assert errors == []  # a valid run answers every question
    assert answers.keys() == messages.keys()
    for name, (errors, grown, size) in answers.items():
        if [text for kind, text in errors if kind == "not fnloop's"]:
            wrong[name] = errors
        elif grown - usual > 2 * size + ALLOWANCE:
            wrong[name] = f"{grown - usual} bytes of memory for a file of {size}"
        elif messages[name] is not None and not any(messages[name] in text for _, text in errors):
            wrong[name] = errors
    return wrong


@pytest.mark.thorough
def test_malicious_run_files(tmp_path):
    """Whatever a file with a valid chain has in it, there is an error, and memory in proportion to its size."""
    small_run(tmp_path / "valid.run")
    for number, (name, (statements, _)) in enumerate(HARMFUL.items()):
        path = tmp_path / f"{number}.run"
        path.write_bytes((tmp_path / "valid.run").read_bytes())
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
        if name not in WITHOUT_CHAIN:
            fix_chain(path)
    (tmp_path / "pages.run").write_bytes((tmp_path / "valid.run").read_bytes())
    add_endless_pages(tmp_path / "pages.run")
    names = {str(number): name for number, name in enumerate(HARMFUL)}
    answers = {names.get(stem, stem): answer for stem, answer in in_new_process(read_all, str(tmp_path)).items()}
    messages = {name: message for name, (_, message) in HARMFUL.items()}
    assert failures(answers, {**messages, "pages": "two values"}) == {}


def test_foreign_files(tmp_path):
    """They give an error at once; a pipe, a device or a pickle is never read."""
    small_run(tmp_path / "valid.run")
    names = write_foreign_files(tmp_path) - {"valid"}
    assert len(names) == 11
    messages = dict.fromkeys(names, NOT_A_RUN)
    messages |= {"nothing": "no such file", **dict.fromkeys(("a folder", "a pipe", "endless"), "regular file")}
    assert failures(in_new_process(read_all, str(tmp_path)), messages) == {}
    assert not os.path.exists(PLANTED)
