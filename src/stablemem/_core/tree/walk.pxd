cimport cython

from stablemem._core.format.words cimport low32, page_t, u64
from stablemem._core.tree.kinds cimport NodeKind, kind_of, level_of
from stablemem._core.tree.pager cimport Pager

@cython.locals(page=page_t, kind=NodeKind, first=u64, second=u64, total=u64, found=u64, address=u64, child_check=u64, expected=u64)
cpdef u64 walk(Pager pager, int mark, u64 root, u64 check, int level, seen_node, seen_blob, bint verify_blobs) except? 0xFFFFFFFFFFFFFFFF
