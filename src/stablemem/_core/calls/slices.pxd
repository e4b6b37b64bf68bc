cimport cython

from stablemem._core.calls.shortcuts cimport BYTES
from stablemem._core.calls.values cimport Values
from stablemem._core.format.words cimport get64, put64

cdef enum:
    _CHUNK = 4096
    _CHUNK_SIZE = 1048576

cdef class Slices(Values):
    cdef list _get_slice(self, item)
    @cython.locals(found=list, position=cython.longlong)
    cdef list _blobs_at(self, positions)
    @cython.locals(values=list, blob=bytes)
    cdef list _decode_all(self, list blobs, positions)
    cdef object _set_slice(self, item, values)
    @cython.locals(first=Py_ssize_t, each=Py_ssize_t, place=Py_ssize_t, entries=bytearray, part=list, blob=bytes)
    cdef object _put_stride(self, long long start, long long step, list blobs)
    cdef object _write_out_if_full(self)
    cdef object _trim(self)
    cdef object _delete_slice(self, item)
    @cython.locals(entries=bytes, kept=bytearray, part=bytes, place=Py_ssize_t, first=Py_ssize_t, step=Py_ssize_t)
    cpdef object _delete_stride(self, piece)
    cdef object _extend(self, values, bint encode)
    @cython.locals(length=cython.longlong, changes=cython.longlong)
    cdef object _take_back(self, long long before, added, error)
    @cython.locals(blob=bytes, blobs=list, size=Py_ssize_t, number=Py_ssize_t)
    cdef object _append_all(self, values, long long before, bint encode, added)
    cdef object _append_blobs(self, list blobs, long long before, added)
