cimport cython

from stablemem._core.format.words cimport dirty_t, page_t, u64
from stablemem._core.tree.kinds cimport Node, NodeKind, kind_of, level_of
from stablemem._core.tree.pager cimport Pager

cdef class OwnedTree:
    cdef readonly Pager pager
    cdef readonly NodeKind kind
    cdef readonly u64 root
    cdef readonly u64 root_check
    cdef readonly int height
    cdef readonly long long length
    cdef Node last_leaf
    cdef dirty_t[16] pages
    cdef int[16] spots

    cdef void touch(self) noexcept
    cdef bint share_leaves(self, Node parent, int spot, bint last) except -1

    cdef Node owned_node(self, int level)
    @cython.locals(above=int)
    cdef bint is_at_right_edge(self, int level) except -1
    @cython.locals(node=Node, home=Node, page=dirty_t, children=list, spot=int, above=int, kind=NodeKind)
    cdef object grow(self, list changed, list made, int level, long long delta)
    cdef object rebalance(self, u64 position)
    @cython.locals(page=page_t, reference=u64, check=u64, level=int, count=int, spot=int, near=int, last=bint, edge=bint, kind=NodeKind)
    cdef bint _rebalance_path(self, u64 position) except -1
    @cython.locals(one=Node, two=Node, home=Node, children=list, left=int, kind=NodeKind)
    cdef object _even_out(self, Node parent, int spot, int level, bint last)

cdef object bad_node(Pager pager, u64 reference, str expected, page_t page)
@cython.locals(page=page_t, kind=NodeKind, first=u64, second=u64)
cdef object free_below(Pager pager, u64 reference, u64 check, int level, u64 expected)
@cython.locals(page=page_t, count=int, kind=NodeKind)
cdef bint is_under_full(Pager pager, u64 reference, int level, bint edge) except -1
