cimport cython

from stablemem._core.calls.bracket cimport edit, edit_in_pieces
from stablemem._core.calls.values cimport Values
from stablemem._core.tree.rotation cimport rotate_index
from stablemem._core.format.words cimport u64

cpdef object swap(Values core, i, j)
cpdef object _require_both(Values core, long long one, long long two)
cpdef object _swap(Values core, long long one, long long two)
cdef object _exchange(Values core, long long one, long long two)
@cython.locals(version=u64, blob=bytes, position=cython.longlong)
cpdef object swap_remove(Values core, index)
@cython.locals(last=cython.longlong)
cpdef object _remove(Values core, long long position)
cpdef object reverse(Values core)
cpdef object _mirror(Values core, low)
cpdef object rotate(Values core, n)
cpdef object _rotate(Values core, steps)
cpdef object shuffle(Values core, rng)
cdef object _deal(Values core, room, length, randrange)
cpdef object _put(Values core, piece)

@cython.locals(words=cython.ulonglong[:], last=Py_ssize_t, other=Py_ssize_t, first=cython.ulonglong, second=cython.ulonglong)
cdef object _fisher_yates(words, Py_ssize_t number, randrange)
