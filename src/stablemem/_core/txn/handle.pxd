from stablemem._core.tree.pager cimport Pager
from stablemem._core.txn.latch cimport Latch
from stablemem._core.txn.transaction cimport Transaction

cdef class Handle:
    cdef public Latch latch
    cdef public Pager pager
    cdef public Transaction tx
