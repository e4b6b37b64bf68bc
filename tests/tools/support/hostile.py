"""Regions put together by hand, checksums right and the rest as bad as can be.

    python -m support.hostile CASE...      opens each case, uses it, and says what happened

Nothing here comes from the engine, so that a mistake in how it writes is not repeated.
"""

import faulthandler
import itertools
import resource
import struct
import sys
from functools import partial

from xxhash import xxh3_64_intdigest as digest

from support import HANGS, scaled

__all__ = ["CASES", "Builder", "build_all", "main"]

PAGE = 4096
HEADER = 3 * PAGE
BIG = 1 << 63
ALLOCATED, FREE, LIMBO, FREED_BY, KIND, SWEEP = range(1, 7)
SLOT_FIELDS = (
    "magic",
    "form",
    "flags",
    "file_id",
    "transaction",
    "length",
    "boot",
    "root",
    "root_check",
    "values",
    "dropped",
    "height",
    "catalog_height",
    "catalog",
    "catalog_check",
    "catalog_size",
    "log_page",
    "log_check",
    "log_newest",
    "log_oldest",
    "needed_to_read",
    "needed_to_write",
    "number",
    "extent_count",
    "digest",
)


def crc32c(data):
    """Return the CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def leaf(entries, count=None, level=0, mark=0x4E):
    """Return a leaf's page."""
    body = b"".join(struct.pack("<QII", *entry) for entry in entries)
    head = struct.pack("<BBHIQ", level, mark, len(entries) if count is None else count, 0, 2)
    return (head + body).ljust(PAGE, b"\0")


def inner(level, children, count=None, counts=None):
    """Return an inner node's page; children are (address, checksum, values)."""
    if counts is None:
        counts = list(itertools.accumulate(child[2] for child in children))
    head = struct.pack("<BBHIQ", level, 0x4E, len(children) if count is None else count, 0, 2)
    left = b"".join(struct.pack("<Q", total) for total in counts).ljust(8 * 170, b"\0")
    right = b"".join(struct.pack("<QQ", child[0], child[1]) for child in children)
    return (head + left + right).ljust(PAGE, b"\0")


def log(entries, sequence=1, before=(0, 0), cursor=0, sweep=1, needed=1, count=None, mark=0x474F4C):
    """Return a log page; entries are (what, kind, address, size)."""
    head = struct.pack(
        "<IIQQQQQQQ",
        mark,
        len(entries) if count is None else count,
        2,
        sequence,
        *before,
        cursor,
        sweep,
        needed,
    )
    body = b"".join(
        struct.pack("<QQ", what << 60 | kind << 56 | address, size) for what, kind, address, size in entries
    )
    return (head + body).ljust(PAGE, b"\0")


def record(sort, name, *parts, size=None):
    """Return a record of the catalog; ``name`` is how long its name is."""
    body = b"".join(parts)
    return struct.pack("<IHH", 8 + len(body) if size is None else size, sort, name) + body


def structure(
    name, blobify, options, root, check, values, height, kind=1, keys=b"", key_options=b"", more=b""
):
    """Return the record of a structure."""
    fields = struct.pack(
        "<IIQQQQIIHH",
        kind,
        height,
        root,
        check,
        values,
        0,
        len(options),
        len(key_options),
        len(blobify),
        len(keys),
    )
    return record(1, len(name), fields, name, blobify, options, keys, key_options, more)


def catalog(entries, roots=(), patches=(), numbers=None):
    """Return a catalog's bytes.

    Entries are (name, blobify, options, root, check, values, height), roots (name, integers), patches
    (address, size, transaction, address of the bytes, checksum); ``numbers`` is how many are claimed.
    """
    parts = [structure(*entry) for entry in entries]
    for name, integers in roots:
        said = len(integers) if numbers is None else numbers
        parts.append(
            record(
                2, len(name), struct.pack("<I", said), name,
                *(each.to_bytes(16, "little", signed=True) for each in integers),
            )
        )  # fmt: skip
    if patches:
        said = len(patches) if numbers is None else numbers
        listed = (struct.pack("<QIQQQ", *each) for each in patches)
        parts.append(record(3, 0, struct.pack("<I", said), *listed))
    return b"".join(parts)


MAIN = (b"main", b"bytes", b"", 0, 0, 0, 0)


