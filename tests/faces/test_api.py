"""What the package exports; a change here is a change for users."""

import inspect

import stablemem
from stablemem import MemoryBuffer, MemoryRegion, blobify, options

NAMES = [
    "COMPILED",
    "BlobifyError",
    "BlockError",
    "Census",
    "CorruptRegionError",
    "Inspection",
    "ListEntry",
    "MemoryBuffer",
    "MemoryRegion",
    "NotARegionError",
    "ReadOnlyError",
    "RegionClosedError",
    "RegionFullError",
    "RegionLockedError",
    "RegionReplacedError",
    "Report",
    "Sizes",
    "StableMemoryError",
    "Stats",
    "UncommittedChangesWarning",
    "VersionError",
    "blobify",
]

BUFFER = [
    "append",
    "appendleft",
    "blob_view",
    "blobify",
    "blobs",
    "clear",
    "close",
    "closed",
    "commit",
    "compact",
    "copy",
    "count",
    "edit",
    "extend",
    "extendleft",
    "filled",
    "from_iterable",
    "get",
    "get_many",
    "index",
    "insert",
    "items",
    "maxlen",
    "mode",
    "name",
    "path",
    "pointers",
    "pop",
    "popleft",
    "refresh",
    "region",
    "remove",
    "reverse",
    "rindex",
    "rollback",
    "rotate",
    "shuffle",
    "sizes",
    "snapshot",
    "sort",
    "stats",
    "swap",
    "swap_remove",
    "tabulate",
    "to_list",
    "transaction",
    "verify",
]

REGION = [
    "add_as",
    "add_blob",
    "allocate",
    "allocated_blocks",
    "allocated_bytes",
    "buffer",
    "capacity",
    "clear",
    "close",
    "closed",
    "commit",
    "compact",
    "deallocate",
    "deallocate_range",
    "drop",
    "free_blocks",
    "free_bytes",
    "grow",
    "inspect",
    "is_allocated",
    "is_free",
    "load",
    "load_as",
    "mode",
    "names",
    "pages",
    "path",
    "refresh",
    "remove_as",
    "remove_blob",
    "replace_blob",
    "resize",
    "rollback",
    "roots",
    "size",
    "snapshot",
    "stats",
    "store",
    "store_as",
    "transaction",
    "transaction_number",
    "verify",
    "view",
]


def public(kind):
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def test_package():
    assert sorted(stablemem.__all__) == sorted(NAMES)
    for name in NAMES:
        assert hasattr(stablemem, name)
    assert stablemem.__version__.count(".") == 2


def test_memory_buffer():
    assert public(MemoryBuffer) == BUFFER
    parameters = inspect.signature(MemoryBuffer).parameters
    region = list(inspect.signature(MemoryRegion).parameters)[2:]
    assert list(parameters) == ["source", "mode", "blobify", "name", "maxlen", *region]
    keywords = [each.name for each in parameters.values() if each.kind is each.KEYWORD_ONLY]
    assert keywords == list(parameters)[2:]
    assert [parameters[name].default for name in ("mode", "name", "sync", "timeout")] == [
        "a",
        "main",
        True,
        0.0,
    ]


def test_memory_region():
    assert public(MemoryRegion) == REGION
    assert list(inspect.signature(MemoryRegion).parameters) == [
        "source",
        "mode",
        "fit",
        "autocommit",
        "commit_every",
        "sync",
        "checksums",
        "io",
        "timeout",
        "max_size",
        "on_low_space",
        "low_space",
    ]


def test_options_are_declared_with_their_defaults():
    assert set(options.DEFAULTS) == set(options.RegionOptions.__annotations__)
    assert set(options.BUFFER_DEFAULTS) == set(options.BufferOptions.__annotations__)
    for kind in (MemoryBuffer, MemoryRegion):
        for name in inspect.signature(kind).parameters:
            assert f"{name}" in inspect.getdoc(kind), f"{kind.__name__} does not say what {name} means"


def test_blobify():
    assert {"Blobify", "Bytes", "Text", "Msgpack"} <= set(blobify.__all__)


def test_everything_public_is_documented():
    for kind in (MemoryBuffer, MemoryRegion, stablemem.Inspection, stablemem.Stats):
        for name in public(kind):
            member = inspect.getattr_static(kind, name)
            if callable(member) or isinstance(member, property | classmethod):
                assert inspect.getdoc(getattr(kind, name)), f"{kind.__name__}.{name}"
