"""The table of modes in opening.py, row by row."""

import errno
import os

import pytest

from stablemem import MemoryBuffer, NotARegionError, RegionLockedError
from stablemem._core.disk.device import FileDevice
from stablemem._core.txn import opening
from stablemem._core.txn.opening import MODES, open_handle
from support.waiting import in_thread, join


def make(path, kind):
    """Put what a row of the table speaks of at a path."""
    if kind == "empty":
        open(path, "wb").close()
    elif kind == "region":
        with MemoryBuffer(path) as values:
            values.append("was here")
    elif kind == "other":
        with open(path, "wb") as file:
            file.write(b"something else altogether")


def outcome(path, mode):
    """Return what opening gives: "new", "old" with "w" or "r", or the error."""
    try:
        store = open_handle(path, mode)
    except (OSError, NotARegionError) as error:
        return type(error)
    found = "old" if store.slot.transaction > 1 else "new"
    writable = store.writable
    store.close()
    return found, "writer" if writable else "snapshot"


NEW, OLD = ("new", "writer"), ("old", "writer")
TABLE = {
    ("r", "missing"): FileNotFoundError,
    ("r", "empty"): NotARegionError,
    ("r", "region"): ("old", "snapshot"),
    ("r", "other"): NotARegionError,
    ("r+", "missing"): FileNotFoundError,
    ("r+", "empty"): NotARegionError,
    ("r+", "region"): OLD,
    ("r+", "other"): NotARegionError,
    ("a", "missing"): NEW,
    ("a", "empty"): NEW,
    ("a", "region"): OLD,
    ("a", "other"): NotARegionError,
    ("x", "missing"): NEW,
    ("x", "empty"): FileExistsError,
    ("x", "region"): FileExistsError,
    ("x", "other"): FileExistsError,
    ("w", "missing"): NEW,
    ("w", "empty"): NEW,
    ("w", "region"): NEW,
    ("w", "other"): NotARegionError,
}


@pytest.mark.parametrize(("mode", "kind"), TABLE)
def test_table(tmp_path, mode, kind):
    path = str(tmp_path / "file")
    make(path, kind)
    before = None if kind == "missing" else open_bytes(path)
    expected = TABLE[mode, kind]
    assert outcome(path, mode) == expected
    if isinstance(expected, type):
        assert (None if kind == "missing" else open_bytes(path)) == before, "a refused file is not touched"
        assert os.path.exists(path) == (kind != "missing")
    elif expected[0] == "new":
        assert open_bytes(path)[:8] == b"stablmem"
        assert outcome(path, "r") == ("new", "snapshot")
    assert os.listdir(tmp_path) == [] if not os.path.exists(path) else ["file"]


