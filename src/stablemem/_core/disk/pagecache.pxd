cimport cython

from stablemem._core.format.words cimport NODE_SIZE, u64

@cython.final
cdef class PageCache:
    cdef object _read
    cdef Py_ssize_t _most
    cdef dict _young
    cdef dict _old

    @cython.locals(page=bytes)
    cpdef bytes page(self, u64 number, Py_ssize_t end)
    @cython.locals(page=bytes, number=u64, begin=Py_ssize_t, end=Py_ssize_t)
    cpdef bytes load(self, u64 address, u64 size)
    @cython.locals(first=u64, stop=u64, number=u64, pages=dict)
    cpdef object drop(self, u64 address, u64 size)
    cpdef object clear(self)
    cdef bint _knows(self, u64 number) except -1
    @cython.locals(first=u64, stop=u64, each=u64, place=Py_ssize_t, content=bytes, found=bytes, page=bytes)
    cdef bytes _fetch(self, u64 number)
    cdef int _keep(self, u64 number, bytes page) except -1
