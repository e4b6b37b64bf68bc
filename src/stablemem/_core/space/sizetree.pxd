cimport cython
from libc.stdint cimport int64_t

from stablemem._core.space.blocknode cimport CAP, BlockNode, fetch, kid_of
from stablemem._core.space.blocktree cimport BlockTree, node_at, step


@cython.final
cdef class SizeTree(BlockTree):
    cdef readonly unsigned long long fitting

    @cython.locals(node=BlockNode, spot=Py_ssize_t)
    cpdef object insert(self, unsigned long long size, unsigned long long address)

    @cython.locals(node=BlockNode, spot=Py_ssize_t)
    cpdef object remove(self, unsigned long long size, unsigned long long address)

    @cython.locals(node=BlockNode, spot=Py_ssize_t, next_address=int64_t)
    cpdef int64_t fit(self, unsigned long long size, unsigned long long address=*) except -2

    @cython.locals(node=BlockNode, spot=Py_ssize_t, depth=Py_ssize_t)
    cdef int _descend(self, unsigned long long size, unsigned long long address) except -1

    @cython.locals(node=BlockNode, parent=BlockNode, spot=Py_ssize_t)
    cdef int _begins(self, Py_ssize_t depth) except -1
