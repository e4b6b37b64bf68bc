import errno
import mmap
import os

import pytest

from stablemem import RegionFullError
from stablemem._core.disk.device import FileDevice, MemoryDevice
from support import run_python
from support.recording import RecordingDevice


@pytest.fixture(params=["file", "memory", "recording"])
def device(request, tmp_path):
    if request.param == "file":
        (tmp_path / "plain").touch()
        made = FileDevice.open(str(tmp_path / "plain"), writable=True)
    else:
        made = MemoryDevice() if request.param == "memory" else RecordingDevice()
    yield made
    made.close()


def test_read_and_write(device):
    device.write(5, b"hello")
    assert device.size() == 10
    assert device.read(0, 10) == bytes(5) + b"hello"
    assert device.read(8, 100) == b"lo"
    assert device.read(10, 5) == b""
    device.write_run(3, [b"ab", bytearray(b"cd"), memoryview(b"ef")])
    assert device.read(0, 10) == b"\0\0\0abcdefo"
    device.sync()
    device.truncate(4)
    assert device.read(0, 10) == b"\0\0\0a"
    device.truncate(6)
    assert device.read(0, 10) == b"\0\0\0a\0\0"


def test_long_runs(device):
    pieces = [b"%05d" % number for number in range(3000)]
    device.write_run(7, pieces)
    assert device.read(7, 5 * 3000) == b"".join(pieces)


def test_map_is_read_only_and_coherent(device):
    device.write(0, b"before" + bytes(5000))
    mapped = device.map(4096)
    device.write(0, b"behind")
    assert mapped[:6] == b"behind"
    with pytest.raises(TypeError):
        mapped[0] = 1
    mapped.close()


def test_reopen_has_its_own_description(device):
    device.write(0, b"content")
    again = device.reopen()
    assert again.identity() == device.identity()
    assert again.descriptor != device.descriptor
    assert again.read(0, 7) == b"content"
    os.lseek(again.descriptor, 3, os.SEEK_SET)
    assert os.lseek(device.descriptor, 0, os.SEEK_CUR) == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        again.write(0, b"x")
    again.close()


def test_close_twice(device):
    device.close()
    device.close()
    assert device.closed


def test_descriptors_are_never_standard_streams(tmp_path):
    """With the standard streams closed, what is printed there must not be written into a region."""
    code = """
import os, sys
from stablemem import MemoryBuffer
out = os.dup(1)
for number in (0, 1, 2):
    os.close(number)
with MemoryBuffer(sys.argv[1]) as values:
    values.append(1)
    values.commit()
    snapshot, memory = values.snapshot(), MemoryBuffer()
    memory.append(1)
    for number in (0, 1, 2):
        try:
            os.write(number, b"printed by somebody")
        except OSError:
            os.write(out, b"refused ")
    snapshot.close()
    memory.close()
"""
    assert run_python(code, str(tmp_path / "x.smem")).stdout == "refused " * 3


def test_descriptors_are_not_inherited(tmp_path):
    (tmp_path / "plain").touch()
    device = FileDevice.open(str(tmp_path / "plain"), writable=True)
    again = device.reopen()
    memory = MemoryDevice()
    for each in (device, again, memory):
        assert not os.get_inheritable(each.descriptor)
        each.close()


