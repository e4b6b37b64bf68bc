"""Files of a later version, forged: what is unknown is refused by name, or passed over and kept."""

import contextlib
import random
import struct

import pytest

from judge import judge
from judge.common import LET_GO, PAGE
from judge.slots import FIELDS, SEALED, Slot
from judge.tree import RECORD
from stablemem import MemoryBuffer, MemoryRegion, ReadOnlyError, VersionError
from stablemem._core.audit.census import cell_size, census
from stablemem._core.audit.verify import verify
from support import hostile
from support.forging import Forger
from support.probe import handle_of
from support.recorded import BOOT, NEXT_BOOT, Recorder, contents, prove, region_of, region_on

MAP, QUEUE, NOBODY_KNOWS = 2, 4, 77
BIT_3, BIT_63 = 1 << 3, 1 << 63


@pytest.fixture(scope="module")
def image():
    """Return the bytes of a closed region with two lists, a root and a patch that a reader keeps listed."""
    device = Recorder()
    with region_on(device) as region:
        main, second = region.buffer("main", "bytes"), region.buffer("second", "bytes")
        main.extend(b"value %d, of more than 8 bytes" % number for number in range(600))
        second.extend(b"another %d, as long as that" % number for number in range(900))
        region.roots["root"] = (1, 2, 3)
    return device.bytes()


def forged(content, **fields):
    """Return a region with other fields in its newest slots."""
    forger = Forger(content, BOOT)
    forger.set_slot(**fields)
    return forger.signed()


def of_kind(content, name, kind, front=0):
    """Return a region of which a structure has another kind, and values dropped from its front."""
    forger = Forger(content, BOOT)
    at = forger.record(name)[0] - forger.slot.catalog

    def change(block):
        struct.pack_into("<I", block, at + 8, kind)
        if name != "main":
            struct.pack_into("<Q", block, at + 40, front)

    forger.catalog(change)
    if name == "main":
        forger.set_slot(dropped=front)
    return forger.signed()


def records(content):
    """Return the records of a region's catalog as the bytes say, by type and name."""
    slot = Forger(content, BOOT).slot
    block = bytes(content[slot.catalog : slot.catalog + slot.catalog_size])
    found, at = {}, 0
    while at < len(block):
        size, sort, n = RECORD.unpack_from(block, at)
        place = at + {1: 60, 2: 12}.get(sort, 8)
        found[sort, block[place : place + n]] = block[at : at + size]
        at += size
    return found


def changed_and_closed(content, names, commits=5):
    """Return what a region becomes when lists of it are changed in every way, and it is compacted."""
    region = region_of(content, BOOT, recording=True)
    device = handle_of(region).region.device
    rng = random.Random(5)
    for number in range(commits):
        for name in names:
            values = region.buffer(name, "bytes")
            values.extend(rng.randbytes(50) for _ in range(200))
            del values[5:100]
            values.sort()
        region.roots["new"] = (number,)
        region.commit()
        prove(region)
    region.compact()
    region.close()
    return device.bytes()


# -- kinds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "said"),
    [(MAP, "is a map, which this version"), (QUEUE, "is a queue"), (NOBODY_KNOWS, "a structure of kind 77")],
)
def test_a_structure_of_another_kind_is_refused_by_name(image, kind, said):
    with region_of(of_kind(image, "second", kind), BOOT) as region:
        assert region.names() == ["main", "second"]
        for attempt in (
            lambda: region.buffer("second"),
            lambda: region.buffer("second", "bytes"),
            lambda: region.buffer("second", "text"),
            lambda: region.drop("second"),
        ):
            with pytest.raises(VersionError, match=f"'second' .*{said}.*use a later version"):
                attempt()
        assert len(region.buffer("main")) == 600
        assert region.stats().lists == {"main": 600, "second": 900}
        kinds = {name: entry.kind for name, entry in region.inspect().lists.items()}
        assert kinds == {"main": "list", "second": {MAP: "map", QUEUE: "queue"}.get(kind, "unknown")}


