"""No message or repr is longer than a screen, on more than one line, or has in it what a terminal obeys."""

import contextlib
import os
import pickle

import pytest

from stablemem import MemoryBuffer, MemoryRegion
from stablemem.errors import BlobifyError, CorruptRegionError, RegionLockedError
from stablemem.shown import shown, shown_error, shown_names, shown_path, shown_text

SCREEN = 80 * 24

RED = "\x1b[31m"


def fits(text):
    """Return the text, which fits on a screen and is harmless there."""
    assert len(text) <= SCREEN, f"{len(text)} characters: {text[:200]}"
    assert text.isprintable(), text
    return text


class Loud:
    """Has a repr that is long, on many lines, and in colour."""

    def __repr__(self):
        return (RED + "loud\n") * 10_000


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("no str")


NESTED = [[[[["deep " * 9] * 6] * 6] * 6] * 6] * 6

STRANGE = {
    "text": "x" * 100_000,
    "bytes": b"x" * 100_000,
    "a long number": 10**100_000,
    "a long negative number": -(10**100_000),
    "a long number within": {"n": [10**100_000]},
    "nested": NESTED,
    "keys": {"k" * 1000 + str(number): number for number in range(100)},
    "loud": Loud(),
    "loud ones": [Loud()] * 100,
    "broken": Broken(),
    "broken within": [Broken()],
    "colours": RED * 1000,
    "surrogates": "\udcff" * 1000,
    "directions": "\u202e" * 1000,
}


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE)
def test_strange_values(value):
    for text in (shown(value), shown_error(ValueError(value)), shown_error(KeyError(value))):
        assert len(fits(text)) <= 240
    assert len(fits(shown(value, 40))) <= 40


def test_what_is_short_stays_as_it_is():
    for value in ("text", b"bytes", 5, -(2**64), 1.5, None, [1, "two"], {"a": (1, 2)}, "\u00fcber"):
        assert shown(value) == repr(value)
    assert shown_path("/a/b c/\u00fc.smem") == "/a/b c/\u00fc.smem"
    assert shown_path("") == "this region"
    assert shown_text("as it is") == "as it is"
    assert shown_error(BrokenError()) == "BrokenError"


def test_a_long_text_keeps_its_ends():
    assert shown("a" + "x" * 1000 + "z").startswith("'axx")
    assert shown("a" + "x" * 1000 + "z").endswith("xxz'")
    assert shown_path("/begin/" + "x" * 1000 + "/end.smem").startswith("/begin/")
    assert shown_path("/begin/" + "x" * 1000 + "/end.smem").endswith("/end.smem")
    assert shown_names("abcdefg").endswith("'f', ... 7 names]")


LONG = "x" * 65_535
NAMES = [LONG, "\u00e9" * 32_767, RED * 10_000, "\u202e" * 10_000, "\n" * 60_000]


