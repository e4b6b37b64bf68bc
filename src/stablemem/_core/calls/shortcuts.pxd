cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.string cimport memcpy

from stablemem._core.format.words cimport bits64, dirty_t, page_t, turned64, u64

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(str text)
    void* PyUnicode_1BYTE_DATA(str text)
    str PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

cdef enum:
    OTHER = 0
    BYTES = 1
    TEXT = 2
    NAT = 3
    INT = 4
    MSGPACK = 5

cpdef int form_of(blobify) except -1

cdef object value_of(int form, page_t data, Py_ssize_t size)
cpdef object value_of_blob(int form, bytes blob)
@cython.locals(first=int, number=cython.longlong)
cdef object _integer(page_t data, Py_ssize_t size, int zero, int turn)
@cython.locals(number=u64)
cdef u64 _digits(page_t data, Py_ssize_t place, Py_ssize_t end, int turn) noexcept
cdef object _text(page_t data, Py_ssize_t place, Py_ssize_t end)
@cython.locals(first=int, below=cython.longlong)
cdef object _unpacked(page_t data, Py_ssize_t size)
@cython.locals(bits=u64)
cdef object _real(page_t data)

@cython.locals(number=cython.longlong)
cpdef object blob_of(int form, value)
@cython.locals(zero=int, turn=int, size=int)
cdef bytes _blob_of_integer(int form, long long value)
@cython.locals(power=int)
cdef bytes _packed(long long value)
cdef bytes _spelled(int first, u64 number, int size, int turn)
@cython.locals(size=Py_ssize_t, begin=int, data=dirty_t, blob=bytes)
cdef bytes _ascii(str value, int form)
cdef bytes _blob_of_real(double value)