def test_refusing_it_undoes_nothing(image):
    with region_of(of_kind(image, "second", MAP), BOOT) as region:
        main = region.buffer("main")
        main.append(b"not committed yet")
        for attempt in (lambda: region.buffer("second"), lambda: region.drop("second")):
            with pytest.raises(VersionError):
                attempt()
        assert main[-1] == b"not committed yet"
        assert region.stats().changes == 1


@pytest.mark.parametrize("name", ["main", "second"])
def test_it_is_there_unharmed_when_this_version_has_changed_the_rest(image, name):
    """It is a list by another number: so the test can read it when the number is right again."""
    other = {"main": "second", "second": "main"}[name]
    before = judge(image, BOOT).lists[name]
    content = of_kind(image, name, NOBODY_KNOWS, front=7)
    record = records(content)[1, name.encode()]
    after = changed_and_closed(content, [other])
    assert records(after)[1, name.encode()] == record
    verdict = judge(after, BOOT)
    assert not verdict.faults
    assert verdict.unknown == [name]
    assert verdict.bytes["unknown"] > sum(map(len, before))
    known = judge(of_kind(after, name, 1, front=7), BOOT)
    assert not known.faults
    assert known.lists[name] == before
    assert known.bytes["unknown"] == 0


@pytest.mark.parametrize("name", ["main", "second"])
def test_its_bytes_are_accounted_for(image, name):
    whole = judge(image, BOOT)
    with region_of(of_kind(image, name, MAP), BOOT, "r") as region:
        report = verify(handle_of(region))
        assert not report.faults
        assert report.unknown == [name]
        assert report.node_bytes + report.blob_bytes + report.unknown_bytes == (
            whole.bytes["node"] + whole.bytes["blob"]
        )
        found = census(handle_of(region), cell_size(handle_of(region).slot.length, 64))
        assert found.total("nodes") == whole.bytes["node"]
        region.verify()


def test_damage_in_the_root_of_it_is_found(image):
    forger = Forger(of_kind(image, "second", MAP), BOOT)
    root, check, values, height = forger.tree("second")
    forger.set_tree("second", root, check ^ 1, values, height)
    content = forger.signed()
    assert any("checksum of its root" in fault for fault in judge(content, BOOT).faults)
    with region_of(content, BOOT, "r") as region:
        assert any("root of 'second'" in fault for fault in verify(handle_of(region)).faults)


def test_bytes_that_nobody_has_are_a_fault_without_it(image):
    """What is let pass beside an unknown structure is not let pass elsewhere."""
    forger = Forger(image, BOOT)
    forger.set_tree("second", 0, 0, 0, 0)
    content = forger.signed()
    assert any("is nothing" in fault for fault in judge(content, BOOT).faults)
    with region_of(content, BOOT, "r") as region:
        assert any("belong to nothing" in fault for fault in verify(handle_of(region)).faults)


def test_a_list_that_becomes_another_structure_is_no_longer_there_for_a_reader(tmp_path):
    path = tmp_path / "r.smem"
    with MemoryRegion(path) as region:
        region.buffer("second", "bytes").append(b"a value")
    reader = MemoryBuffer(path, "r", name="second")
    with MemoryRegion(path) as region:
        store = handle_of(region)
        store.entries["second"] = store.entries["second"]._replace(kind=MAP)
        region.buffer("main").append(1)
    with pytest.raises(Exception, match="'second' is no longer in"):
        reader.refresh()
    assert list(reader) == [b"a value"]
    reader.close()


# -- fields and records ----------------------------------------------------------------------------------


