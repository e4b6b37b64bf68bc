"""Regions altered and signed again: what a page means is wrong, and judge and engine both find it.

What docs/format.md says a checker reports and a reader takes, the engine must read as if it were not there.
"""

import contextlib
import re
import struct
from unittest import mock

import pytest

from judge import judge, judge_kept
from judge.common import PAGE, crc32c, xxh3
from judge.log import ALLOCATED, FREE, FREED_BY, KIND, LIMBO, SWEEP
from judge.tree import CHILDREN_AT
from stablemem import BlobifyError, CorruptRegionError, StableMemoryError
from stablemem._core.audit.verify import verify
from stablemem._core.txn import compaction
from stablemem.blobify import Bytes
from support.forging import Forger
from support.probe import handle_of
from support.recorded import BOOT, Recorder, region_of, region_on

pytestmark = pytest.mark.usefixtures("damaged")


class Odd(Bytes):
    """A codec with a name and options that another cut makes those of a built-in one."""

    name = "byte"
    options = b"sx"


LAST = 45
"""Number of the last commit."""

CODECS = {"main": Bytes(), "odd": Odd(), "small": Bytes(), "text": None}


@pytest.fixture(scope="module")
def images():
    """Return the bytes of a region as its last commit left it, in the midst of a sweep, and closed."""
    device = Recorder()
    region = region_on(device)
    main, odd = region.buffer("main", Bytes()), region.buffer("odd", Odd())
    small, text = region.buffer("small", Bytes()), region.buffer("text", "text")
    main.extend(b"%030d" % number for number in range(700))
    odd.extend(b"0123456789%d" % number for number in range(300))
    small.extend(b"%08d" % number for number in range(600))
    text.extend(["a text that is longer", "short"])
    region.roots["one"], region.roots["two"] = (1, 2), (3,)
    one, two = region.allocate(100), region.allocate(5000)
    region.commit()
    for number in range(40):
        main.insert(number * 7, b"more %d" % number * 3)
        del main[number * 3]
        odd[number] = b"changed %d" % number
        region.commit()
    # Frees more than one log page has room for.
    odd[::2] = [b"0123456789%d" % number for number in range(150)]
    main[::3] = [b"%030d" % number for number in range(len(main[::3]))]
    region.commit()
    main.append(b"the last of all values")
    region.store(one + 8, b"patched")
    region.store(two + 100, b"patched too")
    region.commit()
    assert region.transaction_number == LAST
    left = device.bytes()
    with mock.patch.object(compaction, "TIDY_LEAST", 1 << 60):
        # Or closing would write the space map anew, and patches would be in place.
        region.close()
    return {"left": left, "closed": device.bytes()}


def lists_of(region):
    """Return the blobs of all lists of a region, each of them decoded as well."""
    lists = {name: region.buffer(name, CODECS.get(name, Odd())) for name in region.names()}
    for values in lists.values():
        list(values)
    return {name: list(values.blobs()) for name, values in lists.items()}


def found_by_engine(content):
    """Return what is wrong with a region, as opening it and ``verify`` tell; and its lists if nothing is."""
    try:
        region = region_of(content, BOOT, "r")
    except CorruptRegionError as error:
        return [error.fault], None
    with region:
        faults = verify(handle_of(region)).faults
        if not faults:
            return [], lists_of(region)
        with contextlib.suppress(StableMemoryError):
            lists_of(region)
        return faults, None


def used_by_engine(content):
    """Open a region for writing and change all of it; whatever is wrong with it ends in a typed error."""
    with contextlib.suppress(StableMemoryError), region_of(content, BOOT, "a") as region:
        for name in region.names():
            for change in (
                lambda values: values.append(values[0]),
                lambda values: values.insert(3, values[-1]),
                lambda values: values.pop(1),
                lambda values: values.__delitem__(slice(2, 200)),
                lambda values: values.clear(),
            ):
                with contextlib.suppress(StableMemoryError, IndexError):
                    change(region.buffer(name, CODECS.get(name, Odd())))
                    region.commit()


CASES = {}


