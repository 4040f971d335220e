"""A run file has one writer: on every file system, and as long as its process lives."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from time import sleep, time

import pytest

import fnloop as fl
from fnloop.runs import files
from fnloop.runs import lock as locking
from fnloop.runs.lock import lock
from fnloop.runs.owner import this_process
from tests.replay.support import fingerprint, in_new_process, record_tiny, start_process

fcntl = pytest.importorskip("fcntl")

NO_LINKS = [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL]
NO_FLOCK = [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL]

pytestmark = pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning")  # by JAX, if another test imported it


def failing(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def without_flock(monkeypatch):
    """A file system that has no `flock`."""
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOTSUP))


def is_refused(path, holder):
    """Whether the lock is held, and the error names the holder."""
    with pytest.raises(fl.RunError) as refused:
        lock(path)
    text = str(refused.value)
    assert f"is being written by {holder}, and a run has one writer at a time" in text, text
    return text


@pytest.mark.parametrize("number", NO_LINKS, ids=errno.errorcode.get)
def test_a_file_system_without_hard_links(tmp_path, monkeypatch, number):
    """Runs are recorded, resumed and forked there, and nothing is replaced."""
    monkeypatch.setattr(os, "link", failing(number))
    states = record_tiny(tmp_path / "a.run", 3)
    run = fl.open_run(tmp_path / "a.run")
    assert fingerprint(run.fork(2, tmp_path / "b.run").resume(epochs=3, progress=False).last) == fingerprint(states[3])
    for name in ("a.run", "b.run"):
        content = (tmp_path / name).read_bytes()
        with pytest.raises(fl.RunError, match="path must be a new file"):
            record_tiny(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.run", "b.run"]


def test_without_hard_links_a_file_that_comes_in_between_is_kept(tmp_path, monkeypatch):
    """It came after the check and before the name was given."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    partial, path = tmp_path / "partial", tmp_path / "a.run"
    partial.write_text("new")
    path.write_text("another's")
    with pytest.raises(FileExistsError):
        files.publish(partial, path)
    assert path.read_text() == "another's"


def test_without_hard_links_a_failed_rename_leaves_the_path_free(tmp_path, monkeypatch):
    """The empty file that reserved the name is removed."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(os, "replace", failing(errno.EIO))
    with pytest.warns(fl.RecordingWarning, match="Input/output error; no state was written"):
        record_tiny(tmp_path / "a.run", 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", NO_FLOCK, ids=errno.errorcode.get)
def test_a_file_system_without_flock(tmp_path, monkeypatch, number):
    """There is one writer all the same, and its lock file is removed at the end."""
    monkeypatch.setattr(fcntl, "flock", failing(number))
    record_tiny(tmp_path / "a.run", 3)
    release = lock(tmp_path / "a.run")
    is_refused(tmp_path / "a.run", "another stream of this process")
    with pytest.raises(fl.RunError, match="is being written by another stream"):
        fl.open_run(tmp_path / "a.run").resume(epochs=9, progress=False)
    release()
    release()
    assert fl.open_run(tmp_path / "a.run").resume(epochs=9, progress=False).last.epoch == 9
    assert [path.name for path in tmp_path.iterdir()] == ["a.run"]


def test_another_error_of_flock_is_raised(tmp_path, monkeypatch):
    """It is not taken for a file system without it, and no descriptor is lost."""
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
    with pytest.raises(OSError, match="Input/output error"):
        lock(tmp_path / "a.run")
    assert (len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0) == before


def gone_process():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def owner(**changes):
    return json.dumps({**json.loads(this_process()), **changes}).encode()


@pytest.mark.usefixtures("without_flock")
def test_the_lock_of_a_process_that_is_gone_is_taken(tmp_path):
    """Also if its number belongs to a later process now, or it wrote nothing, some time ago; a zombie is gone."""
    path, lock_path = tmp_path / "a.run", tmp_path / "a.run-lock"
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    while os.path.exists("/proc") and Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        sleep(0.01)
    for content in (owner(pid=gone_process()), owner(started="5"), owner(pid=zombie.pid, started="5")):
        lock_path.write_bytes(content)
        lock(path)()
        assert not lock_path.exists()
    zombie.wait()
    lock_path.touch()
    is_refused(path, "another process")  # it may be about to write
    os.utime(lock_path, (time() - 60, time() - 60))
    lock(path)()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_taken_meanwhile_is_not_taken_again(tmp_path):
    """Of two processes that find the same owner gone, the second sees the first; a claim is left only by a kill."""
    lock_path = tmp_path / "a.run-lock"
    lock_path.write_bytes(b"first")
    assert not locking._replace_owner(lock_path, b"gone", b"second")
    assert lock_path.read_bytes() == b"first"
    assert locking._replace_owner(lock_path, b"first", b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["a.run-lock"]
    claim = tmp_path / f"a.run-lock-{sha256(b'second').hexdigest()[:8]}"
    claim.touch()
    assert not locking._replace_owner(lock_path, b"second", b"third")
    os.utime(claim, (time() - 60, time() - 60))
    assert locking._replace_owner(lock_path, b"second", b"third")
    assert [path.name for path in tmp_path.iterdir()] == ["a.run-lock"]


@pytest.mark.usefixtures("without_flock")
def test_the_lock_of_another_machine_is_never_taken(tmp_path):
    """Nor one that is not understood; the error says which file to delete."""
    for content, holder in ((owner(host="there", pid=1234), "process 1234 on there"), (b"{}", "another process")):
        (tmp_path / "a.run-lock").write_bytes(content)
        text = is_refused(tmp_path / "a.run", holder)
        assert ("if that process has ended, delete" in text) == ("there" in holder)
        assert (tmp_path / "a.run-lock").read_bytes() == content


def take_and_hold(path, seconds):
    """Take the lock again and again; return the status 0 if it was held by this process alone each time."""
    held, until = 0, time() + seconds
    while time() < until or not held:
        try:
            release = lock(path)
        except fl.RunError:
            continue
        os.close(os.open(f"{path}.holder", os.O_CREAT | os.O_EXCL))
        sleep(0.001)
        os.unlink(f"{path}.holder")
        release()
        held += 1
    return 0


@pytest.mark.parametrize("has_flock", [False, True])
def test_many_processes_race_for_a_lock(tmp_path, monkeypatch, has_flock):
    """Each time one of them gets it; the first takes it from a process that is gone."""
    if not has_flock:
        monkeypatch.setattr(fcntl, "flock", failing(errno.ENOTSUP))
    (tmp_path / "a.run-lock").write_bytes(owner(pid=gone_process()))
    children = []
    for _ in range(4):
        children.append(os.fork())
        if not children[-1]:
            status = 1
            try:
                status = take_and_hold(tmp_path / "a.run", 0.3)
            finally:
                os._exit(status)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def hold(path):
    """Hold the lock until a line comes."""
    lock(Path(path))
    print("held", flush=True)
    sys.stdin.readline()


@pytest.mark.parametrize("has_flock", [False, True])
def test_the_error_names_the_process_that_writes(tmp_path, monkeypatch, has_flock):
    """By its number, and by its machine if that is another; a process that is killed holds nothing."""
    process = start_process(hold, str(tmp_path / "a.run"))
    assert process.stdout.readline() == "held\n"
    if not has_flock:
        monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    is_refused(tmp_path / "a.run", f"process {process.pid}")
    host = platform.node()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(platform, "node", lambda: "elsewhere")
        is_refused(tmp_path / "a.run", f"process {process.pid} on {host}")
    process.kill()
    process.communicate()
    lock(tmp_path / "a.run")()


def fork_and_die(path, how):
    """Record, and die while a child process lives; print the child's number."""
    release = lock(Path(path))
    if how == "fork":
        child = os.fork()
    elif how == "multiprocessing":
        import multiprocessing

        process = multiprocessing.get_context("fork").Process(target=sleep, args=[100])
        process.start()
        child = process.pid
    else:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], close_fds=how == "closed").pid
    if not child:
        release()  # it is not the child's to release
        os.close(1)
        sleep(100)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", ["fork", "multiprocessing", "closed", "open"])