@pytest.fixture
def later():
    """Return a region put together by hand in which all records have later fields, and some a later type."""
    made = hostile.Builder()
    held = made.blob(b"what the patch says")
    block = hostile.catalog(
        [
            (b"main", b"bytes", b"", 0, 0, 0, 0, 1, b"", b"", b"of main"),
            (b"second", b"bytes", b"", 0, 0, 0, 0, 1, b"", b"", b"of second"),
            (b"third", b"a.Codec", b"o", 0, 0, 0, 0, 9, b"of.Keys", b"p", b"of third"),
        ]
    )
    patch = struct.pack("<QIQQQ", 131072 + 8, held[1], 1, held[0], hostile.digest(b"what the patch says"))
    block += hostile.record(2, 4, struct.pack("<I", 1), b"root", (5).to_bytes(16, "little"), b"of root")
    block += hostile.record(3, 0, struct.pack("<I", 1), patch, b"of patches")
    block += hostile.record(4, 3, b"one", b"record of a later type")
    block += hostile.record(900, 0, b"another")
    made.set_catalog(block)
    made.set_root(hostile.leaf(hostile.words(5)), 1, 5)
    made.slot["dropped"] = 11
    made.put(131072, bytes(PAGE))
    end = held[0] + held[1]
    made.set_log(
        [
            hostile.log(
                [
                    (hostile.KIND, 2, 65536, 65536),
                    (hostile.KIND, 3, 131072, 65536),
                    (hostile.FREE, 0, HEADER_END, 15 * PAGE - HEADER_END),
                    (hostile.FREE, 0, 65536 + len(block), 65536 + PAGE - 65536 - len(block)),
                    (hostile.FREE, 0, end, 131072 - end),
                    (hostile.FREE, 0, 131072 + PAGE, 65536 - PAGE),
                ]
            )
        ]
    )
    content = bytearray(made.size)
    for address, data in made.pieces()[0]:
        content[address : address + len(data)] = data
    return bytes(content)


HEADER_END = 4 * PAGE
"""Where the header and the one node after it end."""

UNKNOWN = [
    "fields of 'main'", "fields of 'second'", "fields of 'third'", "third", "fields of root 'root'",
    "fields of the patches", "record of type 4", "record of type 900",
]  # fmt: skip


def test_later_fields_are_passed_over(later):
    assert judge(later, BOOT).unknown == UNKNOWN
    with region_of(later, BOOT, "r") as region:
        assert region.names() == ["main", "second", "third"]
        assert len(region.buffer("main", "bytes")) == 5
        assert region.roots["root"] == (5,)
        assert region.load(131072 + 8, 19) == b"what the patch says"
        report = verify(handle_of(region))
        assert (report.faults, report.unknown) == ([], ["third"])


def test_later_fields_and_records_are_kept(later):
    before = records(later)
    region = region_of(later, BOOT, recording=True)
    device = handle_of(region).region.device
    region.buffer("second", "bytes").extend([b"more than eight bytes"] * 300)
    region.roots["root"] = (6, 7)
    region.store(131072 + 100, b"another patch")
    region.commit()
    after = records(device.bytes())
    assert after.keys() == before.keys()
    for key in ((1, b"main"), (1, b"third"), (4, b"one"), (900, b"")):
        assert after[key] == before[key]
    assert after[1, b"second"].endswith(b"bytesof second")
    assert after[2, b"root"].endswith((7).to_bytes(16, "little") + b"of root")
    assert after[3, b""].endswith(b"of patches")
    assert len(after[3, b""]) == len(before[3, b""]) + 36
    prove(region)
    region.buffer("main", "bytes").append(b"once more")
    region.commit()
    region.close()
    reopened = records(device.bytes())
    assert reopened[1, b"third"] == before[1, b"third"]
    assert reopened[4, b"one"] == before[4, b"one"]
    verdict = judge(device.bytes(), BOOT)
    assert not [fault for fault in verdict.faults if "2.5" in fault]


def test_fields_of_what_is_gone_are_gone(later):
    """A root or a list that is made again later does not get fields that were another's."""
    with region_of(later, BOOT) as region:
        del region.roots["root"]
        region.drop("second")
        region.commit()
        region.roots["root"] = (1,)
        region.buffer("second", "bytes")
        region.commit()
        after = records(handle_of(region).region.device.read(0, 1 << 20))
    assert after[2, b"root"].endswith((1).to_bytes(16, "little"))
    assert after[1, b"second"].endswith(b"secondbytes")
    assert after[1, b"main"].endswith(b"of main")