def case(met, engine="finds", image="closed"):
    """Add a case: the fault that the judge reports, or several; and what the engine does about it.

    It "finds" the fault when it opens or verifies, "takes" the region as if nothing were wrong, or "refuses"
    with BlobifyError when the list is read.
    """

    def add(forge):
        CASES[forge.__name__] = (forge, met, engine, image)
        return forge

    return add


def put(at, size, value):
    """Return a change that puts a number into a page."""

    def change(page):
        page[at : at + size] = value.to_bytes(size, "little")

    return change


def copied(source, target, size):
    """Return a change that copies bytes within a page."""

    def change(page):
        page[target : target + size] = page[source : source + size]

    return change


def number_at(page, at, size=8):
    """Return a number of a page."""
    return int.from_bytes(page[at : at + size], "little")


def test_what_was_not_altered_is_sound(images):
    for content in images.values():
        forger = Forger(content, BOOT)
        assert forger.signed() == content
        forger.node("main", [1], lambda page: None)
        forger.node("odd", [0], lambda page: None)
        forger.catalog(lambda block: None)
        forger.log_page(2, lambda page: None)
        forger.entries(0, lambda entries: None)
        assert forger.signed() == content
        verdict = judge(content, BOOT)
        assert not verdict.faults
        assert found_by_engine(content) == ([], verdict.lists)


# -- checksums, which all others have right ---------------------------------------------------------------


@case("node .*: checksum")
def root_with_another_checksum(f):
    f.set_slot(root_sum=f.slot.root_sum ^ 1)


@case("catalog: checksum")
def catalog_with_another_checksum(f):
    f.set_slot(catalog_sum=f.slot.catalog_sum ^ 1)


@case("log page .*: checksum")
def log_with_another_checksum(f):
    f.set_slot(log_sum=f.slot.log_sum ^ 1)


# -- nodes -----------------------------------------------------------------------------------------------


@case("node .*: not in the region")
def child_behind_the_region(f):
    f.node("main", [], put(CHILDREN_AT, 8, f.slot.length))


@case("node .*: not in the region")
def child_off_its_page(f):
    f.node("main", [], lambda page: put(CHILDREN_AT, 8, number_at(page, CHILDREN_AT) + 8)(page))


@case("node .*: reached twice")
def child_twice(f):
    f.node("main", [], copied(CHILDREN_AT, CHILDREN_AT + 16, 16))


@case("list 'odd', node .*: reached twice")
def tree_of_two_lists(f):
    f.set_tree("odd", *f.tree("main"))


@case("mark 0x4e, level 1 instead of 0")
def child_of_another_level(f):
    f.node("main", [1], put(0, 1, 1))


@case("mark 0x4e, level 0 instead of 1")
def root_of_another_level(f):
    f.set_tree("main", *f.way("main", [0])[1:], xxh3(bytes(leaf_page(f))), f.slot.values, 2)


def leaf_page(f):
    at = f.way("main", [0])[1]
    return f.content[at : at + PAGE]


@case("mark 0x4d, level 0")
def node_without_its_mark(f):
    f.node("main", [1], put(1, 1, 0x4D))


@case("bytes 4 to 8 are not zero", "takes")
def node_with_padding(f):
    f.node("main", [1], put(4, 4, 1))


@case(f"of transaction {LAST}, under {LAST - 1}", "takes")
def node_newer_than_its_parent(f):
    f.node("main", [0], put(8, 8, LAST))
    f.node("main", [], put(8, 8, LAST - 1))


@case(f"of transaction {LAST + 1}, under {LAST}", "takes")
def root_newer_than_the_slot(f):
    f.node("main", [], put(8, 8, LAST + 1))


@case("of transaction 0, under", "takes")
def node_of_no_transaction(f):
    f.node("main", [0], put(8, 8, 0))


@case("node .*: 0 entries")
def leaf_without_entries(f):
    f.node("main", [1], put(2, 2, 0))


@case("node .*: 256 entries")
def leaf_with_too_many(f):
    f.node("main", [1], put(2, 2, 256))


@case("node .*: 171 entries")
def inner_node_with_too_many(f):
    f.node("main", [], put(2, 2, 171))


@case("node .*: only 100 entries")
def leaf_that_is_too_empty(f):
    count = number_at(f.content, f.way("small", [0])[1] + 2, 2)

    def fewer(page):
        put(2, 2, 100)(page)
        page[16 + 1600 :] = bytes(PAGE - 16 - 1600)

    f.node("small", [0], fewer, more=100 - count)


