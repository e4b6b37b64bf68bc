cimport cython

from stablemem._core.txn.handle cimport Handle
from stablemem._core.txn.latch cimport Latch
from stablemem._core.txn.transaction cimport Transaction
from stablemem._core.tree.pager cimport Pager

cdef class Calls:
    cdef readonly Handle _store
    cdef Pager _pager
    cdef Latch _latch
    cdef bint _open
    cdef str _closed

    cdef int _enter(self) except -1
    cdef int _begin_change(self) except -1
    cdef int _enter_change(self) except -1
    cdef object _leave_closed(self)
    cdef object _refuse(self)
    cpdef object _require_open(self)
    cdef int _begin(self) except -1
    cdef object _begin_transaction(self)
    cdef int _end_change(self) except -1
    cpdef object _relieve(self)
    cdef object _fail(self, error)

@cython.locals(changing=bint)
cpdef object edit(Calls calls, change, tuple given=*, check=*, bint counted=*)
@cython.locals(tx=Transaction, before=cython.longlong)
cpdef object edit_in_pieces(Calls calls, pieces, change)
