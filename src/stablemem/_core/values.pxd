cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.string cimport memcpy

from stablemem._core.calls cimport Calls
from stablemem._core.index cimport Index
from stablemem._core.node cimport word0, word1
from stablemem._core.words cimport INLINE_SIZE, crc32c_at, page_t, put64, u64

cdef class Values(Calls):
    cdef readonly str _name
    cdef readonly object _blobify
    cdef bint _plain
    cdef readonly long long _most
    cdef Index _index

    cdef object _decode(self, bytes blob, long long position)
    cdef bytes _encode(self, object value, long long position)
    cdef bytes _as_bytes(self, blob)
    cdef long long _position(self, item) except? -1
    @cython.locals(leaf=page_t, slot=int)
    cdef bytes _blob(self, u64 position)
    cpdef tuple _range(self, start, stop)
    @cython.locals(position=cython.longlong, length=cython.longlong)
    cdef tuple _read(self, item, str message)
    @cython.locals(length=cython.longlong)
    cdef object _value(self, long long position)
    cdef long long _begin_change_at(self, long long position) except -1
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word0(self, bytes blob) except? 0
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word1(self, bytes blob) except? 0
    @cython.locals(entries=bytearray, place=Py_ssize_t, blob=bytes)
    cdef bytes _entries(self, list blobs)
    @cython.locals(leaf=page_t, slot=int, last=int, room=cython.longlong, length=cython.longlong, blob=bytes, found=list)
    cdef list read_ahead(self, long long position, int step)
    cdef u64 version(self) except? 0

cpdef slice resolved(slice item)
cdef object _bound(value)
cpdef object ordinal(value)
cpdef object small(value)