@case("values instead of")
def counts_that_are_not_those_of_the_leaves(f):
    f.node("main", [], lambda page: put(16, 8, number_at(page, 16) - 1)(page))


@case("702 values instead of 701|701 values instead of 702")
def more_values_in_the_slot(f):
    f.set_slot(values=702)


@case("299 values instead of 300|300 values instead of 299")
def fewer_values_in_the_catalog(f):
    root, check, values, height = f.tree("odd")
    f.set_tree("odd", root, check, values - 1, height)


@case("a root with one child")
def root_with_one_child(f):
    page = f.content[f.tree("small")[0] :][:PAGE]
    first, total = number_at(page, 16), f.tree("small")[2]

    def one(page):
        put(2, 2, 1)(page)
        page[24:CHILDREN_AT] = bytes(CHILDREN_AT - 24)
        page[CHILDREN_AT + 16 :] = bytes(PAGE - CHILDREN_AT - 16)

    f.node("small", [], one, more=first - total)
    for k in range(1, number_at(page, 2, 2)):
        free_node(f, number_at(page, CHILDREN_AT + 16 * k))


def free_node(f, at):
    """Say in the newest commit that a page is in limbo, which nothing points to any more."""
    f.entries(
        0, lambda entries: entries.append([FREED_BY, 0, LAST, 0]) or entries.append([LIMBO, 0, at, PAGE])
    )


@case("node .*: unused entries are not zero", "takes")
def inner_node_with_bytes_behind_its_counts(f):
    f.node("main", [], put(CHILDREN_AT - 8, 8, 5))


@case("node .*: unused entries are not zero", "takes")
def inner_node_with_bytes_behind_its_children(f):
    f.node("main", [], put(PAGE - 8, 8, 5))


@case("node .*: unused entries are not zero", "takes")
def leaf_with_bytes_behind_its_entries(f):
    count = number_at(f.content, f.way("main", [3])[1] + 2, 2)
    assert count < 255
    f.node("main", [3], put(PAGE - 8, 8, 5))


@case("cumulative counts do not rise")
def counts_that_stand_still(f):
    f.node("main", [], copied(16, 24, 8))


@case("cumulative counts do not rise")
def counts_that_fall(f):
    f.node("main", [], put(24, 8, 1))


@case("an inline blob with a CRC or without zeros", "takes")
def inline_value_with_a_checksum(f):
    f.node("small", [0], put(16 + 12, 4, 5))


@case("an inline blob with a CRC or without zeros", "takes")
def inline_value_with_bytes_behind_it(f):
    # The value is cut to 3 bytes on both sides; what is behind them is not.
    f.node("small", [0], put(16 + 8, 4, 3))


@case("its blob is not in the region")
def blob_behind_the_region(f):
    f.node("main", [0], put(16, 8, f.slot.length - 10))


@case("its blob is not in the region")
def blob_in_the_header(f):
    blob = bytes(f.content[600:630])

    def change(page):
        put(16, 8, 600)(page)
        put(28, 4, crc32c(blob))(page)

    f.node("main", [0], change)


@case("the blobs are longer than the region")
def blobs_longer_than_the_region(f):
    size = f.slot.length - 12288
    check = crc32c(bytes(f.content[12288 : 12288 + size]))

    def change(page):
        for k in range(3):
            struct.pack_into("<QII", page, 16 + 16 * k, 12288, size, check)

    f.node("main", [0], change)


@case("CRC of the blob")
def blob_with_another_checksum(f):
    f.node("main", [0], lambda page: put(28, 4, number_at(page, 28, 4) ^ 1)(page))


@case("is blob and blob")
def two_pointers_to_one_block(f):
    f.node("main", [0], copied(16, 32, 16))


@case("is blob and blob")
def blobs_that_overlap(f):
    def change(page):
        at = number_at(page, 16)
        struct.pack_into("<QII", page, 32, at + 5, 10, crc32c(bytes(f.content[at + 5 : at + 15])))

    f.node("main", [0], change)


@case("is nothing")
def block_without_a_pointer(f):
    f.node("main", [0], lambda page: struct.pack_into("<QII", page, 16, 7, 8, 0))


