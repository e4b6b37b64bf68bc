cimport cython

from stablemem._core.calls.bracket cimport edit
from stablemem._core.calls.codec cimport Codec
from stablemem._core.calls.values cimport Values

cdef enum:
    _CHUNK = 4096
    _CHUNK_SIZE = 1048576

cpdef object extend(Values core, values)
cpdef object add(Values core, values, bint encode)
@cython.locals(length=cython.longlong, changes=cython.longlong)
cdef object _take_back(Values core, long long before, added, error)
@cython.locals(blob=bytes, blobs=list, size=Py_ssize_t, number=Py_ssize_t, codec=Codec)
cdef object _add_all(Values core, values, long long before, bint encode, added)
cdef object _add_some(Values core, list blobs, long long before, added)
@cython.locals(more=cython.longlong)
cpdef object _add_blobs(Values core, list blobs, long long before)
cpdef object _trim(Values core)
cpdef object add_copies(Values core, value, number)
cpdef object extend_left(Values core, values)
cpdef object _add_left(Values core, list blobs)
cpdef object repeat(Values core, times)
