"""Writing a file replaces whatever is at its path, or changes nothing; nothing else is lost."""

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
root_only = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")


def write(path, content=NEW):
    with replacing(path) as file:
        file.write(content[:3])
        file.write(content[3:])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_has_the_usual_mode(tmp_path):
    """It follows the umask of the process."""
    former = os.umask(0o027)
    try:
        write(tmp_path / "a")
    finally:
        os.umask(former)
    assert (tmp_path / "a").read_bytes() == NEW
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o755])
def test_a_file_keeps_its_mode(tmp_path, mode):
    """While it is written, it is never readable by more users than before."""
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
    """If root writes a file of another user."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    os.chown(path, 1234, 4321)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_a_file_whose_group_cannot_be_kept_loses_group_rights(tmp_path, monkeypatch):
    """Its new group gets the rights of everybody."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    path.chmod(0o664)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path, exists):
    """Through two links and into another folder, also if the target does not exist yet."""
    (tmp_path / "other").mkdir()
    file, link, second = tmp_path / "other" / "file", tmp_path / "link", tmp_path / "second"
    if exists:
        file.write_bytes(OLD)
    link.symlink_to("other/file")
    second.symlink_to(link)
    write(second)
    assert link.is_symlink()
    assert second.is_symlink()
    assert file.read_bytes() == second.read_bytes() == NEW
    assert names(tmp_path) == ["link", "other", "second"]
    assert names(tmp_path / "other") == ["file"]


def test_broken_links_are_refused(tmp_path):
    """A link into a folder that does not exist, and a link to itself."""
    (tmp_path / "a").symlink_to("nowhere/file")
    (tmp_path / "b").symlink_to("b")
    with pytest.raises(FileNotFoundError, match="nowhere/file"):
        write(tmp_path / "a")
    with pytest.raises(OSError, match="b'"):
        write(tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]


def test_a_hard_link_keeps_the_former_content(tmp_path):
    """As after `ln best.npz kept.npz`."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    os.link(path, tmp_path / "kept")
    write(path)
    assert (path.read_bytes(), (tmp_path / "kept").read_bytes()) == (NEW, OLD)


def test_a_fifo_is_written_to(tmp_path):
    """Its reader gets the content, and the FIFO stays."""
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
def test_a_device_is_written_to(tmp_path):
    """The device stays, and one that is full gives an error."""
    for name, minor in (("null", 3), ("full", 7)):
        os.mknod(tmp_path / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    write(tmp_path / "null")
    with pytest.raises(OSError, match="No space") as raised:
        write(tmp_path / "full")
    assert raised.value.errno == errno.ENOSPC
    assert all(stat.S_ISCHR(path.stat().st_mode) for path in tmp_path.iterdir())
    assert names(tmp_path) == ["full", "null"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output_by_name_is_appended_to(tmp_path, kind):
    """The content that `>> log` has already is kept; the test makes its own link, and does not write to `/dev/stdout`."""
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
    """It stays unchanged."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_a_file_that_cannot_be_renamed_is_overwritten_in_place(tmp_path, monkeypatch):
    """Such as a mount point; if the disk is full, the former content is restored."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    kept = path.stat().st_ino

    def busy(*_):
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    write(path)
    assert (path.read_bytes(), path.stat().st_ino) == (NEW, kept)
    written, original = [], os.write

    def full(descriptor, content):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(original(descriptor, content[:4]))
        return written[0]

    write_all = files._write_all

    def write_once_full(descriptor, content):
        with pytest.MonkeyPatch.context() as patched:
            if not written:
                patched.setattr(os, "write", full)
            write_all(descriptor, content)

    monkeypatch.setattr(files, "_write_all", write_once_full)
    with pytest.raises(OSError, match="No space"):
        write(path, OLD * 3)
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["a"]


def test_the_longest_possible_name(tmp_path):
    """The name of the temporary file is not longer."""
    path = tmp_path / ("ä" * 125 + ".npz")
    write(path)
    write(path)
    assert path.read_bytes() == NEW


def by_another_user():
    """Write in a read-only folder, without the rights of root: to a file, a read-only file and a new file."""
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
def test_a_read_only_folder():
    """A file in it is overwritten in place; a read-only file and a new one give an error with the name."""
    mine, read_only, new, *content, listing = in_new_process(by_another_user)
    assert mine == "written"
    assert "read only" in read_only
    assert "new" in new
    assert content == [NEW.decode(), OLD.decode()]
    assert listing == ["mine", "read only"]


@pytest.mark.parametrize("kind", ["nothing", "file", "link"])
def test_a_failure_changes_nothing(tmp_path, kind):
    """Whatever is raised while the content is written."""
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
def test_a_full_disk(tmp_path):
    """The former file stays whole, and no temporary file is left."""
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
