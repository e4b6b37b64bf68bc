cimport cython

from stablemem._core.measure cimport measure
from stablemem._core.moving cimport Moving
from stablemem._core.node cimport word0
from stablemem._core.words cimport INLINE_SIZE, page_t, u64

cdef class ListCore(Moving):
    @cython.locals(blobs=list, place=Py_ssize_t, version=u64, found=bytes)
    cpdef long long _match(self, long long position, long long stop, int step, bytes blob, value, bint exact) except? -2
    @cython.locals(version=u64, blob=bytes, position=cython.longlong, length=cython.longlong)
    cdef object _pop(self, long long index)

@cython.final
cdef class BufferIterator:
    cdef ListCore _core
    cdef list _blobs
    cdef Py_ssize_t _place
    cdef long long _position
    cdef int _step
    cdef bint _raw
    cdef u64 _version
