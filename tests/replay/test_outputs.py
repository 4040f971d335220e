"""Whatever is at an output's path: the new content takes its place, or nothing changes; and nothing else is lost."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from fnloop.runs import files
from fnloop.runs.files import replacing
from tests.replay.support import in_new_process

OLD, NEW = b"the former content, which is longer", b"new content"
root_only = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can make this")


def write(path, content=NEW):
    with replacing(path) as file:
        file.write(content[:3])
        file.write(content[3:])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_has_the_usual_mode(tmp_path):
    """That of the process's umask."""
    former = os.umask(0o027)
    try:
        write(tmp_path / "a")
    finally:
        os.umask(former)
    assert (tmp_path / "a").read_bytes() == NEW
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o755])
def test_a_file_keeps_its_mode(tmp_path, mode):
    """It is never readable by more than before, also while it is written."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    path.chmod(mode)
    with replacing(path) as file:
        file.write(NEW)
        (partial,) = tmp_path.glob(".a.*.partial")
        assert stat.S_IMODE(partial.stat().st_mode) in (0o600, mode)
        assert path.read_bytes() == OLD
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, mode)
    assert names(tmp_path) == ["a"]


@root_only
def test_a_file_keeps_its_owner(tmp_path):
    """Root writes the file of somebody else."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    os.chown(path, 1234, 4321)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_a_file_of_another_group_is_not_given_to_ones_own(tmp_path, monkeypatch):
    """Where the group cannot be kept, the group that the file gets may do no more than everybody."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    path.chmod(0o664)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_file_is_written(tmp_path, there):
    """Through two links and into another folder, also where there is no file yet."""
    (tmp_path / "other").mkdir()
    file, link, second = tmp_path / "other" / "file", tmp_path / "link", tmp_path / "second"
    if there:
        file.write_bytes(OLD)
    link.symlink_to("other/file")
    second.symlink_to(link)
    write(second)
    assert link.is_symlink()
    assert second.is_symlink()
    assert file.read_bytes() == second.read_bytes() == NEW
    assert names(tmp_path) == ["link", "other", "second"]
    assert names(tmp_path / "other") == ["file"]


def test_links_to_nowhere_are_refused(tmp_path):
    """One into a folder that is not there, and one to itself."""
    (tmp_path / "a").symlink_to("nowhere/file")
    (tmp_path / "b").symlink_to("b")
    with pytest.raises(FileNotFoundError, match="nowhere/file"):
        write(tmp_path / "a")
    with pytest.raises(OSError, match="b'"):
        write(tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]


def test_another_name_of_the_file_keeps_the_former_content(tmp_path):
    """`ln best.npz kept.npz` keeps it."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    os.link(path, tmp_path / "kept")
    write(path)
    assert (path.read_bytes(), (tmp_path / "kept").read_bytes()) == (NEW, OLD)


def test_a_fifo_is_written_through(tmp_path):
    """Its reader gets the content, and it is still there."""
    path, read = tmp_path / "fifo", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join(30)
    assert read == [NEW]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert names(tmp_path) == ["fifo"]


@root_only
def test_a_device_is_written_through(tmp_path):
    """One that takes all stays one, and one that is full says so."""
    for name, minor in (("null", 3), ("full", 7)):
        os.mknod(tmp_path / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    write(tmp_path / "null")
    with pytest.raises(OSError, match="No space") as raised:
        write(tmp_path / "full")
    assert raised.value.errno == errno.ENOSPC
    assert all(stat.S_ISCHR(path.stat().st_mode) for path in tmp_path.iterdir())
    assert names(tmp_path) == ["full", "null"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output_by_name_is_appended_to(tmp_path, kind):
    """As the shell opened it: what `>> log` has already is kept. The link is one of the test's own, never the machine's."""
    log, link = tmp_path / "log", tmp_path / "stdout"
    log.write_bytes(OLD)
    link.symlink_to("/proc/self/fd/1")
    code = f"from fnloop.runs.files import replacing\nwith replacing({str(link)!r}) as file: file.write({NEW!r})"
    command = [sys.executable, "-c", code]
    if kind == "pipe":
        assert subprocess.run(command, capture_output=True, check=True).stdout == NEW
        return
    with open(log, "ab") as output:
        subprocess.run(command, stdout=output, check=True)
    assert log.read_bytes() == OLD + NEW
    assert names(tmp_path) == ["log", "stdout"]


def test_a_folder_is_refused(tmp_path):
    """And left as it is."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_what_cannot_be_renamed_is_written_in_place(tmp_path, monkeypatch):
    """Such as a file that is mounted by itself; if the disk is full then, the former content is put back."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    kept = path.stat().st_ino

    def busy(*_):
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    write(path)
    assert (path.read_bytes(), path.stat().st_ino) == (NEW, kept)
    written, original = [], os.write

    def full(file, content):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(original(file, content[:4]))
        return written[0]

    put = files._write_all

    def put_once_full(file, content):
        with pytest.MonkeyPatch.context() as patched:
            if not written:
                patched.setattr(os, "write", full)
            put(file, content)

    monkeypatch.setattr(files, "_write_all", put_once_full)
    with pytest.raises(OSError, match="No space"):
        write(path, OLD * 3)
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["a"]


def test_a_name_as_long_as_a_file_may_have(tmp_path):
    """The name of the partial file is not longer than that."""
    path = tmp_path / ("ä" * 125 + ".npz")
    write(path)
    write(path)
    assert path.read_bytes() == NEW


def by_another_user():
    """Files of a folder that cannot be written, and a file that cannot, by one who is not root."""
    folder = Path(tempfile.mkdtemp())
    for name, mode in (("mine", 0o666), ("read only", 0o444)):
        (folder / name).write_bytes(OLD)
        (folder / name).chmod(mode)
    folder.chmod(0o555)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    found = []
    for name in ("mine", "read only", "new"):
        try:
            write(folder / name)
            found.append("written")
        except PermissionError as error:
            found.append(str(error))
    return [*found, (folder / "mine").read_text(), (folder / "read only").read_text(), names(folder)]


@root_only
def test_a_folder_that_cannot_be_written():
    """A file in it that can is overwritten in place; one that cannot, and a new one, are refused by name."""
    mine, read_only, new, *content, there = in_new_process(by_another_user)
    assert mine == "written"
    assert "read only" in read_only
    assert "new" in new
    assert content == [NEW.decode(), OLD.decode()]
    assert there == ["mine", "read only"]


@pytest.mark.parametrize("kind", ["nothing", "file", "link"])
def test_a_failure_changes_nothing(tmp_path, kind):
    """Whatever is raised while the content is made."""
    path = tmp_path / "a"
    if kind != "nothing":
        (tmp_path / "file").write_bytes(OLD)
        (tmp_path / "file").rename(path) if kind == "file" else path.symlink_to("file")
    before = names(tmp_path)

    def interrupted():
        with replacing(path) as file:
            file.write(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == before
    assert kind == "nothing" or path.read_bytes() == OLD


@root_only
def test_a_disk_that_is_full(tmp_path):
    """The former file stays whole, no partial one is left, and there is room again."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=False)
    if not os.path.ismount(tmp_path):
        pytest.skip("no file system can be mounted")
    try:
        write(tmp_path / "a", OLD)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "a", bytes(100_000))
        assert (tmp_path / "a").read_bytes() == OLD
        assert names(tmp_path) == ["a"]
        write(tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == NEW
    finally:
        subprocess.run(["umount", tmp_path], check=True)
