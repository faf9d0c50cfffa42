"""Stops a process at every store it makes into shared memory, so that each can be made its last.

The traced process runs at full speed on mappings that were made read-only. A store faults; the tracer, told by the
kernel, lets that one instruction pass and stops again. System calls are stops as well: they change files. What lies in
the shared mappings and files at such a stop is exactly what a ``kill -9`` at that moment would leave behind.

Linux on x86-64, no debugger, no library: ``ptrace`` through ctypes. The tracer makes the traced process call
``mprotect``.
"""

import ctypes
import os
import re
import signal
import struct
import traceback
from collections.abc import Callable, Generator
from pathlib import Path

_TRACEME, _CONT, _STEP, _GETREGS, _SETREGS, _SYSCALL, _SETOPTIONS, _GETSIGINFO = 0, 7, 9, 12, 13, 24, 0x4200, 0x4202
_SYSGOOD, _EXITKILL = 0x1, 0x100000
_PAGE = 4096
_READ, _WRITE = 1, 2
_CALL_MMAP, _CALL_MPROTECT = 9, 10
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in _REGISTERS]


def _ptrace(request: int, pid: int, address: int = 0, data: object = None) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


def _syscall_instruction() -> int:
    """Where an instruction ``syscall`` lies; a forked process has it at the same place."""
    start = ctypes.cast(_libc.syscall, ctypes.c_void_p).value
    assert start is not None
    return start + ctypes.string_at(start, 64).index(b"\x0f\x05")


class Stopped:
    """A process under control. ``stops`` yields once per store and system call; leaving it kills the process."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self._shared = re.compile(rf"([0-9a-f]+)-([0-9a-f]+) rw-s .* {re.escape(str(folder))}/")
        self._instruction = _syscall_instruction()
        self.stores = 0

    def stops(self) -> Generator[None, None, None]:
        """The generator; the process has ended by itself when it returns."""
        try:
            assert self._wait() == signal.SIGSTOP
            _ptrace(_SETOPTIONS, self.pid, 0, _SYSGOOD | _EXITKILL)
            self._protect_new()
            yield
            while True:
                _ptrace(_SYSCALL, self.pid)
                number = self._wait()
                if number is None:
                    return
                if number == signal.SIGSEGV:
                    self._let_store_pass()
                    self.stores += 1
                elif number == signal.SIGTRAP | 0x80:
                    self._look_for_mappings()
                else:
                    raise AssertionError(f"the process got {signal.Signals(number).name}")
                yield
        finally:
            self._end()

    def _wait(self) -> int | None:
        """The signal it stopped with, None when it ended well."""
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSTOPPED(status):
            return os.WSTOPSIG(status)
        self.pid = 0
        assert status == 0, f"the process ended with status {status:#x}"
        return None

    def _end(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _step(self) -> int:
        _ptrace(_STEP, self.pid)
        number = self._wait()
        assert number is not None
        return number

    def _let_store_pass(self) -> None:
        pages = []
        number: int = signal.SIGSEGV
        while number == signal.SIGSEGV:  # a store may lie across two pages
            page = self._fault() // _PAGE * _PAGE
            assert page not in pages, f"a real fault at {page:#x}"
            pages.append(page)
            self._mprotect(page, _PAGE, _READ | _WRITE)
            number = self._step()
        assert number == signal.SIGTRAP
        for page in pages:
            self._mprotect(page, _PAGE, _READ)

    def _fault(self) -> int:
        info = ctypes.create_string_buffer(128)
        _ptrace(_GETSIGINFO, self.pid, 0, info)
        address: int = struct.unpack_from("=Q", info, 16)[0]
        return address

    def _look_for_mappings(self) -> None:
        registers = _Registers()
        _ptrace(_GETREGS, self.pid, 0, ctypes.byref(registers))
        if registers.orig_rax == _CALL_MMAP:
            self._protect_new()

    def _protect_new(self) -> None:
        """Every mapping of the folder that can be written."""
        for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            if found := self._shared.match(line):
                start, end = int(found[1], 16), int(found[2], 16)
                self._mprotect(start, end - start, _READ)

    def _mprotect(self, start: int, length: int, protection: int) -> None:
        """Has the process call ``mprotect``, and leaves its registers as they were."""
        kept, changed = _Registers(), _Registers()
        _ptrace(_GETREGS, self.pid, 0, ctypes.byref(kept))
        ctypes.memmove(ctypes.byref(changed), ctypes.byref(kept), ctypes.sizeof(kept))
        changed.rip, changed.rax, changed.orig_rax = self._instruction, _CALL_MPROTECT, (1 << 64) - 1
        changed.rdi, changed.rsi, changed.rdx = start, length, protection
        _ptrace(_SETREGS, self.pid, 0, ctypes.byref(changed))
        number = self._step()
        assert number == signal.SIGTRAP, signal.Signals(number).name
        _ptrace(_GETREGS, self.pid, 0, ctypes.byref(changed))
        assert changed.rax == 0, f"mprotect: {changed.rax:#x}"
        kept.orig_rax = (1 << 64) - 1  # or the kernel would think a system call is to be restarted
        _ptrace(_SETREGS, self.pid, 0, ctypes.byref(kept))


def traced(folder: Path, body: Callable[[Callable[[], None]], None]) -> Stopped:
    """Forks a process that runs ``body(begin)``; from ``begin()`` on it stops at stores into files of ``folder``."""

    def begin() -> None:
        _libc.ptrace(_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body(begin)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return Stopped(pid, folder)
