"""Malicious and foreign files give an error of fnloop, and cost no memory, no time and run no code."""

import hashlib
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
from fnloop.runs.manifest import make_manifest
from fnloop.runs.rows import root_hash
from fnloop.runs.store import APPLICATION_ID
from tests.replay.support import in_new_process, tiny

ALLOWANCE = 8 << 20  # bytes of memory in addition to twice the size of the file
SECONDS = 30
ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i AS position, 'x' AS name, 'y' AS value FROM n"
)


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


HARMFUL = {}  # by name: the statements that change a valid run file, and a part of the expected error message


def sql(name, statements, message):
    HARMFUL[name] = statements, message


def value(name, text, message):
    sql(name, [(f"UPDATE run SET value = ? WHERE name = '{name.split(':')[0]}'", [text])], message)


sql("other tables", ["DROP TABLE arrays"], "its tables are not those of a run")
sql("a table of its own without end", [f"CREATE VIEW pragma_table_xinfo AS {ENDLESS}"], None)
sql("an index", ["CREATE INDEX i ON states (printf('%.*c', 100000000, 'x'))"], None)
sql("other columns", ["ALTER TABLE states ADD COLUMN more"], "its tables are not those of a run")
sql("a trigger", ["CREATE TRIGGER t AFTER INSERT ON states BEGIN DELETE FROM states; END"], None)
for table in ("run", "states", "snapshots", "arrays", "head"):
    sql(f"{table} without end", [f"DROP TABLE {table}", f"CREATE VIEW {table} AS {ENDLESS}"], "its tables are not those")
sql("a view without end", ["DROP VIEW IF EXISTS metrics", f"CREATE VIEW metrics AS SELECT * FROM ({ENDLESS})"], None)
sql("a newer version", ["PRAGMA user_version=2"], "its marks are those of format 2, and its table run those of format 1")
sql("another mark", ["PRAGMA application_id=5"], "it does not have the application id")
sql(
    "no mark",
    ["PRAGMA application_id=0", "DELETE FROM run WHERE name = 'format'"],
    "neither the application id nor the format",
)
sql("a text that is no UTF-8", ["UPDATE states SET metrics = CAST(x'7bfffe7d' AS TEXT) WHERE position = 1"], "not a run of")
sql("bytes for a text", ["UPDATE run SET value = x'00' WHERE name = 'trainer'"], "is not a run of fnloop")
sql("words for numbers", ["UPDATE states SET epoch = 'one' WHERE position = 1"], "is not a run of fnloop")
sql("numbers for words", ["UPDATE states SET digest = 5 WHERE position = 1"], "is not")
sql("a metric that is no number", ["""UPDATE states SET metrics = '{"loss": []}' WHERE position = 1"""], "is not a run of")
sql("a negative epoch", ["UPDATE states SET epoch = -1 WHERE position = 0"], "is not a run of fnloop")
sql("epochs in disorder", ["UPDATE states SET epoch = 9 WHERE position = 1"], "it differs in epoch")

DEEP = "[" * 1_000_000
WIDE = "[" + "[]," * 1_000_000 + "[]]"
sql("a huge row", [("UPDATE states SET metrics = ? WHERE position = 1", ['{"a": "' + "x" * 30_000_000 + '"}'])], "too big")
sql("a deep row", [("UPDATE states SET fields = ? WHERE position = 1", [DEEP])], "is not a run of fnloop")
MANY = "{" + ",".join(f'"{i}":1' for i in range(300_000)) + "}"
sql("a wide row", [("UPDATE states SET fields = ? WHERE position = 1", [MANY])], "is not a run of fnloop")
for key in ("trainer", "train", "monitor"):
    value(f"{key}: deep", DEEP, "is not a run of fnloop")
    value(f"{key}: wide", WIDE, "is not a run of fnloop")
    value(f"{key}: a number", "5", "is not a run of fnloop")
    value(f"{key}: not JSON", "{", "is not a run of fnloop")
value("train: a text", '"x"', "is not a run of fnloop")
value("train: other names", "{}", "is not a run of fnloop")
value("engine: none", "null", "is not a run of fnloop")
value("engine: unknown", '"../../engine"', "is not a run of fnloop")
value("monitor: another", '["val_loss", "mean"]', "invalid value for 'monitor' in the run file")
value("monitor: unknown", '["nothing", "min"]', "is not a run of fnloop")
value("earlier_metrics: a number", "5", "is not a run of fnloop")
value("parent: a number", "5", "is not a run of fnloop")
value("preprocessing: a number", "5", "is not a run of fnloop")
for name, text, message in (
    ("deep", DEEP, "is not a run of fnloop"),
    ("wide", WIDE, "is not a run of fnloop"),
    ("a number", "5", "is not a run of fnloop"),
    ("not JSON", "{", "is not a run of fnloop"),
    ("none", "null", "is not a run of fnloop"),
    ("of numbers", '{"BLAS threads": 5}', "is not a run of fnloop"),
    ("of many threads", '{"BLAS threads": "99999999999999999999"}', None),
):
    sql(f"an environment: {name}", [("UPDATE states SET environment = ? WHERE position = 0", [text])], message)
