"""Blobify: turns values into blobs and blobs into values; some are built in, and you can write your own.

``Msgpack`` (the default) takes plain data, ``Bytes`` bytes, ``Text`` text, ``Nat`` and ``Int`` integers.
``Blobify`` is the protocol for your own, and ``BlobStore`` that of the store which it may have.
"""

from stablemem.blobify.integers import Int, Nat
from stablemem.blobify.msgpack import Msgpack
from stablemem.blobify.plain import Bytes, Text
from stablemem.blobify.protocol import Blobify, BlobStore

__all__ = ["BlobStore", "Blobify", "Bytes", "Int", "Msgpack", "Nat", "Text"]