@case("entry 0: not UTF-8", "refuses")
def text_that_is_none(f):
    def change(page):
        at, size = number_at(page, 16), number_at(page, 24, 4)
        f.content[at] = 0xFF
        put(28, 4, crc32c(bytes(f.content[at : at + size])))(page)

    f.node("text", [], change)


@case("is (node and blob|blob and node)")
def blob_in_a_node(f):
    at = f.way("small", [0])[1]
    f.node(
        "main",
        [0],
        lambda page: struct.pack_into("<QII", page, 16, at, 100, crc32c(bytes(f.content[at : at + 100]))),
    )


# -- the catalog -----------------------------------------------------------------------------------------


@case("a record of 0 bytes")
def catalog_of_zeros(f):
    f.catalog(lambda block: block.__setitem__(slice(0, 8), bytes(8)), 8)


@case("a record of 7 bytes")
def record_shorter_than_its_head(f):
    f.catalog(put(0, 4, 7))


@case("a record of 4294967295 bytes")
def record_longer_than_the_catalog(f):
    f.catalog(put(0, 4, 0xFFFFFFFF))


@case("a record is too short")
def record_shorter_than_its_fields(f):
    """A record of one byte less, and another byte more in front of the next one."""
    at, _ = f.record("main")
    f.catalog(put(at - f.slot.catalog, 4, 8 + 52 + 4 + 5 - 1))


@case("there is none, but a tree of main")
def no_catalog(f):
    f.set_slot(catalog=0, catalog_size=0, catalog_sum=0)


@case("it ends within a record")
def catalog_cut_in_the_head_of_a_record(f):
    f.catalog(lambda block: None, f.record("text")[0] - f.slot.catalog + 3)


@case("a record of [0-9]+ bytes")
def catalog_cut_in_a_record(f):
    f.catalog(lambda block: None, f.record("text")[0] - f.slot.catalog + 20)


NAME_AT = 60
"""Where the name of a structure is in its record."""


def renamed(f, old, new):
    """Give a list another name of the same length."""
    at = f.record(old)[0] + NAME_AT - f.slot.catalog
    f.catalog(lambda block: block.__setitem__(slice(at, at + len(new)), new))


@case("records are out of order", "takes")
def lists_out_of_order(f):
    renamed(f, "odd", b"zzz")


@case("records are out of order")
def name_of_two_lists(f):
    renamed(f, "text", b"main")


@case("a name is not UTF-8")
def name_that_is_no_text(f):
    renamed(f, "text", b"te\xfft")


@case("a name is not UTF-8")
def codec_that_is_no_text(f):
    at = f.record("odd")[0] - f.slot.catalog + NAME_AT + 3
    f.catalog(lambda block: block.__setitem__(at, 0xFF))


@case("options of a built-in codec", "refuses")
def options_of_a_built_in_codec(f):
    """The last byte of its name is its options."""
    at = f.record("odd")[0] - f.slot.catalog
    f.catalog(put(at + 56, 2, 5))
    f.catalog(put(at + 48, 4, 1))


@case("a list with a codec of keys")
def list_with_a_codec_of_keys(f):
    at = f.record("odd")[0] - f.slot.catalog
    f.catalog(put(at + 48, 4, 1))
    f.catalog(put(at + 58, 2, 1))


@case("a list with a codec of keys")
def list_with_options_of_keys(f):
    at = f.record("odd")[0] - f.slot.catalog
    f.catalog(put(at + 48, 4, 1))
    f.catalog(put(at + 52, 4, 1))


@case("main has a tree of its own", "takes")
def tree_of_main_in_the_catalog(f):
    place = f.record("main")[1] - f.slot.catalog
    root, check, values, height = f.tree("odd")
    f.catalog(lambda block: struct.pack_into("<IQQQ", block, place, height, root, check, values))


@case("main has a tree of its own", "takes")
def values_dropped_from_main_in_the_catalog(f):
    f.catalog(put(f.record("main")[0] - f.slot.catalog + 40, 8, 5))


@case("no record of main, but the slot a tree")
def no_record_of_main(f):
    renamed(f, "main", b"mainz"[:4].replace(b"n", b"m"))


