import pytest

from stablemem._core.disk.pagecache import AHEAD, PageCache

PAGE = 4096


class File:
    """Bytes that count how they are read."""

    def __init__(self, content):
        self.content = bytearray(content)
        self.reads = []

    def read(self, address, size):
        self.reads.append((address, size))
        return bytes(self.content[address : address + size])


def numbered(pages):
    """Return pages that all differ."""
    return b"".join(number.to_bytes(4, "little") * (PAGE // 4) for number in range(pages))


def test_a_page_is_read_once():
    file = File(numbered(9))
    cache = PageCache(file.read)
    assert cache.page(5, PAGE) == (5).to_bytes(4, "little") * (PAGE // 4)
    assert cache.page(5, PAGE) is cache.page(5, 1)
    assert file.reads == [(5 * PAGE, PAGE)]


@pytest.mark.parametrize(
    ("address", "size"),
    [(0, 0), (0, 1), (0, PAGE), (17, 100), (PAGE - 1, 1), (PAGE - 1, 2), (PAGE - 50, PAGE), (3 * PAGE, PAGE),
     (10, PAGE + 1), (10, 5 * PAGE), (PAGE, 0), (8 * PAGE - 1, 1)],
)  # fmt: skip
def test_any_range(address, size):
    file = File(numbered(8))
    cache = PageCache(file.read)
    for _ in range(2):
        assert cache.load(address, size) == bytes(file.content[address : address + size])


def test_what_is_larger_than_a_page_is_not_kept():
    file = File(numbered(8))
    cache = PageCache(file.read)
    cache.load(0, 2 * PAGE)
    cache.load(0, 2 * PAGE)
    assert cache.kept == 0
    assert file.reads == [(0, 2 * PAGE)] * 2


@pytest.mark.parametrize("step", [1, -1])
def test_going_through_in_order_reads_many_pages_at_once(step):
    file = File(numbered(10 * AHEAD))
    cache = PageCache(file.read)
    for number in range(10 * AHEAD)[::step]:
        assert cache.load(number * PAGE + 8, 4) == number.to_bytes(4, "little")
    assert len(file.reads) <= 12


def test_pages_far_apart_are_read_alone():
    """So are pairs: of pages that are read at random, some are neighbours."""
    file = File(numbered(100))
    cache = PageCache(file.read)
    for number in range(0, 96, 4):
        cache.page(number, PAGE)
        cache.page(number + 1, PAGE)
    assert {size for _, size in file.reads} == {PAGE}


@pytest.mark.parametrize("most", [1, 2, 7, 64])
def test_no_more_pages_than_twice_the_most(most):
    cache = PageCache(File(numbered(300)).read, most)
    for number in [*range(300), *range(299, -1, -1), *range(0, 300, 7)]:
        assert cache.page(number, PAGE)[:4] == number.to_bytes(4, "little")
        assert cache.kept <= 2 * most


def test_a_page_that_is_used_stays():
    file = File(numbered(1000))
    cache = PageCache(file.read, 10)
    cache.page(999, PAGE)
    for number in range(0, 900, 2):
        cache.page(number, PAGE)
        cache.page(999, PAGE)
    assert file.reads.count((999 * PAGE, PAGE)) == 1


def test_a_page_that_is_not_used_goes():
    file = File(numbered(1000))
    cache = PageCache(file.read, 10)
    cache.page(999, PAGE)
    for number in range(0, 900, 2):
        cache.page(number, PAGE)
    cache.page(999, PAGE)
    assert file.reads.count((999 * PAGE, PAGE)) == 2


@pytest.mark.parametrize("size", [1, PAGE, 3 * PAGE, 1 << 40])
@pytest.mark.parametrize("number", range(0, 20, 2))
def test_drop(size, number):
    """Exactly the pages that the range touches are read anew, in both generations."""
    file = File(numbered(40))
    cache = PageCache(file.read, 6)
    for each in range(0, 20, 2):
        cache.page(each, PAGE)
    address = 8 * PAGE + 100
    file.content[:] = b"x" * len(file.content)
    cache.drop(address, size)
    dropped = 8 <= number < (address + size + PAGE - 1) // PAGE
    assert (cache.page(number, PAGE) == b"x" * PAGE) == dropped


def test_drop_nothing():
    file = File(numbered(4))
    cache = PageCache(file.read)
    cache.page(1, PAGE)
    cache.drop(PAGE, 0)
    cache.page(1, PAGE)
    assert len(file.reads) == 1


def test_clear():
    file = File(numbered(4))
    cache = PageCache(file.read, 2)
    for number in (0, 1, 2, 3):
        cache.page(number, PAGE)
    cache.clear()
    assert cache.kept == 0
    file.content[:] = bytes(4 * PAGE)
    assert cache.page(0, PAGE) == bytes(PAGE)


def test_the_end_of_the_file():
    """A page that ends with the file is used for what it has, and read again for more."""
    file = File(numbered(2)[:-1000])
    cache = PageCache(file.read)
    assert len(cache.page(1, PAGE)) == PAGE - 1000
    assert cache.load(PAGE, PAGE - 1000) == bytes(file.content[PAGE:])
    assert cache.load(2 * PAGE - 1002, 10) == bytes(file.content[-2:])
    assert cache.load(5 * PAGE, 10) == b""
    assert cache.load(2 * PAGE - 500, 3000) == b""
    file.content += b"more" * 1000
    assert cache.load(2 * PAGE - 1000, 8) == b"moremore"
    assert cache.load(2 * PAGE - 4, 8) == b"moremore"


def test_a_read_that_fails_is_tried_again():
    calls = []

    def read(address, size):
        calls.append(address)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")
        return b"x" * size

    cache = PageCache(read)
    with pytest.raises(OSError, match="Input"):
        cache.page(3, PAGE)
    assert cache.page(3, PAGE) == b"x" * PAGE