class Builder:
    """A region page by page.

    Page 3 up: nodes; page 15: the log; from 65536: blobs, the catalog first.
    """

    def __init__(self):
        self.pages = {}
        self.next_node = HEADER
        self.next_blob = 65536 + PAGE
        self.slot = {
            "magic": b"stablmem",
            "form": 0,
            "flags": 1,
            "file_id": b"\1" * 16,
            "transaction": 2,
            "length": 3 * 65536,
            "boot": bytes(16),
            "root": 0,
            "root_check": 0,
            "values": 0,
            "dropped": 0,
            "height": 0,
            "catalog_height": 0,
            "catalog": 0,
            "catalog_check": 0,
            "catalog_size": 0,
            "log_page": 0,
            "log_check": 0,
            "log_newest": 0,
            "log_oldest": 1,
            "needed_to_read": 0,
            "needed_to_write": 0,
            "number": 0,
            "extent_count": 0,
            "digest": 0,
        }
        self.extents = b""
        self.size = 3 * 65536
        self.has_log = False
        self.set_catalog(catalog([MAIN]))

    def put(self, address, data):
        """Put bytes at an address."""
        self.pages[address] = data
        return address

    def node(self, page):
        """Put a node at the next place; return (address, checksum)."""
        address = self.put(self.next_node, page)
        self.next_node += PAGE
        if self.next_node == 15 * PAGE:
            self.next_node = 131072
        return address, digest(page)

    def blob(self, data):
        """Put a blob at the next place; return its entry."""
        address = self.put(self.next_blob, data)
        self.next_blob += len(data)
        return address, len(data), crc32c(data)

    def set_catalog(self, data):
        """Put the catalog and point to it."""
        self.slot |= {
            "catalog": self.put(65536, data),
            "catalog_size": len(data),
            "catalog_check": digest(data),
        }

    def set_root(self, page, height, values, node=True):
        """Make a page the root of main."""
        address, check = self.node(page)
        self.slot |= {"root": address, "root_check": check, "height": height, "values": values}

    def set_log(self, pages):
        """Put log pages, the newest last, each already chained."""
        self.has_log = True
        at = 15 * PAGE
        for page in pages:
            self.put(at, page)
            self.slot |= {"log_page": at, "log_check": digest(page)}
            at -= PAGE
        self.slot |= {"log_newest": len(pages), "log_oldest": 1}

    def slot_page(self, **other):
        """Return the slot's page."""
        fields = self.slot | other
        page = bytearray(PAGE)
        struct.pack_into("<8sII16sQQ16sQQQQIIQQQQQQQQQIIQ", page, 0, *(fields[name] for name in SLOT_FIELDS))
        page[192 : 192 + len(self.extents)] = self.extents
        page[504:512] = digest(bytes(page[:504])).to_bytes(8, "little")
        return bytes(page)

    def honest_log(self):
        """Put a log page that says the truth."""
        self.pages[15 * PAGE] = bytes(PAGE)
        entries = [(KIND, 2, 65536, 65536)]
        end = HEADER
        for address, data in sorted(self.pages.items()):
            if address > end:
                entries.append((FREE, 0, end, address - end))
            end = max(end, address + len(data))
            if address >= 131072:
                entries.append((KIND, 1, address, len(data)))
        entries.append((FREE, 0, end, self.slot["length"] - end))
        self.set_log([log(entries)])

    def pieces(self):
        """Return (address, bytes) of everything, and the file's length."""
        if not self.has_log:
            self.honest_log()
        found = {0: self.slot_page(), **self.pages}
        return sorted(found.items()), self.size


def words(count, first=0):
    """Return leaf entries of inline values."""
    return [(value, 8, 0) for value in range(first, first + count)]


CASES = {}


def case(function):
    """Add a case: a function that spoils a builder which holds five values in one leaf."""
    CASES[function.__name__] = function
    return function


def variants(name, function, **values):
    """Add a case for each value."""
    for key, value in values.items():
        CASES[f"{name}_{key}"] = partial(function, value=value)


@case
def sound(made):
    made.set_root(leaf([*words(4), made.blob(b"a value that is longer")]), 1, 5)


@case
def two_levels(made):
    one, two = made.node(leaf(words(200))), made.node(leaf(words(50)))
    made.set_root(inner(1, [(*one, 200), (*two, 50)]), 2, 250)


def leaf_count(made, value):
    made.set_root(leaf(words(5), count=value), 1, 5)


variants("leaf_count", leaf_count, none=0, one=1, more=6, full=255, over=256, most=65535)


