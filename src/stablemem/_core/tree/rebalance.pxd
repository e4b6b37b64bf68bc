cimport cython

from stablemem._core.tree.kinds cimport Node, level_of
from stablemem._core.tree.node cimport (
    before, check_of, child_of, children_of, close_entries, count_of, deal_children, entries_of, join_children,
    put_children, put_entries, set_count, total_of, word0, word1,
)
from stablemem._core.tree.pager cimport Pager
from stablemem._core.format.words cimport INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM, dirty_t, page_t, u64

cdef object bad_node(Pager pager, u64 reference, str expected, page_t page)
@cython.locals(page=page_t, slot=int)
cdef object free_below(Pager pager, u64 reference, u64 check, int level, u64 expected)
@cython.locals(page=page_t, count=int)
cdef bint is_under_full(Pager pager, u64 reference, int level, bint edge) except -1
@cython.locals(one=Node, two=Node, home=Node, children=list, left=int)
cdef object even_out(Pager pager, Node parent, int slot, int level, bint last)
@cython.locals(page=dirty_t, one=Node, two=Node, count=int, left=int, have=int, more=int, total=int, kept=int, entries=bytes)
cdef bint even_out_leaves(Pager pager, Node parent, int slot, bint last) except -1
