cimport cython

from stablemem._core.space.freetree cimport FreeTree
from stablemem._core.space.layers cimport Layer, Limbo
from stablemem._core.format.words cimport HEADER_SIZE, RAW_PAGE, REGION_PAGE, u64

@cython.final
cdef class FreeSpace:
    cdef FreeTree _pool
    cdef list _trees
    cdef bytearray _kinds
    cdef bytearray _owners
    cdef readonly list areas
    cdef readonly list layers
    cdef readonly list limbo
    cdef readonly FreeTree young
    cdef readonly FreeTree given
    cdef readonly u64 end
    cdef public u64 most
    cdef public bint grown
    cdef public bint packing
    cdef readonly bint best

    @cython.locals(tree=FreeTree, address=cython.longlong)
    cpdef u64 allocate(self, int kind, u64 size) except 0
    @cython.locals(tree=FreeTree, address=cython.longlong, area=u64, least_run=u64, pages=u64, largest=u64, begin=u64, size=u64)
    cpdef tuple take_run(self, int kind, u64 wanted, u64 least)
    @cython.locals(tree=FreeTree, address=cython.longlong, page=cython.longlong, pages=u64)
    cpdef u64 allocate_below(self, int kind, u64 size, u64 cut) except? 0
    cdef bint _is_sparse(self) except -1
    @cython.locals(page=cython.longlong)
    cdef bint _is_higher(self, cython.longlong address, u64 size) except -1
    @cython.locals(tree=FreeTree, size=u64)
    cdef u64 _lengthen(self, int kind, u64 address, u64 most) except? 0
    @cython.locals(layer=Layer, page=u64)
    cdef int _note_fresh(self, u64 address, u64 size) except -1
    @cython.locals(tree=FreeTree)
    cpdef object fit_best(self)
    cdef object _extend(self, int kind, u64 size)
    @cython.locals(layer=Layer, page=u64)
    cpdef object free(self, u64 address, u64 size)
    @cython.locals(stop=u64, first=u64, last=u64)
    cpdef object reuse(self, u64 address, u64 size)
    @cython.locals(first=u64, stop=u64, tree=FreeTree, layer=Layer, each=Limbo, taken=int)
    cpdef str free_allocated(self, int kind, u64 address, u64 size)
    @cython.locals(tree=FreeTree, each=Limbo, layer=Layer)
    cdef bint _is_free(self, int kind, u64 address, u64 size) except -1
    @cython.locals(tree=FreeTree)
    cdef object _reuse_within(self, u64 address, u64 size)
    @cython.locals(page=u64, begin=u64, tree=FreeTree, merged=u64)
    cdef bint _merge_within(self, u64 address, u64 size) except -1
    @cython.locals(end=u64, below=u64, tree=FreeTree)
    cpdef u64 used_end(self) except? 0
    @cython.locals(layer=Layer, older=Limbo, into=Limbo, address=u64, size=u64)
    cpdef object commit(self, u64 transaction, u64 since=*, bint synced=*)
    @cython.locals(layer=Layer, freed=FreeTree, blocks=FreeTree, address=u64, size=u64)
    cdef object _part_young(self, u64 transaction, u64 since)
    @cython.locals(each=Limbo, least=u64)
    cpdef object release(self, u64 floor, object is_read)
    @cython.locals(each=Limbo, total=u64)
    cpdef u64 waiting_bytes(self, u64 synced) except? 0
    @cython.locals(tree=FreeTree, count=Py_ssize_t, each=Limbo)
    cpdef Py_ssize_t count_blocks(self) except -1
    @cython.locals(tree=FreeTree)
    cpdef list free_blocks(self, u64 start=*, u64 stop=*, u64 most=*)
    @cython.locals(first=u64, stop=u64, tree=FreeTree, layer=Layer)
    cpdef str fault_of(self, int kind, u64 address, u64 size)
    @cython.locals(layer=Layer, below=Layer)
    cpdef object pop(self)
    @cython.locals(layer=Layer)
    cpdef bint is_fresh(self, u64 address, u64 size) except -1
    @cython.locals(layer=Layer, tree=FreeTree, begin=u64, end=u64, low=u64, high=u64, address=u64, size=u64)
    cpdef list fresh_blocks(self, u64 start=*, u64 stop=*)
    @cython.locals(page=u64)
    cpdef object free_range(self, u64 address, u64 size)
