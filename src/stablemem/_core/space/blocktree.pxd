cimport cython

from stablemem._core.space.blocknode cimport CAP, DEPTH, BlockNode, kid_of, kid_t


cdef class BlockTree:
    cdef readonly Py_ssize_t count
    cdef BlockNode root
    cdef Py_ssize_t height
    cdef void *path[DEPTH]
    cdef Py_ssize_t spots[DEPTH]

    cdef unsigned long long summary(self, BlockNode node) noexcept

    @cython.locals(
        node=BlockNode, fresh=BlockNode, parent=BlockNode, kid=BlockNode, depth=Py_ssize_t, start=Py_ssize_t,
        half=Py_ssize_t,
    )
    cdef Py_ssize_t split(
        self, Py_ssize_t spot, unsigned long long key, unsigned long long value, bint rightmost
    ) except -1

    @cython.locals(
        node=BlockNode, parent=BlockNode, left=BlockNode, right=BlockNode, spot=Py_ssize_t,
        depth=Py_ssize_t, half=Py_ssize_t,
    )
    cdef int mend(self) except -1

    @cython.locals(spot=Py_ssize_t)
    cdef int gather(self, BlockNode node, list found) except -1

    @cython.locals(kid=BlockNode, spot=Py_ssize_t)
    cdef int inspect(self, BlockNode node, Py_ssize_t level, bint spine, list faults, list found) except -1


cdef inline BlockNode node_at(BlockTree tree, Py_ssize_t depth):
    return <BlockNode>tree.path[depth]


cdef inline void step(BlockTree tree, Py_ssize_t depth, BlockNode node, Py_ssize_t spot) noexcept:
    tree.path[depth] = <kid_t>node
    tree.spots[depth] = spot