def inner_count(made, value):
    one, two = made.node(leaf(words(200))), made.node(leaf(words(50)))
    made.set_root(inner(1, [(*one, 200), (*two, 50)], count=value), 2, 250)


variants("inner_count", inner_count, none=0, one=1, more=3, full=170, over=171, most=65535)


def inner_counts(made, value):
    one, two = made.node(leaf(words(200))), made.node(leaf(words(50)))
    made.set_root(inner(1, [(*one, 200), (*two, 50)], counts=value), 2, max(1, value[-1] % BIG))


variants(
    "inner_counts",
    inner_counts,
    zero=[0, 0],
    falling=[200, 100],
    equal=[200, 200],
    huge=[200, 1 << 62],
    marked=[200, BIG | 5],
    top=[1, (1 << 64) - 1],
    fewer=[10, 20],
    more=[500, 900],
    shifted=[100, 250],
)


def child_address(made, value):
    one, two = made.node(leaf(words(200))), made.node(leaf(words(50)))
    made.set_root(inner(1, [(*one, 200), (value, two[1], 50)]), 2, 250)


variants(
    "child_address",
    child_address,
    zero=0,
    header=PAGE,
    odd=HEADER + 8,
    end=3 * 65536,
    beyond=1 << 40,
    far=(1 << 56) - PAGE,
    dirty=BIG,
    dirty_one=BIG | 1,
    top=(1 << 64) - 1,
    nearly=3 * 65536 - 8,
    blob=65536,
    log=15 * PAGE,
)


@case
def child_is_itself(made):
    made.set_root(inner(1, [(made.next_node, 1, 200)]), 2, 200)


@case
def child_of_wrong_level(made):
    one = made.node(leaf(words(200)))
    made.set_root(inner(2, [(*one, 200)]), 3, 200)


@case
def root_of_wrong_level(made):
    made.set_root(leaf(words(5)), 3, 5)


@case
def root_is_inner_for_height_one(made):
    one = made.node(leaf(words(200)))
    made.set_root(inner(1, [(*one, 200)]), 1, 200)


@case
def leaf_marked(made):
    made.set_root(leaf(words(5), mark=0), 1, 5)


@case
def level_255(made):
    made.set_root(leaf(words(5), level=255), 1, 5)


@case
def one_child_twelve_deep(made):
    below = (*made.node(leaf(words(200))), 200)
    for level in range(1, 9):
        below = (*made.node(inner(level, [below])), 200)
    made.set_root(inner(9, [below]), 10, 200)


def shared_children(made, value):
    total = 255
    below = (*made.node(leaf(words(255))), total)
    for level in range(1, value):
        below = (*made.node(inner(level, [below] * 170)), total * 170)
        total *= 170
    made.set_root(inner(value, [below] * 170), value + 1, total * 170)


variants("shared_children", shared_children, two=1, three=2, five=4, seven=5)


def pointer(made, value):
    made.set_root(leaf([*words(4), value]), 1, 5)


variants(
    "pointer",
    pointer,
    beyond=(1 << 40, 100, 0),
    dirty=(BIG, 100, 0),
    dirty_far=(BIG | 77, 9, 0),
    huge=(65536, 0xFFFFFFFF, 0),
    top=((1 << 64) - 1, 100, 0),
    wraps=((1 << 63) - 8, 100, 0),
    end=(3 * 65536 - 4, 9, 0),
    header=(0, 100, 0),
    zero=(0, 9, 0),
    inline_padding=((1 << 64) - 1, 3, 7),
)


@case
def blob_twice(made):
    one = made.blob(b"this blob is in the list twice")
    made.set_root(leaf([one] * 5), 1, 5)


@case
def blob_is_the_header(made):
    address, size, _ = 0, 8, 0
    made.set_root(leaf([*words(4), (address, size + 1, crc32c(b"stablmem\0"))]), 1, 5)


@case
def blob_is_a_node(made):
    page = leaf(words(5))
    first = made.node(page)
    made.set_root(leaf([*words(4), (first[0], PAGE, crc32c(page))]), 1, 5)


@case
def blobs_overlap(made):
    address, _, _ = made.blob(b"0123456789abcdefghij")
    made.set_root(
        leaf([*words(3), (address, 12, crc32c(b"0123456789ab")), (address + 4, 12, crc32c(b"456789abcdef"))]),
        1,
        5,
    )


def slot_field(made, value):
    sound(made)
    made.honest_log()
    made.slot |= value