def test_a_rollback_and_a_failure_keep_them_too(later):
    with region_of(later, BOOT) as region:
        before = records(later)
        region.roots["other"] = (1,)
        region.rollback()
        with contextlib.suppress(ZeroDivisionError), region.transaction():
            region.roots["other"] = (1,)
            raise ZeroDivisionError
        region.roots["other"] = (1,)
        region.commit()
        after = records(handle_of(region).region.device.read(0, 1 << 20))
        assert {key: after[key] for key in before} == before
        assert after.keys() - before.keys() == {(2, b"other")}


@pytest.mark.parametrize("name", ["main", "second"])
def test_the_number_of_values_dropped_stays(image, name):
    content = of_kind(image, name, 1, front=(1 << 64) - 1)
    assert not judge(content, BOOT).faults
    after = changed_and_closed(content, ["main", "second"])
    assert not judge(after, BOOT).faults
    slot = Forger(after, BOOT).slot
    listed = struct.unpack_from("<Q", records(after)[1, name.encode()], 40)[0]
    assert (slot.dropped, listed) == (((1 << 64) - 1, 0) if name == "main" else (0, (1 << 64) - 1))


# -- slots -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "a", "r+"])
def test_a_feature_needed_to_read_refuses_the_file(image, mode):
    content = forged(image, to_read=BIT_3 | BIT_63)
    with pytest.raises(VersionError, match=r"lacks \(bits 3, 63\): open it with the version that wrote it"):
        region_of(content, BOOT, mode)
    assert any("needs features" in fault for fault in judge(content, BOOT).faults)


def test_it_leads_to_no_older_state(image):
    """Whatever the fields mean by then: the older slot is whole, and is not shown."""
    forger = Forger(image, BOOT)
    # The copy that closing made is older now.
    newest, other = forger.slots
    older = Slot(*FIELDS.unpack_from(image, PAGE * other))
    forger.slots = [other]
    forger.set_slot(transaction=older.transaction - 1)
    forger.signed()
    forger.slots = [newest]
    forger.set_slot(to_read=1, root=12345, height=500, catalog=1, catalog_height=9, newest=3, oldest=9)
    content = forger.signed()
    with pytest.raises(VersionError, match=r"lacks \(bit 0\)"):
        region_of(content, BOOT, "r")
    forger.set_slot(to_read=0)
    with region_of(forger.signed(), BOOT, "r") as region:
        assert region.transaction_number == older.transaction - 1


def test_it_counts_only_if_its_slot_does(image):
    """A commit of a later version that was not synced before a power cut: the state before is shown."""
    forger = Forger(image, BOOT)
    newest, other = forger.slots
    forger.slots = [newest]
    forger.set_slot(transaction=forger.slot.transaction + 1, to_read=1, flags=0, boot=BOOT)
    content = forger.signed()
    with pytest.raises(VersionError):
        region_of(content, BOOT, "r")
    with region_of(content, NEXT_BOOT, "r") as region:
        assert contents(region)["main"] == judge(image, BOOT).lists["main"]
    assert judge(content, NEXT_BOOT).slot == other


def test_a_reader_stays_where_it_was_when_the_file_becomes_a_later_one(tmp_path):
    path = tmp_path / "r.smem"
    with MemoryBuffer(path, blobify="nat") as values:
        values.extend(range(1000))
    reader = MemoryBuffer(path, "r")
    with MemoryRegion(path) as region:
        region.buffer("main").append(1000)
    forger = Forger(path.read_bytes(), BOOT)
    forger.set_slot(to_read=1)
    # In place: it is the same file.
    with open(path, "r+b") as file:
        file.write(forger.signed())
    with pytest.raises(VersionError):
        reader.refresh()
    assert reader[:] == list(range(1000))
    reader.close()
    path.unlink()


