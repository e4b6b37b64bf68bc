cimport cython

from stablemem._core.tree.measure cimport measure
from stablemem._core.calls.order cimport Moving
from stablemem._core.tree.node cimport word0, word1
from stablemem._core.calls.shortcuts cimport BYTES, MSGPACK
from stablemem._core.format.words cimport INLINE_SIZE, LEAF_CAPACITY, dirty_t, low32, page_t, u64

cdef str POP_EMPTY
cdef str POP_RANGE

cdef class BufferIterator

cdef class ListCore(Moving):
    @cython.locals(position=cython.longlong, length=cython.longlong)
    cdef object _insert(self, long long position, value)
    @cython.locals(walk=BufferIterator, found=bytes)
    cpdef long long _match(self, long long position, long long stop, int step, bytes blob, value, bint exact) except? -2
    cdef object _pop(self, long long index)
    @cython.locals(position=cython.longlong, changing=bint, leaf=dirty_t, slot=int, first=u64, second=u64)
    cdef object _pop_known(self, long long index)
    @cython.locals(version=u64, blob=bytes, position=cython.longlong)
    cdef object _pop_decoded(self, long long index, bint alone)

@cython.final
cdef class BufferIterator:
    cdef ListCore _core
    cdef list _blobs
    cdef Py_ssize_t _place
    cdef long long _position
    cdef int _step
    cdef bint _raw
    cdef u64 _version
    cdef Py_ssize_t _ahead

    @cython.locals(version=u64, left=Py_ssize_t, kept=Py_ssize_t)
    cdef object _renew(self, ListCore core)
