cimport cython

from stablemem._core.calls cimport Calls

cdef class Heap(Calls):
    pass