def test_errors_name_the_file_and_the_act(device, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EIO, "x")

    for name in ("pread", "pwritev", "fdatasync", "ftruncate"):
        monkeypatch.setattr(os, name, fail)
    calls = [("reading", lambda: device.read(0, 5))]
    if not isinstance(device, RecordingDevice):
        calls += [
            ("writing 3 bytes", lambda: device.write(7, b"abc")),
            ("length", lambda: device.truncate(5)),
        ]
    if isinstance(device, FileDevice):
        calls.append(("syncing", device.sync))
    for act, call in calls:
        with pytest.raises(OSError, match=act) as caught:
            call()
        assert caught.value.errno == errno.EIO
        assert (caught.value.filename or "") == device.path
        assert not isinstance(caught.value, RegionFullError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(device, number):
    error = device.error(number, "writing")
    assert isinstance(error, RegionFullError)
    assert error.errno == errno.ENOSPC
    assert "nothing committed was lost" in str(error)


def test_short_writes_are_continued(tmp_path, monkeypatch):
    (tmp_path / "plain").touch()
    device = FileDevice.open(str(tmp_path / "plain"), writable=True)
    real_run, real = os.pwritev, os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda fd, pieces, at: real(fd, b"".join(pieces)[:3], at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:2], at))
    device.write_run(1, [b"abcd", b"efghi"])
    assert device.read(0, 20) == b"\0abcdefghi"
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: 0)
    with pytest.raises(OSError, match="writing 9 bytes") as caught:
        device.write_run(1, [b"abcd", b"efghi"])
    assert caught.value.errno == errno.EIO
    monkeypatch.setattr(os, "pwritev", real_run)
    device.close()


def test_a_limit_on_the_size_is_an_error_not_a_signal(tmp_path):
    """RLIMIT_FSIZE: with its signal ignored, the kernel writes short and then says EFBIG."""
    code = (
        "import resource, signal, sys\n"
        "from stablemem import MemoryBuffer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "b = MemoryBuffer(sys.argv[1], blobify='bytes')\n"
        "b.extend([bytes(1000)] * 50); b.commit()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "try:\n    b.extend([bytes(1000)] * 5000); b.commit()\n"
        "except OSError as error: print(error.errno, len(b))\n"
        "b.append(b'one more'); b.commit(); print(len(b)); b.close()\n"
    )
    done = run_python(code, str(tmp_path / "limited.smem"))
    assert done.stdout.split() == [str(errno.EFBIG), "50", "51"]


def test_only_regular_files(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="regular file") as caught:
        FileDevice.open(str(fifo), writable=True)
    assert caught.value.filename == str(fifo)
    with pytest.raises(OSError, match="regular file"):
        FileDevice.open(str(fifo), writable=False)
    with pytest.raises(IsADirectoryError):
        FileDevice.open(str(tmp_path), writable=True)
    with pytest.raises(IsADirectoryError):
        FileDevice.open(str(tmp_path), writable=False)
    with pytest.raises(FileNotFoundError):
        FileDevice.open(str(tmp_path / "none"), writable=False)
    with pytest.raises(OSError, match=r"regular file|read-only|denied|Permission"):
        FileDevice.open("/dev/null", writable=True)


def test_temporary_names(tmp_path):
    made = [FileDevice.temporary(str(tmp_path / "name.smem")) for _ in range(3)]
    names = {os.path.basename(device.path) for device in made}
    assert len(names) == 3
    assert all(name.startswith(".name.smem.") and name.endswith(".new") for name in names)
    assert not made[0].is_at(str(tmp_path / "name.smem"))
    assert made[0].is_at(made[0].path)
    assert not made[0].is_at(made[1].path)
    for device in made:
        os.unlink(device.path)
        device.close()


def test_recording():
    device = RecordingDevice()
    device.write_run(4, [b"ab", b"c"])
    device.truncate(20)
    device.sync()
    assert device.events == [("write", 4, b"abc"), ("truncate", 20), ("sync",)]
    device.fail_at, device.fail_with, device.fail_short = 3, errno.ENOSPC, 2
    with pytest.raises(RegionFullError):
        device.write(0, b"xyz")
    assert device.read(0, 8) == b"xy\0\0abc\0"
    device.write(0, b"xyz")
    device.fail_at = 5
    with pytest.raises(OSError, match="length"):
        device.truncate(3)
    assert device.size() == 20
    device.close()


def test_a_map_outlives_its_device():
    device = MemoryDevice()
    device.write(0, b"x" * 5000)
    mapped = device.map(5000)
    device.close()
    assert mapped[4999] == ord("x")
    assert isinstance(mapped, mmap.mmap)
    mapped.close()
