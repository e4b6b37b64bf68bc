cimport cython

from stablemem._core.format.words cimport u64

@cython.locals(address=u64, size=u64, low=u64, high=u64)
cdef object clip(list words, u64 first, list blocks, u64 start, u64 stop)
