import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import math
import pickle
import struct
import sys
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablemem.blobify import Msgpack
from stablemem.blobify.msgpack import MAX_DEPTH
from stablemem.blobify.registry import describe
from stablemem.errors import BlobifyError

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
KEYS = st.recursive(LEAVES, lambda part: st.lists(part, max_size=3).map(tuple), max_leaves=4)
VALUES = st.recursive(
    LEAVES,
    lambda part: (
        st.lists(part) | st.lists(part, max_size=3).map(tuple) | st.dictionaries(KEYS, part, max_size=4)
    ),
    max_leaves=20,
)


def spelled(value, *, in_key=False):
    """What must survive: types, order, signs of zero, NaN; a tuple is a list except in a key."""
    if type(value) is float:
        return float, struct.pack("<d", value)
    if type(value) is tuple:
        return tuple if in_key else list, [spelled(item, in_key=in_key) for item in value]
    if type(value) is list:
        return list, [spelled(item) for item in value]
    if type(value) is dict:
        return dict, [(spelled(key, in_key=True), spelled(item)) for key, item in value.items()]
    return type(value), value


def round_trip(value):
    blob = Msgpack().to_blob(value)
    assert type(blob) is bytes
    return Msgpack().from_blob(blob)


def nested(depth, value=1):
    for _ in range(depth):
        value = [value]
    return value


def refusal(value):
    with pytest.raises(BlobifyError) as caught:
        Msgpack().to_blob(value)
    assert caught.value.index is None
    assert str(caught.value).isascii()
    return str(caught.value)


class TestRoundTrip:
    @given(VALUES)
    def test_plain_data(self, value):
        assert spelled(round_trip(value)) == spelled(value)

    @pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 2**63, 2**64 - 1, -0.0, math.inf, True, 1, 1.0])
    def test_edges(self, value):
        assert spelled(round_trip(value)) == spelled(value)

    @pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000123])
    def test_every_nan_keeps_its_bits(self, bits):
        (value,) = struct.unpack("<d", bits.to_bytes(8, "little"))
        assert struct.pack("<d", round_trip([value])[0]) == bits.to_bytes(8, "little")

    def test_two_nan_keys_stay_two(self):
        assert len(round_trip({float("nan"): 1, float("nan"): 2})) == 2

    def test_a_tuple_comes_back_as_a_list(self):
        assert round_trip((1, (2, 3))) == [1, [2, 3]]

    def test_a_tuple_in_a_key_stays_a_tuple(self):
        assert round_trip({(1, (2, b"x")): (3,)}) == {(1, (2, b"x")): [3]}

    def test_the_deepest(self):
        value = nested(MAX_DEPTH)
        assert round_trip(value) == value

    def test_the_deepest_key(self):
        key = 1
        for _ in range(MAX_DEPTH - 1):
            key = (key,)
        assert round_trip({key: 1}) == {key: 1}

    def test_the_blob_is_messagepack(self):
        assert Msgpack().to_blob({"a": [1, b"b"]}) == b"\x81\xa1a\x92\x01\xc4\x01b"

    def test_a_shared_part_is_no_loop(self):
        part = [1]
        assert round_trip([part, part]) == [[1], [1]]


