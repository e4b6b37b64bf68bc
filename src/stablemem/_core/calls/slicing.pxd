cimport cython

from stablemem._core.calls.bracket cimport edit, edit_in_pieces
from stablemem._core.calls.values cimport Values
from stablemem._core.format.words cimport get64, put64

@cython.locals(blobs=list, position=cython.longlong)
cpdef list get(Values core, item)
@cython.locals(positions=list, blobs=list, number=Py_ssize_t, position=cython.longlong, place=cython.longlong)
cpdef list get_many(Values core, indices)
cpdef object assign(Values core, item, values)
cpdef object _require_size(Values core, item, list blobs)
cpdef object _assign(Values core, item, list blobs)
@cython.locals(first=Py_ssize_t, each=Py_ssize_t, place=Py_ssize_t, entries=bytearray, part=list, blob=bytes)
cdef object _put_stride(Values core, long long start, long long step, list blobs)
cpdef object delete(Values core, item)
cpdef object _delete(Values core, item)
@cython.locals(entries=bytes, kept=bytearray, part=bytes, place=Py_ssize_t, first=Py_ssize_t, step=Py_ssize_t)
cpdef object _delete_stride(Values core, piece)
cpdef object limit(Values core, long long most)
