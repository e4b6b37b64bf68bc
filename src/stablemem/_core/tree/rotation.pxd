cimport cython

from stablemem._core.tree.index cimport Index
from stablemem._core.tree.kinds cimport Node, level_of
from stablemem._core.tree.node cimport COUNTED, children_of, move_entries, put_children, set_child, total_of
from stablemem._core.tree.pager cimport Pager
from stablemem._core.tree.path cimport bad_node
from stablemem._core.format.words cimport u64

@cython.locals(pager=Pager, one=Node, two=Node, height=int, length=cython.longlong)
cdef object rotate_index(Index index, long long position)
@cython.locals(node=Node, right=Node, one=Node, two=Node, spot=Py_ssize_t, first=u64, values=u64, address=u64, child_check=u64)
cdef tuple _cut(Pager pager, u64 reference, u64 check, int level, u64 position, u64 expected)
@cython.locals(pager=Pager, one=Node, two=Node, top=Node, home=Node, parent=Node, length=cython.longlong, more=cython.longlong, level=int)
cdef object _join(Index index, tuple front, tuple back)
