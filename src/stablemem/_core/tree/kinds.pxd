cimport cython

from stablemem._core.format.words cimport dirty_t, get8, get64, page_t, put8, u64, unmark

@cython.final
cdef class Node:
    cdef readonly u64 reference
    cdef readonly bytearray bytes
    cdef dirty_t page
    cdef public bint pending
    cdef long long mark

cdef class NodeKind:
    cdef readonly int mark

    cdef str fault(self, page_t page)
    cdef int count(self, page_t page) noexcept
    cdef u64 total(self, page_t page) noexcept
    cdef int capacity(self, int level) noexcept
    cdef int minimum(self, int level) noexcept
    cdef int spot_of(self, page_t page, u64 position) noexcept
    cdef u64 before(self, page_t page, int spot) noexcept
    cdef u64 child(self, page_t page, int spot) noexcept
    cdef u64 check(self, page_t page, int spot) noexcept
    cdef int set_child(self, dirty_t page, int spot, u64 address, u64 check) except -1
    cdef list children(self, page_t page)
    cdef int put_children(self, Node node, list children) except -1
    cdef tuple entry_of(self, Node node)
    cdef int add_count(self, dirty_t page, int spot, long long delta) except -1
    cdef int split_child(self, dirty_t page, int spot, tuple left, tuple right) except -1
    cdef list blobs(self, page_t page)
    cdef int set_blob(self, dirty_t page, int spot, u64 address) except -1
    @cython.locals(spot=int, first=u64)
    cdef int place_blobs(self, dirty_t page, bytearray placed) except -1

cdef list _KINDS

cdef NodeKind kind_of(page_t page)
cdef int level_of(page_t page) noexcept
cdef void start(dirty_t page, int level, int mark) noexcept
