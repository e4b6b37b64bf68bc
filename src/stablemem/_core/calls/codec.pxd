cimport cython

from stablemem._core.calls.shortcuts cimport BYTES, blob_of, form_of, value_of, value_of_blob
from stablemem._core.format.words cimport INLINE_SIZE, low32, page_t, u64

@cython.final
cdef class Codec:
    cdef readonly object blobify
    cdef readonly bint bound
    cdef readonly int form
    cdef readonly bint knows

    cpdef bytes encode(self, value, long long position)
    cpdef list encode_all(self, values)
    cpdef bytes sought(self, value)
    cdef bytes _as_bytes(self, blob)
    cdef object known(self, u64 first, u64 second)
    cdef object known_blob(self, bytes blob)
    cpdef object decode(self, bytes blob, long long position)
    @cython.locals(values=list, blob=bytes)
    cpdef list decode_all(self, list blobs, positions)
    cdef object _failure(self, error, str method, long long position)

cdef str _kind(blobify)
