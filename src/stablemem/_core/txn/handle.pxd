cimport cython

from stablemem._core.tree.pager cimport Pager
from stablemem._core.txn.latch cimport Latch
from stablemem._core.txn.transaction cimport Transaction

@cython.final
cdef class Handle:
    cdef object __weakref__
    cdef readonly Latch latch
    cdef readonly Pager pager
    cdef public Transaction tx
    cdef public object header
    cdef public object state
    cdef public object writer
    cdef public object patches
    cdef readonly dict indexes
    cdef public set absent
    cdef readonly list blocks
    cdef readonly object policy
    cdef readonly object room
    cdef readonly bint best_fit
    cdef public object background_error
    cdef readonly object commit_alarm
    cdef readonly object sync_alarm
    cdef readonly bytes boot
    cdef readonly bint writable
    cdef readonly bint forked
    cdef readonly tuple wrote
    cdef public object packed
    cdef bint _must_undo
    cdef object _pid
