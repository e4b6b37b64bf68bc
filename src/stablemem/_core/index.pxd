cimport cython

from stablemem._core.node cimport (
    Node, add_count, before, check_of, child_of, children_of, close_entries, count_of, entries_of, level_of,
    move_entries, open_entries, put_children, put_entries, set_child, set_count, set_entry, slot_of, split_child,
    total_of, word0, word1,
)
from stablemem._core.pager cimport Pager
from stablemem._core.words cimport (
    INLINE_SIZE, INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM, MAX_LEVELS, NODE_SIZE, dirty_t, low32,
    page_t, u64,
)

@cython.final
cdef class Index:
    cdef readonly Pager pager
    cdef readonly u64 root
    cdef readonly u64 root_check
    cdef readonly int height
    cdef readonly long long length
    cdef readonly u64 version
    cdef int slot
    cdef bint _at_end
    cdef u64 _near
    cdef u64 _near_from
    cdef u64 _near_to
    cdef list _path
    cdef int[16] _slots

    cdef void _touch(self) noexcept
    cdef object _bad_node(self, u64 reference, str expected, page_t page)
    @cython.locals(page=page_t, reference=u64, left=u64, level=int, slot=int, count=int)
    cdef page_t leaf(self, u64 position) except NULL
    cdef u64 leaf_end(self) noexcept
    @cython.locals(node=Node, page=dirty_t, reference=u64, level=int, slot=int, expected=u64)
    cdef Node _own_path(self, u64 position)
    @cython.locals(node=Node, level=int)
    cdef object _count(self, long long delta)

    @cython.locals(node=Node, slot=int)
    cpdef object replace(self, u64 position, u64 first, u64 second)
    @cython.locals(node=Node, slot=int, at_end=bint, parent=Node)
    cpdef object insert(self, u64 position, u64 first, u64 second)
    @cython.locals(right=Node, parent=Node, node=Node, kept=int, level=int)
    cdef object _split_leaf(self, Node left, int slot, u64 first, u64 second, bint at_end)
    @cython.locals(leaf=Node, slot=int, count=int, number=Py_ssize_t, kept=Py_ssize_t, at_end=bint)
    cpdef object insert_run(self, u64 position, bytes entries)
    @cython.locals(leaf=Node, place=Py_ssize_t, number=Py_ssize_t)
    cdef list _leaves(self, bytes entries, bint fill)
    @cython.locals(node=Node, home=Node, children=list, slot=int, above=int)
    cdef object _grow(self, list changed, list made, int level, long long delta)
    @cython.locals(node=Node, above=int)
    cdef bint _at_right_edge(self, int level) except -1
    @cython.locals(node=Node, slot=int, left=int)
    cpdef object delete(self, u64 position)
    cpdef object delete_range(self, u64 start, u64 stop)
    @cython.locals(page=page_t, slot=int)
    cdef object _free_below(self, u64 reference, u64 check, int level, u64 expected)
    @cython.locals(node=Node, child=Node, page=dirty_t, slot=int, first=u64, low=u64, high=u64, count=u64, address=u64, child_check=u64)
    cdef Node _delete_below(self, u64 reference, u64 check, int level, u64 start, u64 stop)
    cdef object _repair(self, u64 position)
    @cython.locals(
        pager=Pager, dirty=Py_ssize_t, begin=u64, end=u64, slot=int, page=page_t, first=u64, second=u64, size=u64,
        address=u64, node=Node, moved=u64, run=u64, run_end=u64, blob=bytes,
    )
    cpdef tuple relocate(self, u64 position, u64 cut, bint below_cut)
    @cython.locals(reference=u64, check=u64, level=int, slot=int, page=page_t)
    cdef bint _lies_above(self, u64 position, u64 cut) except -1
    @cython.locals(page=page_t, reference=u64, check=u64, level=int, count=int, slot=int, near=int, last=bint, edge=bint)
    cdef bint _repair_path(self, u64 position) except -1
    @cython.locals(page=page_t, count=int)
    cdef bint _is_under_full(self, u64 reference, int level, bint edge) except -1
    @cython.locals(one=Node, two=Node, home=Node, children=list, left=int)
    cdef object _fix(self, Node parent, int slot, int level, bint last)
    cpdef object place(self)
    @cython.locals(page=page_t, count=int, total=u64, least=int)
    cdef u64 _check_below(self, u64 reference, u64 check, int level, bint root, bint last, list faults) except? 0xFFFFFFFFFFFFFFFF
