cimport cython

from stablemem._core.tree.index cimport Index
from stablemem._core.tree.node cimport check_of, child_of, count_of, word1
from stablemem._core.format.words cimport low32, page_t, u64

@cython.locals(page=page_t, size=u64, leaves=u64, position=u64, spot=int)
cdef tuple measure(Index index)
@cython.locals(page=page_t, spot=int, total=u64)
cdef u64 _inner_below(Index index, u64 reference, u64 check, int level) except? 0xFFFFFFFFFFFFFFFF
