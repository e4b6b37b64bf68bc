"""Blobify: how values become blobs and blobs values, built in or one's own.

``Msgpack`` (the default) takes plain data, ``Bytes`` bytes and ``Text`` text; ``Blobify`` is the protocol
for one's own.
"""

from stablemem.blobify.msgpack import Msgpack
from stablemem.blobify.plain import Bytes, Text
from stablemem.blobify.protocol import Blobify
from stablemem.blobify.registry import describe, resolve

__all__ = ["Blobify", "Bytes", "Msgpack", "Text", "describe", "resolve"]
