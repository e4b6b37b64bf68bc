cimport cython

from stablemem._core.tree.kinds cimport Node, level_of
from stablemem._core.tree.node cimport (
    COUNTED, add_count, before, check_of, child_of, children_of, close_entries, count_of, entries_of,
    move_entries, open_entries, put_children, put_entries, set_child, set_count, set_entry, spot_of, split_child,
    total_of, word0, word1,
)
from stablemem._core.tree.pager cimport Pager
from stablemem._core.tree.path cimport OwnedTree, bad_node, free_below
from stablemem._core.tree.rebalance cimport even_out_leaves
from stablemem._core.format.words cimport (
    INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM, dirty_t, page_t, prefetch, u64,
)

cdef enum:
    COUNTS_SIZE = 1376
    _LAST = 7
    EVERY = 4611686018427387904

@cython.final
cdef class Index(OwnedTree):
    cdef readonly u64 version
    cdef int spot
    cdef bint _at_end
    cdef u64 _near
    cdef u64 _near_from
    cdef u64 _near_to
    cdef long long[8] _lows
    cdef long long[8] _highs

    @cython.locals(number=int)
    cdef void _changed(self, long long low, long long high) noexcept
    @cython.locals(seen=u64, low=cython.longlong, high=cython.longlong)
    cdef Py_ssize_t kept(self, u64 then, u64 now, long long position, int step, Py_ssize_t number) noexcept
    cdef void _forget(self) noexcept
    @cython.locals(page=page_t, reference=u64, left=u64, level=int, spot=int, count=int)
    cdef page_t leaf(self, u64 position) except NULL
    cdef u64 leaf_begin(self) noexcept
    cdef u64 leaf_end(self) noexcept
    @cython.locals(page=page_t, end=u64)
    cpdef bytes entries(self, u64 start, u64 stop)
    @cython.locals(node=Node, page=dirty_t, reference=u64, level=int, spot=int, expected=u64, below=u64)
    cdef Node own_path(self, u64 position)
    @cython.locals(level=int)
    cdef int _count(self, long long delta) except -1

    @cython.locals(node=Node, spot=int)
    cpdef object replace(self, u64 position, u64 first, u64 second)
    @cython.locals(leaf=Node, spot=int, number=u64, place=u64, part=u64)
    cpdef object put_entries_at(self, u64 position, bytes entries)
    @cython.locals(node=Node, spot=int, at_end=bint)
    cpdef object insert(self, u64 position, u64 first, u64 second)
    @cython.locals(right=Node, kept=int, level=int)
    cdef object _split_leaf(self, Node left, int spot, u64 first, u64 second, bint at_end)
    @cython.locals(leaf=Node, spot=int, count=int, number=Py_ssize_t, kept=Py_ssize_t, at_end=bint)
    cpdef object insert_run(self, u64 position, bytes entries)
    @cython.locals(leaf=Node, place=Py_ssize_t, number=Py_ssize_t)
    cdef list _leaves(self, bytes entries, bint fill)
    cpdef object delete(self, u64 position)
    @cython.locals(node=Node)
    cdef dirty_t owned(self, u64 position) except NULL
    @cython.locals(node=Node, spot=int, left=int)
    cdef int delete_owned(self, u64 position) except -1
    cpdef object delete_range(self, u64 start, u64 stop)
    @cython.locals(node=Node, spot=int, number=int, each=int, left=int)
    cdef object _delete_few(self, u64 start, u64 stop)
    @cython.locals(node=Node, child=Node, page=dirty_t, spot=int, first=u64, low=u64, high=u64, count=u64, address=u64, child_check=u64)
    cdef Node _delete_below(self, u64 reference, u64 check, int level, u64 start, u64 stop)
    cpdef object place(self)
    @cython.locals(page=page_t, count=int, total=u64, least=int)
    cdef u64 _check_below(self, u64 reference, u64 check, int level, bint root, bint last, list faults) except? 0xFFFFFFFFFFFFFFFF