@case("root is not aligned")
def root_off_its_page(f):
    root, check, values, height = f.tree("odd")
    f.set_tree("odd", root + 8, check, values, height)


@case("root is not in the region")
def root_behind_the_region(f):
    _, check, values, height = f.tree("odd")
    f.set_tree("odd", f.slot.length, check, values, height)


@case("more than 12 levels")
def tree_of_too_many_levels(f):
    root, check, values, _ = f.tree("odd")
    f.set_tree("odd", root, check, values, 13)


@case("are not zero together")
def tree_without_levels(f):
    root, check, values, _ = f.tree("odd")
    f.set_tree("odd", root, check, values, 0)


@case("no root, but its checksum")
def checksum_without_a_root(f):
    f.set_tree("odd", 0, 5, 0, 0)


def root_record(f, name):
    """Return where in the catalog the record of a root is."""
    slot = f.slot
    return f.content[slot.catalog : slot.catalog + slot.catalog_size].index(name) - 12


@case("it ends within a record")
def catalog_cut_in_the_head_of_a_root(f):
    f.catalog(lambda block: None, root_record(f, b"two") + 2)


@case("a root is too short")
def root_of_too_many_integers(f):
    f.catalog(put(root_record(f, b"two") + 8, 4, 0xFFFFFFFF))


@case("a name is not UTF-8")
def root_name_that_is_no_text(f):
    at = root_record(f, b"two") + 12
    f.catalog(lambda block: block.__setitem__(at, 0xFF))


@case("records are out of order", "takes")
def roots_out_of_order(f):
    at = root_record(f, b"two") + 12
    f.catalog(lambda block: block.__setitem__(slice(at, at + 3), b"aaa"))


@case("records are out of order")
def name_of_two_roots(f):
    at = root_record(f, b"two") + 12
    f.catalog(lambda block: block.__setitem__(slice(at, at + 3), b"one"))


def patches_record(f):
    """Return where in the catalog the record of the two patches is."""
    return f.slot.catalog_size - 2 * 36 - 12


@case("there are not so many patches")
def more_patches_than_there_are(f):
    f.catalog(put(patches_record(f) + 8, 4, 3))


@case("patches with a name", "takes")
def patches_with_a_name(f):
    f.catalog(put(patches_record(f) + 6, 2, 3))


@case("a record of no patches", "takes")
def record_of_no_patches(f):
    f.catalog(put(patches_record(f) + 8, 4, 0))


def patch(f, at, size, value):
    """Change a field of the last patch."""
    f.catalog(put(f.slot.catalog_size - 36 + at, size, value))


def patch_field(f, at, size):
    """Return a field of the last patch."""
    return number_at(f.content, f.slot.catalog + f.slot.catalog_size - 36 + at, size)


@case("a patch of 0 bytes")
def patch_of_nothing(f):
    patch(f, 8, 4, 0)


@case("a patch of 11 bytes at")
def patch_behind_the_region(f):
    patch(f, 0, 8, f.slot.length - 5)


@case("a patch of 11 bytes at")
def patch_held_behind_the_region(f):
    patch(f, 20, 8, f.slot.length - 5)


@case("a patch of 11 bytes at")
def patches_out_of_order(f):
    patch(f, 0, 8, patch_field(f, 0, 8) - 5000)


@case(f"a patch of transaction {LAST + 1}")
def patch_of_the_future(f):
    patch(f, 12, 8, LAST + 1)


@case("a patch of transaction 0")
def patch_of_no_transaction(f):
    patch(f, 12, 8, 0)


@case("the checksum of the patch")
def patch_with_another_checksum(f):
    patch(f, 28, 8, 5)


@case("patches lie over .*, which is not raw")
def patch_over_nodes(f):
    slot = f.slot
    f.catalog(lambda block: None)
    at = slot.catalog_size - 72
    f.catalog(put(at, 8, f.way("main", [0])[1]))


@case("is patch and (patch|blob)|is blob and patch")
def patch_held_in_a_blob(f):
    at = number_at(f.content, f.way("main", [0])[1] + 16)
    patch(f, 20, 8, at)
    patch(f, 28, 8, xxh3(bytes(f.content[at : at + 11])))


