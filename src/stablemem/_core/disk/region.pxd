cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from stablemem._core.disk.pagecache cimport PageCache
from stablemem._core.format.words cimport page_t, u64

cdef extern from *:
    """
    #include <fcntl.h>
    #ifndef SYNC_FILE_RANGE_WRITE
    #define SYNC_FILE_RANGE_WRITE 0
    #define sync_file_range(descriptor, address, size, flags) 0
    #endif
    """
    int SYNC_FILE_RANGE_WRITE
    int sync_file_range(int descriptor, long long address, long long size, unsigned int flags)

@cython.final
cdef class Region:
    cdef object _device
    cdef object _map_device
    cdef PageCache _cache
    cdef bytes _page
    cdef object _map
    cdef object _view
    cdef bint _held
    cdef Py_buffer _buffer
    cdef page_t _base
    cdef readonly u64 limit
    cdef readonly u64 mapped
    cdef readonly u64 length
    cdef public u64 most
    cdef public list written

    cdef object _release(self)
    cdef object _forget(self)
    cdef object _remap(self)
    cpdef object reach(self, u64 end)
    cdef page_t at(self, u64 address, u64 size) except? NULL
    cpdef bytes load(self, u64 address, u64 size)
    cdef page_t _beyond(self, u64 address, u64 size) except? NULL
    cdef bytes _load_beyond(self, u64 address, u64 size)
    cdef int _map_up_to(self, u64 address, u64 size) except -1
    @cython.locals(content=bytes)
    cdef bytes _read(self, PageCache cache, u64 address, u64 size)
    cdef int _require(self, u64 address, u64 size) except -1
    cdef object _out_of_bounds(self, u64 address, u64 size)
    @cython.locals(begin=u64, end=u64, address=u64, size=u64)
    cpdef object start_sync(self)