class Whole(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Plain(enum.Enum):
    A = "a"


class Record(msgspec.Struct):
    a: int = 1


@dataclasses.dataclass
class Data:
    a: int = 1


Pair = collections.namedtuple("Pair", "a b")
HASHABLE = {
    "IntEnum": Whole.ONE,
    "StrEnum": Word.A,
    "Enum": Plain.A,
    "namedtuple": Pair(1, 2),
    "frozenset": frozenset([1]),
    "Decimal": decimal.Decimal("1.10"),
    "date": datetime.date(2024, 2, 29),
    "datetime": datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
    "time": datetime.time(12),
    "timedelta": datetime.timedelta(1),
    "UUID": uuid.UUID(int=5),
    "memoryview": memoryview(b"abc"),
    "str subclass": type("Name", (str,), {})("a"),
    "int subclass": type("Count", (int,), {})(1),
    "float subclass": type("Ratio", (float,), {})(1.5),
    "bytes subclass": type("Key", (bytes,), {})(b"a"),
    "complex": 1j,
    "Ellipsis": ...,
    "object": object(),
    "type": int,
    "function": len,
    "range": range(3),
    "UNSET": msgspec.UNSET,
}
REFUSED = HASHABLE | {
    "set": {1},
    "Raw": msgspec.Raw(b"\xc0"),
    "Ext": msgspec.msgpack.Ext(1, b"a"),
    "bytearray": bytearray(b"abc"),
    "list subclass": type("Row", (list,), {})([1]),
    "dict subclass": type("Map", (dict,), {})(a=1),
    "defaultdict": collections.defaultdict(int, a=1),
    "OrderedDict": collections.OrderedDict(a=1),
    "Counter": collections.Counter("a"),
    "deque": collections.deque([1]),
    "dataclass": Data(),
    "Struct": Record(),
    "generator": (i for i in ()),
    "dict view": {}.keys(),
}


class TestRefusals:
    @pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
    @pytest.mark.parametrize(
        ("wrap", "where"),
        [
            (lambda value: value, "value"),
            (lambda value: [1, value], "value[1]"),
            (lambda value: (value,), "value[0]"),
            (lambda value: {"a": {"b": [0, value]}}, "value['a']['b'][1]"),
        ],
        ids=["itself", "in a list", "in a tuple", "in a dict"],
    )
    def test_a_type_that_would_change(self, value, wrap, where):
        message = refusal(wrap(value))
        assert f"{type(value).__qualname__} at {where} as it is" in message
        assert (
            "make the list with blobify= an object of your own whose to_blob and from_blob keep it" in message
        )

    @pytest.mark.parametrize("key", HASHABLE.values(), ids=HASHABLE)
    @pytest.mark.parametrize("wrap", [lambda key: key, lambda key: (1, (key,))], ids=["itself", "in a tuple"])
    def test_a_key_that_would_change(self, key, wrap):
        message = refusal({wrap(key): 1})
        assert f"{type(key).__qualname__} at value (key " in message

    def test_numpy_scalars_and_arrays(self):
        numpy = pytest.importorskip("numpy")
        for value in (numpy.float64(1), numpy.int64(1), numpy.bool_(True), numpy.str_("a"), numpy.zeros(2)):
            assert f"numpy.{type(value).__name__} at value[0]" in refusal([value])

    def test_the_module_is_named(self):
        assert "cannot keep the decimal.Decimal at value as it is" in refusal(decimal.Decimal(1))

    def test_the_first_offender_is_named(self):
        assert "the set at value[1][0] " in refusal([1, [{1}], 1j])

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**5000], ids=["above", "below", "huge"])
    def test_an_int_out_of_range(self, value):
        assert "the int at value: it must lie in -2**63 to 2**64-1" in refusal(value)
        assert "the int at value['n'][0]: " in refusal({"n": [value]})
        key = "<int of 16610 bits>" if value > 2**64 else value
        assert f"the int at value (key {key}): " in refusal({value: 1})

    def test_a_surrogate(self):
        assert "the str at value: it has a lone surrogate at position 1" in refusal("a\ud800")
        assert r"the str at value (key '\udfff'): " in refusal({"\udfff": 1})

    @pytest.mark.parametrize("depth", [MAX_DEPTH + 1, sys.getrecursionlimit() - 150, 100_000])
    def test_too_deep(self, depth):
        assert f"nested deeper than {MAX_DEPTH} levels" in refusal(nested(depth))

    def test_a_set_too_deep(self):
        assert f"nested deeper than {MAX_DEPTH} levels" in refusal(nested(MAX_DEPTH + 1, {1}))

    def test_a_value_that_contains_itself(self):
        row: list = []
        row += [row, row]
        table: dict = {}
        table["a"] = table
        for value in (row, table):
            assert "or one that contains itself" in refusal(value)

    def test_a_long_key_is_cut(self):
        assert "..." in refusal({"k" * 1000: {1}})
        assert len(refusal({"k" * 1000: {1}})) < 300