variants(
    "slot",
    slot_field,
    values_less={"values": 3},
    values_more={"values": 300},
    values_huge={"values": 1 << 62},
    values_top={"values": (1 << 64) - 1},
    values_none={"values": 0},
    height_none={"height": 0},
    height_thirteen={"height": 13},
    height_twelve={"height": 12},
    height_top={"height": (1 << 32) - 1},
    root_zero={"root": 0},
    root_odd={"root": HEADER + 1},
    root_header={"root": 4096},
    root_beyond={"root": 1 << 30},
    root_dirty={"root": BIG},
    root_top={"root": (1 << 64) - PAGE},
    length_zero={"length": 0},
    length_header={"length": HEADER},
    length_odd={"length": 3 * 65536 - 7},
    length_more={"length": 1 << 40},
    length_top={"length": (1 << 64) - 1},
    length_most={"length": 1 << 56},
    transaction_zero={"transaction": 0},
    transaction_big={"transaction": 1 << 61},
    transaction_top={"transaction": (1 << 64) - 1},
    transaction_most={"transaction": (1 << 48) - 1},
    transaction_almost={"transaction": (1 << 48) - 4},
    flags_all={"flags": 0xFFFFFFFF},
    unsynced={"flags": 0, "boot": b"another machine."},
    digest_of_nothing={"flags": 3, "digest": digest(b"")},
    digest_wrong={"flags": 3, "digest": 5},
    extents_many={"extent_count": 17},
    extents_top={"extent_count": 0xFFFFFFFF},
    number={"number": 1},
    number_top={"number": 0xFFFFFFFF},
    format_next={"form": 1},
    format_top={"form": 0xFFFFFFFF},
    catalog_none={"catalog_size": 0},
    catalog_odd={"catalog": 65537},
    catalog_zero={"catalog": 0},
    catalog_huge={"catalog_size": 0xFFFFFFFF},
    catalog_beyond={"catalog": 1 << 50},
    catalog_top={"catalog": (1 << 64) - 5},
    catalog_longest={"catalog_size": (1 << 64) - 1},
    catalog_height={"catalog_height": 1},
    dropped_top={"dropped": (1 << 64) - 1},
    sealed={"flags": 5},
    features_to_read={"needed_to_read": 1 << 63 | 1},
    features_to_write={"needed_to_write": 2},
    log_none={"log_newest": 0},
    log_zero={"log_page": 0},
    log_odd={"log_page": 15 * PAGE + 8},
    log_beyond={"log_page": 1 << 40},
    log_top={"log_page": BIG},
    log_long={"log_newest": 40},
    log_longest={"log_newest": (1 << 64) - 1, "log_oldest": 1},
    log_backwards={"log_newest": 1, "log_oldest": 9},
    log_later={"log_newest": 9, "log_oldest": 9},
    log_oldest_zero={"log_oldest": 0},
)


def digest_extents(made, value):
    sound(made)
    extents, made.size = value
    made.extents = b"".join(struct.pack("<QI", *extent) for extent in extents)
    made.slot |= {"flags": 3, "extent_count": len(extents), "length": made.size}


variants(
    "digest",
    digest_extents,
    four_gib=([(HEADER, 0xFFFFFFFF)], 6 << 30),
    sixteen=([(HEADER, 0xFFFFFFFF)] * 16, 6 << 30),
    beyond=([(1 << 40, 10)], 3 * 65536),
    top=([((1 << 64) - 1, 10)], 3 * 65536),
    header=([(0, 100)], 3 * 65536),
    empty=([(HEADER, 0)] * 16, 3 * 65536),
)


@case
def sparse_and_large(made):
    sound(made)
    made.size = 1 << 38
    made.slot |= {"length": 1 << 38}


def catalog_bytes(made, value):
    sound(made)
    made.set_catalog(value)


