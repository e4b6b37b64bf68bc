cimport cython
from libc.string cimport memcpy

from stablemem._core.tree.index cimport Index
from stablemem._core.calls.bracket cimport edit
from stablemem._core.calls.values cimport Values
from stablemem._core.format.words cimport INLINE_SIZE, LEAF_CAPACITY, dirty_t, get64, low32, page_t, u64

@cython.locals(work=Sorting)
cpdef object sort(Values core, key, reverse, by_blob)

@cython.final
cdef class Sorting:
    cdef Values _core
    cdef Index _index
    cdef object _key
    cdef bint _raw
    cdef Py_ssize_t _largest
    cdef long long _length
    cdef u64 _version
    cdef readonly bint reverse

    cpdef object sort(self)
    cdef object _require_unchanged(self)
    cdef object keyed(self, bytes blob, long long position)
    cdef Py_ssize_t estimate(self, Py_ssize_t size) except -1
    cdef Py_ssize_t piece_size(self) except -1
    @cython.locals(room=cython.longlong, blob=bytes, keys=list)
    cdef list _keys(self, long long position)
    @cython.locals(place=Py_ssize_t, number=Py_ssize_t, order=list)
    cdef list _order(self, list keys)
    cdef bint before(self, key, other, bint earlier) except -1
    @cython.locals(spool=Spool, merged=Spool)
    cdef Spool _merged(self, list keys, files)
    @cython.locals(position=cython.longlong, stop=cython.longlong, begin=cython.longlong, run=Run)
    cdef list _runs(self, list keys, Spool spool)
    @cython.locals(place=Py_ssize_t, entries=bytes)
    cdef object _spool(self, list order, list keys, long long start, Spool spool)
    @cython.locals(core=Values, place=Py_ssize_t, number=Py_ssize_t, first=u64, second=u64, chosen=bytes, record=bytes, blobs=list, records=list)
    cdef list _records(self, bytes entries, list order, list keys)
    @cython.locals(core=Values)
    cdef bytes entries(self, long long start, long long stop)
    @cython.locals(core=Values)
    cdef bytes blob(self, u64 first, u64 second)
    @cython.locals(run=Run, first=Run, keys=list, records=list, order=list)
    cdef object _merge(self, list runs, Spool spool, bint whole)

@cython.final
cdef class Run:
    cdef Sorting _work
    cdef readonly Py_ssize_t number
    cdef readonly object file
    cdef readonly long long place
    cdef public long long end
    cdef public bint whole
    cdef list _keys
    cdef list _records
    cdef Py_ssize_t _at

    cdef bint has_more(self) except -1
    cdef object last(self)
    @cython.locals(low=Py_ssize_t, middle=Py_ssize_t, stop=Py_ssize_t)
    cdef object take(self, bound, Py_ssize_t number, list keys, list records)
    @cython.locals(work=Sorting, data=bytes, blob=bytes, record=bytes, at=Py_ssize_t, room=cython.longlong, first=u64, second=u64, size=u64, behind=Py_ssize_t, kept=bint, keys=list, records=list)
    cdef object _load(self)
    cdef bytes _read(self)

@cython.final
cdef class Spool:
    cdef readonly object file
    cdef readonly long long size

    cdef object write(self, list records)
    cdef object flush(self)

cpdef object _permute(Values core, list order)
@cython.locals(position=cython.longlong, length=cython.longlong, entries=bytes)
cpdef object _write_back(Values core, file)
@cython.locals(made=bytearray, target=dirty_t, source=page_t, place=Py_ssize_t, number=Py_ssize_t)
cpdef bytes permuted(bytes entries, list order)
