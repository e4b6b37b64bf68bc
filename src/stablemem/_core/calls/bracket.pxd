from stablemem._core.txn.handle cimport Handle
from stablemem._core.txn.latch cimport Latch
from stablemem._core.tree.pager cimport Pager

cdef class Calls:
    cdef readonly Handle _store
    cdef Pager _pager
    cdef Latch _latch
    cdef str _closed

    cdef int _enter(self) except -1
    cdef int _begin_change(self) except -1
    cdef int _enter_change(self) except -1
    cdef int _begin(self) except -1
    cdef object _begin_transaction(self)
    cdef int _end_change(self) except -1
    cdef int _relieve(self) except -1
    cdef object _fail(self, error)
