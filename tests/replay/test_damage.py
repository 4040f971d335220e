"""A damaged run file raises an error of fnloop or gives the recorded values; it never gives others."""

import os
import shutil
import signal
import sqlite3
import tempfile
from pathlib import Path
from time import sleep

import pytest
from toolz import take

import fnloop as fl
from benchmarks.flips import answers, flip_all, judge, small_run
from fnloop.runs import writer
from tests.replay.support import fingerprint, in_new_process, record_tiny, start_process, tiny

STRIDE = 257  # prime, so that every bit of a byte is flipped in every kind of page


@pytest.fixture
def small(tmp_path):
    """Record a run file of a few pages."""
    small_run(tmp_path / "small.run")
    return tmp_path / "small.run"


@pytest.mark.thorough
@pytest.mark.parametrize("first", [0, 1])
def test_flipped_bits(small, first):
    """With one bit flipped, all values that are read are right. `benchmarks/flips.py` flips every bit."""
    counts = flip_all(small, small, 2 * STRIDE, first * STRIDE)
    assert set(counts) == {"refused", "refused in part", "unchanged"}


def test_a_file_truncated_at_every_512_bytes(small):
    """Each shorter file, and each that continues with noise or zeros, is refused or right.

    A file without one of its pages is refused when it is opened; a cut within the last page may damage one state or none.
    """
    expected, content = list(answers(small)), small.read_bytes()
    for size in range(0, len(content), 512):
        small.write_bytes(content[:size])
        found = judge(small, expected)
        assert found == "refused" or size > len(content) - 4096
        for other in (bytes(len(content) - size), os.urandom(len(content) - size)):
            small.write_bytes(content[:size] + other)
            judge(small, expected)
    small.write_bytes(content + bytes(5000))
    assert judge(small, expected) == "unchanged"


def test_exchanged_and_missing_pages(small):
    """A page in place of another, or missing from the middle, is detected."""
    expected, content = list(answers(small)), small.read_bytes()
    pages = [content[i : i + 4096] for i in range(0, len(content), 4096)]
    for i in range(1, len(pages)):
        for j in range(1, len(pages)):
            small.write_bytes(b"".join([*pages[:i], pages[j], *pages[i + 1 :]]))
            judge(small, expected)
        small.write_bytes(b"".join(pages[:i] + pages[i + 1 :]))
        assert judge(small, expected) == "refused"


def record_until_killed(path):
    """Record, and wait while the committed rows are in the write-ahead log."""
    writer.PAUSE = 0.001
    trainer, train, validation = tiny()
    for state in fl.record(path, trainer, train, validation, fl.epochs(trainer, train, validation), snapshot_every=3):
        sleep(0.005)
        if state.epoch == 8:
            print("recorded", flush=True)
            sleep(300)


@pytest.fixture
def killed(tmp_path):
    """Kill a process while it records; return the path and the digests of the states."""
    path = tmp_path / "killed.run"
    process = start_process(record_until_killed, str(path))
    assert process.stdout.readline() == "recorded\n"
    while len(fl.open_run(path).rows) < 9:
        sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    trainer, train, validation = tiny()
    return path, list(map(fingerprint, take(9, fl.epochs(trainer, train, validation))))


@pytest.mark.thorough
def test_damage_in_the_log_of_a_killed_run(killed, tmp_path):
    """With bits flipped or the log truncated the run may be shorter; the states that are left are right."""
    path, expected = killed
    log = path.with_name("killed.run-wal")
    content = log.read_bytes()
    assert len(content) > 8 * 4096
    copy = tmp_path / "copy.run"
    lengths = set()
    damaged = [content, *(content[:size] for size in range(0, len(content), 2048))]
    damaged += [
        content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        for at in [*range(32), *range(32, len(content), 499)]
    ]
    for damaged_log in damaged:
        for file in tmp_path.glob("copy.run*"):
            file.unlink()
        shutil.copy(path, copy)
        copy.with_name("copy.run-wal").write_bytes(damaged_log)
        try:
            run = fl.open_run(copy)
            found = [fingerprint(run.state(epoch)) for epoch in range(len(run.rows))]
        except fl.FnloopError:
            continue
        assert found == expected[: len(found)]
        lengths.add(len(found))
    assert len(lengths) > 2
    assert max(lengths) == 9


def read_in_a_read_only_folder(path):
    """Read a killed run in a read-only folder; return the digests of its states."""
    folder = Path(tempfile.mkdtemp())
    record_tiny(folder / "a.run", 3)  # imports everything that is imported on use
    fl.open_run(folder / "a.run").verify()
    for file in Path(path).parent.glob("killed.run*"):
        shutil.copy(file, folder)
        (folder / file.name).chmod(0o444)
    folder.chmod(0o555)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    run = fl.open_run(folder / "killed.run")
    return [fingerprint(run.state(epoch)) for epoch in range(len(run.rows))]


