cimport cython

cdef extern from "pythread.h":
    unsigned long get_ident "PyThread_get_thread_ident" () noexcept

cdef class Held

@cython.final
cdef class Latch:
    cdef readonly object lock
    cdef object _inner
    cdef readonly unsigned long owner
    cdef unsigned long busy
    cdef public str closed
    cdef public object repair
    cdef public object task
    cdef long long _depth
    cdef object _frame
    cdef bint _changing

    @cython.locals(thread=cython.ulong)
    cpdef int enter(self) except -1
    cpdef int enter_change(self) except -1
    cdef int _await_owner(self) except -1
    cpdef void leave(self) noexcept
    cdef object _wait(self, unsigned long thread)
    cdef object _re_entered(self)
    cdef object _left_behind(self)
    @cython.locals(thread=cython.ulong, before=cython.ulong)
    cpdef unsigned long own(self) except? 0
    cdef object _await_calls(self, unsigned long thread)
    cpdef object disown(self)
    cpdef Held held(self)

cdef class Owned:
    cdef Latch _latch

@cython.final
cdef class Held(Owned):
    pass
