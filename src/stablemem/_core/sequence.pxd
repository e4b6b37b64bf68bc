cimport cython
from libc.string cimport memcpy

from stablemem._core.calls cimport Calls
from stablemem._core.index cimport Index
from stablemem._core.node cimport word0, word1
from stablemem._core.words cimport INLINE_SIZE, crc32c_at, dirty_t, page_t, put64, u64

cdef enum:
    _CHUNK = 4096
    _CHUNK_SIZE = 1048576

cdef class ListCore(Calls):
    cdef readonly str _name
    cdef readonly object _blobify
    cdef bint _plain
    cdef Index _index

    cdef object _decode(self, bytes blob, long long position)
    cdef bytes _encode(self, object value, long long position)
    cdef bytes _as_bytes(self, blob)
    cdef long long _position(self, item) except? -1
    @cython.locals(leaf=page_t, slot=int)
    cdef bytes _blob(self, u64 position)
    @cython.locals(position=cython.longlong, length=cython.longlong)
    cdef tuple _read(self, item, str message)
    cdef list _read_slice(self, item)
    @cython.locals(leaf=page_t, slot=int, last=int, room=cython.longlong, length=cython.longlong, blob=bytes, found=list)
    cdef list read_ahead(self, long long position, int step)
    cdef u64 version(self) except? 0
    cdef long long _begin_change_at(self, long long position) except -1
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word0(self, bytes blob) except? 0
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word1(self, bytes blob) except? 0
    cdef object _set_slice(self, item, values)
    @cython.locals(entries=bytearray, place=Py_ssize_t, blob=bytes)
    cdef bytes _entries(self, list blobs)
    cdef object _delete_slice(self, item)
    @cython.locals(blob=bytes, blobs=list, number=Py_ssize_t, size=Py_ssize_t)
    cdef object _append_all(self, values)
    cdef object _append_blobs(self, list blobs)

@cython.final
cdef class BufferIterator:
    cdef ListCore _core
    cdef list _blobs
    cdef Py_ssize_t _place
    cdef long long _position
    cdef int _step
    cdef u64 _version
