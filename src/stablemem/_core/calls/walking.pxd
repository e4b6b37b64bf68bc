cimport cython

from stablemem._core.calls.values cimport Values
from stablemem._core.tree.measure cimport measure
from stablemem._core.tree.node cimport word0
from stablemem._core.format.words cimport INLINE_SIZE, LEAF_CAPACITY, page_t, u64

@cython.final
cdef class BufferIterator:
    cdef Values _core
    cdef list _blobs
    cdef Py_ssize_t _place
    cdef long long _position
    cdef int _step
    cdef bint _raw
    cdef u64 _version
    cdef Py_ssize_t _ahead

    @cython.locals(version=u64, left=Py_ssize_t, kept=Py_ssize_t)
    cdef object _renew(self, Values core)

@cython.locals(walk=BufferIterator, found=bytes)
cpdef long long match(
    Values core, long long position, long long stop, int step, bytes blob, value, bint exact
) except? -2
@cython.locals(version=u64, blob=bytes, position=cython.longlong, leaf=page_t, first=u64)
cpdef object view(Values core, index)
cpdef tuple sizes(Values core)
cpdef bytes _placed_entries(Values core, long long low, long long high)
