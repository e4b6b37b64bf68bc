from stablemem._core.calls cimport Calls

cdef class Heap(Calls):
    cdef object _begin_change_of(self, unsigned long long address, unsigned long long size)
    cdef object _free(self, unsigned long long address, unsigned long long size)
