cimport cython
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.list cimport PyList_GET_ITEM
from libc.string cimport memset

from stablemem._core.space.freespace cimport FreeSpace
from stablemem._core.tree.kinds cimport Node, NodeKind, kind_of, level_of, start
from stablemem._core.disk.region cimport Region
from stablemem._core.format.words cimport (
    INLINE_SIZE, NODE_SIZE, crc32c_at, dirty_t, get64, high32, low32, mark, page_t, put64, u32, u64, unmark,
)

cdef enum:
    _BLOB_BUDGET = 4194304
    _NUMBER_BUDGET = 524288

@cython.final
cdef class Pager:
    cdef readonly Region region
    cdef public FreeSpace space
    cdef public bint checksums
    cdef public u64 transaction
    cdef readonly u64 pending_bytes
    cdef readonly Py_ssize_t dirty_nodes
    cdef public Py_ssize_t node_budget
    cdef bytearray _verified
    cdef list _nodes
    cdef list _pending
    cdef list _spare
    cdef list _run
    cdef u64 _run_begin
    cdef u64 _run_end
    cdef list _marks
    cdef long long _serial
    cdef long long _mark
    cdef u64 _first_blob

    cdef int _keep(self, Node node) except -1
    @cython.locals(number=u64)
    cdef page_t page(self, u64 reference, u64 check) except NULL
    @cython.locals(number=u64, nodes=list, node=Node)
    cdef Node _dirty(self, u64 reference)
    @cython.locals(number=u64)
    cdef object verify(self, u64 reference, u64 check)
    @cython.locals(found=u64)
    cdef object _check(self, content, u64 reference, u64 check)
    @cython.locals(size=u64, blob=bytes, found=u32)
    cpdef bytes blob(self, u64 first, u64 second)
    @cython.locals(number=u64)
    cdef bytes _pending_blob(self, u64 first)

    @cython.locals(content=bytearray, node=Node)
    cdef Node create(self, int level, int mark)
    @cython.locals(page=page_t, content=bytearray, node=Node)
    cdef Node own(self, u64 reference, u64 check)
    @cython.locals(node=Node)
    cdef Node _adopt(self, bytearray content)
    cdef object drop(self, u64 reference)
    cpdef u64 hold(self, bytes blob) except 0
    @cython.locals(size=u64, blob=bytes)
    cdef int release(self, u64 first, u64 second) except -1
    cdef int _free(self, u64 address, u64 size) except -1
    cpdef bint is_full(self) noexcept
    cpdef bint is_due(self) noexcept
    cpdef object rebase(self, Region region)

    @cython.locals(size=u64, place=u64, begin=u64, end=u64, left=u64, room=u64, number=Py_ssize_t, blob=bytes, placed=bytearray)
    cpdef object write_blobs(self)
    @cython.locals(first=Py_ssize_t, stop=Py_ssize_t, size=u64, wanted=u64, over=u64, piece=bytes, part=bytes, rest=bytes)
    cdef object _close_run(self, u64 begin, u64 place, u64 end, list pieces)
    @cython.locals(node=Node)
    cdef object _patch_leaves(self, bytearray placed)
    @cython.locals(left=u64, begin=u64, room=u64)
    cpdef object begin_nodes(self, u64 spare)
    cpdef tuple place_tree(self, u64 root, u64 check)
    @cython.locals(page=dirty_t, kind=NodeKind, spot=int, child=u64, address=u64)
    cdef tuple _place(self, Node node)
    @cython.locals(begin=u64, room=u64, number=u64)
    cpdef u64 spare_page(self) except 0
    cpdef object place_page(self, u64 address, content)
    cdef object _close_pages(self)
    cpdef object end_nodes(self)