class TestDamage:
    @given(st.binary())
    def test_any_bytes_give_plain_data_or_an_error(self, blob):
        try:
            value = Msgpack().from_blob(blob)
        except BlobifyError:
            return
        assert spelled(round_trip(value)) == spelled(value)

    @given(VALUES, st.data())
    def test_a_blob_cut_short_is_refused(self, value, data):
        blob = Msgpack().to_blob(value)
        cut = data.draw(st.integers(0, len(blob) - 1))
        with pytest.raises(BlobifyError):
            Msgpack().from_blob(blob[:cut])

    @pytest.mark.parametrize(
        ("blob", "said"),
        [
            (b"", "truncated"),
            (b"\xc1", "invalid opcode"),
            (b"\x01\x01", "trailing"),
            (b"\xa1\xff", "utf-8"),
            (b"\xdd\xff\xff\xff\xff", "truncated"),
            (b"\xdf\xff\xff\xff\xff\x01", "truncated"),
            (b"\xc6\xff\xff\xff\xff", "truncated"),
            (b"\x81\x80\x01", "hashable"),
            (b"\x81\x91\x80\x01", "hashable"),
        ],
    )
    def test_not_messagepack(self, blob, said):
        with pytest.raises(BlobifyError) as caught:
            Msgpack().from_blob(blob)
        assert str(caught.value).startswith("the blob is not what Msgpack writes (")
        assert said in str(caught.value)
        assert "`stablemem get --raw` shows its bytes" in str(caught.value)
        assert caught.value.index is None

    @pytest.mark.parametrize("unit", [b"\x91", b"\x81\x01", b"\x81", b"\x81\x91"])
    @pytest.mark.parametrize("tail", [b"", b"\x01", b"\xff"])
    def test_hostile_depth(self, unit, tail):
        with pytest.raises(BlobifyError, match=r"nested too deep to read|not what Msgpack writes"):
            Msgpack().from_blob(unit * 1_000_000 + tail)

    def test_depth_that_decodes_but_leaves_no_room_to_look(self):
        seen = set()
        for depth in range(MAX_DEPTH, sys.getrecursionlimit() + 50, 25):
            try:
                Msgpack().from_blob(b"\x91" * depth + b"\xff")
            except BlobifyError as error:
                assert "is nested too deep to read" in str(error)  # noqa: PT017
                seen.add("refused")
            else:
                seen.add("read")
        assert "read" in seen

    @pytest.mark.parametrize("wrap", [b"%b", b"\x91%b", b"\x81\x01%b", b"\x81%b\x01", b"\x81\x91%b\x01"])
    @pytest.mark.parametrize(
        "timestamp",
        [
            b"\xd6\xff" + bytes(4),
            b"\xd7\xff" + bytes(8),
            b"\xc7\x0c\xff" + bytes(12),
            b"\xc8\0\x0c\xff" + bytes(12),
        ],
    )
    def test_a_timestamp_is_refused(self, wrap, timestamp):
        with pytest.raises(BlobifyError, match="extension type -1, which Msgpack never writes"):
            Msgpack().from_blob(wrap % timestamp)

    @pytest.mark.parametrize("blob", [b"\xd4\x05a", b"\x91\xc7\x01\x05a", b"\x81\xa1a\xd4\x05a"])
    def test_an_extension_is_refused(self, blob):
        with pytest.raises(BlobifyError, match="extension type 5, which Msgpack never writes"):
            Msgpack().from_blob(blob)

    def test_the_type_byte_of_a_timestamp_elsewhere(self):
        value = {"a": [-1, 255, b"\xff\xd6\xff", {(-1,): 2**64 - 1}]}
        assert round_trip(value) == value


def test_name():
    assert describe(Msgpack()) == ("msgpack", b"")


def test_an_instance_can_be_pickled_and_copied():
    for other in (pickle.loads(pickle.dumps(Msgpack())), copy.deepcopy(Msgpack())):
        assert other.from_blob(other.to_blob([1])) == [1]
