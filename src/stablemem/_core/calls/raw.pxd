cimport cython

from stablemem._core.calls.bracket cimport Calls

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
    cdef object _require_room(self, u64 size)
    cdef object _no_room(self, object size)
    cdef object _refuse(self, str fault)
    @cython.locals(address=u64)
    cdef u64 _allocate(self, u64 wanted) except 0
    @cython.locals(fault=str)
    cdef object _deallocate(self, u64 address, u64 size)
    cdef object _begin_change_of(self, unsigned long long address, unsigned long long size)
    cdef object _free(self, unsigned long long address, unsigned long long size)
