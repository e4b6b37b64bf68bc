cimport cython

from stablemem._core.space.freetree cimport FreeTree
from stablemem._core.format.words cimport REGION_PAGE, u64

@cython.final
cdef class Layer:
    cdef readonly Py_ssize_t number
    cdef readonly FreeTree pages
    cdef readonly FreeTree blocks
    cdef public FreeTree freed

    cdef bint owns_part(self, u64 address, u64 size) except -1
    @cython.locals(begin=u64, part=u64)
    cdef object add(self, u64 address, u64 size)
    cdef object remove(self, u64 address, u64 size)

@cython.final
cdef class Limbo:
    cdef readonly u64 transaction
    cdef readonly u64 since
    cdef readonly FreeTree blocks

@cython.locals(start=u64, stop=u64, length=u64, address=u64, size=u64, low=u64, high=u64)
cpdef list common(FreeTree one, FreeTree other)
@cython.locals(address=u64, size=u64)
cpdef list without(u64 start, u64 stop, list holes)
