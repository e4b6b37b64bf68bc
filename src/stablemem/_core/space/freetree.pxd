cimport cython
from libc.stdint cimport int64_t

from stablemem._core.format.words cimport u64
from stablemem._core.space.blocknode cimport CAP, BlockNode, fetch, kid_of
from stablemem._core.space.blocktree cimport BlockTree, node_at, step
from stablemem._core.space.sizetree cimport SizeTree


cdef u64 LIMIT
cdef u64 BEYOND


@cython.final
cdef class FreeTree(BlockTree):
    cdef readonly u64 total
    cdef readonly SizeTree sizes

    cpdef object clear(self)

    cpdef object keep_sizes(self)

    cpdef object insert(self, u64 address, u64 size)

    @cython.locals(
        node=BlockNode, stop=u64, fence=u64, after=u64, room=u64, merged=u64, front=u64, back=u64,
        spot=Py_ssize_t, joins=cython.bint,
    )
    cpdef int64_t merge(self, u64 address, u64 size) except -1

    @cython.locals(address=int64_t)
    cpdef int64_t allocate(self, u64 size) except -2

    cpdef int64_t find(self, u64 size) except -2

    @cython.locals(node=BlockNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cpdef int64_t lowest(self, u64 size) except -2

    cpdef object remove(self, u64 address, u64 size)

    @cython.locals(node=BlockNode, spot=Py_ssize_t, fence=u64, end=u64, after=u64)
    cpdef int take(self, u64 address, u64 size) except -2

    @cython.locals(node=BlockNode, spot=Py_ssize_t, fence=u64, end=u64, taken=u64)
    cpdef int64_t discard(self, u64 start, u64 stop) except -1

    @cython.locals(node=BlockNode)
    cpdef object expect(self, u64 address)

    @cython.locals(node=BlockNode, spot=Py_ssize_t)
    cpdef u64 start_of_end(self, u64 end) except? 0

    @cython.locals(node=BlockNode, spot=Py_ssize_t)
    cpdef bint covers(self, u64 address, u64 size) except? -1

    @cython.locals(node=BlockNode, spot=Py_ssize_t, fence=u64)
    cpdef bint overlaps(self, u64 address, u64 size) except? -1

    @cython.locals(node=BlockNode, spot=Py_ssize_t)
    cpdef tuple floor(self, u64 address)

    cpdef u64 largest(self) noexcept

    @cython.locals(node=BlockNode)
    cpdef tuple last(self)

    @cython.locals(node=BlockNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cpdef list blocks(self, u64 start=*, u64 stop=*, u64 most=*)

    @cython.locals(node=BlockNode, spot=Py_ssize_t, depth=Py_ssize_t, fence=u64)
    cdef u64 _descend(self, u64 address) except 0

    @cython.locals(node=BlockNode, parent=BlockNode, spot=Py_ssize_t, known=u64, top=u64, key=u64)
    cdef int _changed(self, Py_ssize_t depth, u64 old, u64 new) except -1

    @cython.locals(node=BlockNode, spot=Py_ssize_t)
    cdef int _add_entry(self, u64 key, u64 value, u64 fence) except -1

    @cython.locals(node=BlockNode)
    cdef int _drop_entry(self, Py_ssize_t spot, u64 old, u64 new) except -1

    @cython.locals(node=BlockNode, spot=Py_ssize_t, key=u64, room=u64)
    cdef int _take(self, u64 address, u64 size, u64 fence) except -1


cdef int _check_block(u64 address, u64 size) except -1