def raised(call):
    """Return what a call raises, with its notes."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it is read
        call()
    return [str(caught.value), *getattr(caught.value, "__notes__", [])]


@pytest.mark.parametrize("name", NAMES, ids=["x", "accents", "colours", "directions", "lines"])
def test_names_of_lists_and_roots(path, name):
    with MemoryRegion(path) as region:
        for number in range(20):
            region.buffer(f"{number}{name}"[:32_000]).append(1)
            region.roots[f"{number}{name}"[:32_000]] = number
        first = region.names()[0]
        values = region.buffer(first)
        texts = [repr(region), repr(values), repr(region.roots), repr(region.stats()), repr(values.stats())]
        texts += raised(lambda: region.roots["missing" * 5000])
        texts += raised(lambda: region.roots.__delitem__(name))
        texts += raised(lambda: region.roots.__setitem__(name, NESTED))
        texts += raised(lambda: region.roots.__setitem__(name * 3, 1))
        texts += raised(lambda: region.drop("missing" * 5000))
        texts += raised(lambda: region.buffer(name * 3))
        texts += raised(lambda: region.buffer(first, "text"))
        region.commit()
        texts += [repr(region.verify())]
        region.drop(first)
        texts += raised(lambda: values.append(1))
        texts += raised(lambda: region.buffer(first))
    with MemoryRegion(path, "r") as region:
        texts += raised(lambda: region.buffer("missing" * 5000))
        texts += raised(lambda: region.buffer(f"{name}"[:30_000]))
        texts += [repr(region)]
    for text in texts:
        fits(text)


@pytest.mark.parametrize("name", NAMES, ids=["x", "accents", "colours", "directions", "lines"])
def test_names_of_blobifys(path, name):
    class Own:
        options = b""

        def to_blob(self, value):
            raise ValueError(value)

        def from_blob(self, blob):
            return blob

    def own(name, options=b""):
        made = Own()
        made.name, made.options = name, options
        return made

    MemoryBuffer(path, blobify=own(name, b"x" * 50_000)).close()
    texts = raised(lambda: MemoryBuffer(path))
    for other in ("text", own("other"), own(name[:100], b""), own(name, b"y" * 50_000)):
        texts += raised(lambda other=other: MemoryBuffer(path, blobify=other))
    texts += raised(lambda: MemoryBuffer(blobify=name))
    texts += raised(lambda: MemoryBuffer(blobify=own(name * 3)))
    texts += raised(lambda: MemoryBuffer(blobify=own(name, NESTED)))
    with MemoryBuffer(path, blobify=own(name, b"x" * 50_000)) as values:
        for value in STRANGE.values():
            texts += raised(lambda value=value: values.append(value))
            texts += raised(lambda value=value: values.index(value))
    for text in texts:
        fits(text)


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE)
def test_values_in_messages(value):
    texts = []
    with MemoryBuffer.from_iterable([1]) as values:
        for call in (values.append, values.index, values.remove, lambda value: values.extend([value])):
            with contextlib.suppress(BlobifyError, ValueError):
                call(value)
                texts += [repr(values)]
                continue
            texts += raised(lambda call=call: call(value))
    options = "mode", "name", "blobify", "timeout", "commit_every", "maxlen", "max_size", "fit", "other"
    for option in options:
        try:
            MemoryBuffer(**{option: value}).close()
        except (TypeError, ValueError, OverflowError, BlobifyError) as error:
            texts.append(str(error))
    for text in texts:
        fits(text)


def test_a_repr_of_strange_values():
    class Anything:
        name = "tests.Anything"

        def to_blob(self, value):
            return b"%d" % value

        def from_blob(self, blob):
            return list(STRANGE.values())[int(blob)]

    with MemoryBuffer.from_iterable(range(len(STRANGE)), blobify=Anything()) as values:
        fits(repr(values))
        values.reverse()
        fits(repr(values))


def test_where_in_a_value_something_is_refused():
    value = {1, 2}
    for number in range(150):
        value = {"a long key, of which there are many " + str(number): value}
    with MemoryBuffer() as values:
        for text in raised(lambda: values.append(value)):
            fits(text)


def test_long_paths(tmp_path):
    folder = str(tmp_path)
    while len(folder) < 3500:
        folder += "/" + "x" * 200
    os.makedirs(folder)
    path = f"{folder}/{RED}.smem"
    values = MemoryBuffer(path)
    texts = [repr(values), repr(values.region), repr(values.stats())]
    texts += [str(RegionLockedError(path, 5)), str(CorruptRegionError(5, NESTED, "x" * 9999, path))]
    texts += raised(lambda: MemoryBuffer(path))[:1]
    values.close()
    texts += raised(lambda: values.append(1))
    texts += raised(values.commit)
    with MemoryBuffer(path, "r") as reader:
        texts += raised(lambda: reader.append(1))
        texts += raised(lambda: MemoryBuffer(reader.region, name="missing"))
    with open(path, "wb") as file:
        file.write(b"no region" * 1000)
    texts += raised(lambda: MemoryBuffer(path))
    texts += raised(lambda: MemoryBuffer(path, "w"))
    os.unlink(path)
    for text in texts:
        fits(text)
    with pytest.raises(FileNotFoundError) as caught:
        MemoryBuffer(path, "r")
    assert caught.value.filename == path, "what a program may need is whole"
    with pytest.raises(OSError, match="File name too long") as caught:
        MemoryBuffer("x" * 1_000_000)
    fits(str(caught.value))
    pickle.loads(pickle.dumps(caught.value))