# -- the log ---------------------------------------------------------------------------------------------


@case("log page .*: not in the region")
def log_behind_the_region(f):
    f.log_page(1, put(24, 8, f.slot.length))


@case("log page .*: mark, count or sequence number")
def log_page_without_its_mark(f):
    f.log_page(1, put(0, 4, 5))


@case("log page .*: mark, count or sequence number")
def log_page_with_too_many_entries(f):
    f.log_page(1, put(4, 4, 253))


@case("log page .*: mark, count or sequence number")
def log_page_of_another_number(f):
    f.log_page(1, lambda page: put(16, 8, number_at(page, 16) + 1)(page))


@case("log page .*: unused entries are not zero", "takes")
def log_page_with_bytes_behind(f):
    f.log_page(0, put(PAGE - 8, 8, 5))


@case(f"newest, but of transaction {LAST - 1}", "takes")
def newest_log_page_of_an_older_commit(f):
    f.log_page(0, put(8, 8, LAST - 1))


@case("transactions do not rise", "takes")
def log_pages_out_of_order(f):
    f.log_page(2, put(8, 8, LAST))


@case("log page .*: page before")
def log_page_without_the_one_before(f):
    f.log_page(1, lambda page: page.__setitem__(slice(24, 40), bytes(16)))


@case("entry of kind 7")
def entry_of_no_kind(f):
    f.entries(0, lambda entries: entries[0].__setitem__(0, 7))


@case("kind 5 in an entry 5")
def region_pages_of_no_kind(f):
    f.entries(0, lambda entries: of(entries, KIND)[0].__setitem__(1, 5))


@case("kind 1 in an entry 2", "takes")
def kind_in_another_entry(f):
    f.entries(0, lambda entries: of(entries, FREE)[0].__setitem__(1, 1))


@case("FREED_BY with a size", "takes")
def freed_by_with_a_size(f):
    f.entries(0, lambda entries: of(entries, FREED_BY)[0].__setitem__(3, 5))


@case("size 0 of an entry 1", "takes")
def entry_of_no_size(f):
    f.entries(0, lambda entries: entries.insert(0, [ALLOCATED, 0, 70000, 0]))


def of(entries, what):
    """Return the entries of one sort."""
    return [entry for entry in entries if entry[0] == what]


def at_sweep(entries):
    """Return where the SWEEP entry is."""
    return entries.index(of(entries, SWEEP)[0])


@case(f"log of transaction {LAST}: freed by {LAST + 1}", "takes")
def freed_by_the_future(f):
    f.entries(0, lambda entries: of(entries, FREED_BY)[0].__setitem__(2, LAST + 1))


@case("LIMBO before any FREED_BY")
def limbo_of_nobody(f):
    for back in range(f.slot.newest - f.slot.oldest + 1):
        f.entries(back, lambda entries: [entries.remove(entry) for entry in of(entries, FREED_BY)])


@case("entry 1 is out of order", "takes")
def own_entries_out_of_order(f):
    def change(entries):
        sweep = at_sweep(entries)
        entries.insert(sweep - 1, entries.pop(0))

    f.entries(0, change)


@case("its own LIMBO under another number", "takes")
def own_limbo_of_another(f):
    f.entries(0, lambda entries: of(entries, FREED_BY)[0].__setitem__(2, LAST - 1))


@case("entry 1 within a sweep")
def allocated_within_a_sweep(f):
    f.entries(0, lambda entries: entries.append([ALLOCATED, 0, *of(entries, FREE)[-1][2:]]))


@case(f"restates limbo of {LAST} out of order", "takes")
def limbo_restated_out_of_order(f):
    def change(entries):
        kinds = entries.index(of(entries, KIND)[-1])
        entries[kinds:kinds] = [[FREED_BY, 0, LAST, 0], [FREED_BY, 0, LAST, 0]]

    f.entries(0, change)


@case("restates outside its sweep", "takes")
def restated_outside_the_sweep(f):
    def change(entries):
        end = of(entries, SWEEP)[0][3]
        last = of(entries, FREE)[-1]
        entries.insert(entries.index(last) + 1, [FREE, 0, *f_free])
        assert f_free[0] >= end

    f_free = free_behind(f)
    f.entries(0, change)


