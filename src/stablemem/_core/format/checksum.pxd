cimport cython

from stablemem._core.format.words cimport crc32c_at, u32

@cython.locals(blob=bytes)
cpdef u32 crc32c(data)