sql("no trainer", ["DELETE FROM run WHERE name = 'trainer'"], "no value for 'trainer' in the run file")
sql("only a trainer", ["DELETE FROM run WHERE name <> 'trainer'"], "is not a run of fnloop")


def packed(name, tree, message):
    """Put another value in place of the trainer."""
    sql(
        f"a trainer that is {name}",
        [("UPDATE run SET value = ? WHERE name = 'trainer'", [f'{{"record":{tree},"repr":""}}'])],
        message,
    )


packed("no record", "5", "is not a run of fnloop")
packed("another record", '{"@":"fnloop.SGD"}', "is not a run of fnloop")
packed("of an unknown record", '{"@":"os.system","command":"true"}', "'os.system', which is not on the list")
packed("of no name", '{"@":["fnloop.Trainer"]}', "is not a run of fnloop")
packed("of a form that is no number", '{"@":"fnloop.Trainer/x"}', "is not a run of fnloop")
packed("deep", '{"@mapping":' * 100_000, "is not a run of fnloop")
packed("wide", WIDE, "is not a run of fnloop")
packed("of half a number", '{"@float":"00"}', "is not a run of fnloop")
packed("of an unknown form", '{"parts":[]}', "is not a run of fnloop")
packed("of missing arrays", '{"@array":"x"}', "is not a run of fnloop")
packed("of arrays without names", '{"@array":[]}', "is not a run of fnloop")
packed("of missing records", '{"@ref":"x"}', "is not a run of fnloop")
packed("a scalar of objects", '{"@scalar":["O8","00"]}', "is not a run of fnloop")
packed("half a scalar", '{"@scalar":["<f8","00"]}', "is not a run of fnloop")
HUGE = '{"@":"fnloop.Sequential","inputs":[30000],"layers":[{"@":"fnloop.Dense","inputs":30000,"outputs":30000}]}'
packed("of a model larger than all memory", HUGE, "is not a run of fnloop")
sql("a metric that is another", ["UPDATE states SET metrics = replace(metrics, '0.', '1.')"], "it differs in metrics")
sql("a step that is another", ["UPDATE states SET step = step + 1"], "it differs in step")
sql("a reason to stop", ["UPDATE states SET stopped = 'finished' WHERE position = 3"], "it differs in stopped")

for name, model in (("larger", fl.mlp([2, 3, 1])), ("smaller", fl.mlp([2, 1])), ("of other inputs", fl.mlp([1, 3, 1]))):
    with_model, data = tiny(model=model, early_stopping=fl.EarlyStopping("val_loss"))[:2]
    entry = make_manifest(with_model, data, data, "numpy", None, None)[0].to_json()["trainer"]
    value(f"trainer: {name}", entry, "of another model than the trainer's")


def content(name, text, message):
    """Put another text in place of every snapshot, whose digest it matches."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    statements = [("UPDATE snapshots SET content = ?", [text]), ("UPDATE states SET digest = ?", [digest])]
    sql(name, statements, message)


content("a deep state", DEEP, "is not a run of fnloop")
content("a wide state", WIDE, "is not a run of fnloop")
content("a huge state", " " * 40_000_000, "too big")
content("a huge state of wide characters", "x" * 20_000_000 + "\U0001f300", "too big")
content("a state that is a word", '"x"', "it differs in")
content("a state of half a number", '{"@float":"00"}', "is not a run of fnloop")
content("a state that is a trainer", '{"@":"fnloop.SGD"}', "it differs in")
content("a state that is a function", '{"@function":"x"}', "")
for shape in (
    "[1000000000000]",
    "[-1]",
    "[0, 1000000000000]",
    "[4, -4, -4]",
    "[1e400]",
    "{}",
    '"8"',
    "8",
    "null",
    "[[2]]",
    DEEP,
):
    sql(f"arrays of shape {shape[:20]}", [("UPDATE arrays SET shape = ?", [shape])], "is not a run of fnloop")
for dtype in (
    "O",
    "|O8",
    "<f8,O",
    "V1000000000",
    "S0",
    "U100000",
    "nonsense",
    "(1000,1000,1000)f8",
    "<M8[s]",
    "\x00",
    "{'names':",
    ",f4",
    "(9**9**9)f4",
):
    sql(f"arrays of dtype {dtype!r}", [("UPDATE arrays SET dtype = ?", [dtype])], "is not a run of fnloop")
sql("arrays of text", ["UPDATE arrays SET data = CAST(data AS TEXT)"], "is not a run of fnloop")
sql("arrays of nothing", ["UPDATE arrays SET data = zeroblob(0)"], "is not a run of fnloop")


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
    for number, (statements, _) in enumerate(HARMFUL.values()):
        path = tmp_path / f"{number}.run"
        path.write_bytes((tmp_path / "valid.run").read_bytes())
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
        if not any(
            word in str(statements) for word in ("DROP TABLE", "ADD COLUMN", "SET fields", "CAST(x", "= x'00'")
        ):  # their chain cannot be computed
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
    messages = dict.fromkeys(names, "is not a run of fnloop")
    messages |= {"nothing": "no such file", **dict.fromkeys(("a folder", "a pipe", "endless"), "regular file")}
    assert failures(in_new_process(read_all, str(tmp_path)), messages) == {}
    assert not os.path.exists(PLANTED)