def open_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def test_the_table_is_complete():
    assert {mode for mode, _ in TABLE} == set(MODES)
    assert len(TABLE) == 4 * len(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_a_directory(tmp_path, mode):
    with pytest.raises((IsADirectoryError, FileExistsError)) as caught:
        open_handle(str(tmp_path), mode)
    assert isinstance(caught.value, IsADirectoryError) or mode == "x"


@pytest.mark.parametrize("mode", MODES)
def test_a_fifo(tmp_path, mode):
    """Opening one must not wait for somebody at its other end."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    with pytest.raises(OSError, match=r"regular file|File exists"):
        open_handle(path, mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_folder(tmp_path, mode):
    path = str(tmp_path / "nowhere" / "x.smem")
    with pytest.raises(FileNotFoundError) as caught:
        open_handle(path, mode)
    assert caught.value.filename == path


@pytest.mark.parametrize("mode", ["a", "x", "w"])
def test_a_symlink_to_nothing(tmp_path, mode):
    """What it names is made, as open() does; nothing loops."""
    os.symlink(tmp_path / "target.smem", tmp_path / "link")
    done = []
    join(in_thread(lambda: done.append(open_handle(str(tmp_path / "link"), mode))))
    done[0].close()
    assert os.path.islink(tmp_path / "link")
    assert open_bytes(tmp_path / "target.smem")[:8] == b"stablmem"


@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_symlink_to_a_region(tmp_path, mode):
    make(str(tmp_path / "target.smem"), "region")
    os.symlink("target.smem", tmp_path / "link")
    open_handle(str(tmp_path / "link"), mode).close()
    assert os.path.islink(tmp_path / "link")
    assert outcome(str(tmp_path / "target.smem"), "r") == ("old" if mode == "a" else "new", "snapshot")


def test_a_locked_region_is_not_replaced(path):
    with MemoryBuffer(path) as values:
        values.append(1)
        values.commit()
        for mode in ("w", "a", "r+"):
            with pytest.raises(RegionLockedError):
                open_handle(path, mode)
        with pytest.raises(FileExistsError):
            open_handle(path, "x")
    assert outcome(path, "r") == ("old", "snapshot")


def test_permissions_of_a_replaced_region_are_kept(path):
    make(path, "region")
    os.chmod(path, 0o640)
    open_handle(path, "w").close()
    assert os.stat(path).st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("mode", "kind"), [("w", "region"), ("w", "empty"), ("a", "empty")])
def test_what_is_replaced_gives_its_attributes_on(path, mode, kind):
    make(path, kind)
    os.chmod(path, 0o640)
    attributes(path, {"user.note": b"kept", "user.other": b""})
    before = os.umask(0o077)
    try:
        open_handle(path, mode).close()
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o7777 == 0o640
    assert attributes(path) == {"user.note": b"kept", "user.other": b""}


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(("mode", "kind"), [("w", "region"), ("w", "empty"), ("a", "empty")])
def test_what_is_replaced_gives_its_owner_on(path, mode, kind):
    make(path, kind)
    os.chown(path, 1234, 2345)
    os.chmod(path, 0o2664)
    open_handle(path, mode).close()
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 2345, 0o2664)


def test_a_group_that_cannot_be_kept_gets_no_rights(path, monkeypatch):
    """The group that the new file has instead is one that nobody gave them to."""
    make(path, "region")
    os.chmod(path, 0o664)
    real = os.fstat

    class Elsewhere:
        """What the old file's status would be if somebody else owned it."""

        def __init__(self, status):
            self.__dict__.update({name: getattr(status, name) for name in dir(status) if name[:3] == "st_"})
            self.st_uid, self.st_gid = 1234, 2345

    old = os.stat(path).st_ino

    def status_of(descriptor):
        status = real(descriptor)
        return Elsewhere(status) if status.st_ino == old else status

    def refused(*arguments):
        raise PermissionError(errno.EPERM, "not yours to give")

    monkeypatch.setattr(os, "fstat", status_of)
    monkeypatch.setattr(os, "fchown", refused)
    open_handle(path, "w").close()
    monkeypatch.undo()
    assert os.stat(path).st_mode & 0o777 == 0o644


def test_a_private_region_is_replaced_by_one_that_nobody_could_open(path, monkeypatch):
    """Not even before it has its name: whoever opened it then could read what is written later."""
    make(path, "region")
    os.chmod(path, 0o600)
    seen = []
    real = os.fsync

    def noted(descriptor):
        seen.append(os.fstat(descriptor).st_mode & 0o777)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    before = os.umask(0)
    try:
        open_handle(path, "w").close()
    finally:
        os.umask(before)
    assert seen[0] == 0o600


def test_a_file_system_without_extended_attributes(path, monkeypatch):
    def refused(*arguments):
        raise OSError(errno.ENOTSUP, "there are none here")

    make(path, "region")
    os.chmod(path, 0o640)
    monkeypatch.setattr(os, "listxattr", refused)
    assert outcome(path, "w") == NEW
    assert os.stat(path).st_mode & 0o777 == 0o640


def attributes(path, given=None):
    """Return the extended attributes of a file that anybody may set; or set them."""
    try:
        for name, value in (given or {}).items():
            os.setxattr(path, name, value)
        found = [name for name in os.listxattr(path) if name.startswith("user.")]
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    return {name: os.getxattr(path, name) for name in found}


@pytest.mark.parametrize("name", ["n" * 255, "\u00fc" * 127, "\U0001f40d" * 62 + ".smem"], ids=len)
def test_the_longest_names(tmp_path, name):
    path = str(tmp_path / name)
    for mode in ("a", "a", "w", "r"):
        open_handle(path, mode).close()
    open(path, "wb").close()
    open_handle(path, "a").close()
    assert os.listdir(tmp_path) == [name]


def test_the_umask_counts_for_a_new_region(path):
    before = os.umask(0o027)
    try:
        open_handle(path, "a").close()
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_created_files_are_synced_before_they_have_their_name(path, monkeypatch):
    order = []
    for name in ("fsync", "link", "unlink"):
        real = getattr(os, name)

        def noted(*arguments, name=name, real=real):
            order.append(name)
            return real(*arguments)

        monkeypatch.setattr(os, name, noted)
    open_handle(path, "a").close()
    assert order == ["fsync", "link", "fsync", "unlink"]


@pytest.mark.parametrize("failing", ["fsync", "link", "rename", "fdatasync"])
@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_failure_while_creating_leaves_nothing(tmp_path, monkeypatch, failing, mode):
    path = str(tmp_path / "x.smem")
    if mode == "w":
        make(path, "region")
    before = open_bytes(path) if mode == "w" else None

    def fail(*arguments):
        raise OSError(errno.EIO, "failed")

    monkeypatch.setattr(os, failing, fail)
    try:
        open_handle(path, mode).close()
    except OSError:
        monkeypatch.undo()
        assert os.listdir(tmp_path) in ([], ["x.smem"])
        if mode == "w" and failing != "fsync":
            assert open_bytes(path) == before
    monkeypatch.undo()
    open_handle(path, "a").close()
    assert os.listdir(tmp_path) == ["x.smem"]


def test_somebody_else_is_first(path, monkeypatch):
    """Theirs is opened, and the one prepared goes."""
    real = os.link

    def late(source, target):
        monkeypatch.setattr(os, "link", real)
        make(path, "region")
        return real(source, target)

    monkeypatch.setattr(os, "link", late)
    store = open_handle(path, "a")
    assert store.slot.transaction > 1
    store.close()
    assert os.listdir(os.path.dirname(path)) == ["list.smem"]


def test_replaced_between_opening_and_locking(path, monkeypatch):
    make(path, "region")
    real = FileDevice.open.__func__
    count = []

    def slow(cls, name, writable):
        device = real(cls, name, writable)
        if not count:
            count.append(1)
            os.rename(path, path + ".old")
            with MemoryBuffer(path) as values:
                values.extend(["the", "new", "one"])
        return device

    monkeypatch.setattr(FileDevice, "open", classmethod(slow))
    with MemoryBuffer(path, "r+") as values:
        assert values[:] == ["the", "new", "one"]


@pytest.mark.parametrize("mode", ["r", "r+", "a", "w"])
def test_network_file_systems_are_refused(path, monkeypatch, mode):
    make(path, "region")
    monkeypatch.setattr(opening, "_file_system", lambda device: 0x6969)
    with pytest.raises(OSError, match=r"network file system \(NFS\).*local disk") as caught:
        open_handle(path, mode)
    assert caught.value.errno == errno.EOPNOTSUPP
    monkeypatch.undo()
    assert outcome(path, "r") == ("old", "snapshot")


@pytest.mark.parametrize(("mode", "kind"), [row for row in TABLE if row[0] != "r"])
def test_fuse_is_refused_for_writing(tmp_path, monkeypatch, mode, kind):
    """What the mode refuses anyway, it refuses as it does everywhere; nothing is made or changed."""
    path = str(tmp_path / "file")
    make(path, kind)
    before = None if kind == "missing" else open_bytes(path)
    monkeypatch.setattr(opening, "_file_system", lambda device: 0x65735546)
    expected = TABLE[mode, kind]
    if expected in {FileNotFoundError, FileExistsError}:
        assert outcome(path, mode) is expected
    else:
        with pytest.raises(OSError, match=r"FUSE .*local disk; mode='r' reads") as caught:
            open_handle(path, mode)
        assert (caught.value.errno, caught.value.filename) == (errno.EOPNOTSUPP, path)
    assert os.listdir(tmp_path) == ([] if kind == "missing" else ["file"])
    assert kind == "missing" or open_bytes(path) == before


def test_fuse_may_be_read(path, monkeypatch):
    make(path, "region")
    monkeypatch.setattr(opening, "_file_system", lambda device: 0x65735546)
    assert outcome(path, "r") == ("old", "snapshot")


def test_the_file_system_is_known(tmp_path):
    make(str(tmp_path / "x.smem"), "region")
    device = FileDevice.open(str(tmp_path / "x.smem"), writable=False)
    assert opening._file_system(device) not in {0, *opening._NETWORK}
    device.close()


def test_a_wrong_mode():
    for mode in ("", "rb", "R", "+", None, 5):
        with pytest.raises(ValueError, match="mode"):
            open_handle(None, mode)


def test_in_memory():
    store = open_handle(None, "a")
    assert store.path == ""
    assert store.writable
    store.close()
