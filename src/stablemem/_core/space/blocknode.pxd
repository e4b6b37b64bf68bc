cimport cython

from stablemem._core.format.words cimport prefetch


cdef enum:
    CAP = 64
    DEPTH = 24

ctypedef void *kid_t
ctypedef void **kids_t


@cython.final
cdef class BlockNode:
    cdef Py_ssize_t count
    cdef bint leaf
    cdef void **kids
    cdef unsigned long long keys[CAP]
    cdef unsigned long long values[CAP]

    @cython.locals(spot=Py_ssize_t)
    cdef int release(self) except -1

    @cython.locals(base=Py_ssize_t, width=Py_ssize_t, half=Py_ssize_t)
    cdef Py_ssize_t seek(self, unsigned long long key) noexcept

    @cython.locals(base=Py_ssize_t, width=Py_ssize_t, half=Py_ssize_t, there=cython.ulonglong)
    cdef Py_ssize_t seek_pair(self, unsigned long long key, unsigned long long value) noexcept

    @cython.locals(spot=Py_ssize_t)
    cdef Py_ssize_t first_fit(self, unsigned long long size) noexcept

    @cython.locals(
        spot=Py_ssize_t, first=cython.ulonglong, second=cython.ulonglong, third=cython.ulonglong,
        fourth=cython.ulonglong,
    )
    cdef unsigned long long top(self) noexcept

    @cython.locals(rest=Py_ssize_t)
    cdef int put(
        self, Py_ssize_t spot, unsigned long long key, unsigned long long value, BlockNode kid
    ) except -1

    @cython.locals(rest=Py_ssize_t, kid=BlockNode)
    cdef int cut(self, Py_ssize_t spot) except -1

    @cython.locals(moved=Py_ssize_t)
    cdef int move_tail(self, Py_ssize_t start, BlockNode right) except -1

    @cython.locals(rest=Py_ssize_t)
    cdef int move_head(self, Py_ssize_t moved, BlockNode left) except -1

    cdef list faults(self, Py_ssize_t level, Py_ssize_t least)


cdef inline BlockNode kid_of(BlockNode node, Py_ssize_t spot):
    return <BlockNode>node.kids[spot]


cdef inline void fetch(BlockNode node) noexcept:
    prefetch(&node.count, CAP * 16 + 24)
    if not node.leaf:
        prefetch(node.kids, CAP * 8)
