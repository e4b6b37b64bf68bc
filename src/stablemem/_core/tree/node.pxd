cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from stablemem._core.format.words cimport (
    INLINE_SIZE, INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM, dirty_t, get8, get16, get32, get64, low32, move, page_t, put16, put64, u32, u64, unmark,
)
from stablemem._core.tree.kinds cimport Node, NodeKind

cdef enum:
    _COUNTS = 16
    _CHILDREN = 1376
    _ENTRIES = 16

cdef enum:
    COUNTED = 78

cdef class CountedKind(NodeKind):
    @cython.locals(spot=int, first=u64)
    cdef list blobs(self, page_t page)
    @cython.locals(spot=int, first=u64, second=u64)
    cdef int place_blobs(self, dirty_t page, bytearray placed) except -1

@cython.locals(count=int)
cdef int count_of(page_t page) noexcept
cdef void set_count(dirty_t page, int count) noexcept
@cython.locals(count=int)
cdef u64 total_of(page_t page) noexcept

cdef u64 word0(page_t page, int spot) noexcept
cdef u64 word1(page_t page, int spot) noexcept
cdef void set_entry(dirty_t page, int spot, u64 first, u64 second) noexcept
@cython.locals(count=int, place=int)
cdef void open_entries(dirty_t page, int spot, int number) noexcept
@cython.locals(count=int, place=int, end=int)
cdef void close_entries(dirty_t page, int spot, int number) noexcept
cdef void clear(dirty_t page, int begin, int end) noexcept
cdef bytes entries_of(page_t page, int spot, int stop)
@cython.locals(place=int, source=page_t)
cdef object put_entries(Node node, int spot, bytes entries)
@cython.locals(count=int, begin=int, end=int)
cdef void move_entries(Node source, Node target, int spot) noexcept

@cython.locals(count=int, low=int, size=int, half=int)
cdef int spot_of(page_t page, u64 position) noexcept
cdef u64 before(page_t page, int spot) noexcept
cdef u64 child_of(page_t page, int spot) noexcept
cdef u64 check_of(page_t page, int spot) noexcept
cdef void set_child(dirty_t page, int spot, u64 address, u64 check) noexcept
@cython.locals(count=int, place=int)
cdef void add_count(dirty_t page, int spot, long long delta) noexcept
@cython.locals(count=int, below=u64, delta=cython.longlong)
cdef void split_child(dirty_t page, int spot, u64 values, u64 address, u64 more) noexcept
cdef void deal_children(dirty_t page, int spot, u64 values, u64 first, u64 second) noexcept
@cython.locals(count=int)
cdef void join_children(dirty_t page, int spot, u64 address) noexcept
@cython.locals(count=int, spot=int, seen=u64, total=u64)
cdef list children_of(page_t page)
@cython.locals(content=bytearray, page=dirty_t, total=u64, spot=int, address=u64, check=u64, values=u64)
cdef object put_children(Node node, list children)

@cython.locals(count=int, spot=int, seen=u64, total=u64)
cdef str fault_of(page_t page)
