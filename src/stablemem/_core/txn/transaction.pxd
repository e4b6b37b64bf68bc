cimport cython

@cython.final
cdef class Transaction:
    cdef public bint begun
    cdef public bint patched
    cdef public bint raw_written
    cdef public bint wrote_early
    cdef public bint catalog_changed
    cdef public long long changes
    cdef public long long commit_changes
    cdef public set dropped
    cdef public tuple written_before