def free_behind(f):
    """Return a piece that is free behind what the newest commit swept."""
    ranges = judge(f.signed(), BOOT).ranges["free"]
    start, end = max(ranges)
    return start, min(end - start, 4096)


@case("restates out of order", "takes")
def free_restated_out_of_order(f):
    def change(entries):
        first = entries.index(of(entries, FREE)[0])
        entries[first], entries[first + 1] = entries[first + 1], entries[first]

    f.entries(0, change)


@case("the finished one does not begin with a commit", "takes")
def sweep_that_begins_nowhere(f):
    f.log_page(0, put(56, 8, f.slot.newest - 1))


@case("the running one does not begin with a commit", "takes")
def running_sweep_that_begins_nowhere(f):
    f.log_page(0, put(48, 8, f.slot.newest - 1))


@case("running since", "takes")
def sweep_that_begins_before_the_last(f):
    f.log_page(0, lambda page: put(48, 8, number_at(page, 56))(page))


@case("the log begins at .*, but is needed from")
def log_that_is_too_short(f):
    f.set_slot(oldest=number_at(f.content, f.slot.log + 56) + 1)


@case("the commit before the newest is not in the log")
def log_of_one_commit(f):
    f.set_slot(oldest=f.slot.newest)


@case("entry 6 within a sweep", "takes")
def two_sweeps(f):
    f.entries(0, lambda entries: entries.insert(at_sweep(entries), [SWEEP, 0, 0, 1]))


@case("has 0 SWEEP entries", "takes")
def no_sweep(f):
    f.entries(0, lambda entries: entries.remove(of(entries, SWEEP)[0]))


@case("that of transaction .* begins at", "takes")
def sweep_that_leaves_something_out(f):
    def change(entries):
        sweep = of(entries, SWEEP)[0]
        sweep[2], sweep[3] = sweep[2] + 1, sweep[3] - 1

    f.entries(0, change)


@case("cursor, running and finished should be", "takes")
def cursor_that_is_elsewhere(f):
    f.log_page(0, lambda page: put(40, 8, number_at(page, 40) + 1)(page))


@case("but swept to", "takes")
def older_cursor_that_is_elsewhere(f):
    f.log_page(f.slot.newest - f.slot.oldest, lambda page: put(40, 8, number_at(page, 40) + 1)(page))


@case("cursor 0 after a sweep to", "takes")
def sweep_that_is_said_to_be_finished(f):
    f.log_page(0, put(40, 8, 0))


@case(f"sweeps: transaction {LAST}, 9 own entries, restated 1$", "takes")
def commit_that_restates_too_little(f):
    def change(entries):
        sweep = at_sweep(entries)
        entries[sweep][3] = entries[sweep + 1][2] + entries[sweep + 1][3]
        del entries[sweep + 2 :]

    f.entries(0, change)


@case(r"restated [0-9]+, in pages of \[.*251, ", "takes")
def log_pages_that_are_not_full(f):
    moved = []
    f.entries(2, lambda entries: moved.append(entries.pop()))
    f.entries(1, lambda entries: entries.insert(0, moved[0]))


@case("a region without a log is longer than its header")
def no_log(f):
    f.set_slot(log=0, log_sum=0, newest=0, oldest=1)


@case("the log says nothing of")
def bytes_that_the_log_does_not_know(f):
    def change(entries):
        entries[:] = [entry for entry in entries if entry[0] in {ALLOCATED, SWEEP}]
        for sweep in of(entries, SWEEP):
            sweep[3] = 1

    for back in range(f.slot.newest - f.slot.oldest + 1):
        f.entries(back, change)


@case(("is free or in limbo, in the header", "is header and free"))
def header_that_is_free(f):
    f.entries(0, lambda entries: entries.insert(at_sweep(entries) + 1, [FREE, 0, 4096, 4096]))


@case("is (node and free|free and node)")
def free_and_in_use_by_a_node(f):
    at = f.way("main", [0])[1]
    f.entries(0, lambda entries: entries.append([FREE, 0, at, PAGE]))


@case("is (blob and free|free and blob)")
def free_and_in_use_by_a_blob(f):
    at = number_at(f.content, f.way("main", [0])[1] + 16)
    f.entries(0, lambda entries: entries.append([FREE, 0, at, 8]))