def test_a_killed_run_can_be_read_in_a_read_only_folder(killed):
    """The committed rows are read from the write-ahead log."""
    path, expected = killed
    assert in_new_process(read_in_a_read_only_folder, str(path)) == expected


ALTERED_ROWS = {
    "a metric": "UPDATE states SET metrics = replace(metrics, '0.', '1.') WHERE position = 2",
    "the seconds": "UPDATE states SET seconds = seconds + 1 WHERE position = 2",
    "the digest": "UPDATE states SET digest = (SELECT digest FROM states WHERE position = 1) WHERE position = 2",
    "the epoch": "UPDATE states SET epoch = 3 WHERE position = 2",
    "the step": "UPDATE states SET step = step + 1 WHERE position = 2",
    "the stop reason": "UPDATE states SET stopped = 'no improvement' WHERE position = 3",
    "a field's hash": "UPDATE states SET fields = zeroblob(length(fields)) WHERE position = 2",
    "the last row deleted": "DELETE FROM states WHERE position = 3",
    "the last row deleted and the head moved": "DELETE FROM states WHERE position = 3; UPDATE head SET position = 2",
    "a row in the middle deleted": "DELETE FROM states WHERE position = 1",
    "two rows exchanged": "UPDATE states SET position = -position WHERE position IN (1, 2); "
    "UPDATE states SET position = 3 + position WHERE position < 0",
    "no head": "DELETE FROM head",
    "two heads": "INSERT INTO head SELECT * FROM head",
    "the trainer": """UPDATE run SET value = replace(value, '"seed":1', '"seed":2')""",
    "the monitor": "UPDATE run SET value = replace(value, 'val_loss', 'loss') WHERE name = 'monitor'",
    "the environment": "UPDATE states SET environment = replace(environment, 'NumPy', 'Numpy')",
    "an unknown entry in the manifest": "INSERT INTO run VALUES ('more', '1')",
    "a missing entry in the manifest": "DELETE FROM run WHERE name = 'validation'",
    "no manifest": "DELETE FROM run",
}


@pytest.mark.parametrize("change", ALTERED_ROWS)
def test_altered_rows_are_detected_when_the_file_is_opened(small, change):
    """The chain covers every column of every row, and the manifest."""
    content = small.read_bytes()
    with sqlite3.connect(small) as connection:
        connection.executescript(ALTERED_ROWS[change])
    connection.close()
    assert small.read_bytes() != content
    with pytest.raises(fl.RunError, match=r"small.run' is not a run of fnloop, or is damaged: "):
        fl.open_run(small)


ALTERED_SNAPSHOTS = {
    "a snapshot deleted": "DELETE FROM snapshots WHERE position = 2",
    "the first snapshot deleted": "DELETE FROM snapshots WHERE position = 0",
    "no snapshots": "DELETE FROM snapshots",
    "a snapshot of another state": "UPDATE snapshots SET content = (SELECT content FROM snapshots WHERE position = 0)",
    "a snapshot after the end": "INSERT INTO snapshots SELECT 99, content FROM snapshots WHERE position = 0",
    "a snapshot before the start": "INSERT INTO snapshots SELECT -9, content FROM snapshots WHERE position = 0",
    "a number in a snapshot": """UPDATE snapshots SET content = replace(content, '"step":6', '"step":7')""",
    "half a snapshot": "UPDATE snapshots SET content = substr(content, 1, length(content) / 2)",
    "the arrays deleted": "DELETE FROM arrays",
    "the arrays all zero": "UPDATE arrays SET data = zeroblob(length(data))",
    "the arrays of another dtype": "UPDATE arrays SET dtype = replace(dtype, '<f4', '<i4')",
    "the arrays of another shape": "UPDATE arrays SET shape = '[' || length(data) / 4 || ', 1]'",
    "the arrays exchanged": "UPDATE arrays SET data = (SELECT a.data FROM arrays AS a "
    "WHERE length(a.data) = length(arrays.data) AND a.hash <> arrays.hash ORDER BY a.hash LIMIT 1) "
    "WHERE EXISTS (SELECT 1 FROM arrays AS a WHERE length(a.data) = length(arrays.data) AND a.hash <> arrays.hash)",
}


@pytest.mark.parametrize("change", ALTERED_SNAPSHOTS)
def test_altered_snapshots_are_detected_when_they_are_read(small, change):
    """Every snapshot is checked, and `verify` fails if a state cannot be recovered."""
    expected = list(answers(small))
    with sqlite3.connect(small) as connection:
        connection.executescript(ALTERED_SNAPSHOTS[change])
    connection.close()
    harmless = change in ("a snapshot deleted", "a snapshot after the end")
    outcome = judge(small, expected)
    assert outcome == "unchanged" or not harmless
    try:
        run = fl.open_run(small)
        assert set(run.snapshots) <= {0, 2, 3}
        verified = run.verify().ok
    except fl.RunError:
        verified = False
    assert verified == harmless
