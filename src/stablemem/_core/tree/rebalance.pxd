cimport cython

from stablemem._core.tree.kinds cimport Node, level_of
from stablemem._core.tree.node cimport (
    before, check_of, child_of, close_entries, count_of, deal_children, entries_of, join_children, put_entries,
    set_count,
)
from stablemem._core.tree.pager cimport Pager
from stablemem._core.tree.path cimport bad_node
from stablemem._core.format.words cimport LEAF_CAPACITY, dirty_t

@cython.locals(page=dirty_t, one=Node, two=Node, count=int, left=int, have=int, more=int, total=int, kept=int, entries=bytes)
cdef bint even_out_leaves(Pager pager, Node parent, int spot, bint last) except -1