@case("is (log and limbo|limbo and log)")
def limbo_and_in_use_by_the_log(f):
    f.entries(
        0,
        lambda entries: (
            entries.append([FREED_BY, 0, LAST - 1, 0]) or entries.append([LIMBO, 0, f.slot.log, 64])
        ),
    )


@case("is (catalog and free|free and catalog)")
def free_and_in_use_by_the_catalog(f):
    f.entries(0, lambda entries: entries.append([FREE, 0, f.slot.catalog, 8]))


@case("is nothing")
def allocated_to_nobody(f):
    f.entries(0, lambda entries: entries.append([ALLOCATED, 0, *of(entries, FREE)[0][2:]]))


@case("is in a region page that is not of kind 1")
def nodes_in_a_page_of_blobs(f):
    at = f.way("main", [0])[1] >> 16 << 16
    f.entries(0, lambda entries: entries.append([KIND, 2, at, 65536]))


@case("is in a region page that is not of kind 2")
def blobs_in_a_page_of_nodes(f):
    at = number_at(f.content, f.way("main", [0])[1] + 16) >> 16 << 16
    f.entries(0, lambda entries: entries.append([KIND, 1, at, 65536]))


@case("region page 0 is not of kind 1")
def first_page_of_another_kind(f):
    f.entries(0, lambda entries: entries.append([KIND, 2, 0, 65536]))


@case(("is free, in region page .* without a kind", "is in use and has no kind"))
def region_page_without_a_kind(f):
    at = f.slot.catalog >> 16 << 16
    f.entries(0, lambda entries: entries.append([KIND, 0, at, 65536]))


@case("is of .*, which is no commit", "takes")
def node_of_a_commit_that_is_not_there(f):
    at = f.slot.newest - f.slot.oldest
    f.log_page(at - 1, lambda page: put(8, 8, number_at(page, 8))(page))
    f.log_page(at, put(8, 8, 20))
    f.node("small", [0], put(8, 8, 30))
    f.node("small", [], put(8, 8, 30))


@case(f"was not allocated by its transaction {LAST}", "takes")
def node_that_its_commit_did_not_allocate(f):
    f.node("small", [], put(8, 8, LAST))


@case("the digest covers", "takes", "left")
def digest_that_leaves_something_out(f):
    extents = [
        (at, size)
        for at, size in struct.iter_unpack("<QI", bytes(f.content[PAGE * f.slots[0] + 192 :][:192]))
        if size
    ]
    f.set_extents(extents[:-1])


@pytest.mark.parametrize("name", CASES)
def test_forged(images, name):
    forge, met, engine, image = CASES[name]
    forger = Forger(images[image], BOOT)
    forge(forger)
    content = forger.signed()
    assert content != images[image]
    verdict = judge(content, BOOT)
    assert verdict.slot in forger.slots, verdict.slots
    for each in [met] if isinstance(met, str) else met:
        assert any(re.search(each, fault) for fault in verdict.faults), verdict.faults
    if engine == "refuses":
        with pytest.raises(BlobifyError):
            found_by_engine(content)
        return
    faults, lists = found_by_engine(content)
    if engine == "finds":
        assert faults
    else:
        assert not faults
        # The judge reads no further where names are out of order.
        assert {each: lists[each] for each in verdict.lists} == verdict.lists
        assert len(lists) == len(CODECS)
    used_by_engine(content)


def test_what_the_state_before_reaches_is_not_free(images):
    """What the last commit freed is in limbo: said to be free, it might be reused while that state counts."""
    forger = Forger(images["left"], BOOT)

    def change(entries):
        sweep = at_sweep(entries)
        end = entries[sweep][2] + entries[sweep][3]
        moved = next(entry for entry in entries[:sweep] if entry[0] == LIMBO and entry[2] >= end)
        entries.remove(moved)
        entries.insert(0, [FREE, *moved[1:]])

    forger.entries(0, change)
    content = forger.signed()
    assert not judge(content, BOOT).faults
    [before] = judge_kept(content, BOOT)
    assert [fault for fault in before.faults if "reuse: " in fault and "is reached, but free" in fault]
    assert not judge_kept(images["left"], BOOT)[0].faults
