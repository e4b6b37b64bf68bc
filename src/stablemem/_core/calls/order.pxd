cimport cython

from stablemem._core.tree.rotation cimport rotate_index
from stablemem._core.calls.slices cimport Slices

cdef class Moving(Slices):
    cdef tuple _two(self, long long one, long long two)
    cdef object _exchange(self, long long one, long long two)

@cython.locals(words=cython.ulonglong[:], last=Py_ssize_t, other=Py_ssize_t, first=cython.ulonglong, second=cython.ulonglong)
cdef object _fisher_yates(words, Py_ssize_t number, randrange)
