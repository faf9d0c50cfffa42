"""Coroutines that run in the callbacks which they wait for.

A task of asyncio's makes each of its steps in a later pass of the loop than the one that made it possible: when it begins, and
after each future. To a request on its way that is four passes in which nothing else is done where there is little load, and a
wait behind all other requests of four passes where there is much. A run makes its steps at once: from the read callback in which
a request, or an answer to one, has become whole.

There is one step at a time. What would begin within another one waits for the next pass, so the stack stays flat and no
coroutine finds the state of its caller changed in the middle of a step.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF

from fastgate._core.outbox cimport Outbox

from asyncio import CancelledError

cdef extern from "Python.h":
    int PyIter_Send(object, object, PyObject **) except -1      # a PySendResult, whose PYGEN_ERROR is -1
    enum: PYGEN_NEXT


cdef class Runner:
    """The runs of one event loop, in its thread, and what they have to write."""

    def __cinit__(self, object loop):
        self.loop = loop
        self.requests = Outbox(loop)
        self.answers = Outbox(loop, self.requests)

    cdef object pause(self):
        """What a coroutine can wait for, like a future of the loop's; which is what it is where no run is to wait for it."""
        if self.running is None:
            return self.loop.create_future()
        return Pause.__new__(Pause)


cdef class Run:
    """One coroutine. It may wait for what its runner's ``pause`` gave and for futures, not for ``asyncio.timeout``.

    Whoever makes one sets ``runner`` and ``coroutine``, and calls ``go_on``; a subclass hears in ``ended`` of its end.
    """

    cdef int go_on(self) except -1:
        """The next step: now, or in the next pass where another step is under way."""
        if self.due or self.runner.running is not None:
            return self.defer()
        return self.step()

    cdef int defer(self) except -1:
        """The next step, in the next pass."""
        if not self.due:
            self.due = True
            self.runner.loop.call_soon(self.proceed)
        return 0

    def proceed(self, future=None):
        """The callback of the loop, and of futures."""
        if future is None:
            self.due = False
        elif future is not self.awaited:        # it waits for it no longer
            return
        self.go_on()

    def cancel(self):
        """As a task's: CancelledError is raised where it waits. Returns whether it has not ended yet."""
        if self.coroutine is None:
            return False
        self.cancelled = True
        if self.runner.running is not self:
            self.interrupt()
        return True

    cdef int interrupt(self) except -1:
        """It waits no longer for what it waits for."""
        cdef Pause pause
        cdef object awaited = self.awaited
        self.awaited = None
        if isinstance(awaited, Pause):
            pause = awaited
            pause.over = True
            pause.run = None
        elif awaited is not None:
            awaited.cancel()
        return self.defer()

    cdef int step(self) except -1:
        cdef bint waits
        if self.coroutine is None:
            return 0
        self.awaited = None
        self.runner.running = self
        try:
            waits = self.advance()
        except BaseException as fault:
            self.end(fault)
        else:
            if waits:
                self.wait()
            else:
                self.end(None)
        finally:
            self.runner.running = None
        return 0

    cdef bint advance(self) except -1:
        """To its next wait, ``awaited`` says for what; False: it has ended."""
        cdef PyObject *came = NULL
        cdef bint waits = True
        cdef object awaited
        if self.cancelled:
            self.cancelled = False
            try:
                self.awaited = self.coroutine.throw(CancelledError())
            except StopIteration:
                return False
            return True
        waits = PyIter_Send(self.coroutine, None, &came) == PYGEN_NEXT
        awaited = <object>came
        Py_DECREF(awaited)
        self.awaited = awaited if waits else None
        return waits

    cdef int wait(self) except -1:
        """Have whatever it waits for call it."""
        cdef Pause pause
        cdef object awaited = self.awaited
        if self.cancelled:                      # by itself, in this step
            return self.interrupt()
        if isinstance(awaited, Pause):
            pause = awaited
            pause.run = self
        elif awaited is None:                   # for the others: ``asyncio.sleep(0)``
            self.defer()
        else:
            awaited._asyncio_future_blocking = False    # the protocol of whoever awaits a future
            awaited.add_done_callback(self.proceed)
        return 0

    cdef int end(self, object fault) except -1:
        """It has ended, which should not be by an exception."""
        self.coroutine = None
        if fault is not None and not isinstance(fault, CancelledError):
            self.runner.loop.call_exception_handler({"message": "a run has failed", "exception": fault})
        return self.ended()

    cdef int ended(self) except -1:
        """For subclasses; still part of the last step."""
        return 0


@cython.freelist(256)
cdef class Pause:
    """What one run waits for. Whoever holds it uses it as a future: ``done``, ``set_result``, ``set_exception``, ``await``."""

    def done(self):
        """Whether it is over; or nobody waits any more."""
        return self.over

    def set_result(self, object nothing):
        """It is over; the run goes on in the next pass."""
        self.over = True
        if self.run is not None:
            self.run.defer()

    def set_exception(self, object error):
        """Likewise; ``error`` is raised where the run waits."""
        self.error = error
        self.set_result(None)

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if not self.over:
            return self
        if self.error is not None:
            raise self.error
        raise StopIteration


cdef int resume(object waiter) except -1:
    """What ``waiter`` was waited for is here: a run goes on at once, if no other is in the middle of a step."""
    cdef Pause pause
    if not isinstance(waiter, Pause):
        waiter.set_result(None)
        return 0
    pause = waiter
    pause.over = True
    return pause.run.go_on() if pause.run is not None else 0
