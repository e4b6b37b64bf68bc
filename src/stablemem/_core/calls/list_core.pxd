cimport cython

from stablemem._core.calls.values cimport Values
from stablemem._core.tree.node cimport word0, word1
from stablemem._core.calls.shortcuts cimport MSGPACK
from stablemem._core.format.words cimport INLINE_SIZE, dirty_t, low32, page_t, u64

cdef str POP_EMPTY
cdef str POP_RANGE
cdef object RAISE

cdef class ListCore(Values):
    @cython.locals(length=cython.longlong, leaf=page_t, spot=int, first=u64, second=u64)
    cdef object _value(self, long long position, default)
    @cython.locals(length=cython.longlong)
    cdef object _insert(self, long long position, value)
    @cython.locals(length=cython.longlong)
    cdef long long _begin_change_at(self, long long position, str message) except -1
    cdef object _pop(self, long long index)
    @cython.locals(position=cython.longlong, changing=bint, leaf=dirty_t, spot=int, first=u64, second=u64)
    cdef object _pop_known(self, long long index)
    @cython.locals(version=u64, blob=bytes, position=cython.longlong)
    cdef object _pop_decoded(self, long long index, bint alone)
