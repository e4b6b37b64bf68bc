cimport cython

from stablemem._core.calls.bracket cimport Calls, edit

from stablemem._core.format.words cimport HEADER_SIZE, RAW_PAGE, REGION_PAGE, u64

cdef u64 LIMIT
cdef u64 BEYOND

@cython.locals(word=u64)
cdef u64 _word(object value) except? 0xFFFFFFFFFFFFFFFF
@cython.locals(size=u64)
cdef u64 _size(object value) except 0
@cython.locals(address=u64)
cdef u64 _address(object value) except? 0xFFFFFFFFFFFFFFFF

cdef class Heap(Calls):
    @cython.locals(address=u64, changing=bint)
    cdef u64 _allocate(self, u64 wanted) except 0
    @cython.locals(fault=str, changing=bint)
    cdef object _deallocate(self, u64 address, u64 size)
    cdef object _free(self, unsigned long long address, unsigned long long size)