ROOT = HEADER
variants(
    "catalog",
    catalog_bytes,
    short=b"\1",
    record_none=record(1, 0, size=0) + catalog([MAIN]),
    record_short=record(1, 4, b"main"),
    record_long=record(1, 4, bytes(60), size=0xFFFFFFFF),
    record_cut=catalog([MAIN])[:-1],
    none=record(1, 0),
    tiny=record(1, 0, size=1) * 4096,
    later_record=catalog([MAIN]) + record(4, 3, b"what this version does not know"),
    later_many=catalog([MAIN]) + record(0xFFFF, 0xFFFF) * 4096,
    later_fields=catalog([(*MAIN, 1, b"", b"", b"later")], roots=[(b"a", (1,))]),
    kind_none=catalog([MAIN, (b"other", b"bytes", b"", 0, 0, 0, 0, 0)]),
    kind_map=catalog([MAIN, (b"other", b"bytes", b"", ROOT + PAGE, 1, 5, 1, 2, b"text", b"")]),
    kind_top=catalog([MAIN, (b"other", b"bytes", b"", ROOT + PAGE, 1, 5, 1, 0xFFFFFFFF)]),
    kind_of_main=catalog([(*MAIN, 3, b"text")]),
    keys_of_list=catalog([(*MAIN, 1, b"text")]),
    key_options_of_list=catalog([(*MAIN, 1, b"", b"x")]),
    keys_utf8=catalog([(*MAIN, 2, b"\xff")]),
    longer=catalog([MAIN]) + b"more",
    utf8=catalog([MAIN, (b"\xff\xfe", b"bytes", b"", 0, 0, 0, 0)]),
    blobify_utf8=catalog([(b"main", b"\xff", b"", 0, 0, 0, 0)]),
    blobify=catalog([(b"main", b"nobody.knows", b"", 0, 0, 0, 0)]),
    options=catalog([(b"main", b"bytes", b"xyz", 0, 0, 0, 0)]),
    twice=catalog([MAIN, MAIN]),
    other=catalog([(b"other", b"bytes", b"", 0, 0, 0, 0)]),
    empty_name=catalog([MAIN, (b"", b"bytes", b"", 0, 0, 0, 0)]),
    root_shared=catalog([MAIN, (b"other", b"bytes", b"", ROOT, 1, 5, 1)]),
    root_dirty=catalog([MAIN, (b"other", b"bytes", b"", BIG, 1, 5, 1)]),
    root_odd=catalog([MAIN, (b"other", b"bytes", b"", 8, 1, 5, 1)]),
    root_top=catalog([MAIN, (b"other", b"bytes", b"", (1 << 64) - PAGE, 1, 5, 1)]),
    values_top=catalog([MAIN, (b"other", b"bytes", b"", ROOT, 1, (1 << 64) - 1, 1)]),
    height_top=catalog([MAIN, (b"other", b"bytes", b"", ROOT, 1, 5, 0xFFFFFFFF)]),
    height_none=catalog([MAIN, (b"other", b"bytes", b"", ROOT, 1, 5, 0)]),
    text_long=record(1, 65535, struct.pack("<IIQQQQIIHH", 1, *[0] * 5, *[0xFFFFFFFF] * 2, *[0xFFFF] * 2)),
    roots_top=catalog([MAIN], roots=[(b"a", (1,))], numbers=0xFFFFFFFF),
    roots_utf8=catalog([MAIN], roots=[(b"\xff", (1,))]),
    roots_twice=catalog([MAIN], roots=[(b"a", (1,)), (b"a", (2,))]),
    roots_cut=catalog([MAIN]) + record(2, 1, struct.pack("<I", 65535), b"a"),
    patches_top=catalog([MAIN], patches=[(65536, 8, 1, 65600, 0)], numbers=0xFFFFFFFF),
    patches_none=catalog([MAIN]) + record(3, 0, bytes(4)),
    patches_twice=catalog([MAIN]) + catalog([], patches=[(65536, 8, 1, 65600, 0)]) * 2,
    patch_of_header=catalog([MAIN], patches=[(0, 8, 1, 65536, 0)]),
    patch_of_nodes=catalog([MAIN], patches=[(ROOT, 8, 1, 65536, 0)]),
    patch_beyond=catalog([MAIN], patches=[((1 << 64) - 4, 8, 1, 65536, 0)]),
    patch_bytes_beyond=catalog([MAIN], patches=[(65536, 8, 1, (1 << 64) - 4, 0)]),
    patch_none=catalog([MAIN], patches=[(65536, 0, 1, 65536, 0)]),
    patch_large=catalog([MAIN], patches=[(65536, 0xFFFFFFFF, 1, 65536, 0)]),
    patches_overlap=catalog([MAIN], patches=[(65536, 8, 1, 65600, 0), (65540, 8, 1, 65600, 0)]),
    msgpack=catalog([(b"main", b"msgpack", b"", 0, 0, 0, 0)]),
)


def log_entries(made, value):
    sound(made)
    made.set_log([log(value)])


