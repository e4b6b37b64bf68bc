cimport cython
from libc.stdint cimport int64_t

from stablemem._core.space.freenode cimport CAP, DEPTH, FreeNode, kid_of, kid_t
from stablemem._core.format.words cimport prefetch


@cython.final
cdef class SizeTree:
    cdef unsigned long long fitting
    cdef FreeNode root
    cdef Py_ssize_t height
    cdef void *path[DEPTH]
    cdef Py_ssize_t spots[DEPTH]

    @cython.locals(
        node=FreeNode, fresh=FreeNode, kid=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t, weight=Py_ssize_t,
        half=Py_ssize_t,
    )
    cdef int insert_pair(self, unsigned long long size, unsigned long long address) except -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cdef int remove_pair(self, unsigned long long size, unsigned long long address) except -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t, next_address=int64_t)
    cdef int64_t fit(self, unsigned long long size, unsigned long long address) except -2

    cpdef SizeTree copy(self)

    cdef inline FreeNode _at(self, Py_ssize_t depth)

    cdef inline int _step(self, Py_ssize_t depth, FreeNode node) except -1

    @cython.locals(node=FreeNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cdef int _descend(self, unsigned long long size, unsigned long long address) except -1

    @cython.locals(node=FreeNode, depth=Py_ssize_t)
    cdef int _count(self, Py_ssize_t more) except -1

    @cython.locals(node=FreeNode, parent=FreeNode, spot=Py_ssize_t)
    cdef int _begins(self, Py_ssize_t depth) except -1

    @cython.locals(
        node=FreeNode, parent=FreeNode, left=FreeNode, right=FreeNode, spot=Py_ssize_t,
        depth=Py_ssize_t, half=Py_ssize_t,
    )
    cdef int _mend(self) except -1

    @cython.locals(spot=Py_ssize_t)
    cdef int _gather(self, FreeNode node, list found) except -1

    @cython.locals(kid=FreeNode, spot=Py_ssize_t)
    cdef int _inspect(self, FreeNode node, Py_ssize_t level, list faults, list found) except -1
