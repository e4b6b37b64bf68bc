cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.string cimport memcpy

from stablemem._core.calls.bracket cimport Calls
from stablemem._core.tree.index cimport Index
from stablemem._core.tree.node cimport word0, word1
from stablemem._core.calls.shortcuts cimport BYTES, blob_of, form_of, value_of, value_of_blob
from stablemem._core.format.words cimport INLINE_SIZE, LEAF_CAPACITY, crc32c_at, low32, page_t, put64, u64

cdef class Values(Calls):
    cdef readonly str _name
    cdef readonly object _blobify
    cdef int _form
    cdef public long long _most
    cdef Index _index

    cdef object _decode(self, bytes blob, long long position)
    cpdef object _decoded(self, bytes blob, long long position)
    cdef object _failure(self, error, str method, long long position)
    cdef object _known(self, bytes blob)
    cdef object _inline(self, u64 first, u64 second)
    cdef bytes _encode(self, object value, long long position)
    cpdef bytes _sought(self, value)
    cdef bytes _as_bytes(self, blob)
    cdef long long _position(self, item) except? -2147483647
    cdef long long _small(self, item) except? -2147483647
    @cython.locals(leaf=page_t, slot=int)
    cdef bytes _blob(self, u64 position)
    cpdef tuple _range(self, start, stop)
    cdef tuple _read(self, item, str message)
    @cython.locals(length=cython.longlong)
    cdef tuple _read_at(self, long long position, str message)
    @cython.locals(length=cython.longlong, leaf=page_t, slot=int, first=u64, second=u64)
    cdef object _value(self, long long position)
    @cython.locals(length=cython.longlong)
    cdef long long _begin_change_at(self, long long position, str message) except -1
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word0(self, bytes blob) except? 0
    @cython.locals(size=Py_ssize_t)
    cdef u64 _word1(self, bytes blob) except? 0
    @cython.locals(entries=bytearray, place=Py_ssize_t, blob=bytes)
    cdef bytes _entries(self, list blobs)
    @cython.locals(leaf=page_t, slot=int, last=int, room=cython.longlong, length=cython.longlong, blob=bytes, found=list)
    cdef list read_ahead(self, long long position, int step, long long most)
    cpdef object _require_writable(self)
    cdef u64 version(self) except? 0

cdef str shown_kind(blobify)
cpdef slice resolved(slice item)
cdef object _bound(value)
cpdef object ordinal(value)
cpdef object small(value)