def test_a_child_that_outlives_its_parent_does_not_hold_the_lock(tmp_path, how):
    """A fork closes the lock file that it inherits, and another program never gets it."""
    path = tmp_path / "a.run"
    process = start_process(fork_and_die, str(path), how)
    child = int(process.stdout.readline())
    try:
        process.wait()
        assert process.returncode == -signal.SIGKILL
        assert (tmp_path / "a.run-lock").exists()
        os.kill(child, 0)
        lock(path)()
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_lock_that_a_child_has_and_does_not_close(tmp_path, monkeypatch):
    """As after a fork by a library that Python does not know of: the error says that the parent has ended."""
    monkeypatch.setattr(locking, "_CHILD_STARTS", 2)
    descriptor = os.open(tmp_path / "a.run-lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, owner(pid=(pid := gone_process())))
    is_refused(tmp_path / "a.run", f"a child of process {pid}, which has ended")
    os.close(descriptor)
    lock(tmp_path / "a.run")()


def test_the_child_of_a_writer_cannot_release_its_lock(tmp_path):
    """The parent still holds it; the child is refused, as the parent is."""
    path = tmp_path / "a.run"
    release = lock(path)
    child = os.fork()
    if not child:
        release()
        try:
            lock(path)
        except fl.RunError as error:
            os._exit(0 if f"process {os.getppid()}," in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    is_refused(path, "another stream of this process")
    release()
    assert not locking._descriptors


def test_a_name_that_is_too_long_for_a_lock_file(tmp_path):
    """The error names the path."""
    with pytest.raises(OSError, match=r"path must be shorter, got '.*xxx"):
        record_tiny(tmp_path / ("x" * 251), 1)
    with pytest.raises(OSError, match=r"path must be shorter, got '.*xxx"):
        record_tiny(tmp_path / ("x" * 256), 1)
    record_tiny(tmp_path / ("x" * 250), 1)
    assert fl.open_run(tmp_path / ("x" * 250)).resume(epochs=2, progress=False).last.epoch == 2


def record_in_child(folder):
    """Record in a forked process while the parent records."""
    folder = Path(folder)
    states = record_tiny(folder / "reference.run", 5)
    release = lock(folder / "a.run")
    child = os.fork()
    if not child:
        record_tiny(folder / "b.run", 5)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    release()
    return [status, fingerprint(fl.open_run(folder / "b.run").last) == fingerprint(states[-1])]


def test_a_child_can_record_its_own_run():
    """Its locks are its own."""
    with tempfile.TemporaryDirectory() as folder:
        assert in_new_process(record_in_child, folder) == [0, True]
