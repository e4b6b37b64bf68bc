cimport cython
from libc.stdint cimport int64_t

from stablemem._core.space.freenode cimport CAP, DEPTH, FreeNode, kid_of, kid_t
from stablemem._core.space.sizetree cimport SizeTree
from stablemem._core.format.words cimport prefetch


cdef unsigned long long LIMIT
cdef unsigned long long BEYOND


@cython.final
cdef class FreeTree:
    cdef readonly unsigned long long total
    cdef readonly Py_ssize_t count
    cdef readonly SizeTree sizes
    cdef FreeNode root
    cdef Py_ssize_t height
    cdef void *path[DEPTH]
    cdef Py_ssize_t spots[DEPTH]

    @cython.locals(merged=int64_t)
    cdef int64_t insert_block(self, unsigned long long address, unsigned long long size) except -1

    @cython.locals(
        node=FreeNode, stop=cython.ulonglong, fence=cython.ulonglong, after=cython.ulonglong,
        room=cython.ulonglong, merged=cython.ulonglong, front=cython.ulonglong, back=cython.ulonglong, spot=Py_ssize_t,
        joins=cython.bint,
    )
    cdef int64_t merge_block(self, unsigned long long address, unsigned long long size) except -1

    @cython.locals(
        node=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t, address=int64_t, room=cython.ulonglong
    )
    cdef int64_t allocate_block(self, unsigned long long size) except -2

    cdef int64_t find_block(self, unsigned long long size) except -2

    @cython.locals(node=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cdef int64_t lowest_block(self, unsigned long long size) except -2

    @cython.locals(node=FreeNode, spot=Py_ssize_t, fence=cython.ulonglong)
    cdef int remove_block(self, unsigned long long address, unsigned long long size) except -1

    @cython.locals(
        node=FreeNode, spot=Py_ssize_t, fence=cython.ulonglong, end=cython.ulonglong, after=cython.ulonglong
    )
    cdef int take_block(self, unsigned long long address, unsigned long long size) except -2

    @cython.locals(node=FreeNode)
    cdef int expect(self, unsigned long long address) except -1

    @cython.locals(
        node=FreeNode, spot=Py_ssize_t, fence=cython.ulonglong, end=cython.ulonglong, taken=cython.ulonglong
    )
    cdef int64_t discard_range(self, unsigned long long start, unsigned long long stop) except -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t)
    cdef unsigned long long start_of(self, unsigned long long end) except? 0

    @cython.locals(node=FreeNode, spot=Py_ssize_t)
    cdef bint covers_block(self, unsigned long long address, unsigned long long size) except? -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t, fence=cython.ulonglong)
    cdef bint overlaps_block(self, unsigned long long address, unsigned long long size) except? -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t)
    cdef tuple floor_block(self, unsigned long long address)

    @cython.locals(node=FreeNode, spot=Py_ssize_t, fence=cython.ulonglong)
    cdef tuple ceiling_block(self, unsigned long long address)

    @cython.locals(node=FreeNode, depth=Py_ssize_t)
    cdef tuple last_block(self)

    @cython.locals(node=FreeNode, spot=Py_ssize_t, before=Py_ssize_t)
    cdef Py_ssize_t rank_block(self, unsigned long long address) except -1

    @cython.locals(node=FreeNode, kid=FreeNode, spot=Py_ssize_t)
    cdef tuple select_block(self, Py_ssize_t rank)

    @cython.locals(node=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cdef list list_blocks(self, unsigned long long start, unsigned long long stop, unsigned long long most)

    cdef inline FreeNode _at(self, Py_ssize_t depth)

    cdef inline int _step(self, Py_ssize_t depth, FreeNode node) except -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t, fence=cython.ulonglong)
    cdef unsigned long long _descend(self, unsigned long long address) except 0

    @cython.locals(
        node=FreeNode, parent=FreeNode, spot=Py_ssize_t,
        known=cython.ulonglong, top=cython.ulonglong, key=cython.ulonglong,
    )
    cdef int _changed(self, Py_ssize_t depth, unsigned long long old, unsigned long long new) except -1

    @cython.locals(node=FreeNode, depth=Py_ssize_t)
    cdef int _count(self, Py_ssize_t more) except -1

    @cython.locals(
        node=FreeNode, fresh=FreeNode, parent=FreeNode, kid=FreeNode, spot=Py_ssize_t,
        depth=Py_ssize_t, biggest=cython.ulonglong, half=Py_ssize_t, start=Py_ssize_t, weight=Py_ssize_t,
    )
    cdef int _add_entry(
        self, unsigned long long key, unsigned long long value, unsigned long long fence
    ) except -1

    @cython.locals(node=FreeNode)
    cdef int _drop_entry(self, Py_ssize_t spot, unsigned long long old, unsigned long long new) except -1

    @cython.locals(
        node=FreeNode, parent=FreeNode, left=FreeNode, right=FreeNode, spot=Py_ssize_t,
        depth=Py_ssize_t, half=Py_ssize_t,
    )
    cdef int _mend(self) except -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t, key=cython.ulonglong, room=cython.ulonglong)
    cdef int _take(
        self, unsigned long long address, unsigned long long size, unsigned long long fence
    ) except -1

    cdef object _clash(self, unsigned long long address, unsigned long long size)

    @cython.locals(kid=FreeNode, spot=Py_ssize_t)
    cdef int _inspect(
        self, FreeNode node, Py_ssize_t level, bint spine, list faults, list found
    ) except -1


@cython.locals(word=cython.ulonglong)
cdef unsigned long long _word(object value) except? 0xFFFFFFFFFFFFFFFF

cdef int _check_block(unsigned long long address, unsigned long long size) except -1
