cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.string cimport memcpy

from stablemem._core.calls.bracket cimport Calls
from stablemem._core.calls.codec cimport Codec
from stablemem._core.tree.index cimport Index
from stablemem._core.tree.node cimport word0, word1
from stablemem._core.format.words cimport INLINE_SIZE, LEAF_CAPACITY, crc32c_at, page_t, put64, u64

cdef class Values(Calls):
    cdef readonly str _name
    cdef readonly Codec _codec
    cdef public long long _most
    cdef Index _index

    cdef long long _position(self, item) except? -2147483647
    cdef long long _small(self, item) except? -2147483647
    @cython.locals(length=cython.longlong)
    cdef long long _at(self, long long position, str message) except -1
    cpdef tuple _range(self, start, stop)

    @cython.locals(leaf=page_t, spot=int)
    cdef bytes _blob(self, u64 position)
    cdef tuple _read(self, long long position, str message)
    cdef bytes _entries_between(self, long long low, long long high)
    @cython.locals(leaf=page_t, spot=int, last=int, room=cython.longlong, length=cython.longlong, blob=bytes, found=list)
    cdef list _read_ahead(self, long long position, int step, long long most)
    cpdef object _require_writable(self)
    cdef u64 _version(self) except? 0
    @cython.locals(theirs=Values)
    cpdef bint _shares_blobs_with(self, other) except -1

    @cython.locals(size=Py_ssize_t)
    cdef u64 _word0(self, bytes blob) except? 0
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word1(self, bytes blob) except? 0
    @cython.locals(entries=bytearray, place=Py_ssize_t, blob=bytes)
    cdef bytes _entries(self, list blobs)
    cdef object _write_out_if_full(self)
    cdef long long _excess(self, long long number) noexcept
    @cython.locals(more=cython.longlong)
    cdef object _trim(self, bint left)

cpdef slice resolved(slice item)
cdef object _bound(value)
cpdef object ordinal(value)
cpdef object small(value)
