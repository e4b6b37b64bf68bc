cimport cython

from stablemem._core.format.words cimport u64
from stablemem._core.tree.pager cimport Pager

@cython.final
cdef class Transaction:
    cdef readonly Pager pager
    cdef readonly dict indexes
    cdef public u64 number
    cdef public bint begun
    cdef public bint patched
    cdef public bint raw_written
    cdef public bint wrote_early
    cdef public bint catalog_changed
    cdef public long long changes
    cdef public long long commit_changes
    cdef public dict entries
    cdef public dict roots
    cdef public set dropped
    cdef public tuple written_before