GROWN = (FREE, 0, 2 * 65536, 65536)
BLOBS = (KIND, 2, 65536, 65536)
variants(
    "log",
    log_entries,
    none=[],
    free_header=[(FREE, 0, 0, 65536)],
    free_all=[(FREE, 0, 0, (1 << 64) - 1)],
    free_live=[BLOBS, GROWN, (FREE, 0, HEADER, 5 * PAGE)],
    free_catalog=[BLOBS, GROWN, (FREE, 0, 65536, PAGE)],
    free_log=[BLOBS, GROWN, (FREE, 0, 15 * PAGE, PAGE)],
    free_everything_else=[BLOBS, (FREE, 0, HEADER, 3 * 65536)],
    free_far=[(FREE, 0, (1 << 56) - 1, 5)],
    limbo_header=[(FREED_BY, 0, 1, 0), (LIMBO, 0, 0, 4096)],
    limbo_by_nobody=[BLOBS, GROWN, (LIMBO, 0, 65536 + 2 * PAGE, PAGE)],
    limbo_of_the_future=[BLOBS, GROWN, (FREED_BY, 0, (1 << 56) - 1, 0), (LIMBO, 0, 65536 + 2 * PAGE, PAGE)],
    limbo_of_live=[BLOBS, GROWN, (FREED_BY, 0, 1, 0), (LIMBO, 0, HEADER, PAGE)],
    type_zero=[(0, 0, 0, 10)],
    type_seven=[BLOBS, GROWN, (7, 0, HEADER, 10)],
    type_fifteen=[(15, 15, HEADER, 10)],
    kind_fifteen=[(KIND, 15, 0, 3 * 65536), GROWN],
    kind_of_header=[(KIND, 2, 0, 65536), GROWN],
    kind_none=[(KIND, 0, 0, 3 * 65536), (FREE, 0, HEADER + PAGE, PAGE)],
    kind_odd=[(KIND, 3, 65537, 3), GROWN],
    kind_of_pool=[(KIND, 1, 0, 3 * 65536), GROWN],
    odd_free=[BLOBS, GROWN, (FREE, 0, 65536 + 2 * PAGE + 3, 1)],
    node_free_odd=[BLOBS, GROWN, (FREE, 0, 13 * PAGE + 1, PAGE)],
    sweep_all=[GROWN, BLOBS, (SWEEP, 0, 0, 3 * 65536)],
    raw=[(KIND, 3, 65536, 65536), GROWN],
)


def log_page(made, value):
    sound(made)
    made.set_log([log([GROWN, BLOBS], **value)])


variants(
    "log_page",
    log_page,
    count={"count": 253},
    count_top={"count": 0xFFFFFFFF},
    count_more={"count": 252},
    mark={"mark": 1},
    sequence={"sequence": 5},
    sequence_top={"sequence": (1 << 64) - 1},
    cursor={"cursor": (1 << 64) - 1},
    cursor_odd={"cursor": 77777},
    sweep={"sweep": (1 << 64) - 1},
    sweep_zero={"sweep": 0},
    needed={"needed": (1 << 64) - 1},
    needed_zero={"needed": 0},
    needed_next={"needed": 2},
    before={"before": (1 << 63, 5)},
)


@case
def log_of_two(made):
    sound(made)
    first = log([GROWN])
    made.set_log([first, log([BLOBS], sequence=2, before=(15 * PAGE, digest(first)))])


@case
def log_chained_to_a_node(made):
    sound(made)
    made.set_log([log([GROWN]), log([BLOBS], sequence=2, before=(HEADER, digest(made.pages[HEADER])))])


@case
def log_page_twice(made):
    sound(made)
    made.set_log([log([GROWN]), log([BLOBS], sequence=2, before=(14 * PAGE, 7))])


@case
def log_of_many_generations(made):
    sound(made)
    pages = scaled(200, 50, 700)
    start = 3 * 65536
    made.size = start + pages * PAGE + 126 * pages * 16
    made.size += -made.size % 65536
    made.slot |= {"length": made.size}
    at = made.size - 126 * pages * 16 - 65536
    made.has_log = True
    before = (0, 0)
    by = 0
    for number in range(1, pages + 1):
        entries = []
        for _ in range(126):
            by += 1
            entries += [(FREED_BY, 0, by, 0), (LIMBO, 0, at + by * 16, 8)]
        page = log(entries, sequence=number, before=before)
        address = made.put(start + number * PAGE, page)
        before = address, digest(page)
    made.slot |= {"log_page": before[0], "log_check": before[1], "log_newest": pages, "log_oldest": 1}


