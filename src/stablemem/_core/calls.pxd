from stablemem._core.latch cimport Latch
from stablemem._core.pager cimport Pager

cdef class Calls:
    cdef readonly object _store
    cdef Pager _pager
    cdef Latch _latch
    cdef str _closed

    cdef object _enter(self)
    cdef object _begin_change(self)
    cdef object _end_change(self)
    cdef object _relieve(self)
    cdef object _fail(self, error)
