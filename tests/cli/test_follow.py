"""``stablemem tail --follow``: what a writer commits later is printed, once and in order.

What happens between two looks is done by the test, in the place of the wait: no test depends on time.
"""

import os
import random
import signal
import subprocess
import sys

import pytest

from stablemem import MemoryBuffer, MemoryRegion, cli
from stablemem.cli import following, looking
from support import environment, scaled


@pytest.fixture
def follow(capfd, tmp_path, monkeypatch):
    """Follow ``r.smem`` in an empty folder while steps are done; gives what each step lets it print."""
    monkeypatch.chdir(tmp_path)

    def do(steps, *options, code=130):
        """Do the steps, a callable each, one before each look; gives output after each, then messages."""
        printed, messages = [], []
        todo = iter(steps)

        def wait(_seconds):
            out, err = capfd.readouterr()
            printed.append(out)
            messages.extend(err.splitlines())
            step = next(todo, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr(looking, "wait", wait)
        capfd.readouterr()
        found = cli.run(["tail", "--follow", "r.smem", *options])
        out, err = capfd.readouterr()
        assert (found, out) == (code, "")
        messages += err.splitlines()
        assert code != 130 or messages.pop() == "stablemem: interrupted"
        return [each.split("\n")[:-1] for each in printed], messages

    return do


def test_what_is_added(follow):
    with MemoryBuffer("r.smem", blobify="text") as writer:
        writer.extend(str(number) for number in range(20))
        writer.commit()

        def add(*values):
            def step():
                writer.extend(values)
                writer.commit()

            return step

        def other():
            MemoryBuffer(writer.region, name="other").append(1)
            writer.commit()

        steps = [
            add("a", "b"),
            lambda: None,
            lambda: writer.append("c"),
            add(),
            other,
            add("d"),
            writer.close,
        ]
        printed, messages = follow(steps, "-n", "2")
        assert printed == [["18  18", "19  19"], ["20  a", "21  b"], [], [], ["22  c"], [], ["23  d"], []]
        assert messages == []


def test_options(follow):
    with MemoryBuffer("r.smem", name="words", blobify="text") as writer:
        writer.append("before")
        writer.commit()

        def step():
            writer.append("after\x1b[31m")
            writer.commit()

        assert follow([step], "-n0", "--values", "--name", "words") == ([[], ["after\\x1b[31m"]], [])


def test_before_the_first_commit(follow):
    with MemoryBuffer("r.smem") as writer:

        def step():
            writer.extend([1, "two"])
            writer.commit()

        assert follow([step, writer.clear, writer.commit, step]) == (
            [[], ["0  1", '1  "two"'], [], [], ["0  1", '1  "two"']],
            ["stablemem: r.smem has no list yet: waiting for 'main'"],
        )


RINGS = {
    # values of the ring, the Blobify, the n-th value
    "short": ("nat", lambda n: n),
    "long": ("text", lambda n: f"a value of some length {n}"),
    "equal": ("text", lambda n: "always the same value"),
    "often equal": ("text", lambda n: f"a value that comes again: {n // 7 % 3}"),
    "mixed": ("msgpack", lambda n: n if n % 3 else {"number": n, "more": [None] * 5}),
}


@pytest.mark.parametrize(("blobify", "value"), RINGS.values(), ids=RINGS)
@pytest.mark.parametrize("most", [1, 5, 300, 1000])
def test_a_ring(follow, blobify, value, most):
    """Every value is printed once and in order, as long as fewer come than the ring keeps."""
    chosen = random.Random(most)
    added = 0
    with MemoryBuffer("r.smem", blobify=blobify, maxlen=most) as writer:

        def step():
            nonlocal added
            for _ in range(chosen.randrange(0, most)):
                writer.append(value(added))
                added += 1
            writer.commit()

        for _ in range(5):
            step()
        before = added
        printed, messages = follow([step] * scaled(12, 6), "--values", "-n0")
        with MemoryBuffer(blobify=blobify) as expected:
            expected.extend(value(number) for number in range(before, added))
            shown = [line for lines in printed for line in lines]
            assert shown == [looking.spelled(each, blobify == "text") for each in expected]
        assert messages == []


def test_a_ring_that_turned_around(follow):
    """What came and went between two looks is missing, and that is said."""
    with MemoryBuffer("r.smem", blobify="nat", maxlen=5) as writer:
        writer.extend(range(5))
        writer.commit()

        def step():
            writer.extend(range(5, 12))
            writer.commit()

        printed, messages = follow([step], "-n1")
        assert printed == [["4  4"], ["0  7", "1  8", "2  9", "3  10", "4  11"]]
        assert messages == [
            "stablemem: r.smem: the values printed last are gone: others may have come and gone unseen"
        ]


def test_compact(follow):
    """The values lie elsewhere then, and are none the newer."""
    with MemoryBuffer("r.smem", blobify="bytes") as writer:
        writer.extend(b"a value of some length, number %d" % number for number in range(3000))
        writer.commit()

        def step():
            del writer[:1000]
            writer.commit()
            writer.region.compact()
            writer.append(b"new")
            writer.commit()

        assert follow([step, step], "--values", "-n0") == ([[], ["new"], ["new"]], [])


CHANGES = {
    # of ten numbers; then what is shown as new
    "the last replaced": (lambda b: b.__setitem__(-1, 77), [77]),
    "one in the middle replaced": (lambda b: b.__setitem__(5, 77), []),
    "the last deleted": (lambda b: b.pop(), []),
    "the last deleted and another added": (lambda b: (b.pop(), b.append(77)), [77]),
    "some deleted and others added": (
        lambda b: (b.__delitem__(slice(-3, None)), b.extend([77, 78])),
        [77, 78],
    ),
    "the first deleted": (lambda b: b.pop(0), []),
    "put in front": (lambda b: b.insert(0, 77), []),
    "put in front and at the end": (lambda b: (b.insert(0, 77), b.append(78)), [78]),
    "all deleted": (lambda b: b.clear(), []),
}


@pytest.mark.parametrize(("change", "new"), CHANGES.values(), ids=CHANGES)
def test_other_changes(follow, change, new):
    """What stands after the last value that was seen is new, and a value that takes the place of the last."""
    with MemoryBuffer("r.smem", blobify="nat") as writer:
        writer.extend(range(10))
        writer.commit()

        def step():
            change(writer)
            writer.commit()

        assert follow([step], "--values", "-n0") == ([[], [str(number) for number in new]], [])


def test_first_new_against_a_model():
    """Every way that a ring of few values can turn: what is found never repeats a value that is its own."""
    chosen = random.Random(3)
    for _ in range(scaled(2000, 500)):
        old = chosen.sample(range(1000), chosen.randrange(1, 12))
        dropped = chosen.randrange(len(old))
        new = old[dropped:] + chosen.sample(range(1000, 2000), chosen.randrange(5))
        numbers = b"".join(number.to_bytes(8, "little") + bytes([1, *bytes(7)]) for number in new)
        seen = b"".join(number.to_bytes(8, "little") + bytes([1, *bytes(7)]) for number in old)
        seen = seen[-16 * chosen.randrange(1, 12) :]

        def entries(start, stop, numbers=numbers):
            return numbers[16 * start : 16 * stop]

        assert following.first_new(entries, len(new), seen, len(old)) == len(old) - dropped


@pytest.mark.parametrize("distance", [0, 1, 2, 30, 31, 32, 33, 64, 90, 99])
def test_first_new_over_blocks(monkeypatch, distance):
    """A run of entries is found wherever blocks of entries begin."""
    monkeypatch.setattr(following, "BLOCK", 32)
    numbers = b"".join(number.to_bytes(8, "little") + bytes([99, *bytes(7)]) for number in range(100))
    length, number = len(numbers) // 16, 10

    def entries(start, stop):
        assert 0 <= start <= stop <= length
        return numbers[16 * start : 16 * stop]

    stop = length - distance
    seen = numbers[16 * max(0, stop - number) : 16 * stop]
    assert following.first_new(entries, length, seen, length + 5) == stop


class TestOtherFiles:
    def test_replaced(self, follow):
        writer = MemoryBuffer("r.smem", blobify="text")
        writer.append("old")
        writer.commit()

        def last():
            nonlocal writer
            writer.append("last of the old")
            writer.commit()
            writer.close()
            # Another kind of values, too.
            writer = MemoryBuffer("r.smem", "w", blobify="nat")
            writer.extend([1, 2])
            writer.commit()

        def more():
            writer.append(3)
            writer.commit()

        printed, messages = follow([last, more], "--values")
        writer.close()
        assert printed[0] == ["old"]
        assert printed[1] == ["last of the old", "1", "2"]
        assert printed[2] == ["3"]
        assert messages == ["stablemem: r.smem was replaced: the next values are from the new file"]

    def test_removed_and_made_again(self, follow):
        MemoryBuffer.from_iterable(["old"], "r.smem", blobify="text").close()

        def make():
            MemoryBuffer.from_iterable(["new"], "r.smem", blobify="text").close()

        def touch():
            with open("r.smem", "wb"):
                pass

        steps = [lambda: os.unlink("r.smem"), lambda: None, touch, make, lambda: None]
        printed, messages = follow(steps, "--values")
        assert printed == [["old"], [], [], [], ["new"], []]
        assert messages == [
            "stablemem: r.smem was removed: waiting for another file",
            "stablemem: r.smem is there again: the next values are from the new file",
        ]

    def test_a_new_file_without_the_list(self, follow):
        MemoryBuffer.from_iterable([1], "r.smem", name="one").close()

        def without():
            os.unlink("r.smem")
            MemoryBuffer.from_iterable([5], "r.smem").close()

        def add():
            with MemoryBuffer("r.smem", name="one") as one:
                one.append(2)

        assert follow([without, add, add], "--values", "--name", "one") == (
            [["1"], [], ["2"], ["2"]],
            ["stablemem: r.smem was replaced: the next values are from the new file"],
        )

    def test_a_list_that_is_dropped(self, follow):
        MemoryBuffer.from_iterable([1], "r.smem", name="one").close()

        def drop():
            with MemoryRegion("r.smem") as region:
                region.drop("one")

        def add():
            with MemoryBuffer("r.smem", name="one", blobify="text") as one:
                one.append("x")

        assert follow([drop, add, add], "--values", "--name", "one") == (
            [["1"], [], ["x"], ["x"]],
            ["stablemem: r.smem: the list 'one' was made again: the next values are from the new list"],
        )

    def test_a_link_that_is_changed(self, follow):
        MemoryBuffer.from_iterable([1], "monday.smem").close()
        MemoryBuffer.from_iterable([2], "tuesday.smem").close()
        os.symlink("monday.smem", "r.smem")

        def change():
            with MemoryBuffer("monday.smem") as monday:
                monday.append(11)
            os.unlink("r.smem")
            os.symlink("tuesday.smem", "r.smem")

        assert follow([change], "--values") == (
            [["1"], ["11", "2"]],
            ["stablemem: r.smem was replaced: the next values are from the new file"],
        )

    def test_something_else_takes_its_place(self, follow, damaged):
        MemoryBuffer.from_iterable([1], "r.smem").close()

        def write():
            os.unlink("r.smem")
            with open("r.smem", "w") as file:
                file.write("some text\n" * 5000)

        printed, (message,) = follow([write], code=2)
        assert printed == [["0  1"]]
        assert message.startswith("stablemem: r.smem is not a region")


def tail(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "stablemem", "tail", "-f", "--interval", "0.01", *arguments],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_between_processes(tmp_path):
    """A line arrives when it is committed; Ctrl-C ends it with 130."""
    path = str(tmp_path / "r.smem")
    with MemoryBuffer(path, blobify="text") as writer:
        writer.append("first")
        writer.commit()
        with tail(path) as follower:
            assert follower.stdout.readline() == "0  first\n"
            for number in range(1, 20):
                writer.append(f"{number}")
                writer.commit()
                assert follower.stdout.readline() == f"{number}  {number}\n"
            follower.send_signal(signal.SIGINT)
            assert follower.stdout.read() == ""
            assert follower.stderr.read() == "stablemem: interrupted\n"
            assert follower.wait() == 130


def test_the_reader_leaves_while_nothing_is_added(tmp_path):
    path = str(tmp_path / "r.smem")
    MemoryBuffer.from_iterable(["first"], path, blobify="text").close()
    with tail(path) as follower:
        assert follower.stdout.readline() == "0  first\n"
        follower.stdout.close()
        assert follower.stderr.read() == ""
        assert follower.wait() == 0


@pytest.mark.parametrize("interval", ["0", "-1", "soon", "nan", "inf", "1e+300"])
def test_usage(tmp_path, capfd, interval):
    path = str(tmp_path / "r.smem")
    MemoryBuffer(path).close()
    assert cli.run(["tail", "-f", path, "--interval", interval]) == 2
    assert interval in capfd.readouterr().err
    assert cli.run(["tail", "-f", path, "--name", "none"]) == 2
    assert "has no list 'none'" in capfd.readouterr().err
    assert cli.run(["tail", "-f", str(tmp_path / "none.smem")]) == 2
    assert "No such file" in capfd.readouterr().err