def test_a_feature_needed_to_write_refuses_writing_only(image):
    content = forged(image, to_write=BIT_3)
    with region_of(content, BOOT, "r") as region:
        assert contents(region)["main"] == judge(image, BOOT).lists["main"]
        region.verify()
    for mode in ("a", "r+"):
        with pytest.raises(VersionError, match=r"lacks \(bit 3\): open it with mode='r'"):
            region_of(content, BOOT, mode)


def test_a_sealed_file_is_read_and_never_written(image, tmp_path):
    path = tmp_path / "sealed.smem"
    forger = Forger(image, BOOT)
    both = forger.slots
    for each in both:
        forger.slots = [each]
        forger.set_slot(flags=forger.slot.flags | SEALED)
    forger.slots = both
    path.write_bytes(forger.signed())
    before = path.read_bytes()
    with MemoryRegion(path, "r") as region:
        assert contents(region)["main"] == judge(image, BOOT).lists["main"]
        region.verify()
        with region.snapshot() as snapshot:
            assert snapshot.names() == region.names()
    for mode in ("a", "r+"):
        with pytest.raises(ReadOnlyError, match=r"sealed\.smem.* is sealed.*open it with mode='r'"):
            MemoryRegion(path, mode)
    with pytest.raises(ReadOnlyError, match=r"is sealed.*does not replace it: remove it first"):
        MemoryRegion(path, "w")
    with MemoryRegion(path, "r") as region, pytest.raises(ReadOnlyError):
        region.buffer("main").append(b"one more")
    assert path.read_bytes() == before
    assert not judge(before, BOOT).faults
    assert list(tmp_path.iterdir()) == [path]


# -- the let-go word -------------------------------------------------------------------------------------


def word(device):
    """Return the let-go word."""
    return int.from_bytes(device.bytes()[LET_GO : LET_GO + 8], "little")


def test_who_closes_cleanly_says_so(image):
    region = region_of(image, BOOT, recording=True)
    device = handle_of(region).region.device
    assert word(device) == region.transaction_number
    region.buffer("main").append(b"a change")
    assert word(device) == 0
    region.commit()
    region.buffer("main").append(b"another change")
    region.commit(sync=False)
    assert word(device) == 0
    region.close()
    with region_of(device.bytes(), BOOT, "r") as after:
        assert word(device) == after.transaction_number
    assert not judge(device.bytes(), BOOT).faults


def test_who_changes_nothing_leaves_the_word_alone(image):
    region = region_of(image, BOOT, recording=True)
    device = handle_of(region).region.device
    len(region.buffer("main"))
    region.close()
    assert device.bytes() == image


def test_nothing_is_said_of_an_unsynced_state():
    device = Recorder()
    region = region_on(device)
    region.buffer("main").append(1)
    region.commit(sync=False)
    handle_of(region).close(commit=False)
    assert word(device) == 0


def test_recovery_takes_the_word_back_before_it_syncs(image):
    region = region_of(image, BOOT, recording=True)
    device = handle_of(region).region.device
    begin = len(device.events)
    region.buffer("main").append(b"a change")
    events = device.events[begin:]
    sync = events.index(("sync",))
    [page] = [event[2] for event in events[:sync] if event[0] == "write" and event[1] == 2 * PAGE]
    assert page[LET_GO - 2 * PAGE :][:8] == bytes(8)
    region.close()


def test_a_word_that_is_wrong_is_found(image):
    for number in (1, judge(image, BOOT).transaction + 1):
        content = bytearray(image)
        content[LET_GO : LET_GO + 8] = number.to_bytes(8, "little")
        assert any("let-go word" in fault for fault in judge(bytes(content), BOOT).faults)
        with region_of(bytes(content), BOOT, "r") as region:
            assert contents(region)["main"] == judge(image, BOOT).lists["main"]