# -- using them ------------------------------------------------------------------------------------------


def build_all(name):
    """Return (pieces, length) of a case."""
    made = Builder()
    CASES[name](made)
    return made.pieces()


def device_of(name):
    """Return a device with a case on it, sparse where it is empty."""
    from stablemem._core.disk.device import MemoryDevice

    pieces, size = build_all(name)
    device = MemoryDevice()
    for address, data in pieces:
        device.write(address, data)
    device.truncate(size)
    return device


def use(name, mode, outcomes):
    """Open a case and use it in every way; ``outcomes`` gets what happened, step by step."""
    from stablemem import StableMemoryError
    from stablemem._core.audit.census import cell_size, census
    from stablemem._core.txn.opening import open_handle
    from stablemem.memory_region import MemoryRegion

    from .probe import handle_of

    def attempt(what, call):
        try:
            call()
        except StableMemoryError as error:
            str(error)
            outcomes.append(f"{what}: {type(error).__name__}")
        except (IndexError, KeyError) as error:
            outcomes.append(f"{what}: {type(error).__name__}")
        else:
            outcomes.append(f"{what}: ok")

    try:
        store = open_handle(None, mode, device=device_of(name), boot=b"b" * 16)
    except StableMemoryError as error:
        str(error)
        outcomes.append(f"open: {type(error).__name__}")
        return
    region = MemoryRegion._of(store, mode)
    for listed in region.names():
        try:
            values = region.buffer(listed) if listed else None
        except StableMemoryError as error:
            outcomes.append(f"buffer: {type(error).__name__}")
            continue
        if values is None:
            continue
        attempt("len", lambda values=values: len(values))
        for position in (0, 1, 4, 5, 100, 199, 200, 249, 254, 255, 10_000, -1, -2):
            attempt("get", lambda values=values, position=position: values[position])
        attempt("iterate", lambda values=values: list(itertools.islice(values, 3000)))
        attempt("reversed", lambda values=values: list(itertools.islice(reversed(values), 3000)))
        attempt("slice", lambda values=values: values[:300])
        attempt("repr", lambda values=values: repr(values))
    attempt("roots", lambda: dict(region.roots))
    for address in (HEADER, 65536):
        attempt("load", lambda address=address: region.load(address, 8))
    attempt("verify", region.verify)
    attempt("stats", region.stats)
    attempt("census", lambda: len(census(handle_of(region), cell_size(handle_of(region).slot.length, 1000))))
    if mode == "a":
        for listed in filter(None, region.names()):
            try:
                values = region.buffer(listed)
            except StableMemoryError:
                continue
            for step in (
                lambda values=values: values.append(b"longer than eight bytes"),
                lambda values=values: values.insert(1, b"as long as the other one"),
                lambda values=values: values.extend([b"one of many new values"] * 300),
                lambda values=values: values.__delitem__(0),
                lambda values=values: values.pop(),
                lambda values=values: values.__setitem__(2, b"changed, and long enough"),
                lambda values=values: values.__delitem__(slice(1, 200)),
                region.commit,
                lambda values=values: values.__setitem__(slice(0, 2), [b"again longer than eight"] * 5),
                region.commit,
                values.clear,
                region.commit,
                lambda values=values: values.extend([b"the end of it all"] * 500),
                region.commit,
                lambda values=values: list(itertools.islice(values, 3000)),
            ):
                attempt("change", step)
        attempt("verify", region.verify)
    attempt("close", region.close)


def main():
    """Use cases and print a line for each and mode: "CASE MODE outcome, outcome"."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 40, 8 << 40))
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
    for name in sys.argv[1:] or CASES:
        for mode in ("r", "a"):
            print(f"begin {name} {mode}", flush=True)
            faulthandler.dump_traceback_later(HANGS, exit=True)
            outcomes = []
            try:
                use(name, mode, outcomes)
            except BaseException as error:  # noqa: BLE001 - whatever is not typed is what is looked for
                outcomes.append(f"BAD {type(error).__name__}: {error}")
                import traceback

                outcomes.append(traceback.format_exc().replace("\n", " | "))
            faulthandler.cancel_dump_traceback_later()
            print(f"end {name} {mode} " + ", ".join(outcomes), flush=True)


if __name__ == "__main__":
    main()
