cimport cython

from stablemem._core.tree.index cimport Index
from stablemem._core.tree.kinds cimport Node, NodeKind, kind_of, level_of
from stablemem._core.tree.node cimport before, check_of, child_of, count_of, spot_of
from stablemem._core.tree.pager cimport Pager
from stablemem._core.tree.path cimport bad_node
from stablemem._core.format.words cimport NODE_SIZE, low32, page_t, u64

@cython.locals(
    pager=Pager, dirty=Py_ssize_t, begin=u64, end=u64, spot=int, page=page_t, first=u64, second=u64, size=u64,
    address=u64, node=Node, moved=u64, run=u64, run_end=u64, blob=bytes, kind=NodeKind,
)
cpdef tuple relocate(Index index, u64 position, u64 bound, bint below_bound)
@cython.locals(pager=Pager, reference=u64, check=u64, level=int, spot=int, page=page_t)
cdef bint _lies_above(Index index, u64 position, u64 bound) except -1
